//! [`LlmClient`]: the one way to ask the modes of a registry.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::{Stream, StreamExt, stream};

use crate::chat::{ChatAnswer, ChatEvent, ChatRequest, FinishReason, ModelIdentity, Usage};
use crate::deadline::Deadline;
use crate::entry::{Admission, Entry};
use crate::error::LlmError;
use crate::registry::Registry;

/// Asks language models by mode.
///
/// Cloning is cheap; clones share their registry.
#[derive(Debug, Clone)]
pub struct LlmClient {
    registry: Arc<Registry>,
}

impl LlmClient {
    /// A client over `entries` that asks `default_mode` when a request names none.
    ///
    /// # Errors
    /// [`LlmError::UnknownMode`] when no entry answers to `default_mode`.
    pub fn new(entries: Vec<Entry>, default_mode: &str) -> Result<Self, LlmError> {
        Ok(Self::of(Registry::new(entries, default_mode)?))
    }

    /// A client of a registry.
    #[must_use]
    pub fn of(registry: Registry) -> Self {
        Self { registry: Arc::new(registry) }
    }

    /// The modes, and who answers when a request names none.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The entry that answers when a request names no mode and nothing is shared between several.
    pub fn default_entry(&self) -> Arc<Entry> {
        self.registry.default_entry()
    }

    /// Asks an entry, or whom a request was admitted to, and returns when the request is accepted: its prompt is read
    /// and fits.
    ///
    /// Dropping the stream stops the work.
    ///
    /// # Errors
    /// Everything that is known before the first token.
    pub async fn stream(&self, whom: impl Into<Admission>, request: ChatRequest) -> Result<ChatStream, LlmError> {
        let admission: Admission = whom.into();
        let entry = Arc::clone(admission.entry());
        let deadline = request.timeout.and_then(Deadline::after);
        let accepted = admission.stream(request);
        let begun = match deadline {
            Some(deadline) => {
                deadline.bound(accepted).await.map(|(model, events)| (model, deadline.bound_stream(events)))
            }
            None => accepted.await,
        };
        let (model, events) = begun.inspect_err(|error| entry.note(Some(error)))?;
        Ok(ChatStream { entry, model, events })
    }

    /// Asks `entry` and waits for the whole answer. Dropping the future stops the work.
    ///
    /// # Errors
    /// Any [`LlmError`].
    pub async fn generate(&self, entry: Arc<Entry>, request: ChatRequest) -> Result<ChatAnswer, LlmError> {
        self.stream(entry, request).await?.collect_answer().await
    }
}

/// The stream of events that a backend returns.
pub type EventStream = Pin<Box<dyn Stream<Item = Result<ChatEvent, LlmError>> + Send>>;

/// An answer while it is being made. Dropping it stops the work.
pub struct ChatStream {
    entry: Arc<Entry>,
    model: ModelIdentity,
    events: EventStream,
}

impl fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatStream").field("entry", &self.entry).finish_non_exhaustive()
    }
}

impl ChatStream {
    /// Who answers.
    pub fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// The mode that answers.
    pub fn mode(&self) -> &str {
        self.entry.name()
    }

    /// The model that answers.
    pub fn model(&self) -> &ModelIdentity {
        &self.model
    }

    /// Waits for the first event: a model that fails before it has said nothing yet.
    ///
    /// # Errors
    /// The first event's.
    pub async fn begun(mut self) -> Result<Self, LlmError> {
        let first = self.next().await.unwrap_or_else(|| Err(LlmError::cut_off()))?;
        let events = std::mem::replace(&mut self.events, Box::pin(stream::empty()));
        Ok(Self { events: Box::pin(stream::iter([Ok(first)]).chain(events)), ..self })
    }

    /// Reads the stream to its end.
    ///
    /// # Errors
    /// The first error of the stream.
    pub async fn collect_answer(mut self) -> Result<ChatAnswer, LlmError> {
        let mut collected = ChatAnswer {
            reasoning: String::new(),
            answer: String::new(),
            reason: FinishReason::Stop,
            usage: Usage::default(),
            mode: self.entry.name().to_owned(),
            model: self.model.clone(),
        };
        while let Some(event) = self.next().await {
            match event? {
                ChatEvent::Reasoning(text) => collected.reasoning.push_str(&text),
                ChatEvent::Answer(text) => collected.answer.push_str(&text),
                ChatEvent::Finished { reason, usage } => {
                    collected.reason = reason;
                    collected.usage = usage;
                    return Ok(collected);
                }
            }
        }
        Err(LlmError::cut_off())
    }
}

impl Stream for ChatStream {
    type Item = Result<ChatEvent, LlmError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = std::task::ready!(self.events.as_mut().poll_next(cx));
        match &event {
            Some(Ok(ChatEvent::Finished { .. })) => self.entry.note(None),
            Some(Err(error)) => self.entry.note(Some(error)),
            _ => {}
        }
        Poll::Ready(event)
    }
}
