//! The text side of a checkpoint: tokenizer, chat template, ends and defaults.

use std::sync::Arc;

use crate::chat::ChatTemplate;
use crate::checkpoint::{Checkpoint, END_TOKENS};
use crate::error::RuntimeError;
use crate::generation::{ControlTokens, GenerationOptions};
use crate::tokenizer::Tokenizer;

/// Everything about a checkpoint that is not a tensor.
#[derive(Debug)]
pub(super) struct Language {
    pub(super) tokenizer: Arc<Tokenizer>,
    pub(super) template: ChatTemplate,
    pub(super) control: Arc<ControlTokens>,
    /// What the configuration says, and below it the checkpoint.
    pub(super) defaults: GenerationOptions,
}

impl Language {
    /// Reads the checkpoint's files; `configured` goes before what the checkpoint says.
    pub(super) fn of_checkpoint(checkpoint: &Checkpoint, configured: GenerationOptions) -> Result<Self, RuntimeError> {
        let tokenizer = Tokenizer::of_checkpoint(checkpoint)?;
        let vocab_size = checkpoint.architecture().vocab_size;
        if tokenizer.id_count() > vocab_size {
            let reason =
                format!("the tokenizer has ids up to {}, the embedding {vocab_size} rows", tokenizer.id_count());
            return Err(RuntimeError::invalid(checkpoint.path(), reason));
        }
        let template = ChatTemplate::of_checkpoint(checkpoint)?;
        let mut from_checkpoint = checkpoint.generation_defaults()?;
        if from_checkpoint.eos.is_empty() {
            from_checkpoint.eos.extend(END_TOKENS.iter().filter_map(|token| tokenizer.added_token(token)));
        }
        let control = ControlTokens::new(&tokenizer, from_checkpoint.eos)?;
        let below = GenerationOptions { sampling: from_checkpoint.sampling, ..GenerationOptions::default() };
        let defaults = configured.or(&below);
        // Values that are wrong in a configuration are found now, not by the first patient.
        defaults.sampling.clone().validate()?;
        Ok(Self { tokenizer: Arc::new(tokenizer), template, control: Arc::new(control), defaults })
    }
}
