//! `POST /triage` as server-sent events.

use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};
use triage_api::Limits;
use triage_api::http::HttpOptions;

use crate::app::{App, Setup, question, question_with, read};

/// The events of a stream with their JSON, and how many comments it had.
async fn events(response: Response) -> (Vec<(String, Value)>, usize) {
    assert_eq!(response.status(), 200);
    let text = response.text().await.unwrap();
    let mut events = Vec::new();
    let mut comments = 0;
    for block in text.split_terminator("\n\n") {
        if block == ": keep-alive" {
            comments += 1;
            continue;
        }
        let (event, data) = block.split_once('\n').unwrap();
        let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        events.push((event.strip_prefix("event: ").unwrap().to_owned(), data));
    }
    (events, comments)
}

fn streamed() -> Value {
    question_with(&json!({ "stream": true }))
}

#[tokio::test]
async fn pieces_then_the_result() {
    let app = App::start();
    let response = app.post("/triage", &streamed()).await;
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/event-stream");
    assert_eq!(header("cache-control"), "no-cache");
    assert_eq!(header("x-accel-buffering"), "no");
    let trace_id = header("x-request-id");

    let (mut events, _) = events(response).await;
    let (last, result) = events.pop().unwrap();
    assert_eq!(last, "result");
    let text: String = events.iter().map(|(_, data)| data["delta"].as_str().unwrap()).collect();
    assert!(events.iter().all(|(event, _)| event == "answer"));
    assert_eq!(events.len(), 20);
    assert_eq!(result["response"], json!(text));
    assert_eq!(result["trace_id"], json!(trace_id));
    assert_eq!(result["conversation_id"], "CONV-1");
    assert_eq!(result["finish_reason"], "stop");
    assert_eq!(app.memory.stored()[0].messages.len(), 2);
}

#[tokio::test]
async fn the_accept_header_asks_for_a_stream_unless_the_body_refuses_it() {
    let app = App::start();
    let post = |body: Value| {
        let accept = "application/json;q=0.5, text/event-stream";
        app.request(Method::POST, "/triage").header("accept", accept).json(&body).send()
    };
    let type_of = |response: Response| response.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!(type_of(post(question()).await.unwrap()), "text/event-stream");
    let refused = question_with(&json!({ "stream": false }));
    assert_eq!(type_of(post(refused).await.unwrap()), "application/json");
}

#[tokio::test]
async fn silence_is_filled_with_comments() {
    let http = HttpOptions { keep_alive: Duration::from_millis(50), ..HttpOptions::default() };
    let app = App::with(Setup { word_delay: Duration::from_millis(120), http, ..Setup::default() });
    let (events, comments) = events(app.post("/triage", &streamed()).await).await;
    assert_eq!(events.len(), 21);
    assert!((20..=45).contains(&comments), "{comments} comments in 20 pauses of 120 ms");
}

#[tokio::test]
async fn the_first_comment_does_not_wait_for_the_first_token() {
    let http = HttpOptions { keep_alive: Duration::from_millis(50), ..HttpOptions::default() };
    let app = App::with(Setup { word_delay: Duration::from_secs(60), http, ..Setup::default() });
    let mut response = app.post("/triage", &streamed()).await;
    let chunk = response.chunk().await.unwrap().unwrap();
    assert_eq!(&chunk[..], b": keep-alive\n\n");
}

#[tokio::test]
async fn a_slow_beginning_is_not_silent() {
    let http = HttpOptions { keep_alive: Duration::from_millis(30), ..HttpOptions::default() };
    let app = App::with(Setup { http, ..Setup::default() });
    app.memory.summary_delay_ms.store(200, Ordering::SeqCst);
    let (events_of_answer, comments) = events(app.post("/triage", &streamed()).await).await;
    assert_eq!(events_of_answer.last().unwrap().0, "result");
    assert!(comments >= 3, "{comments} comments in 200 ms");
    // What fails then has no status left to fail with.
    let unknown = question_with(&json!({ "stream": true, "patient_mrn": "P999999" }));
    let (events_of_failure, _) = events(app.post("/triage", &unknown).await).await;
    assert_eq!((events_of_failure[0].0.as_str(), &events_of_failure[0].1["status"]), ("error", &json!(404)));
}

#[tokio::test]
async fn what_is_known_before_the_first_token_keeps_its_status() {
    let app = App::start();
    for (more, status) in [
        (json!({ "patient_mrn": "P999999" }), 404),
        (json!({ "llm_mode": "gpt" }), 400),
        (json!({ "query": "" }), 422),
        (json!({ "conversation_id": "CONV-9" }), 404),
    ] {
        let mut body = streamed();
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let response = app.post("/triage", &body).await;
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(read(response).await.0, status);
    }
    app.memory.read_only.store(true, Ordering::SeqCst);
    assert_eq!(read(app.post("/triage", &streamed()).await).await.0, 503);
}

#[tokio::test]
async fn what_fails_later_is_an_event() {
    let limits = Limits { answer_timeout: Duration::from_millis(100), ..Limits::default() };
    let app = App::with(Setup { word_delay: Duration::from_millis(40), limits, ..Setup::default() });
    let response = app.post("/triage", &streamed()).await;
    let trace_id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let (mut events, _) = events(response).await;
    let expected = json!({ "detail": { "error": "The answer took too long", "trace_id": trace_id }, "status": 504 });
    assert_eq!(events.pop(), Some(("error".to_owned(), expected)));
    assert!(events.iter().all(|(event, _)| event == "answer"));
    app.until_running(0).await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_stored_ends_in_an_error() {
    let app = App::slow(Duration::from_millis(5));
    let response = app.post("/triage", &streamed()).await;
    app.memory.read_only.store(true, Ordering::SeqCst);
    let (events, _) = events(response).await;
    let (event, data) = events.last().unwrap();
    assert_eq!((event.as_str(), &data["status"]), ("error", &json!(503)));
    assert_eq!(app.memory.stored()[0].messages.len(), 1);
}
