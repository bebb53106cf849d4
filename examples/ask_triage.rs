//! Embeds the triage service in another program: a question about a synthetic patient, answered by
//! the mock and recorded in a SQLite file.
//!
//! ```text
//! cargo run --release -p examples --example ask_triage -- "What are my current medications?"
//! ```

use std::sync::Arc;

use llm_client::{Backend, ChatOptions, Entry, LlmClient, MockBackend};
use triage_api::prompt::PromptTemplate;
use triage_api::sqlite::SqliteStores;
use triage_api::{Limits, Question, Stores, TraceId, TriageService};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let query = std::env::args().nth(1).unwrap_or_else(|| "What are my current medications?".to_owned());
    let path = std::env::temp_dir().join("carepath-example.db");
    // A new file is filled with synthetic patients.
    let sqlite = SqliteStores::open(&path).await?;
    let stores = Stores {
        records: Arc::new(sqlite.records.clone()),
        conversations: Arc::new(sqlite.conversations.clone()),
        kind: "sqlite",
    };
    let llm = LlmClient::new(vec![Entry::new("mock", Backend::Mock(MockBackend::new()))], "mock")?;
    let service = TriageService::new(stores, llm, PromptTemplate::built_in()?, Limits::default());
    let question = Question {
        patient_mrn: "P000123".to_owned(),
        query,
        mode: None,
        conversation_id: None,
        options: ChatOptions::default(),
        trace_id: TraceId::random(),
    };
    let answer = service.ask(question).await?.finish().await?;
    println!("{}\n[{}, stored as {} in {}]", answer.answer, answer.model, answer.conversation_id, path.display());
    sqlite.close().await;
    Ok(())
}
