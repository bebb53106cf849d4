//! Text to token ids and back: the byte-level BPE of Qwen3.
//!
//! Owns the difference between text and control tokens: only [`Piece::Control`] and trusted text
//! become added tokens. Knows nothing of chats, tensors and engines.

mod byte_alphabet;
mod gguf;
mod gguf_lists;
mod text_stream;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use aho_corasick::{AhoCorasick, MatchKind};
pub(crate) use gguf_lists::GgufLists;
use serde_json::Value;
pub use text_stream::TextStream;

use crate::TokenId;
use crate::checkpoint::{Checkpoint, CheckpointFiles};
use crate::error::RuntimeError;
use crate::sampling::KnownTokens;

/// A tokenizer of a Qwen3 checkpoint.
#[derive(Debug)]
pub struct Tokenizer {
    /// The BPE without its added tokens: whatever it encodes is text.
    text: tokenizers::Tokenizer,
    /// Finds added tokens in trusted text, the longest at each place.
    added_matcher: AhoCorasick,
    /// The id of each pattern of `added_matcher`.
    added_ids: Vec<TokenId>,
    /// What each id stands for; `None` for ids that are no token.
    tokens: Vec<Option<TokenText>>,
    /// Which of `tokens` are some; shared by every sampler.
    known: KnownTokens,
}

#[derive(Debug, Clone)]
struct TokenText {
    bytes: Vec<u8>,
    special: bool,
}

fn parse(bytes: &[u8], path: &Path) -> Result<Value, RuntimeError> {
    serde_json::from_slice(bytes).map_err(|error| RuntimeError::invalid(path, error.to_string()))
}

impl Tokenizer {
    /// The tokenizer of a checkpoint: its `tokenizer.json`, else a GGUF file's metadata.
    ///
    /// # Errors
    /// [`RuntimeError::Io`], [`RuntimeError::InvalidCheckpoint`] or
    /// [`RuntimeError::UnsupportedCheckpoint`].
    pub fn of_checkpoint(checkpoint: &Checkpoint) -> Result<Self, RuntimeError> {
        match (checkpoint.gguf(), Self::json_of(checkpoint.side_files())) {
            (Some(gguf), Err(RuntimeError::Io { source, .. })) if source.kind() == ErrorKind::NotFound => {
                Self::from_value(gguf::tokenizer_json(gguf)?, gguf.path())
            }
            (_, found) => found.and_then(|(json, path)| Self::from_value(json, &path)),
        }
    }

    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// As [`Tokenizer::of_checkpoint`].
    pub fn from_file(path: &Path) -> Result<Self, RuntimeError> {
        let bytes = std::fs::read(path).map_err(|source| RuntimeError::io(path, source))?;
        Self::from_value(parse(&bytes, path)?, path)
    }

    /// The `tokenizer.json` among some files, and its place for messages.
    fn json_of(files: &CheckpointFiles) -> Result<(Value, PathBuf), RuntimeError> {
        const NAME: &str = "tokenizer.json";
        let path = files.path_of(NAME);
        let bytes = files.read(NAME)?.ok_or_else(|| files.missing(NAME))?;
        Ok((parse(&bytes, &path)?, path))
    }

