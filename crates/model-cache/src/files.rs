//! Owns the answer of the cache: where a whole model lies. Must not know how it got there.

use std::path::PathBuf;

/// A model that is whole on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFiles {
    /// A directory with `config.json`, `tokenizer.json` and safetensors files, or one `.gguf` file.
    pub path: PathBuf,
    /// What to call it: `owner/name`, `owner/name:file.gguf`, or the last part of a local path without `.gguf`.
    pub name: String,
    /// The commit that the files belong to, 40 hexadecimal digits; `None` for local paths and for directories of the
    /// Python service, which do not record it.
    pub revision: Option<String>,
}
