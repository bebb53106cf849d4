//! [`CpuEngine`]: Qwen3 on the processor, with kernels, threads and a KV cache of our own.

mod attention;
mod config;
mod conversion;
mod kernels;
mod kv_cache;
mod layer;
mod loader;
mod matrix;
mod model;
mod packed;
mod pass;

pub use config::{CpuConfig, KvType};
pub use kernels::KernelSet;
pub use matrix::{CpuMatrix, CpuProducts};

use super::blocks::BlockPool;
use super::logits::LogitsBuffer;
use super::step::StepCheck;
use super::weight_form::WeightForm;
use super::{Capacity, Engine, Logits, LogitsAt, SequenceId, SequenceStep};
use crate::TokenId;
use crate::checkpoint::{Architecture, Checkpoint};
use crate::error::RuntimeError;
use kernels::{BLOCK_LEN, Detected, Elementwise, MAX_HEAD, ROWS, RUN, Team};
use kv_cache::KvCache;
use loader::Loader;
use model::{FlatBatch, Model};
use pass::SequenceRows;

/// Most rows that go through the layers together; a larger step is several. Results do not depend
/// on it, memory does.
const MAX_ROWS: usize = 512;

/// An engine for the processor.
#[derive(Debug)]
pub struct CpuEngine {
    architecture: Architecture,
    config: CpuConfig,
    kernels: Detected,
    team: Team,
    model: Model,
    pool: BlockPool,
    cache: KvCache,
    logits: LogitsBuffer,
}

impl CpuEngine {
    /// Loads a checkpoint; `progress` hears, many times, how much of how much is loaded.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidParameter`] for a configuration that cannot be,
    /// [`RuntimeError::UnsupportedCheckpoint`] for heads that the kernels do not take,
    /// [`RuntimeError::Compute`] when there is no memory or no thread, and whatever is wrong with
    /// the checkpoint.
    pub fn load(
        checkpoint: &Checkpoint,
        config: CpuConfig,
        progress: &dyn Fn(usize, usize),
    ) -> Result<Self, RuntimeError> {
        if config.max_sequences == 0 || config.kv_tokens == 0 {
            return Err(RuntimeError::parameter("max_sequences, kv_tokens", "both must be at least 1"));
        }
        let architecture = checkpoint.architecture().clone();
        if !architecture.head_dim.is_multiple_of(ROWS) || architecture.head_dim > MAX_HEAD {
            let reason = format!("heads of {}; the cpu engine takes multiples of 16 up to 256", architecture.head_dim);
            return Err(RuntimeError::unsupported(checkpoint.path(), reason));
        }
        let kernels = config.kernels.map_or_else(|| Ok(Detected::best()), Detected::new)?;
        let mut team = start_team(config.threads)?;
        let form = config.weights.suited_to(checkpoint)?;
        if form != config.weights {
            let path = checkpoint.path().display();
            tracing::warn!(%path, "the checkpoint is quantized already and stays as it is");
        }
        let config = CpuConfig { weights: form, ..config };
        let loader = Loader::new(checkpoint, &mut team, form, progress)?;
        let model = Model::load(loader, Elementwise(kernels))?;
        let blocks = config.kv_tokens.div_ceil(BLOCK_LEN);
        let cache = KvCache::new(&architecture, config.kv_type, blocks)?;
        let pool = BlockPool::new(blocks, RUN, BLOCK_LEN, config.max_sequences);
        tracing::info!(kernels = %kernels.set(), threads = config.threads, kv = %config.kv_type, "cpu engine loaded");
        let logits = LogitsBuffer::default();
        Ok(Self { architecture, config, kernels, team, model, pool, cache, logits })
    }

