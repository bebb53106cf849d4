//! Keeps the text of messages from becoming control tokens.
//!
//! Before rendering, a mark is put inside everything in a message that could be, or become part
//! of, an added token such as `<|im_end|>` or `<think>`. The template carries the marks along.
//! After rendering they are taken out again, and their places are kept: the tokenizer takes no
//! added token that spans such a place. Since a mark stands *inside* a would-be token and never at
//! the edge of a text, templates that strip, split or compare texts do what they do without marks,
//! and a text without such tokens is encoded exactly as transformers encodes it.

use std::collections::HashSet;

use rand::RngCore;
use serde_json::Value;

use super::Chat;
use crate::error::RuntimeError;
use crate::tokenizer::Tokenizer;

/// Bounds of a mark, in a private-use area that texts rarely use.
const OPEN: char = '\u{F5A0}';
const CLOSE: char = '\u{F5A1}';

const THINK_OPEN: &str = "<think>";
const THINK_CLOSE: &str = "</think>";

/// The marks of one rendering.
pub(super) struct Protection {
    /// Digits that nobody can know before: the text of a mark cannot be forged.
    nonce: String,
    mark: String,
    /// Characters that an added token starts with.
    first_chars: HashSet<char>,
}

impl Protection {
    pub(super) fn new(chat: &Chat, tokenizer: &Tokenizer) -> Self {
        let mut rng = rand::rng();
        let nonce = loop {
            let nonce = format!("{:020}{:020}", rng.next_u64(), rng.next_u64());
            if !chat.messages.iter().chain(&chat.tools).any(|value| contains(value, &nonce)) {
                break nonce;
            }
        };
        let mark = format!("{OPEN}{nonce}{CLOSE}");
        Self { nonce, mark, first_chars: tokenizer.added_contents().filter_map(|token| token.chars().next()).collect() }
    }

    /// The chat with its texts marked.
    pub(super) fn apply(&self, chat: &Chat) -> Chat {
        let mut chat = chat.clone();
        chat.messages = chat.flattened_messages();
        for message in &mut chat.messages {
            separate_reasoning(message);
            let Some(fields) = message.as_object_mut() else { continue };
            for (name, value) in fields.iter_mut() {
                if name != "role" {
                    self.mark_value(value);
                }
            }
        }
        for tool in &mut chat.tools {
            self.mark_value(tool);
        }
        chat
    }

    fn mark_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.marked(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.mark_value(item)),
            Value::Object(map) => map.iter_mut().for_each(|(_, item)| self.mark_value(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A mark after each character that a token can start with, and inside both ends of the text,
    /// so that it cannot finish or begin a token of which the template wrote the rest.
    fn marked(&self, text: &str) -> String {
        let core = text.trim();
        if core.is_empty() {
            return text.to_owned();
        }
        let core_start = text.len() - text.trim_start().len();
        let first_end = core_start + core.chars().next().map_or(0, char::len_utf8);
        let last_start = core_start + core.len() - core.chars().next_back().map_or(0, char::len_utf8);
        if last_start < first_end {
            // A single character has no inside.
            return text.replacen(core, &format!("{0}{core}{0}", self.mark), 1);
        }
        let mut marked = String::with_capacity(text.len() + 4 * self.mark.len());
        for (start, c) in text.char_indices() {
            marked.push(c);
            let end = start + c.len_utf8();
            let inside = end > core_start && end < core_start + core.len();
            if inside && (end == first_end || end == last_start || self.first_chars.contains(&c)) {
                marked.push_str(&self.mark);
            }
        }
        marked
    }

    /// The text without marks, and the byte positions where they stood, ascending.
    pub(super) fn remove(&self, rendered: &str) -> Result<(String, Vec<usize>), RuntimeError> {
        let mut text = String::with_capacity(rendered.len());
        let mut guards = Vec::new();
        for (index, piece) in rendered.split(&self.mark).enumerate() {
            if index > 0 {
                guards.push(text.len());
            }
            text.push_str(piece);
        }
        if text.contains(&self.nonce) {
            return Err(RuntimeError::Template("the template rewrites the texts of messages".to_owned()));
        }
        Ok((text, guards))
    }
}

fn contains(value: &Value, needle: &str) -> bool {
    match value {
        Value::String(text) => text.contains(needle),
        Value::Array(items) => items.iter().any(|item| contains(item, needle)),
        Value::Object(map) => map.values().any(|item| contains(item, needle)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Moves the reasoning that an assistant's content carries into `reasoning_content`, by the rule of
/// Qwen3's templates: the marks would hide it from them.
fn separate_reasoning(message: &mut Value) {
    let Some(fields) = message.as_object_mut() else { return };
    let is_assistant = fields.get("role").is_some_and(|role| role == "assistant");
    if !is_assistant || fields.get("reasoning_content").is_some_and(Value::is_string) {
        return;
    }
    let Some(content) = fields.get("content").and_then(Value::as_str) else { return };
    let Some((first, _)) = content.split_once(THINK_CLOSE) else { return };
    let reasoning = first.trim_end_matches('\n').rsplit(THINK_OPEN).next().unwrap_or_default();
    let reasoning = reasoning.trim_start_matches('\n').to_owned();
    let answer = content.rsplit(THINK_CLOSE).next().unwrap_or_default().trim_start_matches('\n').to_owned();
    fields.insert("content".to_owned(), Value::String(answer));
    fields.insert("reasoning_content".to_owned(), Value::String(reasoning));
}
