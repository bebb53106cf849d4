//! Conversations, and their way into token ids through a checkpoint's chat template.
//!
//! Owns the line between template and text: nothing that a person wrote becomes a control token.

mod protect;
mod python_json;
mod template;

use serde_json::{Map, Value, json};
pub use template::ChatTemplate;

/// Whether the rendered text ends with the opening of the assistant's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GenerationPrompt {
    /// It does: the model is to answer.
    #[default]
    Add,
    /// It does not.
    Omit,
}

/// A conversation in the form that templates read: messages are JSON objects with `role`,
/// `content` and whatever else a template knows (`reasoning_content`, `tool_calls`).
#[derive(Clone, Default, PartialEq)]
pub struct Chat {
    /// The turns, oldest first.
    pub messages: Vec<Value>,
    /// Tools in OpenAI's form.
    pub tools: Vec<Value>,
    /// Further variables of the template, such as `enable_thinking`.
    pub variables: Map<String, Value>,
    /// Whether the assistant's turn is opened.
    pub generation_prompt: GenerationPrompt,
}

/// Shows the size only: messages hold the words of patients.
impl std::fmt::Debug for Chat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chat({} messages, {} tools)", self.messages.len(), self.tools.len())
    }
}

impl Chat {
    /// An empty conversation that opens the assistant's turn.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a turn.
    #[must_use]
    pub fn with_message(mut self, role: &str, content: impl Into<String>) -> Self {
        self.messages.push(json!({"role": role, "content": content.into()}));
        self
    }

    /// The messages with their contents as strings: a list of text parts is joined, since the
    /// templates of Qwen3 know strings only.
    fn flattened_messages(&self) -> Vec<Value> {
        self.messages.iter().cloned().map(flatten).collect()
    }
}

fn flatten(mut message: Value) -> Value {
    let text_of = |part: &Value| -> Option<String> {
        match part {
            Value::String(text) => Some(text.clone()),
            part if part.get("type").is_some_and(|kind| kind == "text") => Some(part.get("text")?.as_str()?.to_owned()),
            _ => None,
        }
    };
    if let Some(content) = message.get_mut("content")
        && let Some(parts) = content.as_array()
        && let Some(text) = parts.iter().map(text_of).collect::<Option<String>>()
    {
        *content = Value::String(text);
    }
    message
}
