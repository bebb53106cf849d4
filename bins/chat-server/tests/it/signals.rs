//! The end of the process.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use reqwest::{Client, Response};
use serde_json::json;

use crate::process::Process;

/// A streamed question whose answer has begun.
async fn begun(process: &Process) -> (Response, String) {
    let body = json!({ "patient_mrn": "P000123", "query": "What are my current medications?", "stream": true });
    let client = Client::builder().no_proxy().build().unwrap();
    let mut response = client.post(process.url("/triage")).json(&body).send().await.unwrap();
    let mut text = String::new();
    while !text.contains("event: answer") {
        text.push_str(&String::from_utf8_lossy(&response.chunk().await.unwrap().expect("the answer goes on")));
    }
    (response, text)
}

async fn rest(mut response: Response) -> String {
    let mut text = String::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    text
}

#[tokio::test]
async fn sigterm_and_sigint_finish_what_runs_and_exit_0() {
    for name in ["TERM", "INT"] {
        let process = Process::start(&[("MOCK_WORD_DELAY_MS", "50")]);
        let (response, _) = begun(&process).await;
        process.signal(name);
        let text = rest(response).await;
        assert!(text.contains("event: result"), "{name}: {text}");
        let address = format!("127.0.0.1:{}", process.port);
        let (status, log) = process.ended();
        assert_eq!(status.code(), Some(0), "{name}");
        assert!(log.contains("\"stopped\""), "{log}");
        assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    }
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_the_end_back() {
    let process = Process::start(&[]);
    let client = Client::builder().no_proxy().build().unwrap();
    assert_eq!(client.get(process.url("/health")).send().await.unwrap().status(), 200);
    let signalled = Instant::now();
    process.signal("TERM");
    let (status, _) = process.ended();
    assert_eq!(status.code(), Some(0));
    assert!(signalled.elapsed() < Duration::from_secs(5));
    drop(client);
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let process = Process::start(&[("MOCK_WORD_DELAY_MS", "60000"), ("KEEP_ALIVE_MS", "20")]);
    let body = json!({ "patient_mrn": "P000123", "query": "Hello?", "stream": true });
    let client = Client::builder().no_proxy().build().unwrap();
    let mut response = client.post(process.url("/triage")).json(&body).send().await.unwrap();
    response.chunk().await.unwrap();
    process.signal("TERM");
    // Still alive: it waits for the answer.
    response.chunk().await.unwrap().expect("keep-alive comments go on");
    response.chunk().await.unwrap().expect("keep-alive comments go on");
    process.signal("TERM");
    assert_eq!(process.ended().0.code(), Some(1), "it says that it did not finish");
}

#[tokio::test]
async fn the_shutdown_timeout_ends_what_takes_longer() {
    let process =
        Process::start(&[("MOCK_WORD_DELAY_MS", "60000"), ("KEEP_ALIVE_MS", "20"), ("SHUTDOWN_TIMEOUT", "1")]);
    let body = json!({ "patient_mrn": "P000123", "query": "Hello?", "stream": true });
    let client = Client::builder().no_proxy().build().unwrap();
    let mut response = client.post(process.url("/triage")).json(&body).send().await.unwrap();
    response.chunk().await.unwrap();
    process.signal("TERM");
    assert_eq!(process.ended().0.code(), Some(0));
}
