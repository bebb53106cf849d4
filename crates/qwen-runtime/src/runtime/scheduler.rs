//! [`Scheduler`]: who runs, and with how many tokens. Decisions only; it owns no engine.

use std::collections::VecDeque;
use std::time::Instant;

use super::sequence::Sequence;
use super::step_budget::{StepBudget, StepSize};
use crate::TokenId;
use crate::engine::{Capacity, SequenceId};

/// Tokens that each running text should have room to grow by when another one starts. It is less
/// than all that they may come to need: most texts end earlier, and those that do not are paused.
const RESERVE: usize = 16;

/// A sequence with a place in the KV cache.
pub(super) struct Running {
    pub(super) id: SequenceId,
    pub(super) sequence: Sequence,
    /// How many of its tokens the engine has.
    computed: usize,
    /// Whether all of its prompt was computed since it got its place: it must get on in every step.
    pub(super) decoding: bool,
}

impl Running {
    /// Tokens that the engine has not seen.
    pub(super) fn pending(&self) -> &[TokenId] {
        &self.sequence.tokens()[self.computed..]
    }

    /// Where they start.
    pub(super) fn computed(&self) -> usize {
        self.computed
    }

    /// Notes that the engine has seen `tokens` more, and reads the logits after the last one.
    /// False when the text has ended.
    pub(super) fn advance(&mut self, tokens: usize, logits: Option<&[f32]>) -> bool {
        self.computed += tokens;
        self.decoding |= logits.is_some();
        logits.is_none_or(|logits| self.sequence.advance(logits))
    }
}

/// A running sequence's part in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    /// Its place among the running ones.
    pub(super) index: usize,
    /// How many of its pending tokens are computed.
    pub(super) tokens: usize,
}

/// The requests in the order in which they came: first those that run, then those that wait.
#[derive(Default)]
pub(super) struct Scheduler {
    running: Vec<Running>,
    waiting: VecDeque<Sequence>,
}

impl Scheduler {
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    pub(super) fn running(&self) -> &[Running] {
        &self.running
    }

    pub(super) fn running_mut(&mut self, index: usize) -> &mut Running {
        &mut self.running[index]
    }

    /// Adds a request behind all others.
    pub(super) fn enqueue(&mut self, sequence: Sequence) {
        self.waiting.push_back(sequence);
    }

    /// Forgets requests whose readers are gone or whose time is up; returns the places of those that ran.
    pub(super) fn drop_abandoned(&mut self, now: Instant) -> Vec<SequenceId> {
        let is_abandoned = |sequence: &Sequence| sequence.is_cancelled() || sequence.expire(now);
        self.waiting.retain(|sequence| !is_abandoned(sequence));
        let abandoned = self.running.extract_if(.., |running| is_abandoned(&running.sequence));
        abandoned.map(|running| running.id).collect()
    }

    /// The next request to start, if there is one and room for it. A request that runs alone fits
    /// always, since longer ones are not accepted.
    pub(super) fn next(&mut self, capacity: Capacity) -> Option<Sequence> {
        let next = self.waiting.front()?.wanted(RESERVE);
        let owed: usize =
            self.running.iter().map(|running| running.sequence.wanted(RESERVE).saturating_sub(running.computed)).sum();
        let fits = self.running.len() < capacity.max_sequences && owed + next <= capacity.free_tokens;
        if fits || self.running.is_empty() { self.waiting.pop_front() } else { None }
    }

    /// Gives a request its place, in which `cached` of its tokens are computed already.
    pub(super) fn start(&mut self, mut sequence: Sequence, id: SequenceId, cached: usize) {
        sequence.start(cached);
        self.running.push(Running { id, sequence, computed: cached, decoding: false });
    }

    /// The next step: every text goes on, and prompts share what the budget leaves for them.
    pub(super) fn plan(&self, budget: &StepBudget) -> Vec<Share> {
        let decoding = self.running.iter().filter(|running| running.decoding).count();
        let prompts: Vec<usize> =
            self.running.iter().filter(|running| !running.decoding).map(|running| running.pending().len()).collect();
        let mut prompt_shares = share(&prompts, budget.prompt_tokens(decoding)).into_iter();
        let shares = self.running.iter().enumerate().map(|(index, running)| {
            let prompt_share = if running.decoding { None } else { prompt_shares.next() };
            Share { index, tokens: prompt_share.unwrap_or(running.pending().len()) }
        });
        shares.filter(|share| share.tokens > 0).collect()
    }

    /// What a step consists of.
    pub(super) fn size(&self, plan: &[Share]) -> StepSize {
        let mut size = StepSize::default();
        for share in plan {
            if self.running[share.index].decoding {
                size.decoding += 1;
            } else {
                size.prompt_tokens += share.tokens;
            }
        }
        size
    }

    /// Takes its place from the youngest running request, to be the first that gets one again;
    /// returns the place. The last one is never paused.
    pub(super) fn pause_youngest(&mut self) -> Option<SequenceId> {
        let youngest = if self.running.len() > 1 { self.running.pop() } else { None }?;
        self.waiting.push_front(youngest.sequence);
        Some(youngest.id)
    }

    /// Forgets a running request.
    pub(super) fn retire(&mut self, index: usize) -> Running {
        self.running.remove(index)
    }
}

#[cfg(test)]
impl Scheduler {
    /// All requests in their order: how many run, and every sequence.
    pub(super) fn all(&self) -> (usize, Vec<&Sequence>) {
        let running = self.running.iter().map(|running| &running.sequence);
        (self.running.len(), running.chain(&self.waiting).collect())
    }
}

/// Splits `budget` tokens among prompts with so many tokens left, the oldest first. The oldest gets
/// half, so that none starves; then those with the least left come first, as they are nearest to
/// their first word.
fn share(prompts: &[usize], budget: usize) -> Vec<usize> {
    let mut shares = vec![0; prompts.len()];
    let mut left = budget;
    let mut give = |index: usize, most: usize| {
        let tokens = (prompts[index] - shares[index]).min(most).min(left);
        shares[index] += tokens;
        left -= tokens;
    };
    let mut order: Vec<usize> = (0..prompts.len()).collect();
    if let Some(&oldest) = order.first() {
        give(oldest, budget.div_ceil(2));
    }
    order.sort_by_key(|&index| prompts[index]);
    order.into_iter().for_each(|index| give(index, budget));
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_share_a_budget_and_none_starves() {
        assert!(share(&[], 9).is_empty());
        assert_eq!(share(&[5], 256), [5]);
        // Equal prompts: one after the other.
        assert_eq!(share(&[1000, 1000], 256), [256, 0]);
        assert_eq!(share(&[744, 1000], 256), [256, 0]);
        // A short one is not kept waiting by a long one, nor the long one by many short ones.
        assert_eq!(share(&[4000, 30], 16), [8, 8]);
        assert_eq!(share(&[4000, 3], 16), [13, 3]);
        assert_eq!(share(&[4000, 9, 9, 2, 9], 16), [8, 6, 0, 2, 0]);
        assert_eq!(share(&[3, 3, 3], 0), [0, 0, 0]);
    }
}
