//! "Ask a language model", whoever answers: a mock, Qwen3 in this process, or any
//! OpenAI-compatible server.
//!
//! ```
//! use llm_client::{Backend, ChatOptions, ChatRequest, Entry, LlmClient, Message, MockBackend, Role};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let client = LlmClient::new(vec![Entry::new("mock", Backend::Mock(MockBackend::new()))], "mock")?;
//! let request = ChatRequest {
//!     messages: vec![Message::new(Role::User, "What are my current medications?")],
//!     options: ChatOptions::default(),
//!     timeout: None,
//! };
//! let answer = client.generate(client.default_entry(), request).await?;
//! assert!(answer.answer.starts_with("This is a mock response"));
//! # Ok::<(), llm_client::LlmError>(()) }).unwrap();
//! ```

mod backend;
mod candidates;
mod chat;
mod circuit;
mod client;
mod deadline;
mod entry;
mod error;
mod memory_budget;
mod registry;
mod routing;
mod status;

#[cfg(feature = "qwen")]
pub use backend::qwen::{LoadPolicy, LoadStage, LoadedModel, ModelLoader, QwenBackend};
pub use backend::{Backend, FixedBackend, MockBackend, OpenAiBackend, OpenAiConfig};
pub use candidates::Candidates;
pub use chat::{
    ChatAnswer, ChatEvent, ChatOptions, ChatRequest, FinishReason, Message, ModelIdentity, Role, ThinkingBudget, Usage,
};
pub use client::{ChatStream, EventStream, LlmClient};
pub use entry::{Admission, Entry};
pub use error::LlmError;
pub use memory_budget::MemoryBudget;
pub use registry::Registry;
pub use routing::{RouteKey, Routing};
pub use status::BackendStatus;
