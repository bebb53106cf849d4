//! [`ApiError`]: the one table that turns errors into HTTP, and the one place that logs a failure.
//!
//! A handler returns it without a trace id; `trace.rs` adds that and writes the body. Nothing of a
//! client's own text is logged here: below 500 the kind alone, from 500 on causes without content.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use llm_client::LlmError;
use serde_json::{Map, Value, json};

use super::fields::FieldError;
use crate::error::{StoreError, TriageError};
use crate::trace_id::TraceId;

/// The kind of an answer that waits for a model.
const NOT_READY: &str = "not_ready";
/// When to come back to a store that is locked or full.
const STORE_RETRY: Duration = Duration::from_secs(5);

/// An answer that is not a success.
pub(super) struct ApiError {
    status: StatusCode,
    /// A fixed name for logs.
    kind: &'static str,
    /// For the client.
    message: String,
    /// More for the client, beside `error` and `trace_id`.
    more: Vec<(&'static str, Value)>,
    /// CarePath's DB API answers a bare string as `detail`.
    bare: bool,
    retry_after: Option<Duration>,
    allow: Option<&'static str>,
    /// What happened, for the log.
    cause: Option<Box<str>>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
            more: Vec::new(),
            bare: false,
            retry_after: None,
            allow: None,
            cause: None,
        }
    }

    /// The body is not what the endpoint takes.
    pub(super) fn invalid(errors: &[FieldError]) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid request").with("errors", json!(errors))
    }

    /// No endpoint has this path.
    pub(super) fn unknown_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown_path", "Not found")
    }

    /// The endpoint takes the methods in `allow` only.
    pub(super) fn method(allow: &'static str) -> Self {
        let error = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method", "Method not allowed");
        Self { allow: Some(allow), ..error }
    }

    /// An error of the server library, of which only the status may be known.
    pub(super) fn other(status: StatusCode) -> Self {
        Self::new(status, "other", status.canonical_reason().unwrap_or("Error"))
    }

    /// Adds a field to the answer.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.more.push((name, value.into()));
        self
    }

    /// Answers `{"detail": message}`, as CarePath's `/patients` and `/chat-logs` do.
    pub(super) fn bare(self) -> Self {
        Self { bare: true, ..self }
    }

    fn retry(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }

    fn because(self, error: &dyn Error) -> Self {
        Self { cause: Some(chain(error).into()), ..self }
    }

    /// The status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The body of the answer.
    pub(super) fn body(&self, trace_id: &TraceId) -> Value {
        if self.bare {
            return json!({ "detail": self.message });
        }
        let mut detail = Map::new();
        detail.insert("error".to_owned(), json!(self.message));
        detail.insert("trace_id".to_owned(), json!(trace_id.as_str()));
        detail.extend(self.more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        json!({ "detail": detail })
    }

    /// The whole answer.
    pub(super) fn respond(&self, trace_id: &TraceId) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(after) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds(after)));
        }
        if let Some(allow) = self.allow {
            response.insert_header((header::ALLOW, allow));
        }
        response.json(self.body(trace_id))
    }

    /// Writes the failure's one log line.
    pub(super) fn log(&self) {
        let (kind, status) = (self.kind, self.status.as_u16());
        match &self.cause {
            // Whoever loads the model has logged why it is not there.
            Some(cause) if self.status.is_server_error() && kind != NOT_READY => {
                tracing::error!(kind, status, cause, "request failed");
            }
            _ => tracing::debug!(kind, status, "request refused"),
        }
    }
}

/// `Retry-After` in whole seconds, never 0.
pub(super) fn seconds(duration: Duration) -> u64 {
    duration.as_millis().div_ceil(1000).clamp(1, 86_400).try_into().unwrap_or(1)
}

/// The error and what caused it, in one line.
fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // thiserror's transparent and `{0}` variants repeat their source.
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = cause.source();
    }
    line
}

impl From<TriageError> for ApiError {
    fn from(error: TriageError) -> Self {
        let answer = match &error {
            TriageError::PatientNotFound => Self::new(StatusCode::NOT_FOUND, "unknown_patient", "Patient not found"),
            TriageError::ConversationNotFound => {
                Self::new(StatusCode::NOT_FOUND, "unknown_conversation", "Conversation not found")
            }
            TriageError::Invalid { field, reason } => Self::invalid(&[FieldError::new(field, reason.clone())]),
            TriageError::Records(error) => from_store(error, "patient data"),
            TriageError::Conversations(error) => {
                // Whatever keeps a conversation from being stored, the answer must not leave.
                Self { status: StatusCode::SERVICE_UNAVAILABLE, ..from_store(error, "the conversation") }
                    .retry(STORE_RETRY)
            }
            TriageError::Decisions(error) => from_store(error, "the decision").retry(STORE_RETRY),
            TriageError::Prompt(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "prompt", "Error building the prompt")
            }
            TriageError::Llm(error) => from_llm(error),
        };
        answer.because(&error)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        from_store(&error, "data").because(&error)
    }
}

fn from_store(error: &StoreError, what: &str) -> ApiError {
    match error {
        StoreError::NotFound => ApiError::new(StatusCode::NOT_FOUND, "not_found", "Not found"),
        StoreError::Conflict => ApiError::new(StatusCode::CONFLICT, "conflict", "Already exists"),
        StoreError::Unavailable { .. } => {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "store", format!("The store of {what} is unavailable"))
                .retry(STORE_RETRY)
        }
        StoreError::Upstream { .. } => {
            ApiError::new(StatusCode::BAD_GATEWAY, "records_service", format!("Error fetching {what}"))
        }
        StoreError::UpstreamTimeout => {
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, "records_timeout", format!("Timeout fetching {what}"))
        }
    }
}

fn from_llm(error: &LlmError) -> ApiError {
    match error {
        LlmError::UnknownMode { mode, known } => {
            let message = format!("Unknown LLM mode: {mode}. Expected one of: {}", known.join(", "));
            ApiError::new(StatusCode::BAD_REQUEST, "unknown_mode", message).with("modes", json!(known))
        }
        LlmError::NotReady { stage, retry_after, .. } => {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, NOT_READY, "The model is not ready, please try again")
                .with("stage", stage.as_str())
                .retry(*retry_after)
        }
        LlmError::Conflict(reason) => ApiError::new(StatusCode::CONFLICT, "conflict", reason.as_str()),
        LlmError::Overloaded { retry_after } => {
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", "Too many requests are waiting")
                .retry(*retry_after)
        }
        LlmError::PromptTooLong { prompt_tokens, limit } => {
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "prompt_too_long", "The question and its record are too long")
                .with("prompt_tokens", *prompt_tokens)
                .with("limit", *limit)
        }
        LlmError::InvalidRequest(reason) => ApiError::invalid(&[FieldError::body(reason.clone())]),
        LlmError::Timeout(_) => ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timeout", "The answer took too long"),
        LlmError::Unavailable { .. } => {
            ApiError::new(StatusCode::BAD_GATEWAY, "llm_unavailable", "The language model server failed")
        }
        _ => ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "inference", "Error generating response"),
    }
}

/// Shows the kind only: the message may repeat what the client sent, and the server library logs
/// errors by their `Debug`.
impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiError({} {})", self.status.as_u16(), self.kind)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    /// Empty: `trace.rs` writes the body, since only it knows the request's trace id.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status)
    }
}

#[cfg(test)]
mod tests;
