//! The chat logs of the DB API, and how several of them are one conversation.
//!
//! The API can create a chat log but not extend one, and accepts the same `conversation_id` more
//! than once. So every turn is a chat log of its own under the conversation's id, and
//! [`merge`] puts the turns together again.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::conversations::{Conversation, StoredMessage, Turn};

/// The body of `POST /chat-logs`.
#[derive(Serialize)]
pub(super) struct NewChatLog<'a> {
    pub(super) patient_mrn: &'a str,
    pub(super) channel: &'a str,
    pub(super) messages: &'a [StoredMessage],
    #[serde(skip_serializing_if = "<[Value]>::is_empty")]
    pub(super) retrieval_events: &'a [Value],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) conversation_id: Option<&'a str>,
}

impl<'a> NewChatLog<'a> {
    /// A later turn of `conversation`.
    pub(super) fn next_turn(conversation: &'a Conversation, turn: &'a Turn) -> Self {
        Self {
            patient_mrn: &conversation.patient_mrn,
            channel: &conversation.channel,
            messages: &turn.messages,
            retrieval_events: &turn.retrieval_events,
            trace_id: None,
            conversation_id: Some(&conversation.conversation_id),
        }
    }
}

/// Puts chat logs with the same conversation id together: messages and events in the order of
/// time, everything else from the first turn. Conversations keep the order in which they appear.
pub(super) fn merge(chat_logs: Vec<Conversation>) -> Vec<Conversation> {
    let mut merged: Vec<Conversation> = Vec::new();
    for (_, chat_log) in by_conversation_and_time(chat_logs) {
        match merged.last_mut() {
            Some(first) if first.conversation_id == chat_log.conversation_id => extend(first, chat_log),
            _ => merged.push(chat_log),
        }
    }
    merged
}

/// Pairs of a conversation's first place in the list and a chat log, in the order of merging.
fn by_conversation_and_time(chat_logs: Vec<Conversation>) -> Vec<(usize, Conversation)> {
    let places: std::collections::HashMap<String, usize> =
        chat_logs.iter().enumerate().rev().map(|(place, log)| (log.conversation_id.clone(), place)).collect();
    let place = |log: &Conversation| places.get(&log.conversation_id).copied().unwrap_or_default();
    let mut placed: Vec<_> = chat_logs.into_iter().map(|log| (place(&log), log)).collect();
    // Parsed, as Python leaves out a fraction of zero and "…05.5Z" sorts before "…05Z" as text.
    placed.sort_by_key(|(place, log)| (*place, log.started_at.parse::<Timestamp>().ok()));
    placed
}

fn extend(first: &mut Conversation, next: Conversation) {
    first.messages.extend(next.messages);
    if let Some(events) = next.retrieval_events {
        first.retrieval_events.get_or_insert_default().extend(events);
    }
    first.ended_at = next.ended_at.or(first.ended_at.take());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat_log(id: &str, started_at: &str, content: &str) -> Conversation {
        let message = serde_json::json!({"role": "user", "content": content});
        serde_json::from_value(serde_json::json!({
            "_id": content, "conversation_id": id, "patient_mrn": "P1", "channel": "api", "started_at": started_at,
            "ended_at": started_at, "messages": [message], "retrieval_events": null, "trace_id": null
        }))
        .unwrap()
    }

    #[test]
    fn turns_are_merged_in_the_order_of_time_whatever_the_order_of_the_list() {
        let merged = merge(vec![
            chat_log("b", "2025-01-02T00:00:05.500000Z", "3"),
            chat_log("a", "2025-01-01T00:00:00Z", "1"),
            chat_log("b", "2025-01-02T00:00:05Z", "2"),
            chat_log("b", "2025-01-02T00:00:06Z", "4"),
        ]);
        let contents = |log: &Conversation| log.messages.iter().map(|m| m.content.clone()).collect::<Vec<_>>();
        assert_eq!(merged.len(), 2);
        assert_eq!((merged[0].id.as_str(), contents(&merged[0])), ("2", vec!["2".into(), "3".into(), "4".into()]));
        assert_eq!(merged[0].ended_at.as_deref(), Some("2025-01-02T00:00:06Z"));
        assert_eq!(contents(&merged[1]), ["1"]);
    }
}
