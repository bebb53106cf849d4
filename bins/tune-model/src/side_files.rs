//! Owns the files that a model has beside its weights.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};

const NAMES: [&str; 4] = ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"];

/// Copies those that are there.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    for name in NAMES {
        let path = from.join(name);
        match std::fs::copy(&path, to.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            copied => drop(copied.with_context(|| path.display().to_string())?),
        }
    }
    Ok(())
}
