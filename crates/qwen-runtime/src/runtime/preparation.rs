//! The prompt thread: renders and tokenizes, away from the engine and from async threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender};

use super::deadline::Deadline;
use super::job::{Draft, Job};
use super::language::Language;
use crate::TokenId;
use crate::error::RuntimeError;
use crate::generation::{
    DEFAULT_MAX_NEW_TOKENS, GenerationEvent, GenerationRequest, Limits, Prompt, ThinkingBudget, Writer,
};
use crate::sampling::{Sampler, TokenHistory};

/// Turns drafts into jobs until the last sender is gone.
pub(super) fn run(language: &Language, context: usize, drafts: &Receiver<Draft>, jobs: &Sender<Job>) {
    for draft in drafts {
        if draft.events.is_closed() {
            continue;
        }
        let events = draft.events.clone();
        // A fault in a template or tokenizer costs this request and no other.
        let prepared = catch_unwind(AssertUnwindSafe(|| prepare(language, context, draft)))
            .unwrap_or_else(|_| Err(RuntimeError::Compute("preparing the prompt failed".to_owned())));
        let accepted = prepared.map(|job| {
            // A reader that is gone is noticed by the engine.
            let _ = events.send(Ok(GenerationEvent::Accepted { prompt_tokens: job.prompt_tokens() }));
            jobs.send(job).map_err(|_| RuntimeError::Stopped)
        });
        if let Err(error) | Ok(Err(error)) = accepted {
            let _ = events.send(Err(error));
        }
    }
}

fn prepare(language: &Language, context: usize, draft: Draft) -> Result<Job, RuntimeError> {
    let GenerationRequest { prompt, options } = draft.request;
    let requested_length = options.max_new_tokens.is_some();
    let options = options.or(&language.defaults);
    let params = options.sampling.validate()?;
    let prompt = match prompt {
        Prompt::Tokens(tokens) => tokens,
        Prompt::Chat(chat) => language.template.encode(&chat, &language.tokenizer)?,
    };
    let known = language.tokenizer.known_tokens();
    if prompt.is_empty() {
        return Err(RuntimeError::parameter("prompt", "it has no tokens"));
    }
    if let Some(token) = prompt.iter().find(|&&token| !known.contains(token)) {
        return Err(RuntimeError::parameter("prompt", format!("{token} is no token of this model")));
    }
    let close_len = language.control.close_len();
    let length = NewTokens { wanted: options.max_new_tokens, requested: requested_length };
    let max_new_tokens = length.fit(prompt.len(), close_len, context)?;
    let room = context.saturating_sub(max_new_tokens + close_len);
    if prompt.len() > room {
        return Err(RuntimeError::PromptTooLong { prompt_tokens: prompt.len(), limit: room });
    }
    let limits = Limits {
        max_new_tokens,
        thinking_budget: options.thinking_budget.unwrap_or(ThinkingBudget::Tokens(max_new_tokens / 2)),
        stop: options.stop,
    };
    let most = prompt.len() + max_new_tokens + close_len;
    Ok(Job {
        writer: Writer::new(language.tokenizer.clone(), language.control.clone(), limits, &prompt),
        sampler: Sampler::new(params, known),
        history: TokenHistory::of_prompt(&prompt),
        prompt,
        most,
        events: draft.events,
        deadline: options.timeout.and_then(|allowed| Deadline::after(draft.arrival, allowed)),
        ticket: draft.ticket,
    })
}

/// How many tokens are to be sampled, as far as it was said.
struct NewTokens {
    wanted: Option<usize>,
    /// Whether the request said it, and not the configuration.
    requested: bool,
}

impl NewTokens {
    /// A length that a request names must fit the context; one that it leaves open shrinks to what
    /// the prompt leaves.
    fn fit(self, prompt: usize, close_len: usize, context: usize) -> Result<usize, RuntimeError> {
        let wanted = self.wanted.unwrap_or(DEFAULT_MAX_NEW_TOKENS);
        if wanted == 0 {
            return Err(RuntimeError::parameter("max_new_tokens", "it must be at least 1"));
        }
        if !self.requested {
            return Ok(wanted.min(context.saturating_sub(prompt + close_len)).max(1));
        }
        if wanted + close_len >= context {
            let reason = format!("{wanted} tokens leave no room for a prompt in a context of {context}");
            return Err(RuntimeError::parameter("max_new_tokens", reason));
        }
        Ok(wanted)
    }
}

impl Job {
    fn prompt_tokens(&self) -> usize {
        let prompt: &[TokenId] = &self.prompt;
        prompt.len()
    }
}
