//! The engine thread: which sequences take part in the next step, and what becomes of their logits.

use std::collections::VecDeque;
use std::sync::mpsc::Receiver;

use super::job::Job;
use super::stream::EventSender;
use crate::TokenId;
use crate::engine::{Engine, Logits, LogitsAt, SequenceId, SequenceStep};
use crate::error::RuntimeError;
use crate::generation::{GenerationEvent, Next, Writer};
use crate::sampling::{Sampler, TokenHistory};

/// Most tokens of prompts in one step: a cancelled request holds the others up for no longer.
pub(super) const PREFILL_CHUNK: usize = 128;

/// A request that has a sequence.
struct Running {
    sequence: SequenceId,
    /// Tokens that the engine has not seen: the rest of the prompt, or the last token.
    pending: VecDeque<TokenId>,
    reserved: usize,
    writer: Writer,
    sampler: Sampler,
    history: TokenHistory,
    events: EventSender,
}

/// Owns the engine and everything that runs on it.
pub(super) struct Scheduler {
    engine: Box<dyn Engine>,
    waiting: VecDeque<Job>,
    running: Vec<Running>,
}

impl Scheduler {
    pub(super) fn new(engine: Box<dyn Engine>) -> Self {
        Self { engine, waiting: VecDeque::new(), running: Vec::new() }
    }

    /// Works until the last sender of jobs is gone and the last job is done.
    pub(super) fn run(&mut self, jobs: &Receiver<Job>) {
        loop {
            if self.running.is_empty() && self.waiting.is_empty() {
                // Idle: the thread sleeps until there is something to do.
                match jobs.recv() {
                    Ok(job) => self.waiting.push_back(job),
                    Err(_) => return,
                }
            }
            self.waiting.extend(jobs.try_iter());
            self.drop_cancelled();
            self.admit();
            self.step();
        }
    }

    /// Forgets requests whose readers are gone.
    fn drop_cancelled(&mut self) {
        self.waiting.retain(|job| !job.events.is_closed());
        for index in (0..self.running.len()).rev() {
            if self.running[index].events.is_closed() {
                self.retire(index);
            }
        }
    }

    /// Starts waiting requests, in their order, while the engine has room for all that they may
    /// come to need: a request that has begun is never refused for want of room.
    fn admit(&mut self) {
        let capacity = self.engine.capacity();
        while let Some(job) = self.waiting.front() {
            let reserved: usize = self.running.iter().map(|running| running.reserved).sum();
            if self.running.len() >= capacity.max_sequences || reserved + job.reserved > capacity.max_tokens {
                return;
            }
            let Some(job) = self.waiting.pop_front() else { return };
            match self.engine.allocate() {
                Ok(sequence) => self.running.push(start(job, sequence)),
                Err(error) => drop(job.events.send(Err(error))),
            }
        }
    }

    /// One step of the engine over every running sequence that fits the budget.
    fn step(&mut self) {
        let mut budget = PREFILL_CHUNK;
        let mut members = Vec::new();
        let mut chunks: Vec<Vec<TokenId>> = Vec::new();
        for (index, running) in self.running.iter().enumerate() {
            let len = match running.pending.len() {
                1 => 1,
                prompt => {
                    let len = prompt.min(budget);
                    budget -= len;
                    len
                }
            };
            if len > 0 {
                members.push(index);
                chunks.push(running.pending.iter().take(len).copied().collect());
            }
        }
        self.advance(&members, &chunks);
    }

    /// Computes the chunks of the members and reads their logits. A failed step has changed nothing,
    /// so its members are tried one by one, and only those that fail alone are given up.
    fn advance(&mut self, members: &[usize], chunks: &[Vec<TokenId>]) {
        match (self.compute(members, chunks), members) {
            (Ok(logits), _) => self.read(members, chunks, logits),
            (Err(error), [index]) => {
                tracing::error!(%error, "an engine step failed");
                let _ = self.running[*index].events.send(Err(RuntimeError::Compute(error.to_string())));
                self.retire(*index);
            }
            // From the last on, since those that end leave the list.
            (Err(_), _) => {
                for (member, chunk) in members.chunks(1).zip(chunks.chunks(1)).rev() {
                    self.advance(member, chunk);
                }
            }
        }
    }

    fn compute(&mut self, members: &[usize], chunks: &[Vec<TokenId>]) -> Result<Vec<Logits>, RuntimeError> {
        let mut batch = Vec::with_capacity(members.len());
        for (&index, tokens) in members.iter().zip(chunks) {
            let running = &self.running[index];
            let at_end = tokens.len() == running.pending.len();
            batch.push(SequenceStep {
                sequence: running.sequence,
                position: self.engine.len(running.sequence)?,
                tokens,
                logits: if at_end { LogitsAt::Last } else { LogitsAt::None },
            });
        }
        self.engine.step(&batch)
    }

    /// Samples where there are logits, and retires what has ended.
    fn read(&mut self, members: &[usize], chunks: &[Vec<TokenId>], logits: Vec<Logits>) {
        let mut ended = Vec::new();
        for ((&index, tokens), logits) in members.iter().zip(chunks).zip(logits) {
            let running = &mut self.running[index];
            running.pending.drain(..tokens.len());
            if let Some(row) = logits.last()
                && !running.advance(row)
            {
                ended.push(index);
            }
        }
        for index in ended.into_iter().rev() {
            self.retire(index);
        }
    }

    fn retire(&mut self, index: usize) {
        let running = self.running.remove(index);
        if let Err(error) = self.engine.free(running.sequence) {
            tracing::error!(%error, "a sequence could not be freed");
        }
    }
}

fn start(job: Job, sequence: SequenceId) -> Running {
    let Job { mut prompt, reserved, mut writer, sampler, mut history, events, ticket } = job;
    drop(ticket);
    let prefix = writer.prefix();
    prefix.iter().for_each(|&token| history.push(token));
    prompt.extend(prefix);
    Running { sequence, pending: prompt.into(), reserved, writer, sampler, history, events }
}

impl Running {
    /// Samples a token and writes it; false when the text has ended.
    fn advance(&mut self, logits: &[f32]) -> bool {
        let events = &self.events;
        let mut emit = |event: GenerationEvent| {
            // A reader that is gone is noticed before the next step.
            let _ = events.send(Ok(event));
        };
        let Some(token) = self.sampler.sample(logits, &self.history, self.writer.banned()) else {
            let reason = "no token can be sampled: every logit is minus infinity or no number".to_owned();
            let _ = events.send(Err(RuntimeError::Compute(reason)));
            return false;
        };
        match self.writer.push(token, &mut emit) {
            Next::Feed(tokens) => {
                tokens.iter().for_each(|&token| self.history.push(token));
                self.pending.extend(tokens);
                true
            }
            Next::End => false,
        }
    }
}
