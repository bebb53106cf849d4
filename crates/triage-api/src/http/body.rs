//! [`JsonBody`]: the JSON object that a request carries.
//!
//! Owns content type, size and syntax; knows nothing of the object's fields.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::web;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use bytes::Bytes;
use futures_util::future::{FutureExt, LocalBoxFuture};
use serde_json::{Map, Value};

use super::error::ApiError;
use super::fields::FieldError;

/// The largest body that is read, in bytes.
pub(super) const MAX_BODY_BYTES: usize = 256 * 1024;

/// The longest that a client may take to send a body: a slow one holds a connection for no longer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A request's JSON object.
pub(super) struct JsonBody(pub(super) Map<String, Value>);

impl FromRequest for JsonBody {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let acceptable = is_json(request);
        let announced = announced_length(request);
        let payload = web::Payload::from_request(request, payload);
        async move {
            if !acceptable {
                let message = "Send the body as application/json";
                return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", message));
            }
            if announced.is_some_and(|length| length > MAX_BODY_BYTES) {
                return Err(too_large());
            }
            let payload = payload.await.map_err(|_| incomplete())?;
            let bytes = tokio::time::timeout(READ_TIMEOUT, payload.to_bytes_limited(MAX_BODY_BYTES)).await;
            let bytes = bytes.map_err(|_| too_slow())?.map_err(|_| too_large())?;
            parse(&bytes.map_err(|_| incomplete())?).map(Self)
        }
        .boxed_local()
    }
}

/// Whether the body claims to be JSON; one without a type is taken at its word.
fn is_json(request: &HttpRequest) -> bool {
    if !request.headers().contains_key(header::CONTENT_TYPE) {
        return true;
    }
    let Ok(Some(mime)) = request.mime_type() else { return false };
    mime.subtype() == "json" || mime.suffix().is_some_and(|suffix| suffix == "json")
}

fn announced_length(request: &HttpRequest) -> Option<usize> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn parse(bytes: &Bytes) -> Result<Map<String, Value>, ApiError> {
    let invalid = |message: String| ApiError::invalid(&[FieldError::body(message)]);
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(invalid("must be a JSON object".to_owned())),
        Err(error) => Err(invalid(format!("is not JSON (line {}, column {})", error.line(), error.column()))),
    }
}

fn too_large() -> ApiError {
    let message = format!("The body has more than {MAX_BODY_BYTES} bytes");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
}

fn too_slow() -> ApiError {
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "The body did not arrive in time")
}

fn incomplete() -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "incomplete", "The body did not arrive whole")
}
