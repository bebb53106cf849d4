//! The chat template's text and the JSON files beside the tensors, wherever a checkpoint keeps them.

use serde_json::Value;

use super::Checkpoint;
use super::files::CheckpointFiles;
use crate::error::RuntimeError;

impl CheckpointFiles {
    /// `tokenizer_config.json`; null when there is none.
    pub(crate) fn tokenizer_config(&self) -> Result<Value, RuntimeError> {
        self.json("tokenizer_config.json")
    }

    /// `config.json`; null when there is none.
    pub(crate) fn config(&self) -> Result<Value, RuntimeError> {
        self.json("config.json")
    }

    /// The template: `chat_template.jinja`, else that of `tokenizer_config.json`.
    pub(crate) fn chat_template(&self) -> Result<Option<String>, RuntimeError> {
        const NAME: &str = "chat_template.jinja";
        match self.read(NAME)? {
            Some(bytes) => String::from_utf8(bytes.into_owned())
                .map(Some)
                .map_err(|error| RuntimeError::invalid(&self.path_of(NAME), error.to_string())),
            None => Ok(self.tokenizer_config()?.get("chat_template").and_then(default_template)),
        }
    }

    fn json(&self, name: &str) -> Result<Value, RuntimeError> {
        let Some(bytes) = self.read(name)? else { return Ok(Value::Null) };
        serde_json::from_slice(&bytes).map_err(|error| RuntimeError::invalid(&self.path_of(name), error.to_string()))
    }
}

impl Checkpoint {
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
