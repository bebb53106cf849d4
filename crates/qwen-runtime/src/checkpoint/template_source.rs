//! The chat template's text and the JSON files beside the tensors, wherever a checkpoint keeps them.

use std::path::Path;

use serde_json::Value;

use super::Checkpoint;
use crate::error::RuntimeError;

/// A directory with tokenizer, template and configuration; there may be tensors beside them, or not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SideFiles<'a> {
    directory: &'a Path,
}

impl<'a> SideFiles<'a> {
    /// The files in `directory`.
    pub(crate) fn of(directory: &'a Path) -> Self {
        Self { directory }
    }

    /// Where they lie.
    pub(crate) fn directory(self) -> &'a Path {
        self.directory
    }

    /// `tokenizer_config.json`; null when there is none.
    pub(crate) fn tokenizer_config(self) -> Result<Value, RuntimeError> {
        self.json("tokenizer_config.json")
    }

    /// `config.json`; null when there is none.
    pub(crate) fn config(self) -> Result<Value, RuntimeError> {
        self.json("config.json")
    }

    /// The template: `chat_template.jinja`, else that of `tokenizer_config.json`.
    pub(crate) fn chat_template(self) -> Result<Option<String>, RuntimeError> {
        match self.text("chat_template.jinja")? {
            Some(text) => Ok(Some(text)),
            None => Ok(self.tokenizer_config()?.get("chat_template").and_then(default_template)),
        }
    }

    fn json(self, name: &str) -> Result<Value, RuntimeError> {
        match self.text(name)? {
            Some(text) => serde_json::from_str(&text)
                .map_err(|error| RuntimeError::invalid(&self.directory.join(name), error.to_string())),
            None => Ok(Value::Null),
        }
    }

    /// A file, if there is one of that name.
    fn text(self, name: &str) -> Result<Option<String>, RuntimeError> {
        let path = self.directory.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(RuntimeError::io(&path, error)),
        }
    }
}

impl Checkpoint {
    /// The files beside the tensors.
    pub(crate) fn side_files(&self) -> SideFiles<'_> {
        SideFiles::of(self.directory())
    }

    /// The template of the side files, else a GGUF file's.
    pub(crate) fn chat_template(&self) -> Result<Option<String>, RuntimeError> {
        let found = self.side_files().chat_template()?;
        Ok(found.or_else(|| self.gguf()?.string("tokenizer.chat_template").map(str::to_owned)))
    }
}

/// `chat_template` is a string, or a list of named ones.
fn default_template(value: &Value) -> Option<String> {
    match value {
        Value::String(source) => Some(source.clone()),
        Value::Array(list) => {
            let named = list.iter().find(|entry| entry.get("name").is_some_and(|name| name == "default"))?;
            named.get("template")?.as_str().map(str::to_owned)
        }
        _ => None,
    }
}
