//! The chat template's text and the JSON files beside the tensors, wherever a checkpoint keeps them.

use serde_json::Value;

use super::Checkpoint;
use crate::error::RuntimeError;

impl Checkpoint {
    /// `tokenizer_config.json`; null when there is none.
    pub(crate) fn tokenizer_config(&self) -> Result<Value, RuntimeError> {
        self.json_beside("tokenizer_config.json")
    }

    /// `config.json`; null when there is none.
    pub(crate) fn config_json(&self) -> Result<Value, RuntimeError> {
        self.json_beside("config.json")
    }

    fn json_beside(&self, name: &str) -> Result<Value, RuntimeError> {
        match self.text_beside(name)? {
            Some(text) => serde_json::from_str(&text)
                .map_err(|error| RuntimeError::invalid(&self.directory().join(name), error.to_string())),
            None => Ok(Value::Null),
        }
    }

    /// The template: `chat_template.jinja`, else that of `tokenizer_config.json`, else a GGUF file's metadata.
    pub(crate) fn chat_template(&self) -> Result<Option<String>, RuntimeError> {
        let found = match self.text_beside("chat_template.jinja")? {
            Some(text) => Some(text),
            None => self.tokenizer_config()?.get("chat_template").and_then(default_template),
        };
        Ok(found.or_else(|| self.gguf()?.string("tokenizer.chat_template").map(str::to_owned)))
    }

    /// A file beside the tensors, if there is one of that name.
    fn text_beside(&self, name: &str) -> Result<Option<String>, RuntimeError> {
        let path = self.directory().join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(RuntimeError::io(&path, error)),
        }
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
