//! Owns the way from a file of conversations to the rows that are trained on.

use std::path::Path;
use std::thread;

use anyhow::{Result, bail};
use qwen_runtime::{ChatTemplate, Tokenizer};
use qwen_tune::{Conversation, Example, ExampleEncoder, PackedRow, pack};
use sha2::{Digest, Sha256};

/// What rows are made with.
pub(crate) struct RowMaker<'a> {
    pub(crate) template: &'a ChatTemplate,
    pub(crate) tokenizer: &'a Tokenizer,
    /// Tokens of a row.
    pub(crate) row_length: usize,
    pub(crate) threads: usize,
}

impl RowMaker<'_> {
    /// The rows of a file of conversations, one a line; an example that does not fit into one is refused with its
    /// place.
    pub(crate) fn rows(&self, data: &Path) -> Result<Vec<PackedRow>> {
        let conversations = Conversation::read_all(data)?;
        let part = conversations.len().div_ceil(self.threads.max(1));
        let examples = thread::scope(|scope| {
            let workers: Vec<_> =
                conversations.chunks(part).map(|part| scope.spawn(move || self.examples(part, data))).collect();
            let joined = workers.into_iter().map(|worker| match worker.join() {
                Ok(examples) => examples,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            joined.collect::<Result<Vec<_>>>()
        })?;
        let examples = examples.concat();
        let rows = pack(&examples, self.row_length)?;
        let alone: usize = examples.iter().map(|example| example.prompt.len() + example.answer.len()).sum();
        let tokens: usize = rows.iter().map(|row| row.tokens.len()).sum();
        eprintln!("{} examples of {alone} tokens are {} rows of {tokens}", examples.len(), rows.len());
        Ok(rows)
    }

    fn examples(&self, conversations: &[(usize, Conversation)], data: &Path) -> Result<Vec<Example>> {
        let encoder = ExampleEncoder::new(self.template, self.tokenizer)?;
        let mut examples = Vec::new();
        for (row, conversation) in conversations {
            for example in encoder.examples(conversation)? {
                let len = example.prompt.len() + example.answer.len();
                if len > self.row_length {
                    bail!("{}, row {row}: {len} tokens; the row length is {}", data.display(), self.row_length);
                }
                examples.push(example);
            }
        }
        Ok(examples)
    }
}

/// What tells rows from others.
pub(crate) fn digest(rows: &[PackedRow]) -> String {
    let mut digest = Sha256::new();
    for row in rows {
        for token in &row.tokens {
            digest.update(token.to_le_bytes());
        }
        for target in &row.targets {
            digest.update(target.after.to_le_bytes());
            digest.update(target.token.to_le_bytes());
        }
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
