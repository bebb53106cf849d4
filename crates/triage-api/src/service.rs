//! [`TriageService`]: record, stored question, prompt, inference, stored answer; in this order.
//!
//! Owns the order of a request. It must not know HTTP, SQL or any model.

use std::sync::Arc;
use std::time::{Duration, Instant};

use llm_client::{Admission, Candidates, ChatRequest, ChatStream, LlmClient, LlmError, Message, RouteKey};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::conversations::{Conversations, NewConversation, StoredMessage, Turn};
use crate::error::{StoreError, TriageError};
use crate::metrics::{AnswerMeter, Metrics};
use crate::mrn::Mrn;
use crate::ongoing::{Ongoing, Run, TriageAnswer};
use crate::prompt::PromptTemplate;
use crate::question::{Limits, Question};
use crate::records::{PatientRecords, PatientSummary};
use crate::shadow::{Shadow, ShadowQuestion};

/// What another mode gets at least, when the one before has taken all the time.
const LEAST_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the service reads and writes.
#[derive(Clone)]
pub struct Stores {
    /// Patients.
    pub records: Arc<dyn PatientRecords>,
    /// Conversations.
    pub conversations: Arc<dyn Conversations>,
    /// What stands behind them, for people: `sqlite`, `postgres` or `db-api`.
    pub kind: &'static str,
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stores").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Answers patients' questions from their records, and keeps what was said.
pub struct TriageService {
    stores: Stores,
    llm: LlmClient,
    prompt: Arc<PromptTemplate>,
    limits: Limits,
    metrics: Arc<Metrics>,
    shadow: Shadow,
}

impl std::fmt::Debug for TriageService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TriageService").field("stores", &self.stores).field("llm", &self.llm).finish_non_exhaustive()
    }
}

impl TriageService {
    /// A service over its four parts.
    pub fn new(stores: Stores, llm: LlmClient, prompt: PromptTemplate, limits: Limits) -> Self {
        let metrics = Arc::<Metrics>::default();
        let shadow = Shadow {
            llm: llm.clone(),
            conversations: Arc::clone(&stores.conversations),
            metrics: Arc::clone(&metrics),
            turn: Arc::new(Semaphore::new(1)),
        };
        Self { stores, llm, prompt: Arc::new(prompt), limits, metrics, shadow }
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
        let is_named = named.is_some();
        let key = RouteKey { person: mrn.as_str(), last_model };
        let mut candidates = named.map_or_else(|| registry.candidates(key), Candidates::only);
        let first = candidates.first().cloned();
        // A request that would be turned away leaves no question behind for each of its tries; one that is admitted
        // keeps its model, whatever operators do meanwhile.
        let admitted = self.admit(&mut candidates)?;
        let messages = self.render(summary, history, question.query.clone()).await?;
        let conversation_id = self.store_question(&mrn, &question, lookup).await?;

        let started = Instant::now();
        let timeout = Some(self.limits.answer_timeout);
        let request = ChatRequest { messages, options: question.options, timeout };
        let (chat, meter) = self.begin(admitted, candidates, &request).await?;
        if let Some(first) = first.filter(|first| first.name() != chat.mode()) {
            tracing::warn!(from = first.name(), to = chat.mode(), "another mode answers");
            self.metrics.fell_back(&first, chat.entry());
        }
        let shadow = registry.shadow().filter(|entry| !is_named && entry.name() != chat.mode());
        let shadow = shadow.map(|entry| ShadowQuestion { shadow: self.shadow.clone(), entry, request });
        // An alias stays the alias that was asked for.
        let mode = question.mode.unwrap_or_else(|| chat.mode().to_owned());
        let answer = TriageAnswer::begun(question.query, mrn, mode, chat.model().to_string(), conversation_id);
        let conversations = Arc::clone(&self.stores.conversations);
        Ok(Ongoing::new(Run { chat, answer, conversations, started, meter, shadow }))
    }

    /// The first that can take a request now.
    fn admit(&self, candidates: &mut Candidates) -> Result<(Admission, AnswerMeter), TriageError> {
        let mut refusal = LlmError::Conflict("there is nobody to answer".to_owned());
        for entry in candidates.by_ref() {
            let mut meter = AnswerMeter::start(Arc::clone(&self.metrics), &entry);
            match entry.admit() {
                Ok(admission) => return Ok((admission, meter)),
                Err(error) => {
                    let may_go_on = error.may_be_answered_elsewhere();
                    refusal = meter.failed_by(error);
                    if !may_go_on {
                        break;
                    }
                }
            }
        }
        Err(refusal.into())
    }

    /// The first that begins to answer; where another is left, one that fails before its first token is replaced.
    async fn begin(
        &self,
        admitted: (Admission, AnswerMeter),
        mut candidates: Candidates,
        request: &ChatRequest,
    ) -> Result<(ChatStream, AnswerMeter), TriageError> {
        let started = Instant::now();
        let (mut admission, mut meter) = admitted;
        loop {
            let left = self.limits.answer_timeout.saturating_sub(started.elapsed()).max(LEAST_TIMEOUT);
            let timeout = Some(left.min(self.limits.answer_timeout));
            let chat = self.llm.stream(admission, ChatRequest { timeout, ..request.clone() }).await;
            let begun = match chat {
                Ok(chat) if candidates.are_left() => chat.begun().await,
                other => other,
            };
            match begun {
                Ok(chat) => return Ok((chat, meter)),
                Err(error) => {
                    let may_go_on = error.may_be_answered_elsewhere() && candidates.are_left();
                    let error = meter.failed_by(error);
                    if !may_go_on {
                        return Err(error.into());
                    }
                    tracing::warn!(%error, "the mode failed; another is asked");
                    (admission, meter) = self.admit(&mut candidates)?;
                }
            }
        }
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
