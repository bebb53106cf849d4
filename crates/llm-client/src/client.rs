//! [`LlmClient`]: a registry of entries, one for each mode, and the one way to ask them.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::{Stream, StreamExt};

use crate::backend::Backend;
use crate::chat::{ChatAnswer, ChatEvent, ChatRequest, FinishReason, ModelIdentity, Usage};
use crate::deadline::Deadline;
use crate::error::LlmError;
use crate::status::BackendStatus;

/// One way to get an answer: a name, its aliases and the backend behind it.
///
/// A request holds the `Arc` of its entry, so an entry that leaves the registry lives until its
/// last answer is finished.
pub struct Entry {
    name: String,
    aliases: Vec<String>,
    backend: Backend,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &self.name)
            .field("aliases", &self.aliases)
            .field("model", &self.backend.model())
            .finish_non_exhaustive()
    }
}

impl Entry {
    /// An entry that answers to `name`.
    pub fn new(name: impl Into<String>, backend: Backend) -> Self {
        Self { name: name.into(), aliases: Vec::new(), backend }
    }

    /// Lets the entry answer to `alias` too.
    #[must_use]
    pub fn with_alias(mut self, alias: impl Into<String>) -> Self {
        self.aliases.push(alias.into());
        self
    }

    /// The name by which answers call this entry.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The model that would answer now.
    pub fn model(&self) -> ModelIdentity {
        self.backend.model()
    }

    /// What computes the answers, in a line for people; `None` where that is not in this process,
    /// or not loaded yet.
    pub fn engine(&self) -> Option<String> {
        self.backend.engine()
    }

    /// Whether it can answer now, else what it is doing.
    pub fn status(&self) -> BackendStatus {
        self.backend.status()
    }

    /// Whether a request would be taken up now, as far as that is known without making one.
    ///
    /// # Errors
    /// [`LlmError::NotReady`] or [`LlmError::Overloaded`].
    pub fn admits(&self) -> Result<(), LlmError> {
        self.backend.admits(&self.name)
    }

    /// Starts whatever must be loaded before the first answer; returns at once.
    pub fn preload(&self) {
        self.backend.preload();
    }

    fn answers_to(&self, mode: &str) -> bool {
        self.name == mode || self.aliases.iter().any(|alias| alias == mode)
    }
}

/// Asks language models by mode.
///
/// Cloning is cheap; clones share their entries.
#[derive(Debug, Clone)]
pub struct LlmClient {
    entries: Arc<Vec<Arc<Entry>>>,
    default: Arc<Entry>,
}

impl LlmClient {
    /// A client over `entries` that asks `default_mode` when a request names none.
    ///
    /// # Errors
    /// [`LlmError::UnknownMode`] when no entry answers to `default_mode`.
    pub fn new(entries: Vec<Entry>, default_mode: &str) -> Result<Self, LlmError> {
        let entries: Vec<Arc<Entry>> = entries.into_iter().map(Arc::new).collect();
        let default = find(&entries, default_mode)?;
        Ok(Self { entries: Arc::new(entries), default })
    }

    /// The entry that answers when a request names no mode.
    pub fn default_entry(&self) -> &Arc<Entry> {
        &self.default
    }

    /// The entry for `mode`, or the default one.
    ///
    /// # Errors
    /// [`LlmError::UnknownMode`], which lists the modes.
    pub fn entry(&self, mode: Option<&str>) -> Result<Arc<Entry>, LlmError> {
        match mode {
            Some(mode) => find(&self.entries, mode),
            None => Ok(Arc::clone(&self.default)),
        }
    }

    /// Asks `entry` and returns when the request is accepted: its prompt is read and fits.
    ///
    /// Dropping the stream stops the work.
    ///
    /// # Errors
    /// Everything that is known before the first token.
    pub async fn stream(&self, entry: Arc<Entry>, request: ChatRequest) -> Result<ChatStream, LlmError> {
        let deadline = request.timeout.and_then(Deadline::after);
        let accepted = entry.backend.stream(&entry.name, request);
        let events = match deadline {
            Some(deadline) => deadline.bound_stream(deadline.bound(accepted).await?),
            None => accepted.await?,
        };
        Ok(ChatStream { model: entry.model(), entry, events })
    }

    /// Asks `entry` and waits for the whole answer. Dropping the future stops the work.
    ///
    /// # Errors
    /// Any [`LlmError`].
    pub async fn generate(&self, entry: Arc<Entry>, request: ChatRequest) -> Result<ChatAnswer, LlmError> {
        self.stream(entry, request).await?.collect_answer().await
    }
}

fn find(entries: &[Arc<Entry>], mode: &str) -> Result<Arc<Entry>, LlmError> {
    entries.iter().find(|entry| entry.answers_to(mode)).cloned().ok_or_else(|| LlmError::UnknownMode {
        mode: mode.to_owned(),
        known: entries
            .iter()
            .flat_map(|entry| std::iter::once(entry.name.clone()).chain(entry.aliases.iter().cloned()))
            .collect(),
    })
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
    /// The mode that answers.
    pub fn mode(&self) -> &str {
        self.entry.name()
    }

    /// The model that answers.
    pub fn model(&self) -> &ModelIdentity {
        &self.model
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
        Err(LlmError::Inference("the answer ended without its last event".to_owned()))
    }
}

impl Stream for ChatStream {
    type Item = Result<ChatEvent, LlmError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.as_mut().poll_next(cx)
    }
}
