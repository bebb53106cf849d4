//! [`MemoryBudget`]: how much memory the models of this process may take together.

#![cfg_attr(not(feature = "qwen"), expect(dead_code, reason = "only models of this process take memory"))]

use std::sync::{Arc, Mutex, PoisonError};

/// Memory that models share; clones are the same budget.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    limit: u64,
    taken: Arc<Mutex<u64>>,
}

/// What a model has of a budget, until it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    bytes: u64,
    taken: Arc<Mutex<u64>>,
}

impl MemoryBudget {
    /// A budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self { limit, taken: Arc::default() }
    }

    /// All of it, in bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// What models have of it, in bytes.
    #[must_use]
    pub fn taken(&self) -> u64 {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `bytes`.
    ///
    /// # Errors
    /// How much is missing, for an operator.
    pub(crate) fn reserve(&self, bytes: u64) -> Result<Reservation, String> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self.limit.saturating_sub(*taken);
        if bytes > free {
            let [bytes, free, limit] = [bytes, free, self.limit].map(mebibytes);
            return Err(format!(
                "it needs {bytes} MiB, and {free} MiB of {limit} MiB are free: unload another model first"
            ));
        }
        *taken += bytes;
        Ok(Reservation { bytes, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
    }
}

fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let budget = MemoryBudget::new(10 << 20);
        let first = budget.reserve(6 << 20).unwrap();
        assert_eq!(
            budget.clone().reserve(5 << 20).unwrap_err(),
            "it needs 5 MiB, and 4 MiB of 10 MiB are free: unload another model first"
        );
        assert!(budget.reserve(4 << 20).is_ok());
        drop(first);
        assert_eq!(budget.taken(), 0);
        assert!(budget.reserve(10 << 20).is_ok());
    }
}
