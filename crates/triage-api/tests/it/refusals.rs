//! What is refused, with its status and words.

use reqwest::Method;
use serde_json::{Value, json};
use triage_api::Limits;

use crate::app::{App, Setup, question, question_with, read};

/// The error body without its trace id, which must be there.
fn detail(mut body: Value) -> Value {
    let detail = body["detail"].as_object_mut().expect("detail is an object");
    assert_eq!(detail.remove("trace_id").and_then(|id| id.as_str().map(str::len)), Some(36));
    body["detail"].take()
}

#[tokio::test]
async fn an_unknown_patient_is_404() {
    let (status, body) = App::start().triage(&question_with(&json!({ "patient_mrn": "P999999" }))).await;
    let expected = json!({ "error": "Patient not found", "patient_mrn": "P999999" });
    assert_eq!((status, detail(body)), (404, expected));
}

#[tokio::test]
async fn an_unknown_mode_is_400_and_lists_the_modes() {
    let (status, body) = App::start().triage(&question_with(&json!({ "llm_mode": "gpt" }))).await;
    let expected = json!({
        "error": "Unknown LLM mode: gpt. Expected one of: mock, parrot", "modes": ["mock", "parrot"],
    });
    assert_eq!((status, detail(body)), (400, expected));
}

#[tokio::test]
async fn every_fault_of_a_body_is_listed() {
    let (status, body) = App::start()
        .triage(&json!({ "query": 7, "max_new_tokens": 0, "temperature": -1, "top_p": 0, "top_k": 1.5, "seed": "x",
            "thinking_budget": "on", "include_reasoning": "yes", "stream": 1 }))
        .await;
    let fault = |field: &str, msg: &str| json!({ "loc": ["body", field], "msg": msg, "type": "value_error" });
    let expected = json!({ "error": "Invalid request", "errors": [
        { "loc": ["body", "patient_mrn"], "msg": "Field required", "type": "missing" },
        fault("query", "must be a string"),
        fault("max_new_tokens", "must be an integer of 1 or more"),
        fault("temperature", "must be a number of 0 or more"),
        fault("top_p", "must be a number above 0 and at most 1"),
        fault("top_k", "must be an integer of 0 or more"),
        fault("seed", "must be an integer of 0 or more"),
        fault("thinking_budget", "must be an integer of 0 or more, or \"off\""),
        fault("include_reasoning", "must be true or false"),
        fault("stream", "must be true or false"),
    ] });
    assert_eq!((status, detail(body)), (422, expected));
}

#[tokio::test]
async fn a_question_keeps_its_limits() {
    let app = App::with(Setup { limits: Limits { max_query_chars: 5, ..Limits::default() }, ..Setup::default() });
    for (query, msg) in
        [("", "must not be empty"), (" \n\t ", "must not be empty"), ("123456", "must have at most 5 characters")]
    {
        let (status, body) = app.triage(&question_with(&json!({ "query": query }))).await;
        assert_eq!((status, &detail(body)["errors"][0]["msg"]), (422, &json!(msg)));
    }
    assert_eq!(app.triage(&question_with(&json!({ "query": "ééééé" }))).await.0, 200);
}

#[tokio::test]
async fn what_is_no_record_number_is_422() {
    let app = App::start();
    for mrn in ["", "P 1", "../x", &"9".repeat(65)] {
        let (status, body) = app.triage(&question_with(&json!({ "patient_mrn": mrn }))).await;
        assert_eq!((status, &detail(body)["errors"][0]["loc"]), (422, &json!(["body", "patient_mrn"])));
    }
}

#[tokio::test]
async fn what_is_not_a_json_object_is_422() {
    let app = App::start();
    for (text, msg) in [
        ("{\"query\": ", "is not JSON (line 1, column 10)"),
        ("", "is not JSON (line 1, column 0)"),
        ("[1]", "must be a JSON object"),
        ("\"x\"", "must be a JSON object"),
    ] {
        let request = app.request(Method::POST, "/triage").header("content-type", "application/json").body(text);
        let (status, body) = read(request.send().await.unwrap()).await;
        assert_eq!((status, &detail(body)["errors"][0]["msg"]), (422, &json!(msg)), "{text:?}");
    }
}

#[tokio::test]
async fn only_json_is_read() {
    let app = App::start();
    let post = |content_type: &'static str| {
        app.request(Method::POST, "/triage").header("content-type", content_type).body(question().to_string()).send()
    };
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "nonsense"] {
        let (status, body) = read(post(content_type).await.unwrap()).await;
        assert_eq!((status, detail(body)), (415, json!({ "error": "Send the body as application/json" })));
    }
    for content_type in ["application/json; charset=utf-8", "application/fhir+json"] {
        assert_eq!(post(content_type).await.unwrap().status(), 200, "{content_type}");
    }
    let untyped = app.request(Method::POST, "/triage").body(question().to_string());
    assert_eq!(untyped.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_body_of_a_megabyte_is_413_announced_or_not() {
    let app = App::start();
    let large = question_with(&json!({ "query": "x".repeat(1_000_000) }));
    let expected = json!({ "error": "The body has more than 262144 bytes" });
    let (status, body) = app.triage(&large).await;
    assert_eq!((status, detail(body)), (413, expected.clone()));

    let chunks = futures_util::stream::iter(
        large
            .to_string()
            .into_bytes()
            .chunks(64 * 1024)
            .map(|part| Ok::<_, std::io::Error>(part.to_vec()))
            .collect::<Vec<_>>(),
    );
    let request = app.request(Method::POST, "/triage").header("content-type", "application/json");
    let (status, body) = read(request.body(reqwest::Body::wrap_stream(chunks)).send().await.unwrap()).await;
    assert_eq!((status, detail(body)), (413, expected));

    // The longest question that is allowed passes, whatever its characters cost.
    let long = question_with(&json!({ "query": "€".repeat(8_000) }));
    assert_eq!(app.triage(&long).await.0, 200);
    let longer = question_with(&json!({ "query": "x".repeat(8_001) }));
    assert_eq!(app.triage(&longer).await.0, 422);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_json() {
    let app = App::start();
    for path in ["/nothing", "/triage/", "/patients/P1/x", "/%ff"] {
        let (status, body) = read(app.get(path).await).await;
        assert_eq!((status, detail(body)), (404, json!({ "error": "Not found" })), "{path}");
    }
    for (method, path, allow) in [
        (Method::GET, "/triage", "POST"),
        (Method::POST, "/health", "GET"),
        (Method::DELETE, "/chat-logs", "GET, POST"),
        (Method::PUT, "/patients/P000123", "GET"),
    ] {
        let response = app.request(method, path).send().await.unwrap();
        assert_eq!(response.headers()["allow"], allow);
        let (status, body) = read(response).await;
        assert_eq!((status, detail(body)), (405, json!({ "error": "Method not allowed" })), "{path}");
    }
}
