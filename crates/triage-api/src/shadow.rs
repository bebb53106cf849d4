//! [`Shadow`]: a second model that answers the same question in the background, to be compared.
//!
//! Owns that patients do not wait for it: one question at a time, after the patient has the answer.

use std::sync::Arc;
use std::time::Instant;

use llm_client::{ChatAnswer, ChatRequest, Entry, LlmClient};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::conversations::{Conversations, Turn};
use crate::metrics::Metrics;
use crate::service::milliseconds;

/// Asks the mode that answers in the background, and keeps what it says beside the conversation.
#[derive(Clone)]
pub(crate) struct Shadow {
    pub(crate) llm: LlmClient,
    pub(crate) conversations: Arc<dyn Conversations>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) turn: Arc<Semaphore>,
}

/// A question that a second model is to answer.
pub(crate) struct ShadowQuestion {
    pub(crate) shadow: Shadow,
    pub(crate) entry: Arc<Entry>,
    pub(crate) request: ChatRequest,
}

impl ShadowQuestion {
    /// Asks in the background; where the answer before is still being made, not at all.
    pub(crate) fn begin(self, conversation_id: String) {
        let Ok(turn) = Arc::clone(&self.shadow.turn).try_acquire_owned() else {
            self.shadow.metrics.shadow_answer(&self.entry, "skipped", None);
            return;
        };
        tokio::spawn(async move {
            let Self { shadow: Shadow { llm, conversations, metrics, .. }, entry, request } = self;
            let started = Instant::now();
            let outcome = match llm.generate(Arc::clone(&entry), request).await {
                Ok(answer) => match conversations.append(&conversation_id, kept(&answer, started)).await {
                    Ok(()) => answer.reason.as_str(),
                    Err(_) => "not_stored",
                },
                Err(_) => "error",
            };
            metrics.shadow_answer(&entry, outcome, Some(started.elapsed()));
            drop(turn);
        });
    }
}

/// Beside the messages, where no patient takes it for an answer.
fn kept(answer: &ChatAnswer, started: Instant) -> Turn {
    let event = json!({
        "step_id": 2,
        "query_type": "shadow_answer",
        "query": "The same question to another model, in the background",
        "llm_mode": answer.mode,
        "model": answer.model.to_string(),
        "response": answer.answer,
        "latency_ms": milliseconds(started),
        "record_count": 1,
    });
    Turn { messages: Vec::new(), retrieval_events: vec![event] }
}
