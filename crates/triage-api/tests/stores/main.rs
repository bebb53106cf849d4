//! The stores and the prompt, through the crate's public interface: real files, real sockets.

#![expect(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

mod contract;
mod failing_file;
mod fake_db_api;
mod postgres;
mod postgres_server;
mod prompt;
mod remote;
mod seeds;

use tempfile::TempDir;
use triage_api::sqlite::SqliteStores;
use triage_api::{Mrn, StoreError};

/// A database in a folder that goes away with the test.
struct Fixture {
    stores: SqliteStores,
    folder: TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        // The folder of the file does not exist yet.
        let stores = SqliteStores::open(&folder.path().join("data/triage.sqlite")).await.unwrap();
        Self { stores, folder }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("data/triage.sqlite")
    }
}

fn mrn(text: &str) -> Mrn {
    Mrn::parse(text).unwrap()
}

/// An error's texts, after checking that they tell nothing about a patient.
fn checked_texts(error: &StoreError) -> String {
    let mut texts = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        texts += &format!(" {error} {error:?}");
        source = error.source();
    }
    for secret in ["P000123", "Alice", "Nguyen", "Metformin", "what I said", "CONV-", "127.0.0.1", "http://"] {
        assert!(!texts.contains(secret), "{secret} in {texts}");
    }
    texts
}
