//! `/chat-logs`.

use std::sync::atomic::Ordering;

use serde_json::json;

use crate::app::{App, read};

#[tokio::test]
async fn a_log_is_stored_and_found() {
    let app = App::start();
    let log = json!({
        "patient_mrn": "P000123",
        "messages": [{ "role": "user", "content": "hello" },
            { "role": "assistant", "content": "hi", "model_name": "mock", "latency_ms": 1.5 }],
        "retrieval_events": [{ "step_id": 1, "query_type": "db_query", "query": "q" }],
    });
    let (status, stored) = read(app.post("/chat-logs", &log).await).await;
    assert_eq!(status, 201);
    let expected = json!({
        "_id": "000000000000000000000001",
        "conversation_id": "CONV-1",
        "patient_mrn": "P000123",
        "channel": "api",
        "started_at": "2026-01-02T03:04:05.000000Z",
        "ended_at": "2026-01-02T03:04:05.000000Z",
        "messages": log["messages"],
        "retrieval_events": log["retrieval_events"],
        "trace_id": null,
    });
    assert_eq!(stored, expected);
    assert_eq!(read(app.get("/chat-logs/CONV-1").await).await, (200, expected.clone()));
    let page = json!({ "items": [expected], "total": 1, "skip": 0, "limit": 10 });
    for query in ["", "?patient_mrn=P000123", "?patient_mrn="] {
        assert_eq!(read(app.get(&format!("/chat-logs{query}")).await).await, (200, page.clone()));
    }
    for query in ["P000456", "a%20b"] {
        let (_, page) = read(app.get(&format!("/chat-logs?patient_mrn={query}")).await).await;
        assert_eq!(page["total"], 0);
    }
}

#[tokio::test]
async fn a_chosen_id_is_kept_and_continued_by_its_patient_only() {
    let app = App::start();
    let log = json!({ "patient_mrn": "P000123", "conversation_id": "C-7", "channel": "web", "trace_id": "t",
        "messages": [{ "role": "user", "content": "hello", "timestamp": "2026-01-01T00:00:00Z" }] });
    let (_, stored) = read(app.post("/chat-logs", &log).await).await;
    assert_eq!(
        (&stored["conversation_id"], &stored["channel"], &stored["trace_id"]),
        (&json!("C-7"), &json!("web"), &json!("t"))
    );
    assert_eq!(stored["messages"], log["messages"]);
    let (status, continued) = read(app.post("/chat-logs", &log).await).await;
    assert_eq!((status, continued["messages"].as_array().map(Vec::len)), (201, Some(2)));
    let mut other = log.clone();
    other["patient_mrn"] = json!("P000001");
    let (status, body) = read(app.post("/chat-logs", &other).await).await;
    assert_eq!((status, body), (409, json!({ "detail": "Already exists" })));
}

#[tokio::test]
async fn wrong_logs_are_refused_in_a_string() {
    let app = App::start();
    let message = json!([{ "role": "user", "content": "hello" }]);
    for (log, status, detail) in [
        (json!({ "patient_mrn": "P000123", "messages": [] }), 400, "Messages array cannot be empty"),
        (json!({ "messages": message }), 422, "needs patient_mrn and messages, a list of {role, content}"),
        (
            json!({ "patient_mrn": "P000123", "messages": [1] }),
            422,
            "needs patient_mrn and messages, a list of {role, content}",
        ),
        (
            json!({ "patient_mrn": "a b", "messages": message }),
            422,
            "a medical record number has 1 to 64 letters, digits, '-', '_' or '.'",
        ),
        (json!(1), 422, "Invalid request"),
    ] {
        assert_eq!(read(app.post("/chat-logs", &log).await).await, (status, json!({ "detail": detail })));
    }
    app.memory.read_only.store(true, Ordering::SeqCst);
    let log = json!({ "patient_mrn": "P000123", "messages": message });
    assert_eq!(read(app.post("/chat-logs", &log).await).await.0, 503);
}

#[tokio::test]
async fn an_unknown_log_is_404() {
    let answer = read(App::start().get("/chat-logs/CONV-9").await).await;
    assert_eq!(answer, (404, json!({ "detail": "Chat log with conversation ID CONV-9 not found" })));
}
