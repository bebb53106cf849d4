//! `POST /triage`: a question in, an answer out, whole or as a stream.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::FutureExt;
use tokio::time::timeout;

use super::body::JsonBody;
use super::dto::{TriageRequest, TriageResponse};
use super::error::ApiError;
use super::sse::{Frames, Source};
use super::{HttpOptions, only};
use crate::error::TriageError;
use crate::service::TriageService;
use crate::trace_id::TraceId;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/triage").route(web::post().to(triage)).default_service(only("POST")));
}

/// Answer a patient's question from the patient's record.
///
/// With `"stream": true` or `Accept: text/event-stream` the answer is a stream of server-sent
/// events: `reasoning` and `answer` with `{"delta"}`, then one `result` with the JSON body, or one
/// `error`. Closing the connection stops the inference.
#[utoipa::path(
    post,
    path = "/triage",
    tag = "triage",
    request_body = TriageRequest,
    params(("x-request-id" = Option<String>, Header, description = "Becomes the trace id")),
    responses(
        (status = 200, description = "The stored answer", content(
            (TriageResponse = "application/json"),
            (String = "text/event-stream"),
        )),
        (status = 400, description = "Unknown mode"),
        (status = 404, description = "Unknown patient or conversation"),
        (status = 408, description = "The body did not arrive in time"),
        (status = 413, description = "The body, or the question with its record, is too large"),
        (status = 415, description = "The body is not JSON"),
        (status = 422, description = "Invalid body; `detail.errors` lists the faults"),
        (status = 429, description = "Too many requests wait; see Retry-After"),
        (status = 500, description = "Inference failed"),
        (status = 502, description = "The records service or the language model server failed"),
        (status = 503, description = "The model or a store is not ready; see Retry-After"),
        (status = 504, description = "The answer or the record took too long"),
    ),
)]
pub(super) async fn triage(
    request: HttpRequest,
    body: JsonBody,
    trace_id: TraceId,
    service: web::Data<TriageService>,
    options: web::Data<HttpOptions>,
) -> Result<HttpResponse, ApiError> {
    let asked = TriageRequest::read(body.0)?;
    let include_reasoning = asked.include_reasoning;
    let streamed = asked.stream.unwrap_or_else(|| accepts_events(&request));
    let mrn = asked.patient_mrn.clone();

    let failed = |error: TriageError| match error {
        TriageError::PatientNotFound => ApiError::from(error).with("patient_mrn", mrn.as_str()),
        _ => ApiError::from(error),
    };
    let service = service.into_inner();
    let question = asked.question(trace_id.clone());
    if streamed {
        let mut asking = async move { service.ask(question).await }.boxed();
        // What is known early keeps its HTTP status; what takes longer must not be silent for long.
        let ongoing = match timeout(options.keep_alive, &mut asking).await {
            Ok(ongoing) => Source::Ongoing(ongoing.map_err(failed)?),
            Err(_) => Source::Asking(asking),
        };
        return Ok(Frames::new(ongoing, trace_id, include_reasoning, options.keep_alive).respond());
    }
    let answer = service.ask(question).await.map_err(failed)?.finish().await.map_err(failed)?;
    Ok(HttpResponse::Ok().json(TriageResponse::new(answer, &trace_id, include_reasoning)))
}

fn accepts_events(request: &HttpRequest) -> bool {
    let accepted = request.headers().get_all(header::ACCEPT).filter_map(|value| value.to_str().ok());
    accepted.flat_map(|list| list.split(',')).any(|one| {
        let media_type = one.split(';').next().unwrap_or_default();
        media_type.trim().eq_ignore_ascii_case("text/event-stream")
    })
}
