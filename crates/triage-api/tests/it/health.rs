//! `/`, `/health`, `/health/db`, `/ready` and `/openapi.json`.

use std::sync::atomic::Ordering;

use serde_json::json;

use crate::app::{App, read};

#[tokio::test]
async fn probes_have_carepaths_shapes() {
    let app = App::start();
    let version = env!("CARGO_PKG_VERSION");
    let health = json!({ "status": "ok", "service": "chat-api", "version": version });
    assert_eq!(read(app.get("/health").await).await, (200, health));
    let ready = json!({
        "status": "ready", "service": "chat-api", "version": version, "llm_mode": "mock", "model": "mock",
    });
    assert_eq!(read(app.get("/ready").await).await, (200, ready));
    let index = json!({
        "service": "CarePath Chat API", "version": version,
        "description": "AI-powered chat service for patient assistance",
        "default_llm_mode": "mock", "vector_mode": "none",
    });
    assert_eq!(read(app.get("/").await).await, (200, index));
}

#[tokio::test]
async fn the_stores_are_pinged() {
    let app = App::start();
    let (status, mut body) = read(app.get("/health/db").await).await;
    assert!(body["latency_ms"].take().is_f64());
    let expected = json!({
        "status": "ok", "service": "chat-api", "database": "memory", "connected": true, "latency_ms": null, "error": null,
    });
    assert_eq!((status, body), (200, expected));

    app.memory.unreadable.store(true, Ordering::SeqCst);
    let (status, body) = read(app.get("/health/db").await).await;
    assert_eq!((status, &body["status"], &body["connected"]), (503, &json!("error"), &json!(false)));
    assert_eq!(body["error"], "the records store is unavailable: told to fail");
    assert_eq!(read(app.get("/health").await).await.0, 200, "a store does not decide whether the process lives");
}

#[tokio::test]
async fn every_endpoint_is_documented() {
    let (status, document) = read(App::start().get("/openapi.json").await).await;
    assert_eq!(status, 200);
    let mut endpoints: Vec<String> = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        endpoints.extend(operations.as_object().unwrap().keys().map(|method| format!("{method} {path}")));
    }
    endpoints.sort();
    let expected = [
        "get /",
        "get /chat-logs",
        "get /chat-logs/{conversation_id}",
        "get /health",
        "get /health/db",
        "get /metrics",
        "get /openapi.json",
        "get /patients",
        "get /patients/{mrn}",
        "get /patients/{mrn}/summary",
        "get /ready",
        "post /chat-logs",
        "post /triage",
    ];
    assert_eq!(endpoints, expected);
    let request = &document["components"]["schemas"]["TriageRequest"];
    assert_eq!(request["required"], json!(["patient_mrn", "query"]));
}
