//! Stores in memory that can be told to fail.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, ready};
use serde_json::{Value, json};
use triage_api::conversations::{Conversation, Conversations, NewConversation, Turn};
use triage_api::records::{Document, Listing, Page, PatientRecords, PatientSummary};
use triage_api::{Mrn, StoreError};

/// One patient, P000123, and the conversations that were stored.
#[derive(Default)]
pub(crate) struct Memory {
    conversations: Mutex<Vec<Conversation>>,
    /// Nothing can be read.
    pub(crate) unreadable: AtomicBool,
    /// Reading a summary takes this many milliseconds.
    pub(crate) summary_delay_ms: AtomicU64,
    /// Nothing can be stored.
    pub(crate) read_only: AtomicBool,
}

impl Memory {
    /// The conversations, oldest first.
    pub(crate) fn stored(&self) -> Vec<Conversation> {
        self.conversations.lock().unwrap().clone()
    }

    fn failure(&self, store: &'static str, switch: &AtomicBool) -> Result<(), StoreError> {
        let reason = "told to fail".to_owned();
        if switch.load(Ordering::SeqCst) { Err(StoreError::Unavailable { store, reason }) } else { Ok(()) }
    }

    fn readable(&self) -> Result<(), StoreError> {
        self.failure("records", &self.unreadable)
    }

    fn writable(&self) -> Result<(), StoreError> {
        self.failure("conversations", &self.read_only)
    }

    fn insert(&self, new: NewConversation) -> Result<Conversation, StoreError> {
        self.writable()?;
        let mut conversations = self.conversations.lock().unwrap();
        let number = conversations.len() + 1;
        let id = new.conversation_id.unwrap_or_else(|| format!("CONV-{number}"));
        if conversations.iter().any(|one| one.conversation_id == id) {
            return Err(StoreError::Conflict);
        }
        let conversation = Conversation {
            id: format!("{number:024x}"),
            conversation_id: id,
            patient_mrn: new.patient_mrn.as_str().to_owned(),
            channel: new.channel,
            started_at: "2026-01-02T03:04:05.000000Z".to_owned(),
            ended_at: Some("2026-01-02T03:04:05.000000Z".to_owned()),
            messages: new.turn.messages,
            retrieval_events: Some(new.turn.retrieval_events),
            trace_id: new.trace_id,
        };
        conversations.push(conversation.clone());
        Ok(conversation)
    }

    fn extend(&self, id: &str, turn: Turn) -> Result<(), StoreError> {
        self.writable()?;
        let mut conversations = self.conversations.lock().unwrap();
        let found = conversations.iter_mut().find(|one| one.conversation_id == id).ok_or(StoreError::NotFound)?;
        found.messages.extend(turn.messages);
        found.retrieval_events.get_or_insert_default().extend(turn.retrieval_events);
        Ok(())
    }
}

fn object(value: Value) -> Document {
    value.as_object().cloned().unwrap_or_default()
}

/// The patient, with the fields that tests look at.
pub(crate) fn patient() -> Document {
    object(json!({
        "_id": "p1", "mrn": "P000123", "name": { "first": "Alice", "last": "Nguyen" }, "dob": "1984-03-12", "sex": "F",
    }))
}

impl PatientRecords for Memory {
    fn list(&self, page: Page) -> BoxFuture<'_, Result<Listing, StoreError>> {
        let listing = Listing { items: vec![patient()], total: 1, skip: page.skip, limit: page.limit };
        ready(self.readable().map(|()| listing)).boxed()
    }

    fn patient<'a>(&'a self, mrn: &'a Mrn) -> BoxFuture<'a, Result<Option<Document>, StoreError>> {
        ready(self.readable().map(|()| (mrn.as_str() == "P000123").then(patient))).boxed()
    }

    fn summary<'a>(&'a self, mrn: &'a Mrn) -> BoxFuture<'a, Result<Option<PatientSummary>, StoreError>> {
        let known = matches!(mrn.as_str(), "P000123" | "P000456");
        let summary = || PatientSummary {
            patient: patient(),
            recent_encounters: Vec::new(),
            recent_claims: Vec::new(),
            documents: Vec::new(),
            summary_metadata: object(json!({
                "mrn": mrn.as_str(), "encounter_count": 0, "claim_count": 0, "document_count": 0,
            })),
        };
        let delay = Duration::from_millis(self.summary_delay_ms.load(Ordering::SeqCst));
        async move {
            tokio::time::sleep(delay).await;
            self.readable().map(|()| known.then(summary))
        }
        .boxed()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        ready(self.readable()).boxed()
    }
}

impl Conversations for Memory {
    fn create(&self, conversation: NewConversation) -> BoxFuture<'_, Result<Conversation, StoreError>> {
        ready(self.insert(conversation)).boxed()
    }

    fn append<'a>(&'a self, id: &'a str, turn: Turn) -> BoxFuture<'a, Result<(), StoreError>> {
        ready(self.extend(id, turn)).boxed()
    }

    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Conversation>, StoreError>> {
        let found = || self.stored().into_iter().find(|one| one.conversation_id == id);
        ready(self.readable().map(|()| found())).boxed()
    }

    fn list<'a>(
        &'a self,
        patient: Option<&'a Mrn>,
        page: Page,
    ) -> BoxFuture<'a, Result<(Vec<Conversation>, u64), StoreError>> {
        let mut all = self.stored();
        all.reverse();
        all.retain(|one| patient.is_none_or(|mrn| one.patient_mrn == mrn.as_str()));
        let total = all.len() as u64;
        let (skip, limit) = (page.skip as usize, page.limit as usize);
        ready(self.readable().map(|()| (all.into_iter().skip(skip).take(limit).collect(), total))).boxed()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        ready(self.readable()).boxed()
    }
}
