//! Qwen3 in this process: loads a model once, in the background, and asks it.
//!
//! Where the model comes from is the business of a [`ModelLoader`]; this file knows no cache and no
//! hub.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use qwen_runtime::{
    Chat, GenerationEvent, GenerationOptions, GenerationRequest, Prompt, Runtime, RuntimeError, SamplingOptions,
};
use tokio::sync::watch;

use crate::chat::{ChatEvent, ChatOptions, ChatRequest, FinishReason, ModelIdentity, ThinkingBudget, Usage};
use crate::client::EventStream;
use crate::error::LlmError;
use crate::memory_budget::{MemoryBudget, Reservation};
use crate::status::BackendStatus;

/// First pause after a failed load; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const MAX_PAUSE: Duration = Duration::from_secs(300);
/// When to ask again while a model loads, or while too many requests wait.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// How long a request waits for a lazy load: long enough to load a model that is on disk, and
/// shorter than the silence that load balancers allow.
const LAZY_WAIT: Duration = Duration::from_secs(40);

/// Brings a model into memory: finds or fetches its files, then loads them.
pub trait ModelLoader: Send + Sync {
    /// The model that would be loaded.
    fn identity(&self) -> ModelIdentity;

    /// Loads the model, on a thread of its own that may block; `report` hears each stage.
    ///
    /// # Errors
    /// What went wrong and what to do, for an operator. It will be tried again.
    fn load(&self, report: &dyn Fn(LoadStage)) -> Result<LoadedModel, String>;
}

/// A stage of loading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadStage {
    /// What is being done, for a person.
    pub stage: String,
    /// How much of it is done, 0 to 100, where that is known.
    pub percent: Option<u8>,
}

/// A model in memory.
#[derive(Debug)]
pub struct LoadedModel {
    /// The model.
    pub runtime: Runtime,
    /// What it is called, with its revision.
    pub identity: ModelIdentity,
}

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

#[derive(Clone)]
enum State {
    Idle,
    /// By the thread of that number; a thread whose number is not there any more has been told to stop.
    Loading(u64, LoadStage),
    Failed {
        thread: u64,
        error: String,
        retry_at: Instant,
    },
    Ready(Arc<Resident>),
}

impl State {
    /// Whether thread `number` is the one that loads.
    fn is_loaded_by(&self, number: u64) -> bool {
        matches!(self, Self::Loading(thread, _) | Self::Failed { thread, .. } if *thread == number)
    }
}

/// A model, and the memory that is set aside for it, until its last answer is finished.
struct Resident {
    model: LoadedModel,
    /// How long loading it took, a download included.
    time: Duration,
    _room: Option<Reservation>,
}

/// Memory that a model takes of a budget.
#[derive(Debug)]
struct Room {
    budget: MemoryBudget,
    bytes: u64,
}

/// A model that answers in this process.
pub struct QwenBackend {
    loader: Arc<dyn ModelLoader>,
    policy: LoadPolicy,
    room: Option<Arc<Room>>,
    state: Arc<watch::Sender<State>>,
    /// How often a thread was started to load.
    threads: AtomicU64,
}

impl fmt::Debug for QwenBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QwenBackend").field("policy", &self.policy).field("status", &self.status()).finish()
    }
}

impl QwenBackend {
    /// A backend for the model that `loader` brings.
    pub fn new(loader: Arc<dyn ModelLoader>, policy: LoadPolicy) -> Self {
        let state = Arc::new(watch::Sender::new(State::Idle));
        Self { loader, policy, room: None, state, threads: AtomicU64::new(0) }
    }

    /// Loads only while `budget` has `bytes` of memory for the model.
    #[must_use]
    pub fn with_room(self, budget: MemoryBudget, bytes: u64) -> Self {
        Self { room: Some(Arc::new(Room { budget, bytes })), ..self }
    }

    pub(crate) fn memory(&self) -> u64 {
        self.room.as_ref().map_or(0, |room| room.bytes)
    }

    pub(crate) fn load_time(&self) -> Option<Duration> {
        match &*self.state.borrow() {
            State::Ready(resident) => Some(resident.time),
            _ => None,
        }
    }

    pub(crate) fn check_room(&self) -> Result<(), String> {
        self.room.as_ref().map_or(Ok(()), |room| room.budget.check(room.bytes))
    }

    pub(crate) fn unload(&self) {
        self.state.send_replace(State::Idle);
    }

    pub(crate) fn model(&self) -> ModelIdentity {
        match &*self.state.borrow() {
            State::Ready(resident) => resident.model.identity.clone(),
            _ => self.loader.identity(),
        }
    }

    pub(crate) fn engine(&self) -> Option<String> {
        match &*self.state.borrow() {
            State::Ready(resident) => Some(resident.model.runtime.engine().to_owned()),
            _ => None,
        }
    }

    pub(crate) fn status(&self) -> BackendStatus {
        match &*self.state.borrow() {
            State::Idle => BackendStatus::Idle,
            State::Loading(_, LoadStage { stage, percent }) => {
                BackendStatus::Loading { stage: stage.clone(), percent: *percent }
            }
            State::Failed { error, retry_at, .. } => BackendStatus::Failed {
                error: error.clone(),
                retry_in: retry_at.saturating_duration_since(Instant::now()),
            },
            State::Ready(_) => BackendStatus::Ready,
        }
    }

    /// Starts to load what is to be loaded at start.
    pub(crate) fn preload(&self) {
        if self.policy == LoadPolicy::Eager {
            self.load();
        }
    }

