//! The reader's end of a generation.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::error::RuntimeError;
use crate::generation::GenerationEvent;

/// What the engine sends: bounded by `max_new_tokens`, so that it never waits for a reader.
pub(super) type EventSender = tokio::sync::mpsc::UnboundedSender<Result<GenerationEvent, RuntimeError>>;

/// The events of one generation. Dropping it stops the work at the next token or chunk of the
/// prompt, and touches no other generation.
#[derive(Debug)]
pub struct GenerationStream {
    events: UnboundedReceiver<Result<GenerationEvent, RuntimeError>>,
    ended: bool,
}

impl GenerationStream {
    pub(super) fn channel() -> (EventSender, Self) {
        let (sender, events) = tokio::sync::mpsc::unbounded_channel();
        (sender, Self { events, ended: false })
    }

    /// The next event, for callers without an async runtime; `None` after the last one.
    ///
    /// # Panics
    /// When called on a thread of an async runtime.
    pub fn blocking_next(&mut self) -> Option<Result<GenerationEvent, RuntimeError>> {
        let event = self.events.blocking_recv();
        self.note(event)
    }

    /// A channel that closes before the last event means that the engine is gone.
    fn note(
        &mut self,
        event: Option<Result<GenerationEvent, RuntimeError>>,
    ) -> Option<Result<GenerationEvent, RuntimeError>> {
        let was_ended = self.ended;
        self.ended |= matches!(event, None | Some(Err(_) | Ok(GenerationEvent::Finished { .. })));
        match event {
            None if !was_ended => Some(Err(RuntimeError::Stopped)),
            event => event,
        }
    }
}

impl Stream for GenerationStream {
    type Item = Result<GenerationEvent, RuntimeError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.events.poll_recv(cx) {
            Poll::Ready(event) => Poll::Ready(self.note(event)),
            Poll::Pending => Poll::Pending,
        }
    }
}
