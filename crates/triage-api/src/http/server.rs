//! [`listen`]: the HTTP server around [`super::configure`].
//!
//! Owns what happens on a connection: who is gone, and how long a request may finish at shutdown.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpServer};

use super::{HttpOptions, configure};
use crate::service::TriageService;

/// How the server uses the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerOptions {
    /// Threads that serve connections; inference never runs on them.
    pub workers: usize,
    /// How long running requests may go on after a graceful stop began.
    pub shutdown_timeout: Duration,
}

/// Serves `service` on `listener` until the returned server is stopped through its handle; it
/// takes no signals itself.
///
/// **A client that closes its side of the connection is gone**: its request is dropped where it
/// stands, queued, in prefill or in the middle of its answer, and its inference with it. TCP does
/// not tell a client that has only ended its sending side (`shutdown(SHUT_WR)`, `nc -N`) from one
/// that has closed; such a client gets no answer. No common HTTP client does that.
///
/// A client whose network vanishes without a word is noticed when an event or a keep-alive comment
/// cannot be delivered, and at the latest by [`crate::Limits::answer_timeout`].
///
/// # Errors
/// When the listener cannot be used.
pub fn listen(
    listener: TcpListener,
    service: Arc<TriageService>,
    http: HttpOptions,
    server: ServerOptions,
) -> io::Result<Server> {
    let app = move || App::new().configure(|config| configure(config, Arc::clone(&service), http.clone()));
    let server = HttpServer::new(app)
        .workers(server.workers)
        .h1_allow_half_closed(false)
        .shutdown_timeout(server.shutdown_timeout.as_secs())
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}
