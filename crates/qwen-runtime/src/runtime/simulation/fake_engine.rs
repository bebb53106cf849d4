//! [`FakeEngine`]: the block pool without a model.
//!
//! Its cache has a row for each token, in blocks as a real one. A row depends on the row before it,
//! as it stands in the cache, and logits on the last row. So whatever goes wrong with a block, be it
//! shared, found, freed or overwritten in error, changes the text; and each step checks all rows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::TokenId;
use crate::checkpoint::Architecture;
use crate::engine::blocks::BlockPool;
use crate::engine::{Capacity, Engine, Logits, LogitsAt, SequenceId, SequenceStep};
use crate::error::RuntimeError;

/// Rows of the head: few, so that texts are short and sampling is fast.
pub(super) const VOCAB: usize = 24;

/// What a step takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    pub(super) step: Duration,
    pub(super) sequence: Duration,
    /// Of a sequence with more than one new token.
    pub(super) token: Duration,
}

/// How a [`FakeEngine`] is set up.
#[derive(Debug, Clone, Copy)]
pub(super) struct FakeConfig {
    pub(super) blocks: usize,
    pub(super) block_len: usize,
    pub(super) max_sequences: usize,
    pub(super) cost: Cost,
    /// How many of 1,000 steps of several sequences fail.
    pub(super) failures: u32,
    pub(super) seed: u64,
}

/// The engine's insides, to look at from outside.
pub(super) struct Cache {
    pub(super) pool: BlockPool,
    rows: Vec<u64>,
    pub(super) sequences: BTreeMap<SequenceId, Vec<TokenId>>,
    /// Since the beginning, by the engine's own clock.
    pub(super) time: Duration,
    /// New tokens of each sequence since somebody looked.
    pub(super) computed: Vec<(SequenceId, usize)>,
    pub(super) failed: usize,
    /// Tokens found in the cache by `resume`, so far.
    pub(super) resumed: usize,
    /// How often it prepared for what comes, and how often that is of use.
    pub(super) preparations: (usize, usize),
    rng: ChaCha8Rng,
}

/// Blocks that a sequence has beside each other, where there is room.
const BUNDLE: usize = 4;

pub(super) struct FakeEngine {
    architecture: Architecture,
    config: FakeConfig,
    cache: Arc<Mutex<Cache>>,
}

impl FakeEngine {
    pub(super) fn new(architecture: Architecture, config: FakeConfig) -> (Self, Arc<Mutex<Cache>>) {
        let cache = Arc::new(Mutex::new(Cache {
            pool: BlockPool::new(config.blocks, BUNDLE, config.block_len, config.max_sequences),
            rows: vec![0; config.blocks * config.block_len],
            sequences: BTreeMap::new(),
            time: Duration::ZERO,
            computed: Vec::new(),
            failed: 0,
            resumed: 0,
            preparations: (0, 3),
            rng: ChaCha8Rng::seed_from_u64(config.seed),
        }));
        (Self { architecture, config, cache: Arc::clone(&cache) }, cache)
    }
}

/// A clock that the engine's steps move.
pub(super) fn clock(start: Instant, cache: &Arc<Mutex<Cache>>) -> super::Clock {
    let cache = Arc::clone(cache);
    Box::new(move || start + cache.lock().unwrap().time)
}

