//! [`SystemMemory`]: what this process can still have, of the machine and of its container.

use std::fmt;

use sysinfo::System;

/// Memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SystemMemory {
    /// What can be had without swapping.
    pub(crate) free: u64,
    /// What bounds it: the container's limit where there is one that is smaller than the machine, else the machine's.
    pub(crate) limit: u64,
}

impl SystemMemory {
    /// What there is now; `None` where the system does not say.
    pub(crate) fn now() -> Option<Self> {
        let mut system = System::new();
        system.refresh_memory();
        let machine = Self { free: system.available_memory(), limit: system.total_memory() };
        // Pages of files count as used in a container, and are given up when memory is needed: they are free.
        let container = system
            .cgroup_limits()
            .map(|limits| Self { free: limits.total_memory.saturating_sub(limits.rss), limit: limits.total_memory });
        let bound = container.filter(|container| container.limit > 0 && container.limit < machine.limit);
        let both = bound.map_or(machine, |bound| Self { free: bound.free.min(machine.free), limit: bound.limit });
        Some(both).filter(|memory| memory.limit > 0)
    }

    /// Whether a model that takes `needed` bytes can be loaded.
    ///
    /// # Errors
    /// What is missing and what helps, for an operator.
    pub(crate) fn require(self, needed: u64) -> Result<(), String> {
        if needed <= self.free {
            return Ok(());
        }
        Err(format!(
            "the model needs {} MiB of memory, and {self}; choose a smaller model, QUANTIZE, or a smaller KV_MEMORY",
            needed.div_ceil(1 << 20)
        ))
    }
}

impl fmt::Display for SystemMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} MiB are free", self.free >> 20, self.limit >> 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_does_not_fit_is_refused_with_what_helps() {
        let memory = SystemMemory { free: 3 << 30, limit: 4 << 30 };
        assert!(memory.require(3 << 30).is_ok());
        let refusal = memory.require((3 << 30) + 1).unwrap_err();
        let expected = "the model needs 3073 MiB of memory, and 3072 of 4096 MiB are free; \
                        choose a smaller model, QUANTIZE, or a smaller KV_MEMORY";
        assert_eq!(refusal, expected);
    }

    #[test]
    fn this_machine_has_memory() {
        let memory = SystemMemory::now().unwrap();
        assert!(memory.free > 0 && memory.free <= memory.limit, "{memory}");
    }
}
