//! A patient's question becomes a safe, recorded answer; its HTTP interface.
//!
//! [`TriageService::ask`] reads the patient's record, stores the question, asks a language model
//! and stores its answer. [`http`] shows that to CarePath's clients; [`sqlite`], [`postgres`] and
//! [`remote`] are the places where records and conversations can be.
//!
//! ```
//! use std::sync::Arc;
//!
//! use llm_client::{Backend, ChatOptions, Entry, LlmClient, MockBackend};
//! use triage_api::prompt::PromptTemplate;
//! use triage_api::sqlite::SqliteStores;
//! use triage_api::{Limits, Question, Stores, TraceId, TriageService};
//!
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
//! let folder = tempfile::tempdir()?;
//! // A new file is filled with synthetic patients.
//! let sqlite = SqliteStores::open(&folder.path().join("carepath.db")).await?;
//! let stores = Stores {
//!     records: Arc::new(sqlite.records.clone()),
//!     conversations: Arc::new(sqlite.conversations.clone()),
//!     kind: "sqlite",
//! };
//! let llm = LlmClient::new(vec![Entry::new("mock", Backend::Mock(MockBackend::new()))], "mock")?;
//! let service = TriageService::new(stores, llm, PromptTemplate::built_in()?, Limits::default());
//!
//! let question = Question {
//!     patient_mrn: "P000123".to_owned(),
//!     query: "What are my current medications?".to_owned(),
//!     mode: None,
//!     conversation_id: None,
//!     options: ChatOptions::default(),
//!     trace_id: TraceId::random(),
//! };
//! let answer = service.ask(question).await?.finish().await?;
//! assert!(answer.answer.starts_with("This is a mock response"));
//! # sqlite.close().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod conversations;
pub mod decisions;
mod error;
mod hidden;
pub mod http;
mod metrics;
mod mrn;
mod ongoing;
pub mod postgres;
pub mod prompt;
mod question;
pub mod records;
pub mod remote;
mod seed;
mod service;
mod shadow;
mod sql_failure;
mod sql_migrations;
pub mod sqlite;
mod switchboard;
mod trace_id;

pub use error::{StoreError, TriageError};
pub use metrics::Metrics;
pub use mrn::{InvalidMrn, Mrn};
pub use ongoing::{Ongoing, TriageAnswer, TriageEvent};
pub use question::{DEFAULT_ANSWER_TIMEOUT, DEFAULT_MAX_QUERY_CHARS, Limits, Question};
pub use service::{Stores, TriageService};
pub use switchboard::Switchboard;
pub use trace_id::TraceId;
