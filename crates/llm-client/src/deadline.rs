//! Ends a stream of events when its time is over.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::Instant;

use crate::client::EventStream;
use crate::error::LlmError;

/// The time that a request has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    at: Instant,
    allowed: Duration,
}

impl Deadline {
    /// A deadline `allowed` from now; `None` when that is further off than time can be counted.
    pub(crate) fn after(allowed: Duration) -> Option<Self> {
        Some(Self { at: Instant::now().checked_add(allowed)?, allowed })
    }

    /// Waits for `work`, but no longer.
    pub(crate) async fn bound<T>(self, work: impl Future<Output = Result<T, LlmError>>) -> Result<T, LlmError> {
        tokio::time::timeout_at(self.at, work).await.unwrap_or(Err(LlmError::Timeout(self.allowed)))
    }

    /// The events of `events` until the deadline; then an error, and the work is dropped.
    pub(crate) fn bound_stream(self, events: EventStream) -> EventStream {
        let bounded = stream::unfold(Some(events), move |events| async move {
            let mut events = events?;
            match tokio::time::timeout_at(self.at, events.next()).await {
                Ok(Some(Ok(event))) => Some((Ok(event), Some(events))),
                Ok(Some(Err(error))) => Some((Err(error), None)),
                Ok(None) => None,
                Err(_) => Some((Err(LlmError::Timeout(self.allowed)), None)),
            }
        });
        Box::pin(bounded)
    }
}
