//! `GET /openapi.json`: this interface, described for machines.

use actix_web::{HttpResponse, web};
use utoipa::OpenApi;

use super::{chat_logs, health, only, patients, triage};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/openapi.json").route(web::get().to(openapi)).default_service(only("GET")));
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "CarePath Chat API",
        description = "Answers patients' questions from their records. Synthetic data; a demonstration, not a \
                       medical device.",
    ),
    paths(
        triage::triage,
        health::index,
        health::health,
        health::health_db,
        health::ready,
        health::metrics,
        patients::list,
        patients::patient,
        patients::summary,
        chat_logs::list,
        chat_logs::create,
        chat_logs::conversation,
        openapi,
    )
)]
struct Document;

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "health",
    responses((status = 200, description = "An OpenAPI 3.1 document", body = serde_json::Value)))]
async fn openapi() -> HttpResponse {
    HttpResponse::Ok().json(Document::openapi())
}
