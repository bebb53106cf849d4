//! [`Entry`]: a mode, by name.

use std::fmt;
use std::time::Duration;

use crate::backend::Backend;
use crate::chat::{ChatRequest, ModelIdentity};
use crate::client::EventStream;
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

    /// Whether it answers at once.
    pub fn is_loaded(&self) -> bool {
        matches!(self.status(), BackendStatus::Ready)
    }

    /// Whether a request would be taken up now, as far as that is known without making one.
    ///
    /// # Errors
    /// [`LlmError::NotReady`] or [`LlmError::Overloaded`].
    pub fn admits(&self) -> Result<(), LlmError> {
        self.backend.admits(&self.name)
    }

    /// Starts to load what is to be loaded at start; returns at once.
    pub fn preload(&self) {
        self.backend.preload();
    }

    /// Memory that it is expected to take once it is loaded, in bytes; 0 where none is known.
    pub fn memory(&self) -> u64 {
        self.backend.memory()
    }

    /// How long the model took to load; `None` where none is loaded in this process.
    pub fn load_time(&self) -> Option<Duration> {
        self.backend.load_time()
    }

    /// Starts to load, where there is room; after a failed try at once.
    pub(crate) fn load(&self) -> Result<(), LlmError> {
        if matches!(self.status(), BackendStatus::Failed { .. }) {
            self.backend.unload();
        }
        self.backend.check_room().map_err(|reason| LlmError::Conflict(format!("{}: {reason}", self.name)))?;
        self.backend.load();
        Ok(())
    }

    /// Gives the model's memory back when its last answer is finished.
    pub(crate) fn unload(&self) {
        self.backend.unload();
    }

    pub(crate) async fn stream(&self, request: ChatRequest) -> Result<EventStream, LlmError> {
        self.backend.stream(&self.name, request).await
    }

    /// The name and its aliases.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.name).chain(&self.aliases)
    }

    pub(crate) fn answers_to(&self, mode: &str) -> bool {
        self.name == mode || self.aliases.iter().any(|alias| alias == mode)
    }
}
