//! `/patients`: records as CarePath's DB API shows them.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};

use super::error::ApiError;
use super::only;
use super::page::PageQuery;
use crate::error::StoreError;
use crate::mrn::Mrn;
use crate::service::TriageService;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/patients").route(web::get().to(list)).default_service(only("GET")))
        .service(web::resource("/patients/{mrn}").route(web::get().to(patient)).default_service(only("GET")))
        .service(web::resource("/patients/{mrn}/summary").route(web::get().to(summary)).default_service(only("GET")));
}

/// A page of patients, in the order of their record numbers.
#[utoipa::path(
    get,
    path = "/patients",
    tag = "records",
    params(PageQuery),
    responses(
        (status = 200, description = "`{items, total, skip, limit}`", body = serde_json::Value),
        (status = 422, description = "`skip` or `limit` is out of range"),
        (status = 502, description = "The records service failed"),
        (status = 504, description = "The records service took too long"),
        (status = 503, description = "The store is unavailable"),
    ),
)]
pub(super) async fn list(
    service: web::Data<TriageService>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    let listing = service.stores().records.list(query.page()?).await.map_err(bare)?;
    Ok(HttpResponse::Ok().json(listing))
}

/// One patient.
#[utoipa::path(
    get,
    path = "/patients/{mrn}",
    tag = "records",
    params(("mrn" = String, Path, description = "Medical record number")),
    responses(
        (status = 200, description = "The patient", body = serde_json::Value),
        (status = 404, description = "Unknown patient"),
        (status = 502, description = "The records service failed"),
        (status = 504, description = "The records service took too long"),
        (status = 503, description = "The store is unavailable"),
    ),
)]
pub(super) async fn patient(
    service: web::Data<TriageService>,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let Ok(mrn) = Mrn::parse(&path) else { return Err(unknown(&path)) };
    let patient = service.stores().records.patient(&mrn).await.map_err(bare)?;
    Ok(HttpResponse::Ok().json(patient.ok_or_else(|| unknown(&path))?))
}

/// One patient with encounters, claims and documents.
#[utoipa::path(
    get,
    path = "/patients/{mrn}/summary",
    tag = "records",
    params(("mrn" = String, Path, description = "Medical record number")),
    responses(
        (status = 200, description = "`{patient, recent_encounters, recent_claims, documents, summary_metadata}`",
            body = serde_json::Value),
        (status = 404, description = "Unknown patient"),
        (status = 502, description = "The records service failed"),
        (status = 504, description = "The records service took too long"),
        (status = 503, description = "The store is unavailable"),
    ),
)]
pub(super) async fn summary(
    service: web::Data<TriageService>,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let Ok(mrn) = Mrn::parse(&path) else { return Err(unknown(&path)) };
    let summary = service.stores().records.summary(&mrn).await.map_err(bare)?;
    Ok(HttpResponse::Ok().json(summary.ok_or_else(|| unknown(&path))?))
}

fn unknown(mrn: &str) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "unknown_patient", format!("Patient with MRN {mrn} not found")).bare()
}

fn bare(error: StoreError) -> ApiError {
    ApiError::from(error).bare()
}
