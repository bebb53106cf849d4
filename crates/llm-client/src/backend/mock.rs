//! A backend that always says the same, as CarePath's `mock` mode does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;

use crate::chat::{ChatEvent, ChatRequest, FinishReason, ModelIdentity, Usage};
use crate::client::EventStream;
use crate::error::LlmError;

/// The text of CarePath's mock mode.
const TEXT: &str =
    "This is a mock response from the AI assistant. In production, this would be replaced with a real LLM response.";

/// Answers every request with the same text, a word at a time.
#[derive(Debug, Clone, Default)]
pub struct MockBackend {
    word_delay: Duration,
    /// Answers that are being made; shared by clones.
    running: Arc<AtomicUsize>,
}

impl MockBackend {
    /// A mock that answers at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// A mock that waits before each word, to watch streams and cancellation.
    pub fn with_word_delay(word_delay: Duration) -> Self {
        Self { word_delay, ..Self::default() }
    }

    /// How many answers are being made now, by this mock and its clones: those whose stream is
    /// neither finished nor dropped.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    pub(crate) fn model(&self) -> ModelIdentity {
        ModelIdentity { name: "mock".to_owned(), revision: None }
    }

    pub(crate) fn stream(&self, request: ChatRequest) -> Result<EventStream, LlmError> {
        if request.messages.is_empty() {
            return Err(LlmError::InvalidRequest("messages must not be empty".to_owned()));
        }
        // A mock has no tokenizer: words stand for tokens.
        let words = |text: &str| u32::try_from(text.split_whitespace().count()).unwrap_or(u32::MAX);
        let usage = Usage {
            prompt_tokens: request.messages.iter().map(|message| words(&message.content)).sum(),
            cached_tokens: 0,
            completion_tokens: words(TEXT),
            reasoning_tokens: 0,
        };
        let delay = self.word_delay;
        let running = Running::enter(&self.running);
        let finished = ChatEvent::Finished { reason: FinishReason::Stop, usage };
        let events = stream::iter(TEXT.split_inclusive(' '))
            .then(move |word| async move {
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                Ok(ChatEvent::Answer(word.to_owned()))
            })
            .chain(stream::iter([Ok(finished)]));
        // The guard lives in the stream, so that dropping the stream counts it out.
        Ok(Box::pin(events.inspect(move |_| {
            let _ = &running;
        })))
    }
}

/// Counts an answer while it lives.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn enter(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
