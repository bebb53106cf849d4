//! Owns what a status other than success means, in the words of what the operator can do about it.

use std::time::Duration;

use super::{Again, Hub, Trouble};
use crate::{CacheError, Denial, RepoId};

/// What the Hub answered instead of what it was asked for.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    /// Its `X-Error-Code`, or nothing.
    pub(super) code: &'a str,
    /// Its `X-Error-Message`, or nothing.
    pub(super) message: &'a str,
    /// Its `Retry-After`.
    pub(super) retry_after: Option<Duration>,
}

impl Answer<'_> {
    fn said(&self) -> String {
        if self.message.is_empty() { String::new() } else { format!(": {}", self.message) }
    }
}

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) repo: &'a RepoId,
    pub(super) revision: &'a str,
    /// `None` when it was not about one file.
    pub(super) file: Option<&'a str>,
}

impl Hub {
    pub(super) fn refusal(&self, asked: Asked<'_>, answer: &Answer<'_>) -> Trouble {
        let not_found = |revision| {
            Trouble::never(CacheError::NotFound { repo: asked.repo.clone(), revision, token: self.sends_token() })
        };
        let denied = |denial| {
            let answer = if answer.message.is_empty() { "nothing" } else { answer.message }.to_owned();
            Trouble::never(CacheError::AccessDenied { repo: asked.repo.clone(), denial, answer })
        };
        match (answer.status, answer.code) {
            (401 | 403 | 404, "RepoNotFound") => not_found(None),
            (404, _) if answer.message.contains("Repository not found") => not_found(None),
            (404, code) => match asked.file {
                Some(file) if code != "RevisionNotFound" => Trouble::never(CacheError::FileNotFound {
                    repo: asked.repo.clone(),
                    revision: asked.revision.to_owned(),
                    file: file.to_owned(),
                }),
                _ => not_found(Some(asked.revision.to_owned())),
            },
            // To a caller without a token, the Hub says this of a repository that does not exist.
            (401, "") if !self.sends_token() && answer.message.contains("Invalid username or password") => {
                not_found(None)
            }
            (401 | 403, _) if !self.sends_token() => denied(Denial::TokenNeeded),
            (401, code) if code != "GatedRepo" => denied(Denial::TokenRejected),
            (401 | 403, _) => denied(Denial::NotPermitted),
            (429, _) => rate_limited(answer),
            (status, _) => {
                let said = answer.said();
                let again = match status {
                    408 | 500..=599 => Again::Patiently(answer.retry_after),
                    _ => Again::Briefly,
                };
                Trouble::new(self.unusable(format!("it answered with status {status}{said}")), again)
            }
        }
    }

    /// What it means that the host refuses that the Hub sent its caller to. It knows neither repositories nor tokens:
    /// most often the address is no longer valid, and the Hub gives out another.
    pub(super) fn refusal_elsewhere(&self, answer: &Answer<'_>) -> Trouble {
        if answer.status == 429 {
            return rate_limited(answer);
        }
        let again = if answer.status >= 500 { Again::Patiently(answer.retry_after) } else { Again::Briefly };
        let (status, said) = (answer.status, answer.said());
        Trouble::new(self.unusable(format!("the host that has the bytes answered with status {status}{said}")), again)
    }

    /// The Hub answered, but not with what can be used.
    pub(crate) fn unusable(&self, what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CacheError {
        CacheError::Hub { endpoint: self.endpoint().to_owned(), source: what.into() }
    }

    /// There was no answer, or it ended too soon.
    pub(crate) fn unreachable(&self, what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CacheError {
        CacheError::Network { endpoint: self.endpoint().to_owned(), source: what.into() }
    }
}

fn rate_limited(answer: &Answer<'_>) -> Trouble {
    let retry_after = answer.retry_after;
    Trouble::new(CacheError::RateLimited { retry_after }, Again::Patiently(retry_after))
}
