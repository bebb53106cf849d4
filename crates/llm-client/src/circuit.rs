//! [`Circuit`]: whether a mode that has failed again and again is asked at all.
//!
//! A circuit breaker (Nygard, "Release It!", 2007): after some failures in a row nobody waits for the
//! next one; once in a while a request tries whether it works again.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row that open it.
const FAILURES: u32 = 3;
/// How long it stays open, and how far apart the tries are.
const PAUSE: Duration = Duration::from_secs(30);

/// Closed: requests pass. Open: they do not, but for a try after each pause.
#[derive(Debug, Default)]
pub(crate) struct Circuit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// When the next try may be made; none while it is closed.
    next_try: Option<Instant>,
}

impl Circuit {
    /// Whether requests do not pass.
    pub(crate) fn is_open(&self) -> bool {
        self.with(|state| state.next_try.is_some())
    }

    /// Whether a request passes at `now`; when it is a try, the next one is a pause away.
    pub(crate) fn lets_through(&self, now: Instant) -> bool {
        self.with(|state| match state.next_try {
            None => true,
            Some(next_try) if now >= next_try => {
                state.next_try = Some(now + PAUSE);
                true
            }
            Some(_) => false,
        })
    }

    /// An answer was finished.
    pub(crate) fn succeeded(&self) {
        self.with(|state| *state = State::default());
    }

    /// An answer failed at `now`.
    pub(crate) fn failed(&self, now: Instant) {
        self.with(|state| {
            state.failures = state.failures.saturating_add(1);
            if state.failures >= FAILURES {
                state.next_try = Some(now + PAUSE);
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_open_it_and_a_try_that_works_closes_it() {
        let (circuit, start) = (Circuit::default(), Instant::now());
        circuit.failed(start);
        circuit.failed(start);
        circuit.succeeded();
        for _ in 0..3 {
            assert!(circuit.lets_through(start) && !circuit.is_open());
            circuit.failed(start);
        }
        assert!(circuit.is_open() && !circuit.lets_through(start));
        let later = start + PAUSE;
        assert!(circuit.lets_through(later), "one try");
        assert!(!circuit.lets_through(later), "and no other beside it");
        circuit.failed(later);
        assert!(!circuit.lets_through(later) && circuit.lets_through(later + PAUSE));
        circuit.succeeded();
        assert!(!circuit.is_open() && circuit.lets_through(later));
    }
}
