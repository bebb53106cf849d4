//! The trace of a request: its id, its span around every log line, its one line at the end, and that it is counted.
//!
//! Writes the body of every [`ApiError`], because the trace id stands in it. Logs route templates
//! and never a path, a query or a header: record numbers stand in those.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, web};
use bytes::Bytes;
use tracing::{Instrument, Span};

use super::error::ApiError;
use crate::service::TriageService;
use crate::trace_id::TraceId;

/// Carries the trace id, in requests and in answers.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The middleware around every endpoint.
pub(super) async fn trace(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    let trace_id = request.headers().get(REQUEST_ID).and_then(|value| TraceId::parse(value.to_str().ok()?));
    let trace_id = trace_id.unwrap_or_else(TraceId::random);
    let route = request.match_pattern().unwrap_or_else(|| "unknown".to_owned());
    // At the level of an error, so that no LOG_LEVEL takes the trace id from the lines inside.
    let span = tracing::error_span!("request", %trace_id, method = method(&request), route = route.as_str());
    let mut line = RequestLine {
        span: span.clone(),
        started: Instant::now(),
        status: None,
        whole: false,
        service: request.app_data::<web::Data<TriageService>>().cloned(),
        route,
        method: method(&request),
    };
    request.extensions_mut().insert(trace_id.clone());

    let response = next.call(request).instrument(span).await?;
    let mut response = line.span.in_scope(|| with_error_body(response.map_into_boxed_body(), &trace_id));
    if let Ok(value) = HeaderValue::from_str(trace_id.as_str()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    line.status = Some(response.status().as_u16());
    Ok(response.map_body(|_, body| {
        line.whole = matches!(body.size(), BodySize::None | BodySize::Sized(0));
        BoxBody::new(TracedBody { body, line })
    }))
}

/// One of the methods that HTTP defines; a client may invent others, which are not logged.
fn method(request: &ServiceRequest) -> &'static str {
    const KNOWN: [&str; 8] = ["GET", "POST", "OPTIONS", "HEAD", "PUT", "PATCH", "DELETE", "TRACE"];
    KNOWN.into_iter().find(|known| request.method().as_str() == *known).unwrap_or("other")
}

fn with_error_body(response: ServiceResponse, trace_id: &TraceId) -> ServiceResponse {
    let Some(error) = response.response().error() else { return response };
    let foreign = ApiError::other(response.status());
    let error = error.as_error::<ApiError>().unwrap_or(&foreign);
    error.log();
    let answer = error.respond(trace_id);
    ServiceResponse::new(response.into_parts().0, answer)
}

/// Writes the request's line when the answer is written or given up.
struct RequestLine {
    span: Span,
    started: Instant,
    /// `None` until there is an answer.
    status: Option<u16>,
    /// Whether the last byte of the answer was handed over.
    whole: bool,
    /// Who counts; nobody counts what operators ask.
    service: Option<web::Data<TriageService>>,
    route: String,
    method: &'static str,
}

impl Drop for RequestLine {
    fn drop(&mut self) {
        let _inside = self.span.enter();
        let elapsed = self.started.elapsed();
        if let Some(service) = &self.service {
            service.metrics().request(&self.route, self.method, self.status, elapsed);
        }
        let latency_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        match self.status {
            Some(status) if self.whole => tracing::info!(status, latency_ms, "request answered"),
            Some(status) => tracing::info!(status, latency_ms, "client left during the answer"),
            None => tracing::info!(latency_ms, "client left before the answer"),
        }
    }
}

/// A body whose work happens inside the request's span.
struct TracedBody {
    body: BoxBody,
    line: RequestLine,
}

impl MessageBody for TracedBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = &mut *self;
        let _inside = this.line.span.enter();
        let next = Pin::new(&mut this.body).poll_next(cx);
        if matches!(next, Poll::Ready(None)) {
            this.line.whole = true;
        }
        next
    }
}

impl Drop for TracedBody {
    fn drop(&mut self) {
        // What stops with the answer is logged inside its span, too.
        let _inside = self.line.span.enter();
        self.body = BoxBody::new(());
    }
}

/// The id that the middleware gave the request.
impl FromRequest for TraceId {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(request.extensions().get::<Self>().cloned().unwrap_or_else(Self::random)))
    }
}
