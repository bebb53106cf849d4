//! [`Conversation`]: a row of training data, in the form that chat templates read.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::TuneError;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaker {
    /// What the model is told beforehand.
    System,
    /// The person who asks.
    User,
    /// The model.
    Assistant,
}

impl Speaker {
    /// The role that chat templates know.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One turn.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Who speaks.
    pub role: Speaker,
    /// What is said.
    pub content: String,
    /// What the model thinks before it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// 0: a turn of the assistant that is there for what follows, and not to be learnt; 1, or nothing:
    /// one to be learnt. (OpenAI's fine-tuning format has the same field.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u8>,
}

impl Turn {
    /// Whether a model should learn to say this.
    pub(crate) fn is_learnt(&self) -> bool {
        self.role == Speaker::Assistant && self.weight != Some(0)
    }
}

/// Turns, the oldest first, of which at least one is the assistant's: a JSON object
/// `{"messages": [{"role": …, "content": …, "reasoning_content": …, "weight": …}]}` on one line.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Conversation {
    messages: Vec<Turn>,
}

/// Shows the size only: turns may hold the words of people.
impl std::fmt::Debug for Conversation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Conversation({} turns)", self.messages.len())
    }
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Turn({:?})", self.role)
    }
}

#[derive(Deserialize)]
struct Row {
    messages: Vec<Turn>,
}

impl Conversation {
    /// A conversation of these turns; `None` when there is nothing to learn in it: no turn is one of the
    /// assistant's that is learnt, or one of them is empty.
    #[must_use]
    pub fn new(messages: Vec<Turn>) -> Option<Self> {
        let mut answers = messages.iter().filter(|turn| turn.is_learnt()).peekable();
        answers.peek()?;
        answers.all(|turn| !turn.content.trim().is_empty()).then_some(Self { messages })
    }

    /// The turns, the oldest first.
    #[must_use]
    pub fn turns(&self) -> &[Turn] {
        &self.messages
    }

    /// Reads a file of one conversation a line, each with its line's number from 1; blank lines are
    /// skipped.
    ///
    /// # Errors
    /// [`TuneError::Io`], and [`TuneError::Data`] with the row for what is no conversation with an
    /// answer; also when there is none in the file.
    pub fn read_all(path: &Path) -> Result<Vec<(usize, Self)>, TuneError> {
        let file = File::open(path).map_err(TuneError::io(path))?;
        let mut conversations = Vec::new();
        let fault = |row, reason: String| TuneError::Data { path: path.to_owned(), row, reason };
        for (row, line) in (1..).zip(BufReader::new(file).lines()) {
            let line = line.map_err(TuneError::io(path))?;
            if line.trim().is_empty() {
                continue;
            }
            // The parser's message says a place and what was expected there, and quotes short values only.
            let parsed: Row = serde_json::from_str(&line).map_err(|error| fault(row, error.to_string()))?;
            let conversation = Self::new(parsed.messages);
            let unanswered = || fault(row, "no turn of the assistant has a text".to_owned());
            conversations.push((row, conversation.ok_or_else(unanswered)?));
        }
        if conversations.is_empty() {
            return Err(fault(1, "there is no conversation in the file".to_owned()));
        }
        Ok(conversations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(usize, Conversation)>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Conversation::read_all(file.path()).map_err(|error| error.to_string().split_once(", ").unwrap().1.to_owned())
    }

    #[test]
    fn rows_are_conversations_with_an_answer() {
        let row = r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","reasoning_content":"c"}]}"#;
        let read_back = read(&format!("{row}\n\n{row}\n")).unwrap();
        assert_eq!((read_back.len(), read_back[1].0), (2, 3));
        assert_eq!(serde_json::to_string(&read_back[1].1).unwrap(), row);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_row() {
        let good = r#"{"messages":[{"role":"assistant","content":"b"}]}"#;
        let unanswered = r#"{"messages":[{"role":"user","content":"a"}]}"#;
        let empty = r#"{"messages":[{"role":"assistant","content":" "}]}"#;
        let unweighted = r#"{"messages":[{"role":"assistant","content":"b","weight":0}]}"#;
        assert_eq!(read(&format!("{good}\n{unanswered}")).unwrap_err(), "row 2: no turn of the assistant has a text");
        assert_eq!(read(unweighted).unwrap_err(), "row 1: no turn of the assistant has a text");
        assert_eq!(read(&format!("{good}\n\n{empty}")).unwrap_err(), "row 3: no turn of the assistant has a text");
        assert!(read("{\"messages\":[{\"role\":\"nurse\"").unwrap_err().starts_with("row 1: unknown variant `nurse`"));
        assert_eq!(read("\n").unwrap_err(), "row 1: there is no conversation in the file");
    }
}
