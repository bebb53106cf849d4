//! Conversations: the trait, and the shapes of CarePath's `/chat-logs`.

pub(crate) mod identity;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::StoreError;
use crate::hidden::hide_debug;
use crate::mrn::Mrn;
use crate::records::Page;

/// Where conversations are kept.
pub trait Conversations: Send + Sync {
    /// Starts a conversation with its first messages, and returns it as stored.
    fn create(&self, conversation: NewConversation) -> BoxFuture<'_, Result<Conversation, StoreError>>;

    /// Adds messages (and what was retrieved for them) to the end of a conversation.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such conversation.
    fn append<'a>(&'a self, id: &'a str, turn: Turn) -> BoxFuture<'a, Result<(), StoreError>>;

    /// One conversation; `None` when unknown.
    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Conversation>, StoreError>>;

    /// A page of conversations, of one patient or of all, and how many there are: newest first, or
    /// in the order of a remote service, which is its own.
    fn list<'a>(
        &'a self,
        patient: Option<&'a Mrn>,
        page: Page,
    ) -> BoxFuture<'a, Result<(Vec<Conversation>, u64), StoreError>>;

    /// Whether the store answers.
    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// What is added to a conversation at once.
#[derive(Clone, Default, PartialEq)]
pub struct Turn {
    /// Messages in order.
    pub messages: Vec<StoredMessage>,
    /// What was looked up for them.
    pub retrieval_events: Vec<Value>,
}

/// A conversation that is not stored yet.
#[derive(Clone, PartialEq)]
pub struct NewConversation {
    /// Whose it is.
    pub patient_mrn: Mrn,
    /// Where it came from, `api` by default.
    pub channel: String,
    /// The id to store it under; a new `CONV-YYYY-MM-DD-{mrn}-{8 hex}` when absent.
    pub conversation_id: Option<String>,
    /// The trace of the request that started it.
    pub trace_id: Option<String>,
    /// Its first turn.
    pub turn: Turn,
}

/// A stored conversation, in the shape of CarePath's `GET /chat-logs/{conversation_id}`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// The store's own key.
    #[serde(rename = "_id")]
    pub id: String,
    /// The id that clients use.
    pub conversation_id: String,
    /// Whose it is.
    pub patient_mrn: String,
    /// Where it came from.
    pub channel: String,
    /// UTC, ISO 8601 with a final `Z`.
    pub started_at: String,
    /// UTC, ISO 8601 with a final `Z`: when the last message was stored.
    pub ended_at: Option<String>,
    /// The messages in order.
    pub messages: Vec<StoredMessage>,
    /// What was looked up for them.
    #[serde(default)]
    pub retrieval_events: Option<Vec<Value>>,
    /// The trace of the request that started it.
    #[serde(default)]
    pub trace_id: Option<String>,
}

/// One message of a stored conversation.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredMessage {
    /// `user` or `assistant`.
    pub role: String,
    /// What was said.
    pub content: String,
    /// UTC, ISO 8601 with a final `Z`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// Which model said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_name: Option<String>,
    /// How long the model took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
}

hide_debug!(Turn, NewConversation, Conversation, StoredMessage);
