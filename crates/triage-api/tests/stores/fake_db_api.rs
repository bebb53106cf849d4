//! A small DB API on loopback that behaves like CarePath's own: chat logs in the order of arrival,
//! the same `conversation_id` as often as it comes, the first one found.

use std::sync::Mutex;

use actix_web::{App, HttpResponse, HttpServer, dev::ServerHandle, web};
use serde::Deserialize;
use serde_json::{Value, json};

/// The running service; it stops when dropped.
pub(crate) struct FakeDbApi {
    address: String,
    handle: ServerHandle,
}

#[derive(Deserialize)]
struct Window {
    patient_mrn: Option<String>,
    skip: Option<usize>,
    limit: Option<usize>,
}

type ChatLogs = web::Data<Mutex<Vec<Value>>>;

impl FakeDbApi {
    #[allow(dead_code, reason = "each of the test programs that has this file uses a part of it")]
    pub(crate) async fn start() -> Self {
        Self::with_patient(json!({})).await
    }

    /// A service with the record of one patient, whoever is asked for.
    pub(crate) async fn with_patient(patient: Value) -> Self {
        let logs: ChatLogs = web::Data::new(Mutex::new(Vec::new()));
        Self::serve(move |config| {
            let summary = json!({ "patient": patient });
            let summary = move || std::future::ready(HttpResponse::Ok().json(&summary));
            config
                .app_data(logs.clone())
                .route("/patients/{mrn}/summary", web::get().to(summary))
                .route("/health/db", web::get().to(|| async { HttpResponse::Ok().json(json!({"connected": true})) }))
                .service(web::resource("/chat-logs").route(web::post().to(create)).route(web::get().to(list)))
                .route("/chat-logs/{id}", web::get().to(get));
        })
        .await
    }

    /// Serves other routes.
    pub(crate) async fn serve(routes: impl Fn(&mut web::ServiceConfig) + Send + Clone + 'static) -> Self {
        let server = HttpServer::new(move || App::new().configure(routes.clone())).workers(1).disable_signals();
        let server = server.bind(("127.0.0.1", 0)).unwrap();
        let address = format!("http://{}", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { address, handle }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for FakeDbApi {
    fn drop(&mut self) {
        // The command is sent by the call; its future only waits for the end.
        drop(self.handle.stop(false));
    }
}

async fn create(logs: ChatLogs, body: web::Json<Value>) -> HttpResponse {
    let mut log = body.into_inner();
    if log["messages"].as_array().is_none_or(Vec::is_empty) {
        return HttpResponse::BadRequest().json(json!({"detail": "Messages array cannot be empty"}));
    }
    let mut logs = logs.lock().unwrap();
    let now = format!("{:.6}", jiff::Timestamp::now());
    for message in log["messages"].as_array_mut().unwrap() {
        message.as_object_mut().unwrap().entry("timestamp").or_insert(json!(now));
    }
    if log["conversation_id"].is_null() {
        let mrn = log["patient_mrn"].as_str().unwrap();
        log["conversation_id"] = json!(format!("CONV-{}-{mrn}-{:08x}", &now[..10], logs.len()));
    }
    for optional in ["retrieval_events", "trace_id"] {
        let value = log[optional].take();
        log[optional] = value;
    }
    log["_id"] = json!(format!("{:024x}", logs.len()));
    log["started_at"] = json!(now);
    log["ended_at"] = json!(now);
    logs.push(log.clone());
    HttpResponse::Created().json(log)
}

async fn list(logs: ChatLogs, window: web::Query<Window>) -> HttpResponse {
    let (skip, limit) = (window.skip.unwrap_or(0), window.limit.unwrap_or(10));
    if !(1..=100).contains(&limit) {
        return HttpResponse::UnprocessableEntity().finish();
    }
    let logs = logs.lock().unwrap();
    let of_patient = |log: &&Value| window.patient_mrn.as_ref().is_none_or(|mrn| log["patient_mrn"] == **mrn);
    let found: Vec<_> = logs.iter().filter(of_patient).collect();
    let items: Vec<_> = found.iter().skip(skip).take(limit).collect();
    HttpResponse::Ok().json(json!({"items": items, "total": found.len(), "skip": skip, "limit": limit}))
}

async fn get(logs: ChatLogs, id: web::Path<String>) -> HttpResponse {
    let logs = logs.lock().unwrap();
    match logs.iter().find(|log| log["conversation_id"] == **id) {
        Some(log) => HttpResponse::Ok().json(log),
        None => HttpResponse::NotFound().json(json!({"detail": "Chat log with conversation ID .. not found"})),
    }
}
