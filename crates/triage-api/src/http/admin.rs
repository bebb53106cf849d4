//! [`listen_admin`]: what operators do with models while requests run.
//!
//! Every endpoint but the doctor's answers with the whole state, so that whoever changed something sees what it made.

use std::io;
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::{Server, ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::{self, Next};
use actix_web::{App, Error, HttpResponse, HttpServer, body::MessageBody, web};
use llm_client::{BackendStatus, Entry, LlmError, Registry, Routing};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::body::JsonBody;
use super::error::{ApiError, seconds};
use super::fields::{FieldError, Fields};
use super::{only, trace, unknown_path};
use crate::error::TriageError;
use crate::switchboard::Switchboard;

/// The largest weight: a share of a millionth is small enough.
const MAX_WEIGHT: u64 = 1_000_000;

/// Looks at everything that the service needs, and says what is found; it may take its time.
pub type Diagnosis = Arc<dyn Fn() -> Value + Send + Sync>;

/// Serves the operators' interface on `listener` until the returned server is stopped; it takes no
/// signals itself. Without a `token` whoever reaches the listener may do everything, so it should be
/// on loopback; web pages are refused then, which a browser would let reach it.
///
/// # Errors
/// When the listener cannot be used.
pub fn listen_admin(
    listener: TcpListener,
    switchboard: Arc<Switchboard>,
    token: Option<SecretString>,
    diagnosis: Diagnosis,
) -> io::Result<Server> {
    let token = Token(token.map(Arc::new));
    let app = move || {
        let endpoints = web::scope("/admin")
            .service(web::resource("/models").route(web::get().to(state)).default_service(only("GET")))
            .service(web::resource("/models/{mode}/load").route(web::post().to(load)).default_service(only("POST")))
            .service(web::resource("/models/{mode}/unload").route(web::post().to(unload)).default_service(only("POST")))
            .service(web::resource("/default").route(web::put().to(set_default)).default_service(only("PUT")))
            .service(web::resource("/weights").route(web::put().to(set_weights)).default_service(only("PUT")))
            .service(web::resource("/shadow").route(web::put().to(set_shadow)).default_service(only("PUT")))
            .service(web::resource("/rollback").route(web::post().to(roll_back)).default_service(only("POST")))
            .service(web::resource("/doctor").route(web::get().to(diagnose)).default_service(only("GET")))
            .wrap(middleware::from_fn(admit));
        App::new()
            .app_data(web::Data::from(Arc::clone(&switchboard)))
            .app_data(token.clone())
            .app_data(web::Data::new(Arc::clone(&diagnosis)))
            .service(endpoints)
            .default_service(web::to(unknown_path))
            .wrap(middleware::from_fn(trace::trace))
    };
    Ok(HttpServer::new(app).workers(1).shutdown_timeout(1).disable_signals().listen(listener)?.run())
}

/// What operators must show.
#[derive(Clone)]
struct Token(Option<Arc<SecretString>>);

/// The middleware that lets operators in.
async fn admit(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Result<ServiceResponse, Error> {
    let wanted = request.app_data::<Token>().and_then(|token| token.0.clone());
    let header = |name| request.headers().get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    match wanted {
        Some(wanted) => {
            let shown = header(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
            if !shown.is_some_and(|shown| equal(shown, wanted.expose_secret())) {
                let message = "Send the token as Authorization: Bearer";
                return Ok(request.error_response(ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message)));
            }
        }
        None if request.headers().contains_key(header::ORIGIN) || !header(header::HOST).is_some_and(is_loopback) => {
            let message = "Web pages are refused where no token is set";
            return Ok(request.error_response(ApiError::new(StatusCode::FORBIDDEN, "web_page", message)));
        }
        None => {}
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}

/// Whether a `Host` names this machine: a page whose name was made to lead here does not.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Takes as long for a wrong token as for the right one of its length.
fn equal(shown: &str, wanted: &str) -> bool {
    let differences = shown.bytes().zip(wanted.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    shown.len() == wanted.len() && std::hint::black_box(differences) == 0
}

async fn state(board: web::Data<Switchboard>) -> HttpResponse {
    HttpResponse::Ok().json(state_of(board.registry()))
}

async fn load(board: web::Data<Switchboard>, mode: web::Path<String>) -> Result<HttpResponse, ApiError> {
    board.registry().load(&mode).map_err(refused)?;
    Ok(HttpResponse::Accepted().json(state_of(board.registry())))
}

async fn unload(board: web::Data<Switchboard>, mode: web::Path<String>) -> Result<HttpResponse, ApiError> {
    board.registry().unload(&mode).map_err(refused)?;
    Ok(state(board).await)
}

async fn set_default(board: web::Data<Switchboard>, body: JsonBody) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::new(body.0);
    let mode: String = fields.required("mode", "the name of a mode");
    fields.finish().map_err(|errors| ApiError::invalid(&errors))?;
    board.decide(|registry| registry.set_default(&mode)).await?;
    Ok(state(board).await)
}

async fn set_weights(board: web::Data<Switchboard>, body: JsonBody) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::new(body.0);
    let weights: Map<String, Value> = fields.required("weights", "an object of modes and their weights");
    fields.finish().map_err(|errors| ApiError::invalid(&errors))?;
    let weights = weights.into_iter().map(|(mode, weight)| {
        let weight = weight.as_u64().filter(|weight| *weight <= MAX_WEIGHT).and_then(|weight| weight.try_into().ok());
        let expected = format!("a weight must be a whole number up to {MAX_WEIGHT}");
        Ok((mode, weight.ok_or_else(|| ApiError::invalid(&[FieldError::new("weights", expected)]))?))
    });
    let weights = weights.collect::<Result<Vec<_>, ApiError>>()?;
    board.decide(|registry| registry.set_weights(&weights)).await?;
    Ok(state(board).await)
}

async fn set_shadow(board: web::Data<Switchboard>, body: JsonBody) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::new(body.0);
    let mode: Option<String> = fields.optional("mode", "the name of a mode, or null");
    fields.finish().map_err(|errors| ApiError::invalid(&errors))?;
    board.decide(|registry| registry.set_shadow(mode.as_deref())).await?;
    Ok(state(board).await)
}

async fn roll_back(board: web::Data<Switchboard>) -> Result<HttpResponse, ApiError> {
    board.decide(Registry::roll_back).await?;
    Ok(state(board).await)
}

/// It asks disks and other services: not on the thread that serves.
async fn diagnose(diagnosis: web::Data<Diagnosis>) -> Result<HttpResponse, Error> {
    let found = web::block(move || diagnosis.get_ref()()).await?;
    Ok(HttpResponse::Ok().json(found))
}

fn refused(error: LlmError) -> ApiError {
    TriageError::from(error).into()
}

fn state_of(registry: &Registry) -> Value {
    let routing = registry.routing();
    let memory = registry.budget().map(|budget| json!({ "limit": budget.limit(), "taken": budget.taken() }));
    json!({
        "default": routing.default,
        "weights": routing.weights,
        "shadow": routing.shadow,
        "fallback": registry.fallback().iter().map(|entry| entry.name()).collect::<Vec<_>>(),
        "previous": routing.previous,
        "memory_bytes": memory,
        "models": registry.entries().iter().map(|entry| model(entry, &routing)).collect::<Vec<_>>(),
    })
}

fn model(entry: &Entry, routing: &Routing) -> Value {
    let status = entry.status();
    let (percent, error, retry_in_s) = match &status {
        BackendStatus::Ready | BackendStatus::Idle | BackendStatus::Unloaded => (None, None, None),
        BackendStatus::Loading { percent, .. } => (*percent, None, None),
        BackendStatus::Failed { error, retry_in } => (None, Some(error), Some(seconds(*retry_in))),
    };
    json!({
        "mode": entry.name(),
        "aliases": entry.names().skip(1).collect::<Vec<_>>(),
        "model": entry.model().to_string(),
        "status": status.name(),
        "stage": status.stage(),
        "percent": percent,
        "error": error,
        "retry_in_s": retry_in_s,
        "engine": entry.engine(),
        "memory_bytes": entry.memory(),
        "passed_over": entry.is_passed_over(),
        "answers": routing.answering().any(|answering| answering == entry.name()),
    })
}
