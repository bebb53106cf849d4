//! Nothing of a patient is ever written, at any level and whatever fails.

use std::io::{Read, Write};
use std::net::TcpStream;

use reqwest::Client;
use serde_json::{Value, json};

use crate::process::Process;

/// Words that only a patient's record or a client's own text has.
const SECRETS: [&str; 8] =
    ["P000123", "Nguyen", "Alice", "Metformin", "zweistein", "mode-of-zweistein", "metformin", "1984-03-12"];

/// Requests of every kind, good and bad, with a patient in each place where one can stand.
async fn everything(process: &Process) {
    let client = Client::builder().no_proxy().build().unwrap();
    let mrn = "P000123";
    let query = "Is it me, zweistein, who takes Metformin?";
    let mut bodies = vec![
        json!({ "patient_mrn": mrn, "query": query }),
        json!({ "patient_mrn": mrn, "query": query, "stream": true }),
        json!({ "patient_mrn": mrn, "query": query, "llm_mode": "mode-of-zweistein" }),
        json!({ "patient_mrn": mrn, "query": query, "conversation_id": "CONV-2026-01-01-P000123-zweistein" }),
        json!({ "patient_mrn": mrn, "query": query, "seed": "zweistein" }),
        json!({ "patient_mrn": mrn, "query": "zweistein ".repeat(1000) }),
        json!({ "patient_mrn": mrn, "query": "zweistein ".repeat(100_000) }),
        json!({ "patient_mrn": "zweistein", "query": query }),
        json!({ "patient_mrn": "zwei stein", "query": query }),
        json!([query]),
    ];
    let answer: Value =
        client.post(process.url("/triage")).json(&bodies[0]).send().await.unwrap().json().await.unwrap();
    if let Some(id) = answer["conversation_id"].as_str() {
        bodies.push(json!({ "patient_mrn": mrn, "query": query, "conversation_id": id }));
        client.get(process.url(&format!("/chat-logs/{id}"))).send().await.unwrap();
    }
    for body in &bodies {
        client.post(process.url("/triage")).json(body).send().await.unwrap().text().await.unwrap();
    }
    let log = json!({ "patient_mrn": mrn, "conversation_id": "zweistein", "trace_id": "zweistein",
        "messages": [{ "role": "user", "content": query }] });
    for body in [&log, &log, &json!({ "patient_mrn": mrn, "messages": query })] {
        client.post(process.url("/chat-logs")).json(body).send().await.unwrap();
    }
    for path in [
        "/patients",
        "/patients/P000123",
        "/patients/P000123/summary",
        "/patients/zweistein",
        "/patients?skip=zweistein",
        "/chat-logs",
        "/chat-logs?patient_mrn=P000123",
        "/chat-logs/CONV-P000123-zweistein",
        "/P000123/zweistein",
        "/health/db",
        "/ready",
        "/health?mrn=P000123",
        "/patients/%ff-zweistein",
        "/chat-logs?limit=1&limit=zweistein",
    ] {
        client.get(process.url(path)).header("x-zweistein", "P000123").send().await.unwrap();
    }
    client.delete(process.url("/patients/P000123")).send().await.unwrap();
    for bytes in [
        "ZWEISTEIN /patients/P000123 HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /patients/P000123 HTTP/1.1\r\ncontent-length: zweistein\r\n\r\n",
        "GET /patients/P000123 zweistein\r\n\r\n",
        "POST /triage HTTP/1.1\r\nhost: a\r\ncontent-length: 99\r\n\r\n{\"query\": \"zweistein\"",
    ] {
        let mut socket = TcpStream::connect(("127.0.0.1", process.port)).unwrap();
        socket.write_all(bytes.as_bytes()).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = socket.read_to_end(&mut Vec::new());
    }
}

fn assert_silent_about_patients(written: &str) {
    for secret in SECRETS {
        let line = written.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} was written");
    }
}

async fn log_of(variables: &[(&str, &str)]) -> String {
    let process = Process::start(variables);
    everything(&process).await;
    process.signal("TERM");
    let (status, written) = process.ended();
    assert_eq!(status.code(), Some(0));
    written
}

#[tokio::test]
async fn a_log_has_no_patient() {
    for level in ["debug", "trace"] {
        let written = log_of(&[("LOG_LEVEL", level)]).await;
        assert_silent_about_patients(&written);
        // It is a log nevertheless.
        assert!(written.contains("/patients/{mrn}/summary") && written.contains("/chat-logs/{conversation_id}"));
    }
}

#[tokio::test]
async fn a_log_has_no_patient_while_the_records_service_is_down() {
    let written = log_of(&[("LOG_LEVEL", "debug"), ("DB_API_BASE_URL", "http://127.0.0.1:1/zweistein")]).await;
    assert_silent_about_patients(&written);
    assert!(written.contains("request failed") && written.contains("records_service"), "{written}");
}

#[tokio::test]
async fn a_text_log_has_no_patient() {
    let written = log_of(&[("LOG_LEVEL", "debug"), ("LOG_FORMAT", "text")]).await;
    assert!(written.contains("route=\"/patients/{mrn}\""), "{written}");
    assert_silent_about_patients(&written);
}

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[tokio::test]
async fn every_line_of_a_request_has_its_trace_id() {
    let process = Process::start(&[("LOG_LEVEL", "debug"), ("DB_API_BASE_URL", "http://127.0.0.1:1")]);
    let client = Client::builder().no_proxy().build().unwrap();
    let body = json!({ "patient_mrn": "P000123", "query": "Hello?" });
    let request = client.post(process.url("/triage")).json(&body).header("x-request-id", TRACE_ID);
    assert_eq!(request.send().await.unwrap().status(), 502);
    process.signal("TERM");
    let (_, written) = process.ended();
    let lines: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_request: Vec<&Value> = lines.iter().filter(|line| line["span"]["trace_id"] == TRACE_ID).collect();
    let messages: Vec<&str> = of_request.iter().filter_map(|line| line["message"].as_str()).collect();
    assert!(messages.contains(&"request failed"), "{written}");
    assert_eq!(messages.iter().filter(|message| **message == "request answered").count(), 1);
    let last = of_request.iter().find(|line| line["message"] == "request answered").unwrap();
    assert_eq!((&last["status"], &last["level"]), (&json!(502), &json!("INFO")));
    assert_eq!((&last["span"]["route"], &last["span"]["method"]), (&json!("/triage"), &json!("POST")));
    assert!(last["latency_ms"].is_u64());
}
