//! Owns the words for what came of verifying a file, and the look at its form. Must not know where its bytes lie.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use serde::de::IgnoredAny;

use super::state;
use crate::{CacheError, Digest, Problem, json, weight_file};

/// What came of verifying a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Its bytes add up to its digest, and it is a file of its kind.
    Sound,
    /// It is a file of its kind; nobody has said what its bytes should add up to.
    Unproven,
    /// It does not exist.
    Missing,
    /// Its bytes add up to something else than they should.
    WrongDigest {
        /// What they should add up to.
        expected: Digest,
        /// What they do add up to.
        actual: Digest,
    },
    /// It is too short, too long, or no file of its kind.
    Broken(Problem),
    /// The disk cannot read it.
    Unreadable(
        /// What the system said.
        String,
    ),
    /// It is a link that leads out of its repository, and is not followed.
    Outside,
}

impl Verdict {
    /// Whether the file must not be used.
    pub fn is_broken(&self) -> bool {
        !matches!(self, Self::Sound | Self::Unproven)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sound => write!(out, "is sound"),
            Self::Unproven => write!(out, "has no digest to compare with"),
            Self::Missing | Self::Broken(Problem::Missing) => write!(out, "is missing"),
            Self::WrongDigest { expected, actual } => write!(out, "has {actual}, and should have {expected}"),
            Self::Broken(Problem::Length { expected, actual }) => write!(out, "has {actual} of {expected} bytes"),
            Self::Broken(Problem::Malformed(what)) => write!(out, "is malformed ({what})"),
            Self::Unreadable(what) => write!(out, "cannot be read ({what})"),
            Self::Outside => write!(out, "is a link out of its repository"),
        }
    }
}

/// What is wrong with the form of a file, by what its name says that it is.
pub(super) fn form(name: &str, path: &Path) -> Result<Option<Problem>, CacheError> {
    if name.ends_with(".safetensors") {
        weight_file::safetensors(path)
    } else if state::is_gguf(name) {
        weight_file::gguf(path)
    } else if name.ends_with(".json") && !name.contains('/') {
        Ok(json::read::<HashMap<String, IgnoredAny>>(path)?.err())
    } else {
        Ok(None)
    }
}