/// The row of `token` after the row `past`.
fn row(past: u64, token: TokenId) -> u64 {
    scramble(past ^ (u64::from(token) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// SplitMix64: every bit of the result depends on every bit of `value`.
fn scramble(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The row of the last of `tokens`.
pub(super) fn last_row(tokens: &[TokenId]) -> u64 {
    tokens.iter().fold(0, |past, &token| row(past, token))
}

/// The logits after a row.
pub(super) fn logits(row: u64) -> Vec<f32> {
    let logit = |id: u64| (scramble(row.wrapping_add(id)) >> 40) as f32 / (1 << 22) as f32;
    (0..VOCAB as u64).map(logit).collect()
}

impl Cache {
    fn place(&self, sequence: SequenceId, position: usize) -> usize {
        let block_len = self.pool.block_len();
        self.pool.table(sequence).unwrap()[position / block_len].index() * block_len + position % block_len
    }

    /// Checks that the blocks of a sequence hold its tokens; returns its last row as it stands there.
    fn check(&self, sequence: SequenceId) -> u64 {
        let tokens = &self.sequences[&sequence];
        let mut past = 0;
        for (position, &token) in tokens.iter().enumerate() {
            past = row(past, token);
            let held = self.rows[self.place(sequence, position)];
            assert_eq!(held, past, "position {position} of {} holds something else", tokens.len());
        }
        past
    }

    fn write(&mut self, part: &SequenceStep<'_>) -> u64 {
        let mut past = self.check(part.sequence);
        for (position, &token) in (part.position..).zip(part.tokens) {
            past = row(past, token);
            let place = self.place(part.sequence, position);
            self.rows[place] = past;
        }
        past
    }

    fn step(&mut self, batch: &[SequenceStep<'_>], config: &FakeConfig) -> Result<Vec<Logits>, RuntimeError> {
        for part in batch {
            assert_eq!(self.sequences[&part.sequence].len(), part.position, "a position is wrong");
            assert!(!part.tokens.is_empty(), "a sequence has no new tokens");
        }
        // A step fails before or after it has taken room.
        let fails = batch.len() > 1 && self.rng.random_ratio(config.failures, 1000);
        self.failed += usize::from(fails);
        let failure = || RuntimeError::Compute("as if memory were short".to_owned());
        if fails && self.rng.random_bool(0.5) {
            return Err(failure());
        }
        let block_len = config.block_len;
        let sizes: Vec<_> = batch.iter().map(|part| (part.sequence, part.tokens.len())).collect();
        for copy in self.pool.reserve(&sizes)? {
            let (from, to) = (copy.from.index() * block_len, copy.to.index() * block_len);
            self.rows.copy_within(from..from + copy.tokens, to);
        }
        let last_rows: Vec<u64> = batch.iter().map(|part| self.write(part)).collect();
        if fails {
            for part in batch {
                self.pool.truncate(part.sequence, part.position)?;
            }
            return Err(failure());
        }
        self.time += config.cost.step;
        for part in batch {
            self.pool.append(part.sequence, part.tokens)?;
            self.sequences.get_mut(&part.sequence).unwrap().extend(part.tokens);
            self.computed.push((part.sequence, part.tokens.len()));
            let tokens = u32::try_from(part.tokens.len()).unwrap();
            self.time += if tokens == 1 { config.cost.sequence } else { config.cost.token * tokens };
        }
        let of = |(part, row): (&SequenceStep<'_>, u64)| match part.logits {
            LogitsAt::None => Logits::new(Vec::new(), VOCAB),
            _ => Logits::new(logits(row), VOCAB),
        };
        Ok(batch.iter().zip(last_rows).map(of).collect())
    }
}

impl Engine for FakeEngine {
    fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    fn description(&self) -> String {
        "no model".to_owned()
    }

    fn capacity(&self) -> Capacity {
        let pool = &self.cache.lock().unwrap().pool;
        Capacity {
            max_sequences: self.config.max_sequences,
            sequences: pool.sequences(),
            max_sequence_len: pool.max_tokens(),
            max_tokens: pool.max_tokens(),
            tokens: pool.tokens(),
            free_tokens: pool.free_tokens(),
        }
    }

    fn allocate(&mut self) -> Result<SequenceId, RuntimeError> {
        self.resume(&[]).map(|(id, _)| id)
    }

    fn resume(&mut self, tokens: &[TokenId]) -> Result<(SequenceId, usize), RuntimeError> {
        let mut cache = self.cache.lock().unwrap();
        let (id, cached) = cache.pool.resume(tokens)?;
        cache.sequences.insert(id, tokens[..cached].to_vec());
        cache.resumed += cached;
        cache.check(id);
        Ok((id, cached))
    }

    fn free(&mut self, sequence: SequenceId) -> Result<(), RuntimeError> {
        let mut cache = self.cache.lock().unwrap();
        cache.sequences.remove(&sequence);
        cache.pool.free(sequence)
    }

    fn len(&self, sequence: SequenceId) -> Result<usize, RuntimeError> {
        self.cache.lock().unwrap().pool.len(sequence)
    }

    fn truncate(&mut self, sequence: SequenceId, length: usize) -> Result<(), RuntimeError> {
        let mut cache = self.cache.lock().unwrap();
        cache.pool.truncate(sequence, length)?;
        cache.sequences.get_mut(&sequence).unwrap().truncate(length);
        Ok(())
    }

    fn fork(&mut self, sequence: SequenceId, length: usize) -> Result<SequenceId, RuntimeError> {
        let mut cache = self.cache.lock().unwrap();
        let fork = cache.pool.fork(sequence, length)?;
        let tokens = cache.sequences[&sequence][..length].to_vec();
        cache.sequences.insert(fork, tokens);
        Ok(fork)
    }

    fn step(&mut self, batch: &[SequenceStep<'_>]) -> Result<Vec<Logits>, RuntimeError> {
        self.cache.lock().unwrap().step(batch, &self.config)
    }

    fn prepare(&mut self) -> bool {
        let (done, of_use) = &mut self.cache.lock().unwrap().preparations;
        *done += 1;
        *done < *of_use
    }
}
