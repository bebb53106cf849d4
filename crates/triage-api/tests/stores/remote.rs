//! The DB API as a store when it is well, and when it is not.

use std::time::{Duration, Instant};

use actix_web::{HttpResponse, web};
use serde_json::{Value, json};
use triage_api::StoreError;
use triage_api::conversations::{Conversations, Turn};
use triage_api::records::{Page, PatientRecords};
use triage_api::remote::{DbApi, DbApiConfig};

use crate::contract::{conversation, message};
use crate::fake_db_api::FakeDbApi;
use crate::{checked_texts, mrn};

const PAGE: Page = Page { skip: 0, limit: 10 };

fn client(service: &FakeDbApi) -> DbApi {
    DbApi::new(DbApiConfig::new(service.address())).unwrap()
}

/// A service that answers everything in the same way.
async fn answering(answer: impl Fn() -> HttpResponse + Clone + Send + 'static) -> (FakeDbApi, DbApi) {
    let service = FakeDbApi::serve(move |config| {
        let answer = answer.clone();
        config.default_service(web::to(move || {
            let answer = answer();
            async { answer }
        }));
    })
    .await;
    let client = client(&service);
    (service, client)
}

/// What every operation answers.
async fn all_errors(api: &DbApi) -> Vec<StoreError> {
    let turn = Turn { messages: vec![message("assistant", "what I said")], ..Turn::default() };
    let (patient, id) = (mrn("P000123"), "CONV-2025-01-01-P000123-00000000");
    [
        PatientRecords::list(api, PAGE).await.err(),
        api.patient(&patient).await.err(),
        api.summary(&patient).await.err(),
        PatientRecords::ping(api).await.err(),
        api.create(conversation("P000123", "what I said")).await.err(),
        api.append(id, turn).await.err(),
        api.get(id).await.err(),
        Conversations::list(api, Some(&patient), PAGE).await.err(),
        Conversations::ping(api).await.err(),
    ]
    .into_iter()
    .map(|error| error.expect("it fails"))
    .collect()
}

async fn assert_upstream(api: &DbApi, reason: &str) {
    for error in all_errors(api).await {
        assert!(matches!(error, StoreError::Upstream { .. }), "{error:?}");
        let texts = checked_texts(&error);
        assert!(texts.contains(reason), "{texts}");
    }
}

#[tokio::test]
async fn records_are_read_in_carepaths_shapes() {
    let summary = json!({
        "patient": {"mrn": "P000123", "odd": {"kept": 1}}, "recent_encounters": [{"start": "2024-01-01"}],
        "recent_claims": [], "documents": [],
        "summary_metadata": {"mrn": "P000123", "encounter_count": 1, "claim_count": 0, "document_count": 0}
    });
    let patient = summary["patient"].clone();
    let (whole, part) = (summary.clone(), json!({"patient": {"mrn": "P2"}}));
    let service = FakeDbApi::serve(move |config| {
        let json = |value: &Value| {
            let value = value.clone();
            web::get().to(move || {
                let answer = HttpResponse::Ok().json(&value);
                async { answer }
            })
        };
        config
            .route("/patients", json(&json!({"items": [{"mrn": "P000123"}], "total": 7, "skip": 3, "limit": 1})))
            .route("/patients/P000123", json(&patient))
            .route("/patients/P000123/summary", json(&whole))
            .route("/patients/P2/summary", json(&part))
            .route("/health", json(&json!({"status": "ok"})));
    })
    .await;
    let api = client(&service);
    let listing = PatientRecords::list(&api, Page { skip: 3, limit: 1 }).await.unwrap();
    assert_eq!((listing.items.len(), listing.total, listing.skip, listing.limit), (1, 7, 3, 1));
    assert_eq!(api.patient(&mrn("P000123")).await.unwrap().unwrap()["odd"]["kept"], 1);
    assert_eq!(serde_json::to_value(api.summary(&mrn("P000123")).await.unwrap().unwrap()).unwrap(), summary);
    assert!(api.summary(&mrn("P2")).await.unwrap().unwrap().documents.is_empty(), "a missing list is empty");
    PatientRecords::ping(&api).await.expect("`/health` stands in for a missing `/health/db`");

    assert!(api.patient(&mrn("P999999")).await.unwrap().is_none());
    assert!(api.summary(&mrn("P999999")).await.unwrap().is_none());
    assert!(api.summary(&mrn("..")).await.unwrap().is_none(), "never another path");
}

