//! Pins the table: every error, its status, its words and its headers.

use actix_web::http::header;
use serde_json::json;

use super::*;

fn body_of(error: impl Into<ApiError>) -> (u16, Value) {
    let trace_id = TraceId::parse("00000000-0000-4000").unwrap();
    let error = error.into();
    (error.status().as_u16(), error.body(&trace_id))
}

fn detail(status: u16, error: &str) -> (u16, Value) {
    (status, json!({ "detail": { "error": error, "trace_id": "00000000-0000-4000" } }))
}

fn retry_after(error: impl Into<ApiError>) -> Option<String> {
    let response = error.into().respond(&TraceId::random());
    response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned())
}

fn unavailable() -> StoreError {
    StoreError::Unavailable { store: "conversations", reason: "database is locked".to_owned() }
}

fn upstream() -> StoreError {
    StoreError::Upstream { reason: "it answered 500".to_owned() }
}

#[test]
fn records() {
    assert_eq!(body_of(TriageError::PatientNotFound), detail(404, "Patient not found"));
    assert_eq!(body_of(TriageError::ConversationNotFound), detail(404, "Conversation not found"));
    let records = |error| body_of(TriageError::Records(error));
    assert_eq!(records(unavailable()), detail(503, "The store of patient data is unavailable"));
    assert_eq!(records(upstream()), detail(502, "Error fetching patient data"));
    assert_eq!(records(StoreError::UpstreamTimeout), detail(504, "Timeout fetching patient data"));
    assert_eq!(retry_after(TriageError::Records(unavailable())).as_deref(), Some("5"));
    assert_eq!(retry_after(TriageError::Records(upstream())), None);
}

#[test]
fn a_conversation_that_cannot_be_stored_is_503_whatever_the_reason() {
    for error in [unavailable(), upstream(), StoreError::UpstreamTimeout, StoreError::NotFound] {
        let error = ApiError::from(TriageError::Conversations(error));
        assert_eq!(error.status().as_u16(), 503);
        assert_eq!(retry_after(error).as_deref(), Some("5"));
    }
}

#[test]
fn models() {
    let retry_after_2s = Duration::from_millis(1200);
    let not_ready = || {
        let stage = "loading".to_owned();
        TriageError::Llm(LlmError::NotReady { mode: "qwen".to_owned(), stage, retry_after: retry_after_2s })
    };
    let (status, body) = body_of(not_ready());
    assert_eq!((status, &body["detail"]["stage"]), (503, &json!("loading")));
    assert_eq!(retry_after(not_ready()).as_deref(), Some("2"));

    let overloaded = || TriageError::Llm(LlmError::Overloaded { retry_after: Duration::ZERO });
    assert_eq!(body_of(overloaded()), detail(429, "Too many requests are waiting"));
    assert_eq!(retry_after(overloaded()).as_deref(), Some("1"));

    let llm = |error| body_of(TriageError::Llm(error));
    let known = vec!["mock".to_owned(), "qwen".to_owned()];
    let (status, body) = llm(LlmError::UnknownMode { mode: "x".to_owned(), known });
    assert_eq!(status, 400);
    assert_eq!(body["detail"]["error"], "Unknown LLM mode: x. Expected one of: mock, qwen");
    assert_eq!(body["detail"]["modes"], json!(["mock", "qwen"]));

    let (status, body) = llm(LlmError::PromptTooLong { prompt_tokens: 9, limit: 5 });
    assert_eq!((status, &body["detail"]["prompt_tokens"], &body["detail"]["limit"]), (413, &json!(9), &json!(5)));
    assert_eq!(llm(LlmError::Timeout(Duration::from_secs(1))), detail(504, "The answer took too long"));
    let down = LlmError::Unavailable { reason: "connection refused".to_owned(), status: None };
    assert_eq!(llm(down), detail(502, "The language model server failed"));
    assert_eq!(llm(LlmError::Inference("nan".to_owned())), detail(500, "Error generating response"));
    assert_eq!(llm(LlmError::InvalidRequest("top_k".to_owned())).0, 422);
    assert_eq!(body_of(TriageError::Prompt("line 3".to_owned())), detail(500, "Error building the prompt"));
}

#[test]
fn an_invalid_field_is_listed() {
    let (status, body) = body_of(TriageError::Invalid { field: "query", reason: "must not be empty".to_owned() });
    assert_eq!(status, 422);
    let errors = json!([{ "loc": ["body", "query"], "msg": "must not be empty", "type": "value_error" }]);
    assert_eq!(
        body,
        json!({ "detail": { "error": "Invalid request", "trace_id": "00000000-0000-4000", "errors": errors } })
    );
}

#[test]
fn a_bare_error_is_a_string() {
    assert_eq!(body_of(ApiError::from(StoreError::NotFound).bare()), (404, json!({ "detail": "Not found" })));
    assert_eq!(ApiError::from(StoreError::Conflict).status().as_u16(), 409);
}

#[test]
fn what_a_client_sent_is_not_in_what_is_logged() {
    let error = LlmError::UnknownMode { mode: "secret".to_owned(), known: Vec::new() };
    let error = ApiError::from(TriageError::Llm(error));
    assert!(!format!("{error:?} {error}").contains("secret"));
}

#[test]
fn a_cause_is_told_once() {
    let error = ApiError::from(TriageError::Records(unavailable()));
    let line = "patient records: the conversations store is unavailable: database is locked";
    assert_eq!(error.cause.as_deref(), Some(line));
}
