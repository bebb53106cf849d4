//! A backend that always gives the same answer: the end of a chain of fallbacks.

use futures_util::stream;

use crate::chat::{ChatEvent, FinishReason, ModelIdentity, Usage};
use crate::client::EventStream;

/// Gives one answer to every request, and cannot fail.
#[derive(Debug, Clone)]
pub struct FixedBackend {
    name: String,
    text: String,
}

impl FixedBackend {
    /// A backend that says `text`, and is called `name` where models are named.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    pub(crate) fn model(&self) -> ModelIdentity {
        ModelIdentity { name: self.name.clone(), revision: None }
    }

    pub(crate) fn stream(&self) -> EventStream {
        let finished = ChatEvent::Finished { reason: FinishReason::Stop, usage: Usage::default() };
        Box::pin(stream::iter([Ok(ChatEvent::Answer(self.text.clone())), Ok(finished)]))
    }
}
