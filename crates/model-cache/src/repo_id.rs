//! Owns the name of a repository on the Hub. Knows nothing of revisions, files or where anything lies on a disk.

use std::fmt;
use std::str::FromStr;

use crate::CacheError;

/// The longest `owner/name` that the Hub gives out, in bytes.
const MAX_LENGTH: usize = 96;

/// A repository on the Hub: `owner/name`.
///
/// Parsed by the Hub's own rules: ASCII letters, digits, `-`, `_` and `.`; no part begins or ends with `-` or `.`, and
/// neither `--` nor `..` occurs. So a repository id is always safe as part of a path, and `owner--name` names exactly
/// one repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoId {
    owner: String,
    name: String,
}

impl RepoId {
    /// The user or organization: `Qwen`.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The repository within its owner: `Qwen3-4B-Thinking-2507`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for RepoId {
    type Err = CacheError;

    /// Parses `owner/name`.
    ///
    /// # Errors
    ///
    /// [`CacheError::InvalidSpec`] when the text is not an id that the Hub could have given out.
    fn from_str(text: &str) -> Result<Self, CacheError> {
        let invalid = |reason| CacheError::InvalidSpec { spec: text.to_owned(), reason };
        let (owner, name) = text.split_once('/').ok_or_else(|| invalid("a repository is written owner/name"))?;
        if !is_part(owner) || !is_part(name) {
            return Err(invalid("this is neither a repository (owner/name) nor a path that exists"));
        }
        if text.len() > MAX_LENGTH {
            return Err(invalid("a repository id has at most 96 characters"));
        }
        Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
    }
}

fn is_part(part: &str) -> bool {
    !part.is_empty()
        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && !part.starts_with(['-', '.'])
        && !part.ends_with(['-', '.'])
        && !part.contains("--")
        && !part.contains("..")
}

impl fmt::Display for RepoId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.owner, self.name)
    }
}
