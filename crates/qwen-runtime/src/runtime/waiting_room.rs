//! How many requests may wait for their turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::RuntimeError;

/// Counts the requests that are not yet running.
#[derive(Debug, Clone)]
pub(super) struct WaitingRoom {
    waiting: Arc<AtomicUsize>,
    places: usize,
}

/// A place in the waiting room, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    waiting: Arc<AtomicUsize>,
}

impl WaitingRoom {
    pub(super) fn new(places: usize) -> Self {
        Self { waiting: Arc::new(AtomicUsize::new(0)), places }
    }

    /// Takes a place, before any work is done for the request.
    pub(super) fn enter(&self) -> Result<Ticket, RuntimeError> {
        let entered = self
            .waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| (now < self.places).then_some(now + 1));
        match entered {
            Ok(_) => Ok(Ticket { waiting: Arc::clone(&self.waiting) }),
            Err(waiting) => Err(RuntimeError::Overloaded { waiting }),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting() >= self.places
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back() {
        let room = WaitingRoom::new(1);
        let ticket = room.enter().unwrap();
        assert!(matches!(room.enter(), Err(RuntimeError::Overloaded { waiting: 1 })));
        drop(ticket);
        assert_eq!(room.waiting(), 0);
        assert!(room.enter().is_ok());
    }
}
