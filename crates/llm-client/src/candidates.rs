//! [`Candidates`]: who may answer a request, one after the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::entry::Entry;

/// The mode that should answer, then those that do when it cannot.
#[derive(Debug)]
pub struct Candidates(VecDeque<Arc<Entry>>);

impl Candidates {
    /// `first`, then the others without it.
    pub(crate) fn new(first: Arc<Entry>, others: &[Arc<Entry>]) -> Self {
        let others = others.iter().filter(|entry| entry.name() != first.name()).cloned();
        Self(std::iter::once(Arc::clone(&first)).chain(others).collect())
    }

    /// Nobody but `entry`: it was asked for by name.
    pub fn only(entry: Arc<Entry>) -> Self {
        Self::new(entry, &[])
    }

    /// Who should answer; `None` when all have been tried.
    pub fn first(&self) -> Option<&Arc<Entry>> {
        self.0.front()
    }

    /// Whether there is another to try.
    pub fn are_left(&self) -> bool {
        !self.0.is_empty()
    }
}

/// One that fails again and again is passed over, as long as there is another.
impl Iterator for Candidates {
    type Item = Arc<Entry>;

    fn next(&mut self) -> Option<Arc<Entry>> {
        loop {
            let entry = self.0.pop_front()?;
            if self.0.is_empty() || entry.circuit().lets_through(Instant::now()) {
                return Some(entry);
            }
        }
    }
}
