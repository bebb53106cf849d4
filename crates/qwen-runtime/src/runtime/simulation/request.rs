//! Random requests, and the text that each of them has when nothing else runs.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::fake_engine::{VOCAB, last_row, logits};
use crate::TokenId;
use crate::checkpoint::{Architecture, Checkpoint};
use crate::error::RuntimeError;
use crate::generation::{ControlTokens, GenerationEvent, Limits, Next, ThinkingBudget, Writer};
use crate::sampling::{KnownTokens, Sampler, SamplingOptions, TokenHistory};
use crate::tokenizer::Tokenizer;

/// One of the few tokens that the fake engine samples.
const EOS: TokenId = 7;

/// The text side of a small checkpoint.
pub(super) struct World {
    pub(super) architecture: Architecture,
    pub(super) tokenizer: Arc<Tokenizer>,
    pub(super) control: Arc<ControlTokens>,
    think_open: TokenId,
}

impl World {
    pub(super) fn load() -> Self {
        let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/tied-f32"));
        let checkpoint = Checkpoint::open(path).unwrap();
        let tokenizer = Tokenizer::of_checkpoint(&checkpoint).unwrap();
        let control = ControlTokens::new(&tokenizer, vec![EOS]).unwrap();
        Self {
            architecture: checkpoint.architecture().clone(),
            think_open: tokenizer.added_token("<think>").unwrap(),
            tokenizer: Arc::new(tokenizer),
            control: Arc::new(control),
        }
    }
}

/// A request of a schedule.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) prompt: Vec<TokenId>,
    pub(super) max_new_tokens: usize,
    pub(super) thinking_budget: ThinkingBudget,
    pub(super) sampling: SamplingOptions,
    /// The turn in which it comes.
    pub(super) arrival: usize,
    /// How many turns later its reader goes away.
    pub(super) patience: Option<usize>,
    pub(super) timeout: Option<Duration>,
}

impl Request {
    /// A request that fits into `context` tokens and may begin as others do.
    pub(super) fn random(rng: &mut ChaCha8Rng, world: &World, prefixes: &[Vec<TokenId>], context: usize) -> Self {
        let close_len = world.control.close_len();
        let max_new_tokens = rng.random_range(1..=60.min(context - close_len - 1));
        let room = context - close_len - max_new_tokens;
        let mut prompt = prefixes[rng.random_range(0..prefixes.len())].clone();
        prompt.truncate(rng.random_range(0..=prompt.len()));
        prompt.extend((0..rng.random_range(1..12)).map(|_| rng.random_range(0..VOCAB as TokenId)));
        prompt.truncate(room);
        if rng.random_ratio(1, 3) {
            prompt.pop();
            prompt.push(world.think_open);
        }
        let some = |rng: &mut ChaCha8Rng, most: usize| rng.random_ratio(1, 6).then(|| rng.random_range(0..most));
        Self {
            prompt,
            max_new_tokens,
            thinking_budget: ThinkingBudget::Tokens(rng.random_range(0..8)),
            sampling: SamplingOptions {
                temperature: Some(if rng.random_ratio(1, 4) { 0.0 } else { 1.0 }),
                repetition_penalty: Some(rng.random_range(1.0..1.5)),
                frequency_penalty: Some(rng.random_range(0.0..0.5)),
                // Most texts outgrow what is reserved for them at their start.
                logit_bias: Some(vec![(EOS, -1.5)]),
                seed: Some(rng.random()),
                ..SamplingOptions::default()
            },
            arrival: 0,
            patience: some(rng, 40),
            timeout: some(rng, 2000).map(|ms| Duration::from_millis(ms as u64)),
        }
    }

    /// Tokens that its sequence can grow to.
    pub(super) fn most(&self, world: &World) -> usize {
        self.prompt.len() + self.max_new_tokens + world.control.close_len()
    }

    pub(super) fn writer(&self, world: &World) -> Writer {
        let limits = Limits {
            max_new_tokens: self.max_new_tokens,
            thinking_budget: self.thinking_budget,
            stop: vec!["%%".to_owned()],
        };
        Writer::new(Arc::clone(&world.tokenizer), Arc::clone(&world.control), limits, &self.prompt)
    }

    pub(super) fn sampler(&self) -> Sampler {
        Sampler::new(self.sampling.clone().validate().unwrap(), KnownTokens::all(VOCAB))
    }

    /// Its events when it runs alone, with no cache that could be wrong.
    pub(super) fn alone(&self, world: &World) -> Vec<GenerationEvent> {
        let (mut writer, mut sampler) = (self.writer(world), self.sampler());
        let mut history = TokenHistory::of_prompt(&self.prompt);
        let mut tokens = self.prompt.clone();
        let mut next = writer.prefix();
        let mut events = Vec::new();
        loop {
            next.iter().for_each(|&token| history.push(token));
            tokens.extend(next);
            let token = sampler.sample(&logits(last_row(&tokens)), &history, writer.banned()).unwrap();
            match writer.push(token, &mut |event| events.push(event)) {
                Next::Feed(tokens) => next = tokens,
                Next::End => return events,
            }
        }
    }
}

/// What a reader got: events without the number of cached tokens, which depends on others, and the
/// error at the end.
pub(super) fn split(
    received: Vec<Result<GenerationEvent, RuntimeError>>,
) -> (Vec<GenerationEvent>, Option<RuntimeError>) {
    let mut events = Vec::new();
    let mut error = None;
    for event in received {
        assert!(error.is_none(), "an event after the last one");
        match event {
            Ok(GenerationEvent::Finished { reason, mut usage }) => {
                assert!(usage.cached_tokens <= usage.prompt_tokens, "{usage:?}");
                usage.cached_tokens = 0;
                events.push(GenerationEvent::Finished { reason, usage });
            }
            Ok(event) => events.push(event),
            Err(reason) => error = Some(reason),
        }
    }
    (events, error)
}
