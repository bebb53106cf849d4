//! [`Application`]: the whole service, put together from its settings, and its end.
//!
//! The only file that sees the whole chain from store to socket.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::Server;
use anyhow::{Context, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};
use triage_api::http::Diagnosis;
use triage_api::prompt::PromptTemplate;
use triage_api::{Switchboard, TriageService, http};

use crate::models;
use crate::open_database::OpenDatabase;
use crate::settings::Settings;

/// The service, listening.
pub struct Application {
    server: Server,
    port: u16,
    admin: Server,
    admin_port: u16,
    database: OpenDatabase,
    signals: Signals,
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Application").field("port", &self.port).finish_non_exhaustive()
    }
}

impl Application {
    /// Opens the stores, listens and starts to serve; the model loads while it serves. Operators may ask
    /// for the `diagnosis`.
    ///
    /// # Errors
    /// When a store, the prompt template, the mode or the address cannot be used.
    pub async fn build(settings: Settings, diagnosis: Diagnosis) -> anyhow::Result<Self> {
        let llm = models::client(&settings)?;
        let prompt = match &settings.prompt_template {
            Some(path) => PromptTemplate::from_file(path)?,
            None => PromptTemplate::built_in()?,
        };
        let database = OpenDatabase::open(&settings.store).await?;
        let stores = database.stores();
        let switchboard = Arc::new(Switchboard::new(llm.clone(), database.decisions()));
        // From here on a signal ends the service in order.
        let signals = Signals::new()?;
        let (listener, port) = bind(settings.address).context("CHAT_API_HOST, CHAT_API_PORT")?;
        let (admin_listener, admin_port) = bind(settings.admin.address).context("CHAT_ADMIN_HOST, CHAT_ADMIN_PORT")?;
        // After the ports are this server's: one that cannot start must not forget a decision of those that run.
        switchboard.restore().await.context("reading what operators decided")?;

        tracing::info!(
            address = %settings.address,
            port,
            admin_port,
            mode = llm.default_entry().name(),
            model = %llm.default_entry().model(),
            store = stores.kind,
            prompt = prompt.version(),
            version = env!("CARGO_PKG_VERSION"),
            "serving"
        );
        llm.registry().entries().iter().for_each(|entry| entry.preload());
        let admin = http::listen_admin(admin_listener, Arc::clone(&switchboard), settings.admin.token, diagnosis)?;
        tokio::spawn(async move { switchboard.follow().await });
        let service = Arc::new(TriageService::new(stores, llm, prompt, settings.limits));
        let server = http::listen(listener, service, settings.http, settings.server)?;
        Ok(Self { server, port, admin, admin_port, database, signals })
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port of the operators' interface.
    pub fn admin_port(&self) -> u16 {
        self.admin_port
    }

    /// Serves until SIGTERM or SIGINT; what runs then is finished first.
    ///
    /// # Errors
    /// When the server fails, or a second signal does not let it finish.
    pub async fn run_until_stopped(mut self) -> anyhow::Result<()> {
        let (handle, admin) = (self.server.handle(), self.admin.handle());
        let mut serving = tokio::spawn(self.server);
        tokio::spawn(self.admin);
        tokio::select! {
            ended = &mut serving => return Ok(ended??),
            () = self.signals.next() => tracing::info!("stopping: no new requests, running ones finish"),
        }
        tokio::select! {
            () = handle.stop(true) => {}
            () = self.signals.next() => {
                serving.abort();
                bail!("stopped by a second signal before everything was finished");
            }
        }
        serving.await??;
        // Operators see a service that stops until it has stopped.
        admin.stop(true).await;
        self.database.close().await;
        tracing::info!("stopped");
        Ok(())
    }
}

/// A listener, and its port.
fn bind(address: SocketAddr) -> anyhow::Result<(TcpListener, u16)> {
    let listener = TcpListener::bind(address).with_context(|| format!("listening on {address}"))?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

/// What asks the process to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
