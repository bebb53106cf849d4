//! What every store of conversations does: the same cases on SQLite, on PostgreSQL where there is one, and on
//! the DB API.

use std::future::Future;
use std::sync::Arc;

use serde_json::json;
use triage_api::StoreError;
use triage_api::conversations::{Conversations, NewConversation, StoredMessage, Turn};
use triage_api::postgres::PostgresStores;
use triage_api::records::Page;
use triage_api::remote::{DbApi, DbApiConfig};

use crate::fake_db_api::FakeDbApi;
use crate::postgres_server::PostgresServer;
use crate::{Fixture, mrn};

/// Runs a case on each store.
async fn on_each<F: Future<Output = ()>>(case: impl Fn(Arc<dyn Conversations>) -> F) {
    let fixture = Fixture::new().await;
    case(Arc::new(fixture.stores.conversations.clone())).await;
    let service = FakeDbApi::start().await;
    case(Arc::new(DbApi::new(DbApiConfig::new(service.address())).unwrap())).await;
    if let Some(server) = PostgresServer::start() {
        let stores = PostgresStores::open(&server.url().into()).await.unwrap();
        case(Arc::new(stores.conversations.clone())).await;
    }
}

pub(crate) fn message(role: &str, content: &str) -> StoredMessage {
    StoredMessage {
        role: role.to_owned(),
        content: content.to_owned(),
        timestamp: None,
        model_name: (role == "assistant").then(|| "a model".to_owned()),
        latency_ms: (role == "assistant").then_some(12.25),
    }
}

pub(crate) fn conversation(patient: &str, content: &str) -> NewConversation {
    let event = json!({"step_id": 1, "query_type": "db_query", "query": "Fetch patient summary by MRN"});
    NewConversation {
        patient_mrn: mrn(patient),
        channel: "api".to_owned(),
        conversation_id: None,
        trace_id: Some("trace-1".to_owned()),
        turn: Turn { messages: vec![message("user", content)], retrieval_events: vec![event] },
    }
}

fn turn(messages: Vec<StoredMessage>) -> Turn {
    Turn { messages, retrieval_events: Vec::new() }
}

