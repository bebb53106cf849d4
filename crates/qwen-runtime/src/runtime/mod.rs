//! [`Runtime`]: a loaded model that answers many requests, on threads of its own.
//!
//! Two threads: one renders and tokenizes prompts, one owns the engine. No caller ever waits for
//! either, and neither ever waits for a reader.

mod deadline;
mod engine_loop;
mod job;
mod language;
mod preparation;
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

pub use stream::GenerationStream;

use crate::checkpoint::{Architecture, Checkpoint};
use crate::engine::candle::{CandleConfig, CandleEngine, ComputeDevice, QuantizedWeights};
use crate::engine::{Capacity, Engine};
use crate::error::RuntimeError;
use crate::generation::{GenerationOptions, GenerationRequest};
use engine_loop::EngineLoop;
use job::Draft;
use language::Language;
use waiting_room::WaitingRoom;

/// How a [`Runtime`] is set up.
#[derive(Debug, Clone, PartialEq)]
pub struct RuntimeConfig {
    /// Where the model runs.
    pub device: ComputeDevice,
    /// Longest sequence in tokens, prompt and text together; the model's own limit bounds it too.
    pub max_context: usize,
    /// Requests that run at once; the others wait.
    pub max_sequences: usize,
    /// Requests that may wait; further ones are refused.
    pub max_waiting: usize,
    /// Values for requests that name none; they go before those of the checkpoint.
    pub defaults: GenerationOptions,
}

impl RuntimeConfig {
    /// Settings for a clinic's machine: the processor, 4,096 tokens of context as CarePath has,
    /// two requests at once and 32 that wait.
    pub fn on_cpu() -> Self {
        Self {
            device: ComputeDevice::Cpu,
            max_context: 4096,
            max_sequences: 2,
            max_waiting: 32,
            defaults: GenerationOptions::default(),
        }
    }
}

/// What loading is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadProgress {
    /// Reading tokenizer and template.
    Tokenizer,
    /// Loading the tensors.
    Layers {
        /// Layers loaded.
        done: usize,
        /// Layers of the model.
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
        let checkpoint = Checkpoint::open(path)?;
        progress(LoadProgress::Tokenizer);
        let language = Language::of_checkpoint(&checkpoint, config.defaults.clone())?;
        let context = config.max_context.min(checkpoint.architecture().max_context);
        let engine = CandleEngine::load(
            &checkpoint,
            CandleConfig {
                device: config.device,
                quantized: QuantizedWeights::Keep,
                max_sequences: config.max_sequences,
                max_tokens: context.saturating_mul(config.max_sequences),
            },
            &|done, total| progress(LoadProgress::Layers { done, total }),
        )?;
        Self::start(Box::new(engine), language, context, config.max_waiting)
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
        let context = context.min(capacity.max_sequence_len).min(capacity.max_tokens);
        let description = engine.description();
        let spawned = thread::Builder::new()
            .name("qwen-prompt".to_owned())
            .spawn(move || preparation::run(&language, context, &draft_receiver, &jobs))
            .and_then(|_| {
                let mut engine_loop = EngineLoop::new(engine, Box::new(Instant::now));
                thread::Builder::new().name("qwen-engine".to_owned()).spawn(move || engine_loop.run(&job_receiver))
            });
        spawned.map_err(|error| RuntimeError::Compute(format!("starting a thread: {error}")))?;
        Ok(Self { drafts, room: WaitingRoom::new(max_waiting), architecture, capacity, engine: description })
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

    /// What runs the model, for people.
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
