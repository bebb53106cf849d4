//! Qwen3 in this process: a model in its slot, and how it is asked.
//!
//! Where the model comes from is the business of a [`ModelLoader`]; this module knows no cache and no
//! hub.

mod slot;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use qwen_runtime::{
    Chat, GenerationEvent, GenerationOptions, GenerationRequest, Prompt, RuntimeError, SamplingOptions,
};

use crate::chat::{ChatEvent, ChatOptions, ChatRequest, FinishReason, ModelIdentity, ThinkingBudget, Usage};
use crate::client::EventStream;
use crate::error::LlmError;
use crate::memory_budget::MemoryBudget;
use crate::status::BackendStatus;
pub(crate) use slot::Resident;
pub use slot::{LoadStage, LoadedModel, ModelLoader};
use slot::{ModelSlot, State};

/// When to ask again while a model loads, or while too many requests wait.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// How long a request waits for a lazy load: long enough to load a model that is on disk, and
/// shorter than the silence that load balancers allow.
const LAZY_WAIT: Duration = Duration::from_secs(40);

/// When the model is loaded, and what requests do until it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadPolicy {
    /// At start, by [`crate::Entry::preload`]; requests before that are told to come again.
    Eager,
    /// On the first request, which waits for it for 40 s and is then told to come again.
    Lazy,
    /// When an operator says so, by [`crate::Registry::load`]; requests before that are told to come again.
    Manual,
}

/// A model that answers in this process.
pub struct QwenBackend {
    slot: ModelSlot,
    policy: LoadPolicy,
}

impl fmt::Debug for QwenBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QwenBackend").field("policy", &self.policy).field("status", &self.status()).finish()
    }
}

impl QwenBackend {
    /// A backend for the model that `loader` brings.
    pub fn new(loader: Arc<dyn ModelLoader>, policy: LoadPolicy) -> Self {
        Self { slot: ModelSlot::new(loader), policy }
    }

    /// Loads only while `budget` has `bytes` of memory for the model.
    #[must_use]
    pub fn with_room(self, budget: MemoryBudget, bytes: u64) -> Self {
        Self { slot: self.slot.with_room(budget, bytes), ..self }
    }

    pub(crate) fn memory(&self) -> u64 {
        self.slot.memory()
    }

    pub(crate) fn model(&self) -> ModelIdentity {
        self.slot.identity()
    }

    pub(crate) fn load_time(&self) -> Option<Duration> {
        match self.slot.state() {
            State::Ready(resident) => Some(resident.time),
            _ => None,
        }
    }

    pub(crate) fn engine(&self) -> Option<String> {
        match self.slot.state() {
            State::Ready(resident) => Some(resident.model.runtime.engine().to_owned()),
            _ => None,
        }
    }

    pub(crate) fn status(&self) -> BackendStatus {
        match self.slot.state() {
            State::Empty if self.policy == LoadPolicy::Lazy => BackendStatus::Idle,
            State::Empty => BackendStatus::Unloaded,
            State::Loading(_, LoadStage { stage, percent }) => BackendStatus::Loading { stage, percent },
            State::Failed { error, retry_at, .. } => {
                BackendStatus::Failed { error, retry_in: retry_at.saturating_duration_since(Instant::now()) }
            }
            State::Ready(_) => BackendStatus::Ready,
        }
    }

    /// Starts to load what is to be loaded at start.
    pub(crate) fn preload(&self) -> Result<(), String> {
        if self.policy == LoadPolicy::Eager { self.slot.load() } else { Ok(()) }
    }

    /// Starts to load; after a failed try at once.
    pub(crate) fn load(&self) -> Result<(), String> {
        match self.slot.state() {
            State::Failed { .. } => {
                self.slot.retry();
                Ok(())
            }
            _ => self.slot.load(),
        }
    }

    pub(crate) fn unload(&self) {
        self.slot.unload();
    }

    /// Asks the model that the request was admitted to, else the one that is loaded.
    pub(crate) async fn stream(
        &self,
        mode: &str,
        admitted: Option<Arc<Resident>>,
        request: ChatRequest,
    ) -> Result<(ModelIdentity, EventStream), LlmError> {
        let resident = match admitted {
            Some(resident) => resident,
            None => self.loaded(mode).await?,
        };
        let prompt = request
            .messages
            .iter()
            .fold(Chat::new(), |chat, message| chat.with_message(message.role.as_str(), message.content.as_str()));
        let options = generation_options(request.options);
        let mut generation = resident
            .model
            .runtime
            .generate(GenerationRequest { prompt: Prompt::Chat(prompt), options })
            .map_err(|error| self.noted(&resident, error))?;
        // The first event says whether the request is accepted.
        match generation.next().await {
            Some(Ok(GenerationEvent::Accepted { .. })) => {}
            Some(Ok(_)) | None => return Err(self.noted(&resident, RuntimeError::Stopped)),
            Some(Err(error)) => return Err(self.noted(&resident, error)),
        }
        let identity = resident.model.identity.clone();
        // The model stays in memory as long as one of its texts is being read.
        let events = stream::unfold((generation, resident), |(mut generation, resident)| async move {
            let event = match generation.next().await? {
                Ok(event) => chat_event(event),
                Err(error) => Err(client_error(error)),
            };
            Some((event, (generation, resident)))
        });
        Ok((identity, Box::pin(events)))
    }

