//! `POST /triage`, answered whole.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use triage_api::Limits;

use crate::app::{App, Setup, question, question_with};

const MOCK: &str =
    "This is a mock response from the AI assistant. In production, this would be replaced with a real LLM response.";

/// Replaces what differs from run to run by its type.
fn settled(mut body: Value) -> Value {
    assert!(body["trace_id"].as_str().is_some_and(|id| id.len() == 36), "{body}");
    assert!(body["inference_time_ms"].is_f64(), "{body}");
    assert!(body["usage"]["prompt_tokens"].as_u64().is_some_and(|tokens| tokens > 6), "{body}");
    body["trace_id"] = json!("<uuid>");
    body["inference_time_ms"] = json!("<float>");
    body["usage"]["prompt_tokens"] = json!("<count>");
    body
}

#[tokio::test]
async fn an_answer_has_carepaths_shape() {
    let app = App::start();
    let (status, body) = app.triage(&question()).await;
    assert_eq!(status, 200);
    let expected = json!({
        "trace_id": "<uuid>",
        "patient_mrn": "P000123",
        "query": "What are my current medications?",
        "llm_mode": "mock",
        "response": MOCK,
        "inference_time_ms": "<float>",
        "conversation_id": "CONV-1",
        "model": "mock",
        "usage": { "prompt_tokens": "<count>", "completion_tokens": 20, "reasoning_tokens": 0 },
        "finish_reason": "stop",
    });
    assert_eq!(settled(body), expected);
}

#[tokio::test]
async fn question_and_answer_are_stored() {
    let app = App::start();
    let (_, body) = app.triage(&question()).await;
    let stored = &app.memory.stored()[0];
    let said: Vec<(&str, &str)> =
        stored.messages.iter().map(|message| (message.role.as_str(), message.content.as_str())).collect();
    assert_eq!(said, [("user", "What are my current medications?"), ("assistant", MOCK)]);
    assert_eq!(stored.messages[1].model_name.as_deref(), Some("mock"));
    assert_eq!(stored.messages[1].latency_ms, body["inference_time_ms"].as_f64());
    assert_eq!((stored.patient_mrn.as_str(), stored.channel.as_str()), ("P000123", "api"));
    assert_eq!(stored.trace_id.as_deref(), body["trace_id"].as_str());

    let mut lookup = stored.retrieval_events.clone().unwrap();
    assert!(lookup[0]["latency_ms"].is_f64());
    lookup[0]["latency_ms"] = json!("<float>");
    let expected = json!([{
        "step_id": 1, "query_type": "db_query", "query": "Fetch patient summary by MRN",
        "endpoint": "/patients/P000123/summary", "latency_ms": "<float>", "record_count": 1,
    }]);
    assert_eq!(Value::from(lookup), expected);
}

#[tokio::test]
async fn the_mode_is_echoed_as_it_was_asked() {
    let app = App::start();
    for (asked, echoed) in
        [(json!(null), "mock"), (json!(""), "mock"), (json!("mock"), "mock"), (json!("parrot"), "parrot")]
    {
        let (status, body) = app.triage(&question_with(&json!({ "llm_mode": asked }))).await;
        assert_eq!((status, body["llm_mode"].as_str()), (200, Some(echoed)));
    }
}

#[tokio::test]
async fn reasoning_is_returned_only_when_asked_for() {
    let app = App::start();
    for (asked, returned) in [(json!(true), Some("")), (json!(false), None), (json!(null), None)] {
        let (_, body) = app.triage(&question_with(&json!({ "include_reasoning": asked }))).await;
        assert_eq!(body.get("reasoning").and_then(Value::as_str), returned);
    }
}

#[tokio::test]
async fn every_option_is_taken() {
    let app = App::start();
    let options = json!({
        "max_new_tokens": 64, "temperature": 0, "top_p": 1, "top_k": 0, "seed": 18_446_744_073_709_551_615_u64,
        "thinking_budget": "off", "include_reasoning": false, "stream": false, "conversation_id": "", "unknown": 1,
    });
    assert_eq!(app.triage(&question_with(&options)).await.0, 200);
    assert_eq!(app.triage(&question_with(&json!({ "thinking_budget": 0 }))).await.0, 200);
}

#[tokio::test]
async fn a_conversation_is_continued() {
    let app = App::start();
    let (_, first) = app.triage(&question()).await;
    let (status, second) = app.triage(&question_with(&json!({ "conversation_id": "CONV-1" }))).await;
    assert_eq!((status, &second["conversation_id"]), (200, &json!("CONV-1")));
    let stored = app.memory.stored();
    assert_eq!((stored.len(), stored[0].messages.len()), (1, 4));
    assert_eq!(stored[0].trace_id.as_deref(), first["trace_id"].as_str());
    // What was said before is part of the prompt.
    let prompt_tokens = |body: &Value| body["usage"]["prompt_tokens"].as_u64().unwrap();
    assert!(prompt_tokens(&second) > prompt_tokens(&first));
}

#[tokio::test]
async fn a_conversation_belongs_to_its_patient() {
    let app = App::start();
    app.triage(&question()).await;
    let other = json!({ "conversation_id": "CONV-1", "patient_mrn": "P000456" });
    for more in [other, json!({ "conversation_id": "CONV-9" })] {
        let (status, body) = app.triage(&question_with(&more)).await;
        assert_eq!((status, &body["detail"]["error"]), (404, &json!("Conversation not found")));
    }
    assert_eq!(app.memory.stored()[0].messages.len(), 2);
}

#[tokio::test]
async fn a_question_that_cannot_be_stored_is_not_answered() {
    let app = App::start();
    app.memory.read_only.store(true, Ordering::SeqCst);
    let (status, body) = app.triage(&question()).await;
    assert_eq!((status, &body["detail"]["error"]), (503, &json!("The store of the conversation is unavailable")));
    assert_eq!(app.mock.running(), 0);
}

#[tokio::test]
async fn an_answer_that_cannot_be_stored_does_not_leave() {
    let app = App::slow(Duration::from_millis(10));
    let body = question();
    let asking = app.triage(&body);
    let breaking = async {
        app.until_running(1).await;
        app.memory.read_only.store(true, Ordering::SeqCst);
    };
    let ((status, body), ()) = tokio::join!(asking, breaking);
    assert_eq!(status, 503);
    assert!(!body.to_string().contains("mock response"));
    let stored = app.memory.stored();
    assert_eq!(stored[0].messages.len(), 1, "the question stays");
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_stopped() {
    let limits = Limits { answer_timeout: Duration::from_millis(50), ..Limits::default() };
    let app = App::with(Setup { word_delay: Duration::from_secs(60), limits, ..Setup::default() });
    let (status, body) = app.triage(&question()).await;
    assert_eq!((status, &body["detail"]["error"]), (504, &json!("The answer took too long")));
    app.until_running(0).await;
    assert_eq!(app.memory.stored()[0].messages.len(), 1);
}

#[tokio::test]
async fn records_that_cannot_be_read_are_503() {
    let app = App::start();
    app.memory.unreadable.store(true, Ordering::SeqCst);
    let response = app.post("/triage", &question()).await;
    assert_eq!(response.headers()["retry-after"], "5");
    let (status, body) = crate::app::read(response).await;
    assert_eq!((status, &body["detail"]["error"]), (503, &json!("The store of patient data is unavailable")));
    assert!(app.memory.stored().is_empty());
}
