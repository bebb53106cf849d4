//! [`ModelSlot`]: the place of one model in this process: empty, being filled, or with the model in it.
//!
//! A thread fills it and tries again until it succeeds, or the slot is emptied. Memory is taken of the
//! budget when that begins, and belongs to the slot's state and to the model: it is given back when both
//! are gone, that is with the model's last answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use qwen_runtime::Runtime;
use tokio::sync::watch;

use crate::chat::ModelIdentity;
use crate::memory_budget::{MemoryBudget, Reservation};

/// First pause after a failed load; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const MAX_PAUSE: Duration = Duration::from_secs(300);

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

/// A model that is loaded, with its part of the budget.
pub(crate) struct Resident {
    pub(super) model: LoadedModel,
    /// How long loading it took, a download included.
    pub(super) time: Duration,
    room: Option<Arc<Reservation>>,
}

/// What is in a slot.
#[derive(Clone)]
pub(super) enum State {
    Empty,
    Loading(Attempt, LoadStage),
    Failed { attempt: Attempt, error: String, retry_at: Instant },
    Ready(Arc<Resident>),
}

/// A thread's attempts to fill a slot. A thread whose number is not in the state any more has been told to stop.
#[derive(Clone)]
pub(super) struct Attempt {
    number: u64,
    room: Option<Arc<Reservation>>,
}

/// The place of one model.
pub(super) struct ModelSlot {
    loader: Arc<dyn ModelLoader>,
    /// A budget, and the bytes that the model takes of it.
    room: Option<(MemoryBudget, u64)>,
    state: Arc<watch::Sender<State>>,
    /// How many threads have been started.
    threads: AtomicU64,
}

impl ModelSlot {
    pub(super) fn new(loader: Arc<dyn ModelLoader>) -> Self {
        Self { loader, room: None, state: Arc::new(watch::Sender::new(State::Empty)), threads: AtomicU64::new(0) }
    }

    pub(super) fn with_room(self, budget: MemoryBudget, bytes: u64) -> Self {
        Self { room: Some((budget, bytes)), ..self }
    }

    /// Memory that the model takes of a budget, in bytes.
    pub(super) fn memory(&self) -> u64 {
        self.room.as_ref().map_or(0, |(_, bytes)| *bytes)
    }

    /// What is in it, to be watched.
    pub(super) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// What is in it now.
    pub(super) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// The model that is in it, or would be.
    pub(super) fn identity(&self) -> ModelIdentity {
        match &*self.state.borrow() {
            State::Ready(resident) => resident.model.identity.clone(),
            _ => self.loader.identity(),
        }
    }

    /// Begins to fill it where it is empty.
    ///
    /// # Errors
    /// When there is no room; the slot stays empty then.
    pub(super) fn load(&self) -> Result<(), String> {
        let is_empty = || matches!(&*self.state.borrow(), State::Empty);
        if !is_empty() {
            return Ok(());
        }
        let room = match self.room.as_ref().map(|(budget, bytes)| budget.reserve(*bytes)).transpose() {
            Ok(room) => room.map(Arc::new),
            // Somebody else began in between, with the room.
            Err(_) if !is_empty() => return Ok(()),
            Err(reason) => return Err(reason),
        };
        self.begin(|state| matches!(state, State::Empty).then_some(room));
        Ok(())
    }

    /// Tries again at once where the last try failed.
    pub(super) fn retry(&self) {
        self.begin(|state| match state {
            State::Failed { attempt, .. } => Some(attempt.room.clone()),
            _ => None,
        });
    }

    /// Fills it anew where `lost` is in it, whose engine has stopped.
    pub(super) fn replace(&self, lost: &Arc<Resident>) {
        self.begin(|state| match state {
            State::Ready(resident) if Arc::ptr_eq(resident, lost) => Some(lost.room.clone()),
            _ => None,
        });
    }

    /// Empties it; answers that are being made keep the model.
    pub(super) fn unload(&self) {
        self.state.send_replace(State::Empty);
    }

    /// Starts a thread where `room` finds the state to be one to begin from, and says what room it has.
    fn begin(&self, room: impl FnOnce(&State) -> Option<Option<Arc<Reservation>>>) {
        let number = self.threads.fetch_add(1, Ordering::Relaxed);
        let begins = self.state.send_if_modified(|state| {
            let room = room(state);
            let begins = room.is_some();
            if let Some(room) = room {
                let stage = LoadStage { stage: "starting".to_owned(), percent: None };
                *state = State::Loading(Attempt { number, room }, stage);
            }
            begins
        });
        if !begins {
            return;
        }
        // The thread ends with the slot: a model that nobody can ask is not loaded.
        let filler = Filler { number, loader: Arc::clone(&self.loader), state: Arc::downgrade(&self.state) };
        if let Err(error) = thread::Builder::new().name("qwen-load".to_owned()).spawn(move || filler.run()) {
            // The next request tries again.
            tracing::error!(%error, "no thread to load the model");
            self.unload();
        }
    }
}

/// The thread that fills a slot.
struct Filler {
    number: u64,
    loader: Arc<dyn ModelLoader>,
    state: Weak<watch::Sender<State>>,
}

impl Filler {
    /// Loads until it succeeds, or nobody wants the model any more.
    fn run(self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let started = Instant::now();
            match self.load() {
                Ok(model) => {
                    let (identity, engine) = (model.identity.clone(), model.runtime.engine().to_owned());
                    let time = started.elapsed();
                    if self.tell(|Attempt { room, .. }| State::Ready(Arc::new(Resident { model, time, room }))) {
                        tracing::info!(model = %identity, engine, "model ready");
                    }
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, retry_in_s = pause.as_secs(), "model not loaded");
                    let retry_at = Instant::now() + pause;
                    self.tell(|attempt| State::Failed { attempt, error, retry_at });
                }
            }
            thread::sleep(pause);
            let stage = LoadStage { stage: "starting".to_owned(), percent: None };
            if !self.tell(|attempt| State::Loading(attempt, stage)) {
                return;
            }
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    fn load(&self) -> Result<LoadedModel, String> {
        let report = |stage: LoadStage| {
            self.tell(|attempt| State::Loading(attempt, stage));
        };
        // A loader that panics has failed like any other.
        let loaded = catch_unwind(AssertUnwindSafe(|| self.loader.load(&report)));
        loaded.unwrap_or_else(|_| Err("loading broke off; see the log".to_owned()))
    }

    /// Changes the state, unless the slot was emptied, another thread fills it, or it is gone.
    fn tell(&self, next: impl FnOnce(Attempt) -> State) -> bool {
        let change = |state: &mut State| {
            let own = match state {
                State::Loading(attempt, _) | State::Failed { attempt, .. } if attempt.number == self.number => {
                    Some(attempt.clone())
                }
                _ => None,
            };
            let is_own = own.is_some();
            if let Some(attempt) = own {
                *state = next(attempt);
            }
            is_own
        };
        self.state.upgrade().is_some_and(|state| state.send_if_modified(change))
    }
}
