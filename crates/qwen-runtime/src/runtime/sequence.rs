//! [`Sequence`]: one request with its text, whether it waits, runs, or is paused.

use std::time::Instant;

use super::deadline::Deadline;
use super::job::Job;
use super::stream::EventSender;
use super::waiting_room::Ticket;
use crate::TokenId;
use crate::error::RuntimeError;
use crate::generation::{GenerationEvent, Next, Writer};
use crate::sampling::{Sampler, TokenHistory};

/// Everything about a text but its place in the KV cache, so that it can be taken out of the cache
/// and go on later as if nothing had been.
pub(super) struct Sequence {
    /// The prompt, and what was added to it: all that the engine has seen or is to see.
    tokens: Vec<TokenId>,
    /// Tokens that it can grow to.
    most: usize,
    writer: Writer,
    sampler: Sampler,
    history: TokenHistory,
    events: EventSender,
    deadline: Option<Deadline>,
    /// Its place in the waiting room, until it runs for the first time.
    ticket: Option<Ticket>,
}

impl From<Job> for Sequence {
    fn from(job: Job) -> Self {
        let Job { prompt: mut tokens, most, mut writer, sampler, mut history, events, deadline, ticket } = job;
        let prefix = writer.prefix();
        prefix.iter().for_each(|&token| history.push(token));
        tokens.extend(prefix);
        Self { tokens, most, writer, sampler, history, events, deadline, ticket: Some(ticket) }
    }
}

impl Sequence {
    pub(super) fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// Tokens that it has, with `reserve` more as far as it can grow.
    pub(super) fn wanted(&self, reserve: usize) -> usize {
        self.tokens.len() + reserve.min(self.most.saturating_sub(self.tokens.len()))
    }

    /// Whether nobody reads it any more.
    pub(super) fn is_cancelled(&self) -> bool {
        self.events.is_closed()
    }

    /// Ends it with an error when its time is up; true then.
    pub(super) fn expire(&self, now: Instant) -> bool {
        let passed = self.deadline.filter(|deadline| deadline.is_past(now));
        passed.inspect(|deadline| self.fail(deadline.error())).is_some()
    }

    /// Notes that it runs, and how many of its tokens were computed for an earlier one.
    pub(super) fn start(&mut self, cached: usize) {
        // After a pause, what is found again are mostly its own tokens.
        if self.ticket.take().is_some() {
            self.writer.note_cached(cached);
        }
    }

    /// Samples a token and writes it; false when the text has ended.
    pub(super) fn advance(&mut self, logits: &[f32]) -> bool {
        let Some(token) = self.sampler.sample(logits, &self.history, self.writer.banned()) else {
            let reason = "no token can be sampled: every logit is minus infinity or no number".to_owned();
            self.fail(RuntimeError::Compute(reason));
            return false;
        };
        let events = &self.events;
        let mut emit = |event: GenerationEvent| {
            // A reader that is gone is noticed before the next step.
            let _ = events.send(Ok(event));
        };
        match self.writer.push(token, &mut emit) {
            Next::Feed(tokens) => {
                tokens.iter().for_each(|&token| self.history.push(token));
                self.tokens.extend(tokens);
                true
            }
            Next::End => false,
        }
    }

    /// Ends it with an error.
    pub(super) fn fail(&self, error: RuntimeError) {
        // A reader that is gone needs no error.
        let _ = self.events.send(Err(error));
    }
}

#[cfg(test)]
impl Sequence {
    /// Whether its events go there.
    pub(super) fn tells(&self, events: &EventSender) -> bool {
        self.events.same_channel(events)
    }
}
