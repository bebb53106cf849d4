//! Owns which repositories may be used at all: the clinic's own list, not the Hub's.

use std::str::FromStr;

use crate::{CacheError, RepoId};

/// Repositories that may be used; the default allows every one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList {
    /// `None` is no list.
    entries: Option<Vec<Entry>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Owner(String),
    Repo(RepoId),
}

impl AllowList {
    /// Whether a repository may be used.
    pub fn allows(&self, repo: &RepoId) -> bool {
        self.entries.as_ref().is_none_or(|entries| {
            entries.iter().any(|entry| match entry {
                Entry::Owner(owner) => owner == repo.owner(),
                Entry::Repo(allowed) => allowed == repo,
            })
        })
    }
}

impl FromStr for AllowList {
    type Err = CacheError;

    /// Parses `owner/name` and `owner/*`, separated by commas or white space; nothing at all allows every repository.
    ///
    /// # Errors
    ///
    /// [`CacheError::InvalidConfig`] for an entry that is neither.
    fn from_str(text: &str) -> Result<Self, CacheError> {
        let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
        let entries = words
            .map(|word| match word.strip_suffix("/*") {
                // A name stands in for the star, so that one place knows what an owner may be called.
                Some(owner) => format!("{owner}/x").parse().map(|repo: RepoId| Entry::Owner(repo.owner().to_owned())),
                None => word.parse().map(Entry::Repo),
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| CacheError::InvalidConfig {
                what: "allowed repositories are written owner/name or owner/*",
            })?;
        Ok(Self { entries: (!entries.is_empty()).then_some(entries) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_what_is_listed_and_everything_without_a_list() {
        let list: AllowList = "Qwen/*, carepath/triage-mini".parse().unwrap();
        let allows = |repo: &str| list.allows(&repo.parse().unwrap());
        assert!(allows("Qwen/Qwen3-0.6B") && allows("carepath/triage-mini"));
        assert!(!allows("Qwen2/Qwen3-0.6B") && !allows("carepath/other"));
        assert!(" ".parse::<AllowList>().unwrap().allows(&"any/one".parse().unwrap()));
        assert!("Qwen".parse::<AllowList>().is_err() && "*/x".parse::<AllowList>().is_err());
    }
}
