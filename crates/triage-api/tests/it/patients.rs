//! `/patients`.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::app::{App, read};
use crate::memory::patient;

#[tokio::test]
async fn patients_are_listed_by_page() {
    let app = App::start();
    let expected = |skip: u32, limit: u32| json!({ "items": [patient()], "total": 1, "skip": skip, "limit": limit });
    assert_eq!(read(app.get("/patients").await).await, (200, expected(0, 10)));
    assert_eq!(read(app.get("/patients?skip=2&limit=100").await).await, (200, expected(2, 100)));
}

#[tokio::test]
async fn a_page_has_limits() {
    let app = App::start();
    for (query, message) in [
        ("skip=-1", "skip must be an integer of 0 or more"),
        ("skip=x", "skip must be an integer of 0 or more"),
        ("limit=0", "limit must be an integer from 1 to 100"),
        ("limit=101", "limit must be an integer from 1 to 100"),
        ("limit=", "limit must be an integer from 1 to 100"),
    ] {
        for path in ["/patients", "/chat-logs"] {
            let answer = read(app.get(&format!("{path}?{query}")).await).await;
            assert_eq!(answer, (422, json!({ "detail": message })));
        }
    }
}

#[tokio::test]
async fn one_patient_and_its_summary() {
    let app = App::start();
    assert_eq!(read(app.get("/patients/P000123").await).await, (200, Value::Object(patient())));
    let expected = json!({
        "patient": patient(), "recent_encounters": [], "recent_claims": [], "documents": [],
        "summary_metadata": { "mrn": "P000123", "encounter_count": 0, "claim_count": 0, "document_count": 0 },
    });
    assert_eq!(read(app.get("/patients/P000123/summary").await).await, (200, expected));
}

#[tokio::test]
async fn an_unknown_patient_is_404() {
    let app = App::start();
    for (path, mrn) in [("P999999", "P999999"), ("a%20b", "a b")] {
        let expected = json!({ "detail": format!("Patient with MRN {mrn} not found") });
        for tail in ["", "/summary"] {
            assert_eq!(read(app.get(&format!("/patients/{path}{tail}")).await).await, (404, expected.clone()));
        }
    }
}

#[tokio::test]
async fn a_store_that_fails_is_503() {
    let app = App::start();
    app.memory.unreadable.store(true, Ordering::SeqCst);
    for path in ["/patients", "/patients/P000123", "/patients/P000123/summary", "/chat-logs", "/chat-logs/CONV-1"] {
        let response = app.get(path).await;
        assert_eq!(response.headers()["retry-after"], "5");
        assert_eq!(read(response).await, (503, json!({ "detail": "The store of data is unavailable" })), "{path}");
    }
}
