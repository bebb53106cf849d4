//! Owns every way in which the cache can fail, in the words of what the caller can do. Must not name hf-hub's types.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Digest, Fault, Network, RepoId};

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The text does not name a model: correct it.
    #[error("`{spec}` does not name a model: {reason}")]
    InvalidSpec {
        /// The text.
        spec: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A setting cannot be used: correct it.
    #[error("invalid setting: {what}")]
    InvalidConfig {
        /// Which, and what is wrong with it.
        what: &'static str,
    },
    /// The clinic's own list does not have the repository: choose another, or have it added.
    #[error("{repo} is not among the repositories that may be used here; choose one of them, or add it to MODEL_ALLOW")]
    NotAllowed {
        /// The repository that was asked for.
        repo: RepoId,
    },
    /// The Hub does not have the repository or the revision: check the spelling, or give a token if it is private.
    #[error("{} not found at the Hub; check the spelling ({})", Place { repo, revision: revision.as_deref() }, if *token { "a private one also needs an access token that may read it" } else { "a private one needs an access token" })]
    NotFound {
        /// The repository that was asked for.
        repo: RepoId,
        /// The revision that does not exist; `None` when the repository itself does not.
        revision: Option<String>,
        /// Whether a token was sent.
        token: bool,
    },
    /// The repository exists, but a file that is needed does not: choose another file, or a repository that holds a
    /// safetensors checkpoint.
    #[error("file `{file}` not found in {repo}, revision {revision}")]
    FileNotFound {
        /// The repository.
        repo: RepoId,
        /// The revision that was asked for.
        revision: String,
        /// The file, relative to the repository.
        file: String,
    },
    /// The Hub refuses: see to the token or the licence.
    #[error("access to {repo} denied: {denial} (the Hub says: {answer})")]
    AccessDenied {
        /// The repository.
        repo: RepoId,
        /// What is lacking.
        denial: Denial,
        /// The Hub's own words.
        answer: String,
    },
    /// The Hub wants fewer requests: wait and try again.
    #[error("the Hub limits the rate of requests from this address (status 429); try again {}, or send an access token", Wait(*retry_after))]
    RateLimited {
        /// How long the Hub asks to wait, when it says so.
        retry_after: Option<Duration>,
    },
    /// The model is not in the cache: fetch it where there is a network.
    #[error("{model} is not in the model cache {}{}", dir.display(), if *network == Network::Offline { ", and the cache is offline: fetch it with the network on" } else { ": fetch it first" })]
    NotCached {
        /// The model, as its [`ModelSpec`](crate::ModelSpec) displays.
        model: String,
        /// The cache's directory.
        dir: PathBuf,
        /// Whether the cache is offline.
        network: Network,
    },
    /// Files are missing or broken: fetch the model again, or repair a local directory.
    #[error("the model in {} is incomplete: {}", path.display(), List(missing))]
    Incomplete {
        /// Where the model lies.
        path: PathBuf,
        /// What is missing or broken.
        missing: Vec<Fault>,
    },
    /// The volume is full, or would be: make room, or use another one. What is there already is kept.
    #[error("no space on the volume of {}: {}; make room (fetch-model prune) or set MODEL_CACHE_DIR to another volume", path.display(), Shortage { needed: *needed, available: *available })]
    NoSpace {
        /// Where bytes were to be written.
        path: PathBuf,
        /// Bytes that are still to come, when that is known.
        needed: Option<u64>,
        /// Bytes that may be written there.
        available: u64,
    },
    /// What came in is twice not what the Hub says that it is: a proxy or the line changes it, or the Hub is damaged.
    #[error(
        "{file} came in wrong from {endpoint}: it has {actual}, and should have {expected}; a proxy on the way may change what it passes on"
    )]
    DigestMismatch {
        /// The file, relative to the repository.
        file: String,
        /// The Hub's URL.
        endpoint: String,
        /// What the Hub states.
        expected: Digest,
        /// What came in.
        actual: Digest,
    },
    /// A connection is open and brings nothing: check the line and the proxy, then try again; it goes on from there.
    #[error("{file} does not come in from {endpoint}: hardly a byte in {} s, again and again; check the line and the proxy, and try again: it goes on where it stopped", after.as_secs_f32())]
    Stalled {
        /// The file, relative to the repository.
        file: String,
        /// The Hub's URL.
        endpoint: String,
        /// How long nothing came, each time.
        after: Duration,
    },
    /// A time limit has passed: raise it, or try again; it goes on from there.
    #[error("{what} did not come in within {} s; try again (it goes on where it stopped), or allow more time", limit.as_secs_f32())]
    TimedOut {
        /// The file or the repository.
        what: String,
        /// The limit.
        limit: Duration,
    },
    /// The lock file says something else: deploy what it says, or lock the model anew.
    #[error(
        "{model} is not what models.lock says: {what}; to accept what is there now, lock it anew (fetch-model --lock)"
    )]
    LockMismatch {
        /// The model.
        model: String,
        /// Where they differ.
        what: String,
    },
    /// No answer from the Hub: check the network, the proxy and the endpoint, then try again.
    #[error("the connection to the Hub at {endpoint} fails; check the route (NAT), DNS, HTTPS_PROXY and HF_ENDPOINT")]
    Network {
        /// The Hub's URL.
        endpoint: String,
        /// The failure of the transport.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The Hub answered with something that cannot be used: try again later, and check that the endpoint is a Hub.
    #[error("the Hub at {endpoint} gave no usable answer; try again later, and check that HF_ENDPOINT is a Hub")]
    Hub {
        /// The Hub's URL.
        endpoint: String,
        /// What it answered.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The disk fails: check that the path exists, its permissions and its free space.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The failure.
        source: io::Error,
    },
}

impl CacheError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// The message with its causes, in one line for an operator.
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            // Some libraries repeat their cause in their own words.
            if !text.contains(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            source = cause.source();
        }
        text
    }
}

/// What the Hub wants before it gives out a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denial {
    /// No token was sent.
    TokenNeeded,
    /// The token that was sent is not a valid one.
    TokenRejected,
    /// The token is valid, but its owner may not read the repository.
    NotPermitted,
}

impl fmt::Display for Denial {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::TokenNeeded => "it needs an access token of an account that has accepted its licence",
            Self::TokenRejected => "the access token is not valid; make a new one",
            Self::NotPermitted => {
                "the token's account must accept the licence on the repository's page, and the token must be allowed \
                 to read it"
            }
        })
    }
}

struct Place<'a> {
    repo: &'a RepoId,
    revision: Option<&'a str>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision {
            Some(revision) => write!(out, "revision {revision} of {}", self.repo),
            None => write!(out, "repository {}", self.repo),
        }
    }
}

struct Shortage {
    needed: Option<u64>,
    available: u64,
}

impl fmt::Display for Shortage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(needed) = self.needed else { return write!(out, "it is full") };
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let lacking = mib(needed.saturating_sub(self.available));
        write!(out, "{} MiB are needed, {} MiB are free, {lacking} MiB are lacking", mib(needed), mib(self.available))
    }
}

struct Wait(Option<Duration>);

impl fmt::Display for Wait {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(delay) => write!(out, "in {} s", delay.as_secs()),
            None => write!(out, "later"),
        }
    }
}

struct List<'a>(&'a [Fault]);

impl fmt::Display for List<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(out, "{separator}{fault}")?;
        }
        Ok(())
    }
}
