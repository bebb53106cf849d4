//! [`Writer`]: sampled tokens in, events out. The state of one text, without any model.

use std::sync::Arc;

use super::event::{FinishReason, GenerationEvent, Usage};
use super::request::ThinkingBudget;
use super::stop::{StopMatch, StopMatcher};
use crate::TokenId;
use crate::tokenizer::{TextStream, Tokenizer};

const THINK_OPEN: &str = "<think>";
const THINK_CLOSE: &str = "</think>";
/// What closes a block of reasoning that has used up its budget; Qwen3's template writes the same.
const FORCED_CLOSE: &str = "\n</think>\n\n";
/// Most tokens for which a close waits until a character is whole.
const MAX_WAIT: usize = 4;

/// The control tokens of a checkpoint that a text is read by.
#[derive(Debug, Clone)]
pub(crate) struct ControlTokens {
    pub(crate) eos: Vec<TokenId>,
    think_open: Option<TokenId>,
    think_close: Option<TokenId>,
    forced_close: Vec<TokenId>,
    /// What must not come before an answer has begun: its end, and tokens that no reader sees.
    unseen: Vec<TokenId>,
    /// What must not be the only token of an answer: the same, white space and parts of characters.
    unseen_or_blank: Vec<TokenId>,
}

impl ControlTokens {
    pub(crate) fn new(tokenizer: &Tokenizer, eos: Vec<TokenId>) -> Result<Self, crate::RuntimeError> {
        let think_close = tokenizer.added_token(THINK_CLOSE);
        let forced_close = if think_close.is_some() { tokenizer.encode(FORCED_CLOSE)? } else { Vec::new() };
        let think_open = tokenizer.added_token(THINK_OPEN);
        let mut unseen: Vec<TokenId> = eos.iter().copied().chain(tokenizer.special_ids()).collect();
        unseen.extend(think_close);
        let mut unseen_or_blank: Vec<TokenId> = unseen.iter().copied().chain(tokenizer.blank_ids()).collect();
        unseen_or_blank.extend(think_open);
        Ok(Self { eos, think_open, think_close, forced_close, unseen, unseen_or_blank })
    }

    /// Tokens that a forced close of the reasoning adds.
    pub(crate) fn close_len(&self) -> usize {
        self.forced_close.len()
    }
}

/// Limits of one text.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// At least 1.
    pub(crate) max_new_tokens: usize,
    pub(crate) thinking_budget: ThinkingBudget,
    pub(crate) stop: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing is written: a first `<think>` still opens the reasoning.
    Start,
    Reasoning,
    Answer,
}

/// What to do after a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Feed these tokens and sample again.
    Feed(Vec<TokenId>),
    /// The text has ended; the last event said why.
    End,
}

/// Turns the tokens of one text into events.
#[derive(Debug)]
pub(crate) struct Writer {
    tokenizer: Arc<Tokenizer>,
    control: Arc<ControlTokens>,
    limits: Limits,
    phase: Phase,
    text: TextStream,
    stop: StopMatcher,
    usage: Usage,
    /// Whether the answer has a character that can be seen; a stop string may still hold it back.
    answered: bool,
    waited: usize,
}

impl Writer {
    pub(crate) fn new(
        tokenizer: Arc<Tokenizer>,
        control: Arc<ControlTokens>,
        limits: Limits,
        prompt: &[TokenId],
    ) -> Self {
        let phase = if prompt_opens_reasoning(&tokenizer, &control, prompt) { Phase::Reasoning } else { Phase::Start };
        let stop = StopMatcher::new(limits.stop.clone());
        Self {
            tokenizer,
            control,
            stop,
            phase,
            text: TextStream::default(),
            usage: Usage { prompt_tokens: prompt.len(), ..Usage::default() },
            answered: false,
            waited: 0,
            limits,
        }
    }

    /// Notes how many tokens of the prompt need not be computed.
    pub(crate) fn note_cached(&mut self, tokens: usize) {
        self.usage.cached_tokens = tokens.min(self.usage.prompt_tokens);
    }

    /// Tokens to feed after the prompt before anything is sampled: with a budget of 0 the reasoning
    /// is closed at once.
    pub(crate) fn prefix(&mut self) -> Vec<TokenId> {
        if self.phase == Phase::Reasoning && self.budget() == Some(0) { self.close_reasoning() } else { Vec::new() }
    }

    /// Tokens that must not be sampled next. Unless the budget is off, an answer of at least one
    /// visible character is owed: its end and what nobody sees may not come before it, and its last
    /// chance is not spent on white space. With a budget of 0, no reasoning is opened.
    pub(crate) fn banned(&self) -> &[TokenId] {
        let owed = self.limits.thinking_budget != ThinkingBudget::Off && !self.answered;
        if !owed || self.phase == Phase::Reasoning {
            return &[];
        }
        let last_chance = self.usage.completion_tokens + 1 >= self.limits.max_new_tokens;
        let no_reasoning = self.phase == Phase::Start && self.budget() == Some(0);
        if last_chance || no_reasoning { &self.control.unseen_or_blank } else { &self.control.unseen }
    }