    /// Checks a step before anything is computed.
    fn check(&self, batch: &[SequenceStep<'_>]) -> Result<(), RuntimeError> {
        let mut check = StepCheck::new(self.architecture.vocab_size);
        batch.iter().try_for_each(|step| check.part(step, self.pool.len(step.sequence)?))
    }

    /// The step in pieces of at most [`MAX_ROWS`] rows, in order.
    fn pieces(&self, batch: &[SequenceStep<'_>]) -> Result<Vec<FlatBatch>, RuntimeError> {
        let empty = || FlatBatch { tokens: Vec::new(), sequences: Vec::new() };
        let mut pieces = vec![empty()];
        for step in batch {
            let table: Vec<u32> = self.pool.table(step.sequence)?.iter().map(|block| block.index() as u32).collect();
            let mut done = 0;
            while done < step.tokens.len() {
                if pieces.last().is_none_or(|piece| piece.tokens.len() == MAX_ROWS) {
                    pieces.push(empty());
                }
                let Some(piece) = pieces.last_mut() else { continue };
                let row = piece.tokens.len();
                let tokens = (step.tokens.len() - done).min(MAX_ROWS - row);
                piece.tokens.extend_from_slice(&step.tokens[done..done + tokens]);
                let past = step.position + done;
                done += tokens;
                let wanted = match step.logits {
                    LogitsAt::All => tokens,
                    LogitsAt::Last if done == step.tokens.len() => 1,
                    LogitsAt::Last | LogitsAt::None => 0,
                };
                piece.sequences.push(SequenceRows { row, tokens, past, wanted, table: table.clone() });
            }
        }
        Ok(pieces)
    }
}

/// So many threads that compute.
fn start_team(threads: usize) -> Result<Team, RuntimeError> {
    if !(1..=1024).contains(&threads) {
        return Err(RuntimeError::parameter("threads", "it must be between 1 and 1024"));
    }
    Team::new(threads).map_err(|error| RuntimeError::Compute(format!("starting {threads} threads: {error}")))
}

impl Engine for CpuEngine {
    fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    fn description(&self) -> String {
        let CpuConfig { threads, kv_type, weights, .. } = self.config;
        let weights = match weights {
            WeightForm::Stored => String::new(),
            WeightForm::Dequantized => ", weights dequantized".to_owned(),
            WeightForm::Quantized(file_type) => format!(", weights quantized to {file_type}"),
        };
        format!("cpu, {} kernels, {threads} threads, {kv_type} KV cache{weights}", self.kernels.set())
    }

    fn capacity(&self) -> Capacity {
        Capacity {
            max_sequences: self.config.max_sequences,
            sequences: self.pool.sequences(),
            max_sequence_len: self.pool.max_tokens(),
            max_tokens: self.pool.max_tokens(),
            tokens: self.pool.tokens(),
            free_tokens: self.pool.free_tokens(),
        }
    }

    fn allocate(&mut self) -> Result<SequenceId, RuntimeError> {
        self.pool.allocate()
    }

    fn resume(&mut self, tokens: &[TokenId]) -> Result<(SequenceId, usize), RuntimeError> {
        self.pool.resume(tokens)
    }

    fn free(&mut self, sequence: SequenceId) -> Result<(), RuntimeError> {
        self.pool.free(sequence)
    }

    fn len(&self, sequence: SequenceId) -> Result<usize, RuntimeError> {
        self.pool.len(sequence)
    }

    fn truncate(&mut self, sequence: SequenceId, length: usize) -> Result<(), RuntimeError> {
        self.pool.truncate(sequence, length)
    }

    fn fork(&mut self, sequence: SequenceId, length: usize) -> Result<SequenceId, RuntimeError> {
        self.pool.fork(sequence, length)
    }

    fn step(&mut self, batch: &[SequenceStep<'_>]) -> Result<Vec<Logits>, RuntimeError> {
        self.check(batch)?;
        let wanted: Vec<(SequenceId, usize)> = batch.iter().map(|step| (step.sequence, step.tokens.len())).collect();
        let copies = self.pool.reserve(&wanted)?;
        self.cache.copy(&copies);
        let vocab_size = self.architecture.vocab_size;
        let pieces = self.pieces(batch)?;
        let wanted: usize = pieces.iter().map(FlatBatch::wanted).sum();
        let mut rows = self.logits.room(wanted * vocab_size).chunks_exact_mut(vocab_size);
        for piece in pieces {
            let out: Vec<&mut [f32]> = rows.by_ref().take(piece.wanted()).collect();
            self.model.forward(&piece, &mut self.team, &mut self.cache, out);
        }
        for step in batch {
            self.pool.append(step.sequence, step.tokens)?;
        }
        Ok(self.logits.split(batch, vocab_size))
    }

    fn prepare(&mut self) -> bool {
        self.cache.populate()
    }
}
