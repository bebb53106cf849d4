//! The HTTP interface of [`TriageService`], in CarePath's shapes.
//!
//! The only place that names actix. It must not read records, build prompts or ask models itself.

mod admin;
mod body;
mod chat_logs;
mod cors;
mod dto;
mod error;
mod fields;
mod health;
mod openapi;
mod page;
mod patients;
mod server;
mod sse;
mod trace;
mod triage;

use std::sync::Arc;
use std::time::Duration;

use actix_web::{Route, middleware, web};

pub use admin::{Diagnosis, listen_admin};
pub use cors::Origins;
pub use server::{ServerOptions, listen};

use crate::service::TriageService;
use error::ApiError;

/// Default of [`HttpOptions::keep_alive`].
pub const DEFAULT_KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How the interface behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// Which web pages may read the answers.
    pub origins: Origins,
    /// Longest silence of a stream of events; then a comment is sent, since load balancers cut
    /// silent connections.
    pub keep_alive: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self { origins: Origins::Any, keep_alive: DEFAULT_KEEP_ALIVE }
    }
}

/// Adds every endpoint, with trace ids, error bodies and CORS, to an actix application.
///
/// An application that does not come from [`listen`] must set
/// `HttpServer::h1_allow_half_closed(false)`, or clients that left keep their inference running.
pub fn configure(config: &mut web::ServiceConfig, service: Arc<TriageService>, options: HttpOptions) {
    let endpoints = web::scope("")
        .configure(triage::routes)
        .configure(health::routes)
        .configure(patients::routes)
        .configure(chat_logs::routes)
        .configure(openapi::routes)
        .default_service(web::to(unknown_path))
        .wrap(middleware::from_fn(trace::trace))
        // The last one is the outermost: a preflight is answered here and never traced.
        .wrap(options.origins.cors());
    config.app_data(web::Data::from(service)).app_data(web::Data::new(options)).service(endpoints);
}

async fn unknown_path() -> Result<&'static str, ApiError> {
    Err(ApiError::unknown_path())
}

/// What a resource answers to a method that is not in `allow`.
fn only(allow: &'static str) -> Route {
    web::to(move || async move { Err::<&'static str, _>(ApiError::method(allow)) })
}
