//! Owns quoting foreign text in a sentence. Must not know where the text comes from.

use std::fmt::{self, Write};

/// Shown of a text, in characters. No name of a model's tensor is as long.
const SHOWN: usize = 80;

/// The beginning of a text. However long the text is, no more of it is kept.
///
/// Shown on one line: what a file says must not fill a log or steer a terminal.
#[derive(Debug, Default)]
pub(super) struct Excerpt {
    beginning: String,
    characters: usize,
}

impl Excerpt {
    pub(super) fn of(text: &str) -> Self {
        let mut excerpt = Self::default();
        text.chars().for_each(|character| excerpt.push(character));
        excerpt
    }

    /// Appends a character of the text.
    pub(super) fn push(&mut self, character: char) {
        if self.characters < SHOWN {
            self.beginning.push(character);
        }
        self.characters = self.characters.saturating_add(1);
    }

    /// The whole text, when it is not too long for that.
    pub(super) fn whole(&self) -> Option<&str> {
        (self.characters <= SHOWN).then_some(&self.beginning)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.beginning.chars() {
            match character {
                '\\' | '\'' | '"' => out.write_char(character)?,
                _ => write!(out, "{}", character.escape_debug())?,
            }
        }
        match self.whole() {
            Some(_) => Ok(()),
            None => out.write_char('…'),
        }
    }
}
