//! Keeps the text of messages from becoming control tokens.
//!
//! Before rendering, a mark is put into every place of a message's text at which an added token such
//! as `<|im_end|>` or `<think>` could begin, or go on that the template began. The template carries
//! the marks along. After rendering they are taken out again, and their places are kept: the
//! tokenizer takes no added token that spans such a place. A text in which no added token could
//! begin has no marks, so templates do with it what they always do, and it is encoded exactly as
//! transformers encodes it.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::Chat;
use crate::error::RuntimeError;
use crate::tokenizer::Tokenizer;

/// Where marks are taken from: the last private-use plane of Unicode.
const MARKS: std::ops::RangeInclusive<char> = '\u{100000}'..='\u{10FFFD}';

const THINK_OPEN: &str = "<think>";
const THINK_CLOSE: &str = "</think>";

/// The mark of one rendering.
pub(super) struct Protection {
    /// A character that is in no text of the chat. It is chosen when all of them are known, so
    /// nobody can forge it; and it is a single one, so no template can cut it.
    mark: char,
    added: Vec<String>,
    /// The first characters of `added`.
    first_chars: HashSet<char>,
}

impl Protection {
    pub(super) fn new(chat: &Chat, tokenizer: &Tokenizer) -> Result<Self, RuntimeError> {
        let mut used = HashSet::new();
        chat.messages
            .iter()
            .chain(&chat.tools)
            .chain(chat.variables.values())
            .for_each(|value| collect(value, &mut used));
        let mark = MARKS
            .into_iter()
            .find(|c| !used.contains(c))
            .ok_or_else(|| RuntimeError::Template("the texts use every private character".to_owned()))?;
        let added: Vec<String> = tokenizer.added_contents().map(str::to_owned).collect();
        let first_chars = added.iter().filter_map(|token| token.chars().next()).collect();
        Ok(Self { mark, added, first_chars })
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
        chat.tools.iter_mut().for_each(|tool| self.mark_value(tool));
        chat
    }

    fn mark_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.marked_text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.mark_value(item)),
            Value::Object(map) => {
                let entries = std::mem::take(map).into_iter().map(|(key, mut item)| {
                    self.mark_value(&mut item);
                    // Templates look fields up by their names, which no token begins in.
                    (self.marked_beginnings(&key), item)
                });
                *map = entries.collect::<Map<_, _>>();
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn marked_text(&self, text: &str) -> String {
        let marked = self.marked_beginnings(text);
        if self.goes_on(text) { format!("{}{marked}", self.mark) } else { marked }
    }

    /// A mark after each character that an added token can begin with.
    fn marked_beginnings(&self, text: &str) -> String {
        let mut marked = String::with_capacity(text.len());
        for c in text.chars() {
            marked.push(c);
            if self.first_chars.contains(&c) {
                marked.push(self.mark);
            }
        }
        marked
    }

    /// Whether the text could go on with an added token that a template has begun.
    fn goes_on(&self, text: &str) -> bool {
        !text.is_empty()
            && self.added.iter().any(|token| {
                let mut tails = token.char_indices().skip(1).map(|(start, _)| &token[start..]);
                tails.any(|tail| text.starts_with(tail) || tail.starts_with(text))
            })
    }

    /// The text without marks, and the byte positions where they stood, ascending.
    pub(super) fn remove(&self, rendered: &str) -> (String, Vec<usize>) {
        let mut text = String::with_capacity(rendered.len());
        let mut guards = Vec::new();
        for (index, piece) in rendered.split(self.mark).enumerate() {
            if index > 0 {
                guards.push(text.len());
            }
            text.push_str(piece);
        }
        (text, guards)
    }
}

/// Notes the characters of the last private-use plane that `value` uses.
fn collect(value: &Value, used: &mut HashSet<char>) {
    match value {
        Value::String(text) => used.extend(text.chars().filter(|c| MARKS.contains(c))),
        Value::Array(items) => items.iter().for_each(|item| collect(item, used)),
        Value::Object(map) => map.iter().for_each(|(key, item)| {
            used.extend(key.chars().filter(|c| MARKS.contains(c)));
            collect(item, used);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
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