    fn from_value(mut json: Value, path: &Path) -> Result<Self, RuntimeError> {
        let added = json.get("added_tokens").and_then(Value::as_array).cloned().unwrap_or_default();
        if let Some(object) = json.as_object_mut() {
            object.insert("added_tokens".to_owned(), Value::Array(Vec::new()));
            // Templates write every control token; a post-processor would add more.
            object.insert("post_processor".to_owned(), Value::Null);
            object.insert("truncation".to_owned(), Value::Null);
            object.insert("padding".to_owned(), Value::Null);
        }
        let bytes = serde_json::to_vec(&json).map_err(|error| RuntimeError::invalid(path, error.to_string()))?;
        drop(json);
        let text = tokenizers::Tokenizer::from_bytes(bytes)
            .map_err(|error| RuntimeError::invalid(path, format!("tokenizer: {error}")))?;
        let mut tokens = text_tokens(&text, path)?;
        let mut contents = Vec::new();
        let mut added_ids = Vec::new();
        for token in &added {
            let content = token.get("content").and_then(Value::as_str).unwrap_or_default();
            let id = token.get("id").and_then(Value::as_u64).and_then(|id| TokenId::try_from(id).ok());
            let Some(id) = id.filter(|_| !content.is_empty()) else {
                return Err(RuntimeError::invalid(path, format!("an added token has no id or no content: {token}")));
            };
            let flag = |name: &str| token.get(name).and_then(Value::as_bool).unwrap_or(false);
            if ["single_word", "lstrip", "rstrip", "normalized"].into_iter().any(flag) {
                let reason = format!("added token {content:?} strips, normalizes or wants whole words");
                return Err(RuntimeError::unsupported(path, reason));
            }
            if content.chars().count() < 2 {
                // Text could not be told from such a token: see `chat::protect`.
                return Err(RuntimeError::unsupported(path, format!("added token {content:?} of one character")));
            }
            let text = TokenText { bytes: content.as_bytes().to_vec(), special: flag("special") };
            insert(&mut tokens, id, text, path)?;
            contents.push(content);
            added_ids.push(id);
        }
        let added_matcher = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&contents)
            .map_err(|error| RuntimeError::invalid(path, error.to_string()))?;
        let known = KnownTokens::new(tokens.iter().map(Option::is_some).collect());
        Ok(Self { text, added_matcher, added_ids, tokens, known })
    }

    /// Encodes trusted text: added tokens in it become their ids.
    ///
    /// # Errors
    /// [`RuntimeError::Tokenizer`].
    pub fn encode(&self, text: &str) -> Result<Vec<TokenId>, RuntimeError> {
        self.encode_around(text, &[])
    }

    /// Encodes text in which no added token may span one of the byte positions `guards`
    /// (ascending).
    ///
    /// # Errors
    /// [`RuntimeError::Tokenizer`].
    pub(crate) fn encode_around(&self, text: &str, guards: &[usize]) -> Result<Vec<TokenId>, RuntimeError> {
        let mut ids = Vec::new();
        let mut text_start = 0;
        let mut search_start = 0;
        while let Some(found) = self.added_matcher.find(&text[search_start..]) {
            let (start, end) = (search_start + found.start(), search_start + found.end());
            let next_guard = guards.partition_point(|&guard| guard <= start);
            if guards.get(next_guard).is_some_and(|&guard| guard < end) {
                // What looks like a control token here is somebody's text. Another token may start
                // inside it, so the search goes on at the next character.
                search_start = start + text[start..].chars().next().map_or(1, char::len_utf8);
                continue;
            }
            self.encode_text_into(&text[text_start..start], &mut ids)?;
            ids.push(self.added_ids[found.pattern().as_usize()]);
            text_start = end;
            search_start = end;
        }
        self.encode_text_into(&text[text_start..], &mut ids)?;
        Ok(ids)
    }

    /// Encodes text of any origin; no added token comes of it.
    ///
    /// # Errors
    /// [`RuntimeError::Tokenizer`].
    pub fn encode_text(&self, text: &str) -> Result<Vec<TokenId>, RuntimeError> {
        let mut ids = Vec::new();
        self.encode_text_into(text, &mut ids)?;
        Ok(ids)
    }

    fn encode_text_into(&self, text: &str, ids: &mut Vec<TokenId>) -> Result<(), RuntimeError> {
        if !text.is_empty() {
            let encoding =
                self.text.encode_fast(text, false).map_err(|error| RuntimeError::Tokenizer(error.to_string()))?;
            ids.extend_from_slice(encoding.get_ids());
        }
        Ok(())
    }

    /// The text of `ids`, added tokens included; unknown ids give nothing.
    pub fn decode(&self, ids: &[TokenId]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| self.bytes_of(id)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The bytes that an id stands for; none for an unknown one.
    pub fn bytes_of(&self, id: TokenId) -> &[u8] {
        self.token(id).map_or(&[], |token| &token.bytes)
    }

    /// Whether the id is a special token, which no reader of the text should see.
    pub fn is_special(&self, id: TokenId) -> bool {
        self.token(id).is_some_and(|token| token.special)
    }

    /// The id of an added token.
    pub fn added_token(&self, content: &str) -> Option<TokenId> {
        self.added_ids.iter().copied().find(|&id| self.bytes_of(id) == content.as_bytes())
    }

    /// The contents of all added tokens.
    pub(crate) fn added_contents(&self) -> impl Iterator<Item = &str> {
        self.added_ids.iter().filter_map(|&id| std::str::from_utf8(self.bytes_of(id)).ok())
    }

    /// Whether the id is one of an added token.
    pub fn is_added(&self, id: TokenId) -> bool {
        self.added_ids.contains(&id)
    }

    /// The tokens that no reader of the text sees: special ones.
    pub(crate) fn special_ids(&self) -> impl Iterator<Item = TokenId> + '_ {
        (0..).zip(&self.tokens).filter(|(_, token)| token.as_ref().is_some_and(|t| t.special)).map(|(id, _)| id)
    }

    /// The tokens that show nothing by themselves: white space, or a part of a character.
    pub(crate) fn blank_ids(&self) -> impl Iterator<Item = TokenId> + '_ {
        let is_blank =
            |token: &TokenText| std::str::from_utf8(&token.bytes).map_or(true, |text| text.trim().is_empty());
        (0..).zip(&self.tokens).filter(move |(_, token)| token.as_ref().is_some_and(is_blank)).map(|(id, _)| id)
    }

    /// One more than the largest id.
    pub fn id_count(&self) -> usize {
        self.tokens.len()
    }

    /// Which ids are tokens; the rows of a padded vocabulary are not.
    pub fn known_tokens(&self) -> KnownTokens {
        self.known.clone()
    }

    fn token(&self, id: TokenId) -> Option<&TokenText> {
        self.tokens.get(id as usize)?.as_ref()
    }
}

/// Ids beyond this are a lie: they would only cost memory.
const MAX_ID: TokenId = 1 << 20;

fn insert(tokens: &mut Vec<Option<TokenText>>, id: TokenId, text: TokenText, path: &Path) -> Result<(), RuntimeError> {
    if id >= MAX_ID {
        return Err(RuntimeError::invalid(path, format!("token id {id} is out of range")));
    }
    let index = id as usize;
    if tokens.len() <= index {
        tokens.resize(index + 1, None);
    }
    tokens[index] = Some(text);
    Ok(())
}

fn text_tokens(tokenizer: &tokenizers::Tokenizer, path: &Path) -> Result<Vec<Option<TokenText>>, RuntimeError> {
    let mut tokens = Vec::new();
    for (token, id) in tokenizer.get_vocab(false) {
        let Some(bytes) = byte_alphabet::decode(&token) else {
            return Err(RuntimeError::unsupported(path, format!("token {token:?} is not of a byte-level vocabulary")));
        };
        insert(&mut tokens, id, TokenText { bytes, special: false }, path)?;
    }
    Ok(tokens)
}
