//! The tokens that penalties look at.

use std::collections::HashMap;

use crate::TokenId;

/// Which tokens a sequence has seen: in its prompt or its text, and how often in its text.
#[derive(Debug, Clone, Default)]
pub struct TokenHistory {
    /// Times generated; a token of the prompt alone has 0.
    counts: HashMap<TokenId, u32>,
}

impl TokenHistory {
    /// The history of a sequence that has a prompt and no text yet.
    pub fn of_prompt(prompt: &[TokenId]) -> Self {
        Self { counts: prompt.iter().map(|&token| (token, 0)).collect() }
    }

    /// Notes a generated token.
    pub fn push(&mut self, token: TokenId) {
        *self.counts.entry(token).or_default() += 1;
    }

    /// Each token once, with the number of times it was generated.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TokenId, u32)> + '_ {
        self.counts.iter().map(|(&token, &count)| (token, count))
    }
}
