//! What an operator reads in the log stands word for word in docs/models.md, with its cause and what to do.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::path::Path;
use std::time::Duration;

use model_cache::{CacheError, Denial, Digest, Fault, Network, Problem};

/// Every failure of the cache, with the placeholders of the document in it.
fn failures() -> Vec<CacheError> {
    let repo = || "owner/name".parse().unwrap();
    let (endpoint, file, path) = (|| "E".to_owned(), || "F".to_owned(), || "P".into());
    let denied = |denial| CacheError::AccessDenied { repo: repo(), denial, answer: "…".to_owned() };
    let not_found = |revision: Option<&str>| CacheError::NotFound {
        repo: repo(),
        revision: revision.map(str::to_owned),
        token: false,
    };
    let digest = || Digest::parse(&"0".repeat(64)).unwrap();
    let missing = vec![Fault { file: file(), problem: Problem::Missing }];
    vec![
        CacheError::InvalidSpec { spec: "S".to_owned(), reason: "a repository is written owner/name" },
        CacheError::NotAllowed { repo: repo() },
        not_found(None),
        not_found(Some("R")),
        CacheError::FileNotFound { repo: repo(), revision: "R".to_owned(), file: file() },
        denied(Denial::TokenNeeded),
        denied(Denial::TokenRejected),
        denied(Denial::NotPermitted),
        CacheError::RateLimited { retry_after: Some(Duration::from_secs(120)) },
        CacheError::NotCached { model: "M".to_owned(), dir: "D".into(), network: Network::Offline },
        CacheError::Network { endpoint: endpoint(), source: "…".into() },
        CacheError::Hub { endpoint: endpoint(), source: "…".into() },
        CacheError::Stalled { endpoint: endpoint(), file: file(), after: Duration::from_secs(30) },
        CacheError::TimedOut { what: "X".to_owned(), limit: Duration::from_secs(60) },
        CacheError::DigestMismatch { file: file(), endpoint: endpoint(), expected: digest(), actual: digest() },
        CacheError::NoSpace { path: path(), needed: Some(8 << 30), available: 1 << 30 },
        CacheError::NoSpace { path: path(), needed: None, available: 0 },
        CacheError::LockMismatch { model: "M".to_owned(), what: "…".to_owned() },
        CacheError::Incomplete { path: path(), missing },
        CacheError::Io { path: path(), source: std::io::ErrorKind::NotFound.into() },
    ]
}

/// With `N` for each number, and for each digest.
fn without_numbers(text: &str) -> String {
    let mut result = String::new();
    for part in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits = part.chars().take_while(char::is_ascii_digit).count();
        if digits > 0 {
            result.push('N');
        }
        result.push_str(&part[digits..]);
    }
    result
}

#[test]
fn every_failure_of_the_cache_has_its_row() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/models.md");
    let document = without_numbers(&std::fs::read_to_string(document).unwrap());
    let rows: Vec<_> = document.lines().filter(|line| line.starts_with("| `")).collect();
    for failure in failures() {
        let line = without_numbers(&failure.to_string());
        let has_it = rows.iter().any(|row| row.trim_start_matches(['|', ' ', '`']).starts_with(line.trim_matches('`')));
        assert!(has_it, "docs/models.md has no row for\n{line}");
    }
}
