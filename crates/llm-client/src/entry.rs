//! [`Entry`]: a mode, by name.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};

use crate::backend::{Backend, Held};
use crate::chat::{ChatEvent, ChatRequest, ModelIdentity};
use crate::circuit::Circuit;
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
    notice: Option<String>,
    circuit: Circuit,
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
        Self { name: name.into(), aliases: Vec::new(), backend, notice: None, circuit: Circuit::default() }
    }

    /// Lets the entry answer to `alias` too.
    #[must_use]
    pub fn with_alias(mut self, alias: impl Into<String>) -> Self {
        self.aliases.push(alias.into());
        self
    }

    /// Lets every answer end with a paragraph that says what must be known of it.
    #[must_use]
    pub fn with_notice(mut self, notice: impl Into<String>) -> Self {
        self.notice = Some(notice.into());
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

    /// Whether it has failed again and again, and is passed over where another can answer.
    pub fn is_passed_over(&self) -> bool {
        self.circuit.is_open()
    }

    pub(crate) fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    /// Notes how an answer ended.
    pub(crate) fn note(&self, error: Option<&LlmError>) {
        match error {
            None => self.circuit.succeeded(),
            Some(error) if error.is_breakdown() => self.circuit.failed(Instant::now()),
            Some(_) => {}
        }
    }

    /// Admits a request, as far as that is known without making it: it keeps the model that answers now, also when
    /// that is unloaded before the request is made.
    ///
    /// # Errors
    /// [`LlmError::NotReady`] or [`LlmError::Overloaded`].
    pub fn admit(self: &Arc<Self>) -> Result<Admission, LlmError> {
        Ok(Admission { held: self.backend.admit(&self.name)?, entry: Arc::clone(self) })
    }

    /// Starts to load what is to be loaded at start; returns at once.
    pub fn preload(&self) {
        if let Err(reason) = self.backend.preload() {
            tracing::warn!(mode = self.name, "not loaded at start: {reason}");
        }
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
        self.backend.load().map_err(|reason| LlmError::Conflict(format!("{}: {reason}", self.name)))
    }

    /// Gives the model's memory back when its last answer is finished.
    pub(crate) fn unload(&self) {
        self.backend.unload();
    }

    /// The name and its aliases.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.name).chain(&self.aliases)
    }

    pub(crate) fn answers_to(&self, mode: &str) -> bool {
        self.name == mode || self.aliases.iter().any(|alias| alias == mode)
    }
}

/// A request's place at an entry, with the model that will answer it.
pub struct Admission {
    entry: Arc<Entry>,
    held: Held,
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("entry", &self.entry).finish_non_exhaustive()
    }
}

impl Admission {
    /// Who answers.
    pub fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    pub(crate) async fn stream(self, request: ChatRequest) -> Result<(ModelIdentity, EventStream), LlmError> {
        let Entry { name, backend, notice, .. } = &*self.entry;
        let (model, events) = backend.stream(name, self.held, request).await?;
        Ok((
            model,
            match notice {
                Some(notice) => noticed(events, format!("\n\n{notice}")),
                None => events,
            },
        ))
    }
}

/// The events, with a text behind the answer's.
fn noticed(events: EventStream, text: String) -> EventStream {
    let with_text = move |event| match event {
        Ok(ChatEvent::Finished { .. }) => vec![Ok(ChatEvent::Answer(text.clone())), event],
        event => vec![event],
    };
    Box::pin(events.flat_map(move |event| stream::iter(with_text(event))))
}

/// Whatever the entry has when the request is made.
impl From<Arc<Entry>> for Admission {
    fn from(entry: Arc<Entry>) -> Self {
        Self { entry, held: Held::Nothing }
    }
}
