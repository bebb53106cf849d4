//! The errors of this crate; their variants say what the caller can do. `http/error.rs` alone
//! turns them into HTTP.

use llm_client::LlmError;

/// Why a store did not do what it was asked.
///
/// No variant carries a record number, an address with a query, or a patient's words: these errors
/// are logged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// What was asked for is not there.
    #[error("not found")]
    NotFound,
    /// There is one with this id already.
    #[error("already exists")]
    Conflict,
    /// The store is locked, read-only, full or cannot be opened: ask again later.
    #[error("the {store} store is unavailable: {reason}")]
    Unavailable {
        /// `records`, `conversations`, `decisions`, or `sqlite` and `postgres` for the database of all.
        store: &'static str,
        /// What happened, without content.
        reason: String,
    },
    /// A remote records service cannot be reached, failed or answered something unreadable.
    #[error("the records service failed: {reason}")]
    Upstream {
        /// What happened, without address or content.
        reason: String,
    },
    /// A remote records service did not answer in time.
    #[error("the records service did not answer in time")]
    UpstreamTimeout,
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TriageError {
    /// The patient is unknown.
    #[error("patient not found")]
    PatientNotFound,
    /// The conversation is unknown, or belongs to another patient.
    #[error("conversation not found")]
    ConversationNotFound,
    /// The request is not valid: correct `field`.
    #[error("invalid {field}: {reason}")]
    Invalid {
        /// The field's name.
        field: &'static str,
        /// What is wrong with it, without its value.
        reason: String,
    },
    /// The records cannot be read.
    #[error("patient records: {0}")]
    Records(#[source] StoreError),
    /// The conversation cannot be stored.
    #[error("conversations: {0}")]
    Conversations(#[source] StoreError),
    /// What an operator decided cannot be kept, or read.
    #[error("decisions: {0}")]
    Decisions(#[source] StoreError),
    /// The prompt template cannot be rendered.
    #[error("the prompt template failed: {0}")]
    Prompt(String),
    /// The model did not answer.
    #[error(transparent)]
    Llm(#[from] LlmError),
}
