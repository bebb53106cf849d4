//! [`TriageService`]: record, stored question, prompt, inference, stored answer; in this order.
//!
//! Owns the order of a request. It must not know HTTP, SQL or any model.

use std::sync::Arc;
use std::time::Instant;

use llm_client::{ChatRequest, LlmClient, Message, RouteKey};
use serde_json::{Value, json};

use crate::conversations::{Conversations, NewConversation, StoredMessage, Turn};
use crate::error::{StoreError, TriageError};
use crate::metrics::{AnswerMeter, Metrics};
use crate::mrn::Mrn;
use crate::ongoing::{Ongoing, Run, TriageAnswer};
use crate::prompt::PromptTemplate;
use crate::question::{Limits, Question};
use crate::records::{PatientRecords, PatientSummary};

/// Where the service reads and writes.
#[derive(Clone)]
pub struct Stores {
    /// Patients.
    pub records: Arc<dyn PatientRecords>,
    /// Conversations.
    pub conversations: Arc<dyn Conversations>,
    /// What stands behind them, for people: `sqlite` or `db-api`.
    pub kind: &'static str,
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stores").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Answers patients' questions from their records, and keeps what was said.
#[derive(Debug)]
pub struct TriageService {
    stores: Stores,
    llm: LlmClient,
    prompt: Arc<PromptTemplate>,
    limits: Limits,
    metrics: Arc<Metrics>,
}

impl TriageService {
    /// A service over its four parts.
    pub fn new(stores: Stores, llm: LlmClient, prompt: PromptTemplate, limits: Limits) -> Self {
        Self { stores, llm, prompt: Arc::new(prompt), limits, metrics: Arc::default() }
    }

    /// Where it reads and writes.
    pub fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Who answers.
    pub fn llm(&self) -> &LlmClient {
        &self.llm
    }

    /// What it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Takes a question up: its record is read, it is stored, and the model has accepted it.
    ///
    /// Dropping the future or the returned [`Ongoing`] stops the inference. The question stays
    /// stored whatever becomes of its answer.
    ///
    /// # Errors
    /// Any [`TriageError`]: everything that is known before the first token.
    pub async fn ask(&self, question: Question) -> Result<Ongoing, TriageError> {
        let mrn = question.checked_mrn(&self.limits)?;
        let registry = self.llm.registry();
        let named = question.mode.as_deref().map(|mode| registry.entry(mode)).transpose()?;
        let (summary, lookup) = self.look_up(&mrn).await?;
        let history = self.history(&mrn, question.conversation_id.as_deref()).await?;
        let last_model = history.iter().rev().find_map(|message| message.model_name.as_deref());
        let entry = named.unwrap_or_else(|| registry.route(RouteKey { person: mrn.as_str(), last_model }));
        // A request that would be turned away leaves no question behind for each of its tries; one that is admitted
        // keeps its model, whatever operators do meanwhile.
        let mut meter = AnswerMeter::start(Arc::clone(&self.metrics), &entry);
        let admission = entry.admit().map_err(TriageError::from).inspect_err(|error| meter.failed(error))?;
        let messages = self.render(summary, history, question.query.clone()).await?;
        let conversation_id = self.store_question(&mrn, &question, lookup).await?;

        let started = Instant::now();
        let timeout = Some(self.limits.answer_timeout);
        let request = ChatRequest { messages, options: question.options, timeout };
        let chat = self.llm.stream(admission, request).await.map_err(TriageError::from);
        let chat = chat.inspect_err(|error| meter.failed(error))?;
        // An alias stays the alias that was asked for.
        let mode = question.mode.unwrap_or_else(|| entry.name().to_owned());
        let answer = TriageAnswer::begun(question.query, mrn, mode, chat.model().to_string(), conversation_id);
        let conversations = Arc::clone(&self.stores.conversations);
        Ok(Ongoing::new(Run { chat, answer, conversations, started, meter }))
    }

    /// The patient's record, and the event that says how it was found.
    async fn look_up(&self, mrn: &Mrn) -> Result<(PatientSummary, Value), TriageError> {
        let started = Instant::now();
        let summary = match self.stores.records.summary(mrn).await {
            Ok(Some(summary)) => summary,
            Ok(None) | Err(StoreError::NotFound) => return Err(TriageError::PatientNotFound),
            Err(error) => return Err(TriageError::Records(error)),
        };
        let lookup = json!({
            "step_id": 1,
            "query_type": "db_query",
            "query": "Fetch patient summary by MRN",
            "endpoint": format!("/patients/{}/summary", mrn.as_str()),
            "latency_ms": milliseconds(started),
            "record_count": 1,
        });
        Ok((summary, lookup))
    }

    /// What was said before in conversation `id`, which must be this patient's.
    async fn history(&self, mrn: &Mrn, id: Option<&str>) -> Result<Vec<StoredMessage>, TriageError> {
        let Some(id) = id else { return Ok(Vec::new()) };
        match self.stores.conversations.get(id).await {
            Ok(Some(conversation)) if conversation.patient_mrn == mrn.as_str() => Ok(conversation.messages),
            // Another patient's conversation is answered like an unknown one: its id is no secret to lean on.
            Ok(_) | Err(StoreError::NotFound) => Err(TriageError::ConversationNotFound),
            Err(error) => Err(TriageError::Conversations(error)),
        }
    }

    /// The prompt, rendered on a thread that may take its time: connections are served meanwhile.
    async fn render(
        &self,
        summary: PatientSummary,
        history: Vec<StoredMessage>,
        query: String,
    ) -> Result<Vec<Message>, TriageError> {
        let prompt = Arc::clone(&self.prompt);
        tokio::task::spawn_blocking(move || prompt.messages(&summary, &history, &query))
            .await
            .unwrap_or_else(|_| Err(TriageError::Prompt("rendering was broken off".to_owned())))
    }

    /// Stores the question before anybody works on it, and returns its conversation's id.
    async fn store_question(&self, mrn: &Mrn, question: &Question, lookup: Value) -> Result<String, TriageError> {
        let message = StoredMessage {
            role: "user".to_owned(),
            content: question.query.clone(),
            // The store stamps it.
            timestamp: None,
            model_name: None,
            latency_ms: None,
        };
        let turn = Turn { messages: vec![message], retrieval_events: vec![lookup] };
        if let Some(id) = &question.conversation_id {
            return match self.stores.conversations.append(id, turn).await {
                Ok(()) => Ok(id.clone()),
                Err(StoreError::NotFound) => Err(TriageError::ConversationNotFound),
                Err(error) => Err(TriageError::Conversations(error)),
            };
        }
        let conversation = NewConversation {
            patient_mrn: mrn.clone(),
            channel: "api".to_owned(),
            conversation_id: None,
            trace_id: Some(question.trace_id.to_string()),
            turn,
        };
        let stored = self.stores.conversations.create(conversation).await.map_err(TriageError::Conversations)?;
        Ok(stored.conversation_id)
    }
}

/// Milliseconds since `started`, with two decimals as CarePath has them.
pub(crate) fn milliseconds(started: Instant) -> f64 {
    (started.elapsed().as_secs_f64() * 100_000.0).round() / 100.0
}
