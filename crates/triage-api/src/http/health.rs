//! `/`, `/health`, `/health/db`, `/ready` and `/metrics`: what probes, Prometheus and people ask first.

use std::time::Instant;

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use llm_client::{BackendStatus, Entry};
use serde_json::{Value, json};

use super::error::seconds;
use super::only;
use crate::service::{TriageService, milliseconds};

const SERVICE: &str = "chat-api";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// When to ask again while a model loads: probes come about this often.
const LOADING_RETRY_SECONDS: u64 = 10;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/").route(web::get().to(index)).default_service(only("GET")))
        .service(web::resource("/health").route(web::get().to(health)).default_service(only("GET")))
        .service(web::resource("/health/db").route(web::get().to(health_db)).default_service(only("GET")))
        .service(web::resource("/metrics").route(web::get().to(metrics)).default_service(only("GET")))
        .service(web::resource("/ready").route(web::get().to(ready)).default_service(only("GET")));
}

/// What this service is.
#[utoipa::path(get, path = "/", tag = "health",
    responses((status = 200, description = "Name, version and default mode", body = serde_json::Value)))]
pub(super) async fn index(service: web::Data<TriageService>) -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "service": "CarePath Chat API",
        "version": VERSION,
        "description": "AI-powered chat service for patient assistance",
        "default_llm_mode": service.llm().default_entry().name(),
        // There is no vector store; CarePath's clients expect the field.
        "vector_mode": "none",
    }))
}

/// Whether the process runs; for liveness probes.
#[utoipa::path(get, path = "/health", tag = "health",
    responses((status = 200, description = "It runs", body = serde_json::Value)))]
pub(super) async fn health() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok", "service": SERVICE, "version": VERSION }))
}

/// Whether the stores answer.
#[utoipa::path(get, path = "/health/db", tag = "health",
    responses(
        (status = 200, description = "`{status, service, database, connected, latency_ms, error}`", body = serde_json::Value),
        (status = 503, description = "A store does not answer; the same shape", body = serde_json::Value),
    ))]
pub(super) async fn health_db(service: web::Data<TriageService>) -> HttpResponse {
    let stores = service.stores();
    let started = Instant::now();
    let answer = match stores.records.ping().await {
        Ok(()) => stores.conversations.ping().await,
        failed => failed,
    };
    let body = json!({
        "status": if answer.is_ok() { "ok" } else { "error" },
        "service": SERVICE,
        "database": stores.kind,
        "connected": answer.is_ok(),
        "latency_ms": milliseconds(started),
        "error": answer.as_ref().err().map(ToString::to_string),
    });
    if answer.is_ok() { HttpResponse::Ok().json(body) } else { HttpResponse::ServiceUnavailable().json(body) }
}

/// Whether those can answer who answer requests without a mode, at the latest after a lazy load; for readiness probes.
#[utoipa::path(get, path = "/ready", tag = "health",
    responses(
        (status = 200, description = "It can; `engine` says what computes, where the model is in this process", body = serde_json::Value),
        (status = 503, description = "It loads, or failed to and will try again; \
            `{status, stage, error, percent, message}` and Retry-After", body = serde_json::Value),
    ))]
pub(super) async fn ready(service: web::Data<TriageService>) -> HttpResponse {
    let registry = service.llm().registry();
    // The first of those that answer which cannot, where there is one.
    let routing = registry.routing();
    let answering: Vec<_> = routing.answering().filter_map(|mode| registry.entry(mode).ok()).collect();
    let unready = answering.iter().find(|entry| !entry.status().is_ready());
    let entry = unready.or(answering.first()).cloned().unwrap_or_else(|| registry.default_entry());
    let (model, engine) = (entry.model().to_string(), entry.engine());
    let mut body = readiness(entry.name(), &model, engine.as_deref());
    if !registry.fallback().is_empty() {
        body["fallback"] = registry.fallback().iter().map(|entry| fallback(entry)).collect();
        body["passed_over"] = json!(entry.is_passed_over());
    }
    answered(body, &entry.status())
}