    /// The client's error; an engine that has stopped is replaced by loading the model again.
    fn noted(&self, resident: &Arc<Resident>, error: RuntimeError) -> LlmError {
        if matches!(error, RuntimeError::Stopped) {
            tracing::error!("the engine has stopped; the model is loaded again");
            self.slot.replace(resident);
        }
        client_error(error)
    }

    /// The model for a request, which it keeps; none where the request is to wait for it. Refuses what cannot be
    /// answered: no model yet, or no place to wait in.
    pub(crate) fn admit(&self, mode: &str) -> Result<Option<Arc<Resident>>, LlmError> {
        match self.slot.state() {
            State::Ready(resident) if resident.model.runtime.is_full() => {
                Err(LlmError::Overloaded { retry_after: ASK_AGAIN })
            }
            State::Ready(resident) => Ok(Some(resident)),
            State::Empty | State::Loading(..) if self.policy == LoadPolicy::Lazy => Ok(None),
            state => not_ready(&state, mode).map_or(Ok(None), Err),
        }
    }

    async fn loaded(&self, mode: &str) -> Result<Arc<Resident>, LlmError> {
        let not_ready_because =
            |stage: String| LlmError::NotReady { mode: mode.to_owned(), stage, retry_after: ASK_AGAIN };
        if self.policy == LoadPolicy::Lazy {
            self.slot.load().map_err(not_ready_because)?;
        }
        let mut changes = self.slot.watch();
        let patience = match self.policy {
            LoadPolicy::Eager | LoadPolicy::Manual => Duration::ZERO,
            LoadPolicy::Lazy => LAZY_WAIT,
        };
        let give_up = tokio::time::Instant::now() + patience;
        loop {
            match &*changes.borrow_and_update() {
                State::Ready(resident) => return Ok(Arc::clone(resident)),
                State::Loading(..) if tokio::time::Instant::now() < give_up => {}
                state => return Err(not_ready(state, mode).unwrap_or_else(|| client_error(RuntimeError::Stopped))),
            }
            // A change, or the end of patience: either way the state is looked at again.
            if let Ok(Err(_)) = tokio::time::timeout_at(give_up, changes.changed()).await {
                return Err(client_error(RuntimeError::Stopped));
            }
        }
    }
}

/// What a state means to a request; `None` when the model is ready.
fn not_ready(state: &State, mode: &str) -> Option<LlmError> {
    let (stage, retry_after) = match state {
        State::Ready(_) => return None,
        State::Empty => ("not loaded".to_owned(), ASK_AGAIN),
        State::Loading(_, LoadStage { stage, .. }) => (stage.clone(), ASK_AGAIN),
        State::Failed { error, retry_at, .. } => {
            let pause = retry_at.saturating_duration_since(Instant::now());
            (format!("failed: {error}"), pause.max(Duration::from_secs(1)))
        }
    };
    Some(LlmError::NotReady { mode: mode.to_owned(), stage, retry_after })
}

fn generation_options(options: ChatOptions) -> GenerationOptions {
    GenerationOptions {
        max_new_tokens: options.max_new_tokens.map(|tokens| tokens as usize),
        thinking_budget: options.thinking_budget.map(|budget| match budget {
            ThinkingBudget::Tokens(tokens) => qwen_runtime::ThinkingBudget::Tokens(tokens as usize),
            ThinkingBudget::Off => qwen_runtime::ThinkingBudget::Off,
        }),
        sampling: SamplingOptions {
            temperature: options.temperature,
            top_p: options.top_p,
            top_k: options.top_k,
            seed: options.seed,
            ..SamplingOptions::default()
        },
        stop: Vec::new(),
        // The client watches the time itself, from before the model is loaded.
        timeout: None,
    }
}

fn chat_event(event: GenerationEvent) -> Result<ChatEvent, LlmError> {
    let count = |tokens: usize| u32::try_from(tokens).unwrap_or(u32::MAX);
    Ok(match event {
        GenerationEvent::Reasoning(text) => ChatEvent::Reasoning(text),
        GenerationEvent::Answer(text) => ChatEvent::Answer(text),
        GenerationEvent::Finished { reason, usage } => ChatEvent::Finished {
            reason: match reason {
                qwen_runtime::FinishReason::Stop => FinishReason::Stop,
                qwen_runtime::FinishReason::Length => FinishReason::Length,
            },
            usage: Usage {
                prompt_tokens: count(usage.prompt_tokens),
                cached_tokens: count(usage.cached_tokens),
                completion_tokens: count(usage.completion_tokens),
                reasoning_tokens: count(usage.reasoning_tokens),
            },
        },
        GenerationEvent::Accepted { .. } => return Err(LlmError::Inference("a request was accepted twice".to_owned())),
    })
}

fn client_error(error: RuntimeError) -> LlmError {
    match error {
        RuntimeError::PromptTooLong { prompt_tokens, limit } => LlmError::PromptTooLong { prompt_tokens, limit },
        RuntimeError::Overloaded { .. } => LlmError::Overloaded { retry_after: ASK_AGAIN },
        RuntimeError::DeadlineExceeded { allowed } => LlmError::Timeout(allowed),
        error @ RuntimeError::InvalidParameter { .. } => LlmError::InvalidRequest(error.to_string()),
        other => LlmError::Inference(other.to_string()),
    }
}
