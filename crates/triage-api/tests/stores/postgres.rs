//! What is PostgreSQL's own: what it holds at first, servers beside each other, failures.

use secrecy::SecretString;
use serde_json::json;
use triage_api::conversations::Conversations;
use triage_api::decisions::{Decision, Decisions};
use triage_api::postgres::PostgresStores;
use triage_api::records::{Page, PatientRecords};

use crate::contract::conversation;
use crate::postgres_server::PostgresServer;
use crate::{Fixture, checked_texts, mrn};

async fn open(url: &str) -> PostgresStores {
    PostgresStores::open(&SecretString::from(url)).await.unwrap()
}

async fn failure(url: &str) -> String {
    checked_texts(&PostgresStores::open(&SecretString::from(url)).await.unwrap_err())
}

/// Both databases give the same records, in the same order and with the same keys.
#[tokio::test]
async fn records_are_those_of_sqlite() {
    let Some(server) = PostgresServer::start() else { return };
    let (postgres, sqlite) = (open(&server.url()).await, Fixture::new().await);
    let page = Page { skip: 1, limit: 100 };
    let (listed, expected) =
        (postgres.records.list(page).await.unwrap(), sqlite.stores.records.list(page).await.unwrap());
    assert_eq!(listed.total, 61);
    assert_eq!(json!(listed).to_string(), json!(expected).to_string());
    for patient in &listed.items {
        let mrn = mrn(patient["mrn"].as_str().unwrap());
        let summary = postgres.records.summary(&mrn).await.unwrap();
        let expected = sqlite.stores.records.summary(&mrn).await.unwrap();
        assert_eq!(json!(summary).to_string(), json!(expected).to_string());
        assert_eq!(postgres.records.patient(&mrn).await.unwrap().as_ref(), Some(patient));
    }
    assert!(postgres.records.patient(&mrn("P999999")).await.unwrap().is_none());
    assert!(postgres.records.summary(&mrn("P999999")).await.unwrap().is_none());
}

/// Servers that start at once with an empty database make it together; each reads what another writes.
#[tokio::test]
async fn servers_share_a_database() {
    let Some(server) = PostgresServer::start() else { return };
    let opening = (0..4).map(|_| {
        let url = server.url();
        tokio::spawn(async move { open(&url).await })
    });
    let mut servers = Vec::new();
    for opened in opening.collect::<Vec<_>>() {
        servers.push(opened.await.unwrap());
    }
    let page = Page { skip: 0, limit: 1 };
    assert_eq!(servers[3].records.list(page).await.unwrap().total, 61);
    let stored = servers[0].conversations.create(conversation("P000123", "what I said")).await.unwrap();
    assert!(servers[1].conversations.get(&stored.conversation_id).await.unwrap() == Some(stored));

    let decision = |mode: &str| Decision { llm_mode: mode.to_owned(), routing: llm_client::Routing::to("mock") };
    assert_eq!(servers[0].decisions.read().await.unwrap(), None);
    for mode in ["qwen", "mock"] {
        servers[0].decisions.write(Some(decision(mode))).await.unwrap();
        assert_eq!(servers[1].decisions.read().await.unwrap(), Some(decision(mode)));
    }
    servers[1].decisions.write(None).await.unwrap();
    assert_eq!(servers[0].decisions.read().await.unwrap(), None);
}

#[tokio::test]
async fn failures_say_what_is_wrong_and_nothing_else() {
    let wrong = "its address is not like postgres://";
    for address in ["http://127.0.0.1/P000123", "Alice Nguyen"] {
        assert!(failure(address).await.contains(wrong), "{}", failure(address).await);
    }
    let nobody = failure("postgres://carepath:secret-password@127.0.0.1:1/postgres").await;
    assert!(nobody.contains("it does not answer") && !nobody.contains("secret-password"), "{nobody}");
    let Some(server) = PostgresServer::start() else { return };
    let stranger = failure(&server.url().replace("secret", "wrong")).await;
    assert!(stranger.contains("does not let this user in") && !stranger.contains("wrong"), "{stranger}");
    let nowhere = failure(&server.url().replace("/postgres", "/P000123")).await;
    assert!(nowhere.contains("no database of that name"), "{nowhere}");
}

/// What works before a crash of the database works after it, with nothing lost, and without a restart of ours.
#[tokio::test]
async fn a_database_may_be_killed_and_come_back() {
    let Some(mut server) = PostgresServer::start() else { return };
    let stores = open(&server.url()).await;
    let stored = stores.conversations.create(conversation("P000123", "what I said")).await.unwrap();
    server.kill();
    let lost = stores.conversations.create(conversation("P000123", "what I said")).await.unwrap_err();
    assert!(checked_texts(&lost).contains("the conversations store is unavailable"), "{lost}");
    assert!(stores.records.ping().await.is_err());
    server.restart();
    stores.records.ping().await.unwrap();
    assert!(stores.conversations.get(&stored.conversation_id).await.unwrap() == Some(stored));
    stores.conversations.create(conversation("P000123", "again")).await.unwrap();
    assert_eq!(stores.conversations.list(None, Page { skip: 0, limit: 10 }).await.unwrap().1, 2);
}
