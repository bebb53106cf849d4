//! Owns telling one process from another across machines and containers, and whether one of this machine still lives.

use std::fmt;
use std::fs;

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
        Self { host, pid, namespace: namespace(), started: started(pid).unwrap_or_default() }
    }

    /// Whether it is known to have ended. Of another machine's process nobody can know.
    pub(crate) fn is_gone(&self) -> bool {
        let here = Self::this();
        let comparable = !self.namespace.is_empty() && self.host == here.host && self.namespace == here.namespace;
        comparable && started(self.pid).as_deref() != Some(&self.started)
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
fn started(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.nth(18).map(str::to_owned) }
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
