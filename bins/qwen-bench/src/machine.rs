//! Owns what the system says of this machine and this process. Must not know what is measured.

use jiff::Timestamp;

/// The processor's name, else its architecture's.
pub(crate) fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    field(&info, "model name").map_or_else(|| std::env::consts::ARCH.to_owned(), str::to_owned)
}

/// The most memory that this process has had, in bytes, pages of mapped files included; `None` where the system does
/// not say.
pub(crate) fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes: u64 = field(&status, "VmHWM")?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// `2026-03-01T13:30:00Z`.
pub(crate) fn now() -> String {
    let now = Timestamp::now().as_second();
    Timestamp::from_second(now).map_or_else(|_| String::new(), |now| now.to_string())
}

/// The value of a line `name: value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found() {
        let text = "Name:\tqwen-bench\nVmHWM:\t  123456 kB\nmodel name\t: AMD EPYC\n";
        assert_eq!(field(text, "VmHWM"), Some("123456 kB"));
        assert_eq!(field(text, "model name"), Some("AMD EPYC"));
        assert_eq!(field(text, "VmRSS"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_some_memory() {
        assert!(peak_rss().unwrap() > 1 << 20);
        assert!(now().ends_with('Z'));
    }
}
