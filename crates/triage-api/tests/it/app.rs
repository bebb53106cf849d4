//! The service under test and the verbs of its clients.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use llm_client::{Backend, Entry, LlmClient, MockBackend};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use triage_api::http::{HttpOptions, ServerOptions, listen};
use triage_api::prompt::PromptTemplate;
use triage_api::{Limits, Stores, TriageService};

use crate::memory::Memory;

/// What a test may change.
#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) word_delay: Duration,
    pub(crate) http: HttpOptions,
    pub(crate) limits: Limits,
}

/// A running service.
pub(crate) struct App {
    pub(crate) address: String,
    pub(crate) mock: MockBackend,
    pub(crate) memory: Arc<Memory>,
    client: Client,
    handle: ServerHandle,
}

impl App {
    pub(crate) fn start() -> Self {
        Self::with(Setup::default())
    }

    /// A service whose model takes `word_delay` for each of its words.
    pub(crate) fn slow(word_delay: Duration) -> Self {
        Self::with(Setup { word_delay, ..Setup::default() })
    }

    pub(crate) fn with(setup: Setup) -> Self {
        let mock = MockBackend::with_word_delay(setup.word_delay);
        let entry = Entry::new("mock", Backend::Mock(mock.clone())).with_alias("parrot");
        let llm = LlmClient::new(vec![entry], "mock").unwrap();
        let memory = Arc::new(Memory::default());
        let stores = Stores { records: memory.clone(), conversations: memory.clone(), kind: "memory" };
        let service = TriageService::new(stores, llm, PromptTemplate::built_in().unwrap(), setup.limits);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let options = ServerOptions { workers: 1, shutdown_timeout: Duration::from_secs(5) };
        let server = listen(listener, Arc::new(service), setup.http, options).unwrap();
        let handle = server.handle();
        tokio::spawn(server);
        Self { address, mock, memory, client: Client::builder().no_proxy().build().unwrap(), handle }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        self.request(Method::POST, path).json(body).send().await.unwrap()
    }

    /// `POST /triage` with `body`; its status and JSON.
    pub(crate) async fn triage(&self, body: &Value) -> (u16, Value) {
        read(self.post("/triage", body).await).await
    }

    /// Waits until `count` answers are being made.
    pub(crate) async fn until_running(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.mock.running() != count {
            assert!(Instant::now() < deadline, "{} answers are being made, not {count}", self.mock.running());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

/// A question about P000123.
pub(crate) fn question() -> Value {
    json!({ "patient_mrn": "P000123", "query": "What are my current medications?" })
}

/// `question()` with `more` fields.
pub(crate) fn question_with(more: &Value) -> Value {
    let mut question = question();
    for (name, value) in more.as_object().unwrap() {
        question[name] = value.clone();
    }
    question
}

/// Status and JSON of an answer.
pub(crate) async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON ({status}): {text}")))
}
