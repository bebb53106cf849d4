//! Owns when something is tried again: after which failure, how often, and after what pause.

use std::time::Duration;

use uuid::Uuid;

use crate::event::Events;
use crate::{CacheError, FetchEvent, FetchLimits};

/// A failed try.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// In a box: it is passed through many hands, and mostly not made.
    pub(crate) error: Box<CacheError>,
    pub(crate) again: Again,
}

/// Whether another try may bring what this one did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// It will not.
    Never,
    /// It may: the answer made no sense, or nobody was there. A few tries tell.
    Briefly,
    /// It will, sooner or later; not before this time, if the Hub names one.
    Patiently(Option<Duration>),
}

/// Tries after an answer that made no sense.
const BRIEF: u32 = 2;

impl Trouble {
    pub(crate) fn new(error: CacheError, again: Again) -> Self {
        Self { error: Box::new(error), again }
    }

    pub(crate) fn never(error: CacheError) -> Self {
        Self::new(error, Again::Never)
    }
}

/// Counts the failures in a row of one transfer.
#[derive(Debug)]
pub(crate) struct Patience<'a> {
    limits: &'a FetchLimits,
    events: &'a Events,
    failures: u32,
}

impl<'a> Patience<'a> {
    pub(crate) fn new(limits: &'a FetchLimits, events: &'a Events) -> Self {
        Self { limits, events, failures: 0 }
    }

    /// Something came in, so the line is alive.
    pub(crate) fn progressed(&mut self) {
        self.failures = 0;
    }

    /// Waits before the next try; the error, when there is to be none.
    pub(crate) async fn after(&mut self, trouble: Trouble) -> Result<(), CacheError> {
        let allowed = match trouble.again {
            Again::Never => 0,
            Again::Briefly => BRIEF.min(self.limits.retries),
            Again::Patiently(_) => self.limits.retries,
        };
        if self.failures >= allowed {
            return Err(*trouble.error);
        }
        let delay = match trouble.again {
            // The address would only be limited for longer; a server in trouble may be well again sooner than it thinks.
            Again::Patiently(Some(asked)) if asked > self.limits.longest_delay && is_rate(&trouble.error) => {
                return Err(*trouble.error);
            }
            Again::Patiently(Some(asked)) => asked.clamp(self.limits.first_delay, self.limits.longest_delay),
            _ => self.backoff(),
        };
        self.failures += 1;
        self.events.send(FetchEvent::Waiting { reason: trouble.error.with_causes(), delay });
        tokio::time::sleep(delay).await;
        Ok(())
    }

    /// Doubles with each failure; between half and all of it, so that many pods do not come back at the same moment.
    fn backoff(&self) -> Duration {
        let full = self.limits.first_delay.saturating_mul(1 << self.failures.min(16)).min(self.limits.longest_delay);
        let [random, ..] = *Uuid::new_v4().as_bytes();
        full.mul_f64(0.5 + f64::from(random) / 512.0)
    }
}

fn is_rate(error: &CacheError) -> bool {
    matches!(error, CacheError::RateLimited { .. })
}