#[tokio::test]
async fn a_bare_array_is_a_list_too() {
    let (_service, api) = answering(|| HttpResponse::Ok().json(json!([{"mrn": "P1"}, {"mrn": "P2"}]))).await;
    let listing = PatientRecords::list(&api, Page { skip: 4, limit: 10 }).await.unwrap();
    assert_eq!((listing.items.len(), listing.total), (2, 6));
}

#[tokio::test]
async fn a_record_of_another_patient_is_no_answer() {
    let other = json!({"mrn": "P000124", "patient": {"mrn": "P000124"}});
    let (_service, api) = answering(move || HttpResponse::Ok().json(&other)).await;
    let errors = [api.patient(&mrn("P000123")).await.err(), api.summary(&mrn("P000123")).await.err()];
    for error in errors {
        assert!(checked_texts(&error.unwrap()).contains("another patient"));
    }
}

#[tokio::test]
async fn turns_of_one_conversation_are_listed_as_one() {
    let service = FakeDbApi::start().await;
    let api = client(&service);
    let id = api.create(conversation("P000123", "a question")).await.unwrap().conversation_id;
    api.create(conversation("P000123", "another")).await.unwrap();
    let answer = Turn { messages: vec![message("assistant", "an answer")], ..Turn::default() };
    api.append(&id, answer).await.unwrap();
    let (listed, chat_logs) = Conversations::list(&api, None, PAGE).await.unwrap();
    assert_eq!((listed.len(), chat_logs), (2, 3));
    assert_eq!(listed[0].messages.len(), 2);
}

#[tokio::test]
async fn a_conversation_is_found_behind_many_others() {
    let service = FakeDbApi::start().await;
    let api = client(&service);
    let id = api.create(conversation("P000123", "a question")).await.unwrap().conversation_id;
    for _ in 0..150 {
        api.create(conversation("P000123", "another")).await.unwrap();
    }
    api.append(&id, Turn { messages: vec![message("assistant", "an answer")], ..Turn::default() }).await.unwrap();
    assert_eq!(api.get(&id).await.unwrap().unwrap().messages.len(), 2);
}

#[tokio::test]
async fn a_failing_service_is_named_without_address_or_content() {
    let (_service, api) = answering(|| HttpResponse::InternalServerError().body("Alice Nguyen P000123")).await;
    assert_upstream(&api, "it answered with status 500").await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (_service, api) =
        answering(|| HttpResponse::Found().insert_header(("Location", "http://127.0.0.1:9/")).finish()).await;
    assert_upstream(&api, "it answered with status 302").await;
}

#[tokio::test]
async fn broken_json_is_named_without_content() {
    for body in ["{\"patient\": \"Alice Nguyen\"", "\"P000123\"", "", "<html>Metformin</html>"] {
        let (_service, api) = answering(move || HttpResponse::Ok().body(body)).await;
        assert_upstream(&api, "it").await;
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let (_service, api) = answering(|| HttpResponse::Ok().body(" ".repeat(9 << 20))).await;
    assert_upstream(&api, "its answer is too large").await;
}

#[tokio::test]
async fn a_refused_connection_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let api = DbApi::new(DbApiConfig::new(address)).unwrap();
    assert_upstream(&api, "it cannot be reached: connection refused").await;
}

#[tokio::test]
async fn a_connection_that_is_cut_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            connection.readable().await.unwrap();
            connection.try_write(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{\"pat").unwrap();
        }
    });
    assert_upstream(&DbApi::new(DbApiConfig::new(address)).unwrap(), "the connection failed").await;
}

#[tokio::test]
async fn a_slow_service_is_given_up() {
    let service = FakeDbApi::serve(|config| {
        config.default_service(web::to(|| async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            HttpResponse::Ok().finish()
        }));
    })
    .await;
    let short = Duration::from_millis(150);
    let config = DbApiConfig { timeout: short, chat_log_timeout: short, ..DbApiConfig::new(service.address()) };
    let started = Instant::now();
    for error in all_errors(&DbApi::new(config).unwrap()).await {
        assert!(matches!(error, StoreError::UpstreamTimeout), "{error:?}");
        checked_texts(&error);
    }
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_service_without_its_database_does_not_answer() {
    let (_service, api) = answering(|| HttpResponse::Ok().json(json!({"status": "error", "connected": false}))).await;
    let error = PatientRecords::ping(&api).await.unwrap_err();
    assert!(checked_texts(&error).contains("its database is not connected"));
}

#[test]
fn an_address_that_is_none_is_refused_at_the_start() {
    let error = DbApi::new(DbApiConfig::new("user:secret@db-api")).unwrap_err();
    assert!(!checked_texts(&error).contains("secret"));
}
