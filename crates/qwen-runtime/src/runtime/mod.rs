//! [`Runtime`]: a loaded model that answers many requests, on threads of its own.
//!
//! Two threads: one renders and tokenizes prompts, one owns the engine. No caller ever waits for
//! either, and neither ever waits for a reader.

mod config;
mod deadline;
mod decode_time;
mod engine_loop;
mod job;
mod language;
mod loading;
mod preparation;
mod recent;
mod scheduler;
mod sequence;
#[cfg(test)]
mod simulation;
mod step_budget;
mod stream;
mod waiting_room;

use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Instant;

pub use config::{CpuSettings, EngineConfig, RuntimeConfig};
pub use stream::GenerationStream;

use crate::checkpoint::{Architecture, Checkpoint};
use crate::engine::{Capacity, Engine};
use crate::error::RuntimeError;
use crate::generation::GenerationRequest;
use engine_loop::EngineLoop;
use job::Draft;
use language::Language;
use waiting_room::WaitingRoom;

/// What loading is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadProgress {
    /// Reading tokenizer and template.
    Tokenizer,
    /// Loading the weights.
    Weights {
        /// How much is loaded, in a unit of the engine's choice.
        done: usize,
        /// How much there is to load.
        total: usize,
    },
}

/// A loaded model. Dropping it ends its threads once the running texts are finished.
#[derive(Debug)]
pub struct Runtime {
    drafts: Sender<Draft>,
    room: WaitingRoom,
    architecture: Architecture,
    capacity: Capacity,
    engine: String,
}

impl Runtime {
    /// Loads the checkpoint at `path`: a directory with `config.json` and safetensors, or a `.gguf`
    /// file. This takes seconds to minutes; call it on a thread that may block.
    ///
    /// # Errors
    /// Whatever is wrong with the checkpoint or the configuration, by name.
    pub fn load(path: &Path, config: RuntimeConfig, progress: &dyn Fn(LoadProgress)) -> Result<Self, RuntimeError> {
        Self::of_checkpoint(&Checkpoint::open(path)?, config, progress)
    }

    /// Loads an open checkpoint: one in the program, or one with an adapter.
    ///
    /// # Errors
    /// As [`Runtime::load`].
    pub fn of_checkpoint(
        checkpoint: &Checkpoint,
        config: RuntimeConfig,
        progress: &dyn Fn(LoadProgress),
    ) -> Result<Self, RuntimeError> {
        progress(LoadProgress::Tokenizer);
        let language = Language::of_checkpoint(checkpoint, config.defaults.clone())?;
        let context = config.max_context.min(checkpoint.architecture().max_context);
        let engine =
            loading::load_engine(checkpoint, &config, &|done, total| progress(LoadProgress::Weights { done, total }))?;
        Self::start(engine, language, context, config.max_waiting)
    }

    /// Memory that [`Runtime::of_checkpoint`] will take, in bytes: the weights in the form in which they are held, a
    /// full KV cache, and room to compute in.
    ///
    /// # Errors
    /// [`RuntimeError`] for a checkpoint without some tensor, or a KV cache without room for a token.
    pub fn memory(checkpoint: &Checkpoint, config: &RuntimeConfig) -> Result<u64, RuntimeError> {
        loading::memory(checkpoint, config)
    }

    fn start(
        engine: Box<dyn Engine>,
        language: Language,
        context: usize,
        max_waiting: usize,
    ) -> Result<Self, RuntimeError> {
        let (drafts, draft_receiver) = channel();
        let (jobs, job_receiver) = channel();
        let architecture = engine.architecture().clone();
        let capacity = engine.capacity();
        // A request that is accepted fits when it runs alone, so that it can always be finished.
        let room = capacity.max_sequence_len.min(capacity.max_tokens);
        if room < context {
            tracing::warn!(context = room, wanted = context, "the KV cache has no room for a longer context");
        }
        let context = context.min(room);
        let kv_tokens = capacity.max_tokens;
        let engine_facts =
            format!("{}; {architecture}; context of {context} tokens, KV cache of {kv_tokens}", engine.description());
        let spawned = thread::Builder::new()
            .name("qwen-prompt".to_owned())
            .spawn(move || preparation::run(&language, context, &draft_receiver, &jobs))
            .and_then(|_| {
                let mut engine_loop = EngineLoop::new(engine, Box::new(Instant::now));
                thread::Builder::new().name("qwen-engine".to_owned()).spawn(move || engine_loop.run(&job_receiver))
            });
        spawned.map_err(|error| RuntimeError::Compute(format!("starting a thread: {error}")))?;
        Ok(Self { drafts, room: WaitingRoom::new(max_waiting), architecture, capacity, engine: engine_facts })
    }

    /// Starts a generation and returns at once. The stream's first event says whether the request
    /// is accepted.
    ///
    /// # Errors
    /// [`RuntimeError::Overloaded`] when too many requests wait, [`RuntimeError::Stopped`] when the
    /// engine is gone; everything else arrives in the stream.
    pub fn generate(&self, request: GenerationRequest) -> Result<GenerationStream, RuntimeError> {
        let ticket = self.room.enter()?;
        let (events, stream) = GenerationStream::channel();
        self.drafts
            .send(Draft { request, arrival: Instant::now(), events, ticket })
            .map_err(|_| RuntimeError::Stopped)?;
        Ok(stream)
    }

    /// The numbers of the model.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// What the engine can hold.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// What runs the model and how large both are, in a line for people.
    pub fn engine(&self) -> &str {
        &self.engine
    }

    /// Whether as many requests wait as may.
    pub fn is_full(&self) -> bool {
        self.room.is_full()
    }

    /// Requests that are accepted and not yet running.
    pub fn waiting(&self) -> usize {
        self.room.waiting()
    }
}