/// One that answers when the default cannot.
fn fallback(entry: &Entry) -> Value {
    json!({ "llm_mode": entry.name(), "status": entry.status().name(), "passed_over": entry.is_passed_over() })
}

/// What is counted, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, description = "OpenMetrics 1.0", body = String, content_type = "application/openmetrics-text")))]
pub(super) async fn metrics(service: web::Data<TriageService>) -> HttpResponse {
    let text = service.metrics().text(service.llm().registry());
    HttpResponse::Ok().content_type("application/openmetrics-text; version=1.0.0; charset=utf-8").body(text)
}

fn readiness(mode: &str, model: &str, engine: Option<&str>) -> Value {
    let mut body =
        json!({ "status": "ready", "service": SERVICE, "version": VERSION, "llm_mode": mode, "model": model });
    if let Some(engine) = engine {
        body["engine"] = json!(engine);
    }
    body
}

fn answered(mut body: Value, status: &BackendStatus) -> HttpResponse {
    let (error, percent, retry) = match status {
        BackendStatus::Ready | BackendStatus::Idle => return HttpResponse::Ok().json(body),
        BackendStatus::Unloaded => (None, None, LOADING_RETRY_SECONDS),
        BackendStatus::Loading { percent, .. } => (None, *percent, LOADING_RETRY_SECONDS),
        BackendStatus::Failed { error, retry_in } => (Some(error), None, seconds(*retry_in)),
    };
    body["status"] = json!(status.name());
    body["message"] = json!(match status {
        BackendStatus::Failed { .. } => "Model could not be loaded, it will be tried again",
        BackendStatus::Unloaded => "Model is not loaded",
        _ => "Model is still loading, please wait",
    });
    body["stage"] = json!(status.stage());
    body["error"] = json!(error);
    body["percent"] = json!(percent);
    HttpResponse::ServiceUnavailable().insert_header((header::RETRY_AFTER, retry)).json(body)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix_web::body::MessageBody;

    use super::*;

    fn answer(status: &BackendStatus) -> (u16, Option<String>, Value) {
        let response = answered(readiness("qwen", "Qwen/Qwen3-4B@abc", None), status);
        let retry = response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        (status, retry, serde_json::from_slice(&response.into_body().try_into_bytes().unwrap()).unwrap())
    }

    #[test]
    fn a_model_that_waits_for_its_first_request_is_ready() {
        for status in [BackendStatus::Ready, BackendStatus::Idle] {
            let (code, retry, body) = answer(&status);
            assert_eq!((code, retry), (200, None));
            assert_eq!(body["status"], "ready");
        }
    }

    #[test]
    fn a_loaded_model_says_what_computes() {
        let body = readiness("qwen", "Qwen/Qwen3-4B@abc", Some("cpu, 2 threads"));
        assert_eq!(body["engine"], "cpu, 2 threads");
    }

    #[test]
    fn a_loading_model_says_how_far_it_is() {
        let (code, retry, body) =
            answer(&BackendStatus::Loading { stage: "fetching model.safetensors".to_owned(), percent: Some(40) });
        assert_eq!((code, retry.as_deref()), (503, Some("10")));
        let expected = json!({
            "status": "loading", "service": "chat-api", "version": VERSION,
            "llm_mode": "qwen", "model": "Qwen/Qwen3-4B@abc", "message": "Model is still loading, please wait",
            "stage": "fetching model.safetensors (40 %)", "error": null, "percent": 40,
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn a_failed_model_says_why_and_when_it_tries_again() {
        let status = BackendStatus::Failed { error: "not found".to_owned(), retry_in: Duration::from_millis(1500) };
        let (code, retry, body) = answer(&status);
        assert_eq!((code, retry.as_deref()), (503, Some("2")));
        assert_eq!((&body["status"], &body["error"]), (&json!("failed"), &json!("not found")));
    }
}