    /// Starts the thread that loads, once.
    pub(crate) fn load(&self) {
        let number = self.threads.fetch_add(1, Ordering::Relaxed);
        let first = self.state.send_if_modified(|state| {
            let idle = matches!(state, State::Idle);
            if idle {
                let stage = "starting".to_owned();
                *state = State::Loading(number, LoadStage { stage, percent: None });
            }
            idle
        });
        if !first {
            return;
        }
        let loading = Loading {
            number,
            loader: Arc::clone(&self.loader),
            room: self.room.clone(),
            // The thread ends with the backend: a model that nobody can ask is not loaded.
            state: Arc::downgrade(&self.state),
        };
        let spawned = thread::Builder::new().name("qwen-load".to_owned()).spawn(move || loading.run());
        if let Err(error) = spawned {
            // The next request tries again.
            tracing::error!(%error, "no thread to load the model");
            self.state.send_replace(State::Idle);
        }
    }

    pub(crate) async fn stream(&self, mode: &str, request: ChatRequest) -> Result<EventStream, LlmError> {
        let resident = self.loaded(mode).await?;
        let prompt = request
            .messages
            .iter()
            .fold(Chat::new(), |chat, message| chat.with_message(message.role.as_str(), message.content.as_str()));
        let options = generation_options(request.options);
        let mut generation = resident
            .model
            .runtime
            .generate(GenerationRequest { prompt: Prompt::Chat(prompt), options })
            .map_err(|error| self.noted(error))?;
        // The first event says whether the request is accepted.
        match generation.next().await {
            Some(Ok(GenerationEvent::Accepted { .. })) => {}
            Some(Ok(_)) | None => return Err(self.noted(RuntimeError::Stopped)),
            Some(Err(error)) => return Err(self.noted(error)),
        }
        // The model stays in memory as long as one of its texts is being read.
        let events = stream::unfold((generation, resident), |(mut generation, resident)| async move {
            let event = match generation.next().await? {
                Ok(event) => chat_event(event),
                Err(error) => Err(client_error(error)),
            };
            Some((event, (generation, resident)))
        });
        Ok(Box::pin(events))
    }

    /// The client's error; an engine that has stopped is replaced by loading the model again.
    fn noted(&self, error: RuntimeError) -> LlmError {
        if matches!(error, RuntimeError::Stopped) {
            tracing::error!("the engine has stopped; the model is loaded again");
            let was_ready = self.state.send_if_modified(|state| {
                let ready = matches!(state, State::Ready(_));
                if ready {
                    *state = State::Idle;
                }
                ready
            });
            if was_ready {
                self.load();
            }
        }
        client_error(error)
    }

    /// Refuses what cannot be answered: no model yet, or no place to wait in.
    pub(crate) fn admits(&self, mode: &str) -> Result<(), LlmError> {
        match &*self.state.borrow() {
            State::Ready(resident) if resident.model.runtime.is_full() => {
                Err(LlmError::Overloaded { retry_after: ASK_AGAIN })
            }
            State::Idle | State::Loading(..) if self.policy == LoadPolicy::Lazy => Ok(()),
            state => not_ready(state, mode).map_or(Ok(()), Err),
        }
    }

    async fn loaded(&self, mode: &str) -> Result<Arc<Resident>, LlmError> {
        if self.policy == LoadPolicy::Lazy {
            self.load();
        }
        let mut changes = self.state.subscribe();
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

/// What a thread needs that loads a model.
struct Loading {
    number: u64,
    loader: Arc<dyn ModelLoader>,
    room: Option<Arc<Room>>,
    state: Weak<watch::Sender<State>>,
}

impl Loading {
    /// Loads until it succeeds, or nobody wants the model any more.
    fn run(self) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.load() {
                Ok(resident) => {
                    let (identity, engine) =
                        (resident.model.identity.clone(), resident.model.runtime.engine().to_owned());
                    if self.tell(State::Ready(Arc::new(resident))) {
                        tracing::info!(model = %identity, engine, "model ready");
                    }
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, retry_in_s = pause.as_secs(), "model not loaded");
                    let retry_at = Instant::now() + pause;
                    if !self.tell(State::Failed { thread: self.number, error, retry_at }) {
                        return;
                    }
                }
            }
            thread::sleep(pause);
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    fn load(&self) -> Result<Resident, String> {
        let started = Instant::now();
        let room = self.room.as_ref().map(|room| room.budget.reserve(room.bytes)).transpose()?;
        let report = |stage: LoadStage| {
            self.tell(State::Loading(self.number, stage));
        };
        // A loader that panics has failed like any other.
        let loaded = catch_unwind(AssertUnwindSafe(|| self.loader.load(&report)));
        let model = loaded.unwrap_or_else(|_| Err("loading broke off; see the log".to_owned()))?;
        Ok(Resident { model, time: started.elapsed(), _room: room })
    }

    /// Changes the state, unless the model was unloaded, or the backend is gone.
    fn tell(&self, new: State) -> bool {
        let change = |state: &mut State| {
            let is_own = state.is_loaded_by(self.number);
            if is_own {
                *state = new;
            }
            is_own
        };
        self.state.upgrade().is_some_and(|state| state.send_if_modified(change))
    }
}

/// What a state means to a request; `None` when the model is ready.
fn not_ready(state: &State, mode: &str) -> Option<LlmError> {
    let (stage, retry_after) = match state {
        State::Ready(_) => return None,
        State::Idle => ("not loaded".to_owned(), ASK_AGAIN),
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
