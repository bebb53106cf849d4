//! A database file that is reopened, locked, read-only, damaged, or cannot be made.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use triage_api::StoreError;
use triage_api::conversations::{Conversations, Turn};
use triage_api::records::{Page, PatientRecords};
use triage_api::sqlite::SqliteStores;

use crate::contract::{conversation, message};
use crate::{Fixture, checked_texts, mrn};

/// A connection of "another process".
async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

async fn run(connection: &mut SqliteConnection, statement: &'static str) {
    sqlx::query(statement).execute(connection).await.unwrap();
}

fn unavailable<T>(result: Result<T, StoreError>) -> String {
    let error = result.err().expect("it fails");
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    checked_texts(&error)
}

#[tokio::test]
async fn a_restart_keeps_everything_and_seeds_nothing() {
    let fixture = Fixture::new().await;
    let id = fixture.stores.conversations.create(conversation("P000123", "what I said")).await.unwrap().conversation_id;
    fixture.stores.close().await;
    let mut connection = connect(&fixture.path()).await;
    run(&mut connection, "DELETE FROM patients WHERE mrn <> 'P000123'").await;
    connection.close().await.unwrap();

    let stores = SqliteStores::open(&fixture.path()).await.unwrap();
    assert_eq!(stores.records.list(Page { skip: 0, limit: 10 }).await.unwrap().total, 1);
    assert_eq!(stores.conversations.get(&id).await.unwrap().unwrap().messages[0].content, "what I said");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn some_that_start_at_once_seed_once() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("triage.sqlite");
    let starts: Vec<_> =
        (0..4).map(|_| path.clone()).map(|path| tokio::spawn(async move { SqliteStores::open(&path).await })).collect();
    for start in starts {
        let stores = start.await.unwrap().unwrap();
        assert_eq!(stores.records.list(Page { skip: 0, limit: 1 }).await.unwrap().total, 61);
    }
}

#[tokio::test]
async fn a_locked_file_is_unavailable_for_writing_and_still_read() {
    let fixture = Fixture::new().await;
    let store = &fixture.stores.conversations;
    let id = store.create(conversation("P000123", "what I said")).await.unwrap().conversation_id;
    let mut other = connect(&fixture.path()).await;
    run(&mut other, "BEGIN EXCLUSIVE").await;

    let started = Instant::now();
    let turn = Turn { messages: vec![message("assistant", "late")], ..Turn::default() };
    let texts = unavailable(store.append(&id, turn.clone()).await);
    assert!(texts.contains("it is locked by another process"), "{texts}");
    assert!(started.elapsed() > Duration::from_secs(2), "it waits a while");
    assert!(started.elapsed() < Duration::from_secs(8), "it does not wait for ever");
    assert!(fixture.stores.records.patient(&mrn("P000123")).await.unwrap().is_some());
    assert_eq!(store.get(&id).await.unwrap().unwrap().messages.len(), 1);

    run(&mut other, "ROLLBACK").await;
    store.append(&id, turn).await.unwrap();
}

#[tokio::test]
async fn a_read_only_file_opens_and_is_unavailable_for_writing() {
    let fixture = Fixture::new().await;
    let id = fixture.stores.conversations.create(conversation("P000123", "what I said")).await.unwrap().conversation_id;
    fixture.stores.close().await;
    // A newer write version in the header makes SQLite treat the file as read-only, also where the
    // test's user may write everything.
    let mut file = std::fs::OpenOptions::new().write(true).open(fixture.path()).unwrap();
    file.seek(SeekFrom::Start(18)).unwrap();
    file.write_all(&[3]).unwrap();
    drop(file);

    let stores = SqliteStores::open(&fixture.path()).await.unwrap();
    assert!(stores.records.summary(&mrn("P000123")).await.unwrap().is_some());
    assert!(stores.conversations.get(&id).await.unwrap().is_some());
    for result in [
        stores.conversations.create(conversation("P000123", "what I said")).await.map(|_| ()),
        stores.conversations.append(&id, Turn::default()).await,
    ] {
        let texts = unavailable(result);
        assert!(texts.contains("the conversations store is unavailable: it is read-only"), "{texts}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_one_is_unavailable() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("P000123.txt");
    std::fs::write(&file, "Alice Nguyen takes Metformin. ".repeat(200)).unwrap();
    let texts = unavailable(SqliteStores::open(&file).await);
    assert!(texts.contains("not a whole database"), "{texts}");
    let texts = unavailable(SqliteStores::open(&file.join("below-a-file.sqlite")).await);
    assert!(texts.contains("its folder cannot be made"), "{texts}");
    let texts = unavailable(SqliteStores::open(folder.path()).await);
    assert!(texts.contains("it cannot be opened"), "{texts}");
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let fixture = Fixture::new().await;
    fixture.stores.close().await;
    let mut connection = connect(&fixture.path()).await;
    run(&mut connection, "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 2").await;
    connection.close().await.unwrap();
    let texts = unavailable(SqliteStores::open(&fixture.path()).await);
    assert!(texts.contains("another version of this service"), "{texts}");
}

#[tokio::test]
async fn a_damaged_row_is_unavailable_without_a_word_of_it() {
    let fixture = Fixture::new().await;
    let mut connection = connect(&fixture.path()).await;
    run(&mut connection, "UPDATE patients SET body = '[\"Alice Nguyen\"]' WHERE mrn = 'P000123'").await;
    let texts = unavailable(fixture.stores.records.patient(&mrn("P000123")).await);
    assert!(texts.contains("a stored row is unreadable"), "{texts}");
}