    /// Reads a sampled token; events go to `emit`.
    pub(crate) fn push(&mut self, token: TokenId, emit: &mut dyn FnMut(GenerationEvent)) -> Next {
        self.usage.completion_tokens += 1;
        if self.phase == Phase::Start && Some(token) == self.control.think_open {
            self.phase = Phase::Reasoning;
            self.usage.reasoning_tokens += 1;
            return self.after_reasoning_token(token, emit);
        }
        if self.phase == Phase::Reasoning {
            self.usage.reasoning_tokens += 1;
            return self.push_reasoning(token, emit);
        }
        if self.control.eos.contains(&token) {
            return self.end(FinishReason::Stop, emit);
        }
        if self.phase == Phase::Start && is_blank(self.tokenizer.bytes_of(token)) {
            // Reasoning may still be opened; the blanks before an answer are dropped anyway.
            return self.continue_or_end(token, emit);
        }
        self.phase = Phase::Answer;
        // Special tokens and stray think tags are no text.
        let visible = !self.tokenizer.is_special(token)
            && Some(token) != self.control.think_open
            && Some(token) != self.control.think_close;
        if visible {
            let text = self.text.push(self.tokenizer.bytes_of(token));
            if self.write_answer(&text, emit) {
                emit(GenerationEvent::Finished { reason: FinishReason::Stop, usage: self.usage });
                return Next::End;
            }
        }
        self.continue_or_end(token, emit)
    }

    fn push_reasoning(&mut self, token: TokenId, emit: &mut dyn FnMut(GenerationEvent)) -> Next {
        if Some(token) == self.control.think_close {
            self.flush_reasoning(emit);
            self.phase = Phase::Answer;
            return self.continue_or_end(token, emit);
        }
        if self.control.eos.contains(&token) {
            if self.budget().is_none() {
                return self.end(FinishReason::Stop, emit);
            }
            // The model stopped in the middle of its reasoning. An answer is owed: the block is
            // closed instead, and the end token is not fed.
            self.flush_reasoning(emit);
            return if self.sampled_all() {
                self.end(FinishReason::Length, emit)
            } else {
                Next::Feed(self.close_reasoning())
            };
        }
        if !self.tokenizer.is_special(token) {
            let text = self.text.push(self.tokenizer.bytes_of(token));
            if !text.is_empty() {
                emit(GenerationEvent::Reasoning(text));
            }
        }
        self.after_reasoning_token(token, emit)
    }

    fn after_reasoning_token(&mut self, token: TokenId, emit: &mut dyn FnMut(GenerationEvent)) -> Next {
        if self.budget().is_some_and(|budget| self.usage.reasoning_tokens >= budget) {
            // A close in the middle of a character would spoil it; a few tokens complete it. One
            // token is kept for the answer whatever happens.
            self.waited += 1;
            let last_chance = self.usage.completion_tokens + 1 >= self.limits.max_new_tokens;
            if !self.text.is_pending() || self.waited > MAX_WAIT || last_chance {
                self.flush_reasoning(emit);
                let mut tokens = vec![token];
                tokens.extend(self.close_reasoning());
                return Next::Feed(tokens);
            }
        }
        self.continue_or_end(token, emit)
    }

    /// The budget in tokens, at least one less than may be sampled; `None` when it is off.
    fn budget(&self) -> Option<usize> {
        if self.control.forced_close.is_empty() {
            return None;
        }
        match self.limits.thinking_budget {
            ThinkingBudget::Tokens(budget) => Some(budget.min(self.limits.max_new_tokens - 1)),
            ThinkingBudget::Off => None,
        }
    }

    fn close_reasoning(&mut self) -> Vec<TokenId> {
        self.phase = Phase::Answer;
        self.control.forced_close.clone()
    }

    fn sampled_all(&self) -> bool {
        self.usage.completion_tokens >= self.limits.max_new_tokens
    }

    fn continue_or_end(&mut self, token: TokenId, emit: &mut dyn FnMut(GenerationEvent)) -> Next {
        if self.sampled_all() { self.end(FinishReason::Length, emit) } else { Next::Feed(vec![token]) }
    }

    fn end(&mut self, reason: FinishReason, emit: &mut dyn FnMut(GenerationEvent)) -> Next {
        let mut reason = reason;
        if self.phase == Phase::Reasoning {
            self.flush_reasoning(emit);
        } else {
            let rest = self.text.finish();
            if self.write_answer(&rest, emit) {
                reason = FinishReason::Stop;
            } else {
                emit_answer(self.stop.finish(), emit);
            }
        }
        emit(GenerationEvent::Finished { reason, usage: self.usage });
        Next::End
    }

    fn flush_reasoning(&mut self, emit: &mut dyn FnMut(GenerationEvent)) {
        let rest = self.text.finish();
        if !rest.is_empty() {
            emit(GenerationEvent::Reasoning(rest));
        }
    }

    /// Writes a piece of the answer; true when a stop string has ended it. The blank lines between
    /// `</think>` and the answer belong to neither.
    fn write_answer(&mut self, text: &str, emit: &mut dyn FnMut(GenerationEvent)) -> bool {
        let text = if self.answered { text } else { text.trim_start() };
        self.answered |= !text.is_empty();
        let (text, stopped) = match self.stop.push(text) {
            StopMatch::Text(text) => (text, false),
            StopMatch::Stopped(text) => (text, true),
        };
        emit_answer(text, emit);
        stopped
    }
}

fn emit_answer(text: String, emit: &mut dyn FnMut(GenerationEvent)) {
    if !text.is_empty() {
        emit(GenerationEvent::Answer(text));
    }
}

fn is_blank(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(u8::is_ascii_whitespace)
}

/// Whether the prompt ends in `<think>`, with nothing but white space after it.
fn prompt_opens_reasoning(tokenizer: &Tokenizer, control: &ControlTokens, prompt: &[TokenId]) -> bool {
    let Some(open) = control.think_open else { return false };
    let mut end = prompt.iter().rev().skip_while(|&&token| is_blank(tokenizer.bytes_of(token)));
    end.next() == Some(&open)
}
