//! The end of the time that a request has.

use std::time::{Duration, Instant};

use crate::error::RuntimeError;

/// A moment, and how long before it the request came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    allowed: Duration,
}

impl Deadline {
    /// A deadline `allowed` after `start`; `None` when that is further off than time can be counted.
    pub(super) fn after(start: Instant, allowed: Duration) -> Option<Self> {
        Some(Self { at: start.checked_add(allowed)?, allowed })
    }

    pub(super) fn is_past(self, now: Instant) -> bool {
        now >= self.at
    }

    /// What a request is told that did not meet it.
    pub(super) fn error(self) -> RuntimeError {
        RuntimeError::DeadlineExceeded { allowed: self.allowed }
    }
}
