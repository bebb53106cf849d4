//! Owns telling one process from another across machines and containers, and whether one of this machine still lives.

use std::{fmt, fs, io};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

/// A process, as others on the same volume know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    host: String,
    pid: u32,
    /// Which boot and which process namespace the pid belongs to; empty where the system does not say.
    namespace: String,
    /// When it started, in the system's own ticks; a pid is given out again.
    started: String,
}

impl Process {
    /// This process.
    pub(crate) fn this() -> Self {
        let pid = std::process::id();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { host, pid, namespace: namespace(), started: started(pid).ok().flatten().unwrap_or_default() }
    }

    /// Whether it is known to have ended. Of another machine's process nobody can know.
    pub(crate) fn is_gone(&self) -> bool {
        let here = Self::this();
        if self.namespace.is_empty() || self.host != here.host || self.namespace != here.namespace {
            return false;
        }
        match started(self.pid) {
            Ok(started) => started.as_deref() != Some(&self.started),
            // What cannot be read may only be hidden from this user.
            Err(_) => i32::try_from(self.pid)
                .ok()
                .and_then(Pid::from_raw)
                .is_none_or(|pid| test_kill_process(pid) == Err(Errno::SRCH)),
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "process {} on {}", self.pid, self.host)
    }
}

fn namespace() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let pids = fs::read_link("/proc/self/ns/pid").map(|link| link.to_string_lossy().into_owned());
    pids.map(|pids| format!("{} {pids}", boot.trim())).unwrap_or_default()
}

/// Field 22 of `/proc/PID/stat`; the second, the program's name, may hold spaces and parentheses itself. A process that
/// has ended and is only waited for (state `Z`) has no start any more.
fn started(pid: u32) -> io::Result<Option<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let mut fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_ascii_whitespace();
    let is_over = matches!(fields.next(), None | Some("Z" | "X"));
    Ok(fields.nth(18).filter(|_| !is_over).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_one_lives_and_an_ended_one_does_not() {
        let this = Process::this();
        assert!(!this.is_gone());
        assert!(!Process { host: "elsewhere".to_owned(), pid: 0, ..this.clone() }.is_gone(), "nobody can know");
        if !this.namespace.is_empty() {
            assert!(Process { started: "0".to_owned(), ..this }.is_gone(), "the pid was given out again");
        }
    }
}
