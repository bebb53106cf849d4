//! A model elsewhere that is dead, lies or says nothing: another answers, and says that it is another.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::process::{Process, client};

/// What the server of the model does with a request.
#[derive(Clone, Copy)]
enum Fault {
    /// Says something that is no JSON.
    Lies,
    /// Says something for ever that is no token.
    NeverBegins,
    /// Begins, and then says nothing.
    Silent,
}

/// A server with that fault; the address of its API.
fn faulty(fault: Fault) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/v1", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 65_536]);
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
                let _ = stream.write_all(head.as_bytes());
                match fault {
                    Fault::Lies => {
                        let _ = stream.write_all(b"data: {\"choices\": [{\"delta\": \n\n");
                    }
                    Fault::NeverBegins => {
                        while stream.write_all(b": wait\n\n").is_ok() {
                            thread::sleep(Duration::from_millis(50));
                        }
                    }
                    Fault::Silent => thread::sleep(Duration::from_secs(30)),
                }
            });
        }
    });
    address
}

fn service(base_url: &str, fallback: &str) -> Process {
    Process::start(&[
        ("LLM_MODE", "openai"),
        ("OPENAI_BASE_URL", base_url),
        ("OPENAI_MODEL", "far-away"),
        ("FALLBACK", fallback),
        ("REQUEST_TIMEOUT_SECS", "2"),
    ])
}

async fn text(process: &Process, path: &str) -> String {
    client().get(process.url(path)).send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn patients_are_sent_to_a_clinician_when_the_model_fails() {
    let dead = "http://127.0.0.1:1/v1".to_owned();
    for address in [dead, faulty(Fault::Lies), faulty(Fault::NeverBegins), faulty(Fault::Silent)] {
        let process = service(&address, "degraded");
        let (status, body) = process.ask(json!({})).await;
        assert_eq!((status, &body["llm_mode"], &body["model"]), (200, &json!("degraded"), &json!("safe-answer")));
        assert!(body["response"].as_str().unwrap().contains("contact your care team"), "{body}");
        // It is kept as what it is.
        let log = process.log_of(&body).await;
        assert_eq!(log["messages"][1]["model_name"], "safe-answer", "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_fails_again_and_again_is_passed_over() {
    let process = service("http://127.0.0.1:1/v1", "degraded");
    assert_eq!(process.get("/ready").await.1["passed_over"], false);
    for _ in 0..4 {
        assert_eq!(process.ask(json!({})).await.0, 200);
    }
    let (_, ready) = process.get("/ready").await;
    assert_eq!(ready["passed_over"], true, "{ready}");
    assert_eq!(ready["fallback"][0], json!({ "llm_mode": "degraded", "status": "ready", "passed_over": false }));
    let metrics = text(&process, "/metrics").await;
    for line in [
        "carepath_passed_over{mode=\"openai\"} 1",
        // The fourth was not even sent there.
        "carepath_answers_total{mode=\"openai\",model=\"far-away\",outcome=\"unavailable\"} 3",
        "carepath_answers_total{mode=\"degraded\",model=\"safe-answer\",outcome=\"stop\"} 4",
        "carepath_fallbacks_total{from=\"openai\",to=\"degraded\"} 4",
    ] {
        assert!(metrics.lines().any(|known| known == line), "{line} is not in\n{metrics}");
    }
    // Whoever asks for a mode by name gets that one, or its error.
    assert_eq!(process.ask(json!({ "llm_mode": "openai" })).await.0, 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_fallback_a_failure_is_told() {
    let process = service("http://127.0.0.1:1/v1", "");
    assert_eq!(process.ask(json!({})).await.0, 502);
    assert!(!text(&process, "/ready").await.contains("fallback"));
}