#[tokio::test]
async fn a_conversation_is_stored_continued_and_read() {
    on_each(|store| async move {
        store.ping().await.unwrap();
        let created = store.create(conversation("P000123", "what I said")).await.unwrap();
        let id = created.conversation_id.clone();
        let parts: Vec<_> = id.split('-').collect();
        assert!(matches!(parts[..], ["CONV", year, _, _, "P000123", hex] if year.len() == 4 && hex.len() == 8), "{id}");
        assert!(created.id.len() == 24 && created.id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(created.started_at.ends_with('Z'));
        assert_eq!((created.patient_mrn.as_str(), created.channel.as_str()), ("P000123", "api"));
        assert_eq!(created.messages[0].timestamp.as_ref(), Some(&created.started_at));
        assert!(store.get(&id).await.unwrap() == Some(created.clone()), "what is created is what is read");

        store.append(&id, turn(vec![message("assistant", "an answer")])).await.unwrap();
        let again = json!({"step_id": 1, "query_type": "db_query", "query": "again"});
        let more = Turn { messages: vec![message("user", "ünd?\n\u{0}")], retrieval_events: vec![again.clone()] };
        store.append(&id, more).await.unwrap();

        let read = store.get(&id).await.unwrap().unwrap();
        let contents: Vec<_> = read.messages.iter().map(|m| (m.role.as_str(), m.content.as_str())).collect();
        assert_eq!(contents, [("user", "what I said"), ("assistant", "an answer"), ("user", "ünd?\n\u{0}")]);
        assert_eq!(read.messages[1].model_name.as_deref(), Some("a model"));
        assert_eq!(read.messages[1].latency_ms, Some(12.25));
        assert_eq!(read.retrieval_events.as_ref().map(Vec::len), Some(2));
        assert_eq!(read.retrieval_events.as_ref().and_then(|events| events.last()), Some(&again));
        assert_eq!(
            (&read.id, &read.started_at, read.trace_id.as_deref()),
            (&created.id, &created.started_at, Some("trace-1"))
        );
        assert!(read.ended_at.unwrap() > created.started_at);
    })
    .await;
}

#[tokio::test]
async fn an_unknown_conversation_is_not_found() {
    on_each(|store| async move {
        for id in ["CONV-2025-01-01-P000123-00000000", "a/../b ?#é", "..", ""] {
            assert!(store.get(id).await.unwrap().is_none());
            let answer = store.append(id, turn(vec![message("assistant", "lost")])).await;
            assert!(matches!(answer, Err(StoreError::NotFound)), "{answer:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_id_of_the_callers_own_is_kept_and_taken_once() {
    on_each(|store| async move {
        let id = "mine: 1/2 ?";
        let named = || NewConversation { conversation_id: Some(id.to_owned()), ..conversation("P000123", "hello") };
        assert_eq!(store.create(named()).await.unwrap().conversation_id, id);
        assert!(matches!(store.create(named()).await, Err(StoreError::Conflict)));
        assert_eq!(store.get(id).await.unwrap().unwrap().messages.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn lists_are_of_one_patient_or_of_all() {
    on_each(|store| async move {
        for patient in ["P000001", "P000002", "P000001"] {
            store.create(conversation(patient, "hello")).await.unwrap();
        }
        let (patient, page) = (mrn("P000001"), |skip, limit| Page { skip, limit });
        let (all, total) = store.list(None, page(0, 10)).await.unwrap();
        assert_eq!((all.len(), total), (3, 3));
        let (own, total) = store.list(Some(&patient), page(0, 10)).await.unwrap();
        assert_eq!((own.len(), total), (2, 2));
        assert!(own.iter().all(|conversation| conversation.patient_mrn == "P000001"));
        let (rest, total) = store.list(Some(&patient), page(1, 1)).await.unwrap();
        assert_eq!((rest.len(), total), (1, 2));
        assert!(rest[0] == own[1]);
        assert_eq!(store.list(Some(&mrn("P000003")), page(0, 10)).await.unwrap().1, 0);
    })
    .await;
}

#[tokio::test]
async fn twenty_appends_at_once_are_all_kept_whole() {
    on_each(|store| async move {
        let id = store.create(conversation("P000123", "start")).await.unwrap().conversation_id;
        let appends = (0..20).map(|number| {
            let (store, id) = (Arc::clone(&store), id.clone());
            tokio::spawn(async move {
                let messages =
                    vec![message("user", &format!("q{number}")), message("assistant", &format!("a{number}"))];
                store.append(&id, turn(messages)).await.unwrap();
            })
        });
        for append in appends.collect::<Vec<_>>() {
            append.await.unwrap();
        }
        let read = store.get(&id).await.unwrap().unwrap();
        assert_eq!(read.messages.len(), 41);
        let mut seen = std::collections::BTreeSet::new();
        for pair in read.messages[1..].chunks(2) {
            assert_eq!(pair[0].content[1..], pair[1].content[1..], "a turn's messages stay together");
            seen.insert(pair[0].content.clone());
        }
        assert_eq!(seen.len(), 20);
        assert!(read.messages.iter().map(|m| m.timestamp.clone()).is_sorted());
    })
    .await;
}

#[tokio::test]
async fn databases_list_the_newest_first() {
    newest_first(&Fixture::new().await.stores.conversations).await;
    if let Some(server) = PostgresServer::start() {
        newest_first(&PostgresStores::open(&server.url().into()).await.unwrap().conversations).await;
    }
}

async fn newest_first(store: &dyn Conversations) {
    let mut ids = Vec::new();
    for content in ["one", "two", "three"] {
        ids.push(store.create(conversation("P000123", content)).await.unwrap().conversation_id);
    }
    store.append(&ids[0], turn(vec![message("assistant", "1")])).await.unwrap();
    let (listed, _) = store.list(None, Page { skip: 0, limit: 10 }).await.unwrap();
    let listed: Vec<_> = listed.into_iter().map(|conversation| conversation.conversation_id).collect();
    ids.reverse();
    assert_eq!(listed, ids);
}
