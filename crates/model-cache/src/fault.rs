//! Owns the words for what is wrong with one file of a model. Must not know how files are checked or repaired.

use std::fmt;

/// One file that keeps a model from being whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, relative to the model's directory.
    pub file: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// It does not exist.
    Missing,
    /// It is not as long as its header or the Hub says, as after a download that was cut off.
    Length {
        /// Bytes that it should have.
        expected: u64,
        /// Bytes that it has.
        actual: u64,
    },
    /// It is not a file of its kind.
    Malformed(
        /// What was found, as part of a sentence.
        String,
    ),
}

impl Fault {
    pub(crate) fn new(file: &str, problem: Problem) -> Self {
        Self { file: file.to_owned(), problem }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ", self.file)?;
        match &self.problem {
            Problem::Missing => write!(out, "is missing"),
            Problem::Length { expected, actual } => write!(out, "has {actual} of {expected} bytes"),
            Problem::Malformed(what) => write!(out, "is malformed ({what})"),
        }
    }
}
