//! [`Ongoing`]: an answer while it is being made, and what it becomes.
//!
//! Owns that an answer is stored before anybody sees it whole. It must not know HTTP.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use llm_client::{ChatEvent, ChatStream, FinishReason, LlmError, Usage};

use crate::conversations::{Conversations, StoredMessage, Turn};
use crate::error::TriageError;
use crate::hidden::hide_debug;
use crate::metrics::AnswerMeter;
use crate::mrn::Mrn;
use crate::service::milliseconds;
use crate::shadow::ShadowQuestion;

/// What an [`Ongoing`] yields: any number of `Reasoning` and `Answer`, then one `Finished`.
#[derive(Clone, PartialEq)]
pub enum TriageEvent {
    /// A piece of the model's reasoning.
    Reasoning(String),
    /// A piece of the answer.
    Answer(String),
    /// The whole answer, which is stored by now.
    Finished(Box<TriageAnswer>),
}

/// A whole, stored answer.
#[derive(Clone, PartialEq)]
pub struct TriageAnswer {
    /// Whose record it is about.
    pub patient_mrn: Mrn,
    /// The question.
    pub query: String,
    /// The mode that answered, by the name that was asked for.
    pub mode: String,
    /// The model that answered, with its revision where that is known.
    pub model: String,
    /// What the patient is told.
    pub answer: String,
    /// The model's reasoning; empty when it did not reason.
    pub reasoning: String,
    /// Why it ended.
    pub reason: FinishReason,
    /// What it cost.
    pub usage: Usage,
    /// From the start of inference, waiting included, to the last token.
    pub inference_time_ms: f64,
    /// The conversation that question and answer are stored in.
    pub conversation_id: String,
}

hide_debug!(TriageEvent, TriageAnswer, Ongoing);

impl TriageAnswer {
    /// An answer with nothing in it yet.
    pub(crate) fn begun(query: String, patient_mrn: Mrn, mode: String, model: String, conversation_id: String) -> Self {
        Self {
            patient_mrn,
            query,
            mode,
            model,
            answer: String::new(),
            reasoning: String::new(),
            reason: FinishReason::Stop,
            usage: Usage::default(),
            inference_time_ms: 0.0,
            conversation_id,
        }
    }
}

/// An answer while it is being made: a stream of [`TriageEvent`]s. Dropping it stops the inference.
///
/// An error is its last item.
pub struct Ongoing(BoxStream<'static, Result<TriageEvent, TriageError>>);

impl Ongoing {
    pub(crate) fn new(run: Run) -> Self {
        Self(Box::pin(stream::unfold(Some(run), |run| async {
            let mut run = run?;
            match run.step().await {
                Ok(TriageEvent::Finished(answer)) => {
                    run.meter.finished(answer.reason, answer.usage);
                    Some((Ok(TriageEvent::Finished(answer)), None))
                }
                Ok(event) => {
                    run.meter.token();
                    Some((Ok(event), Some(run)))
                }
                Err(error) => {
                    run.meter.failed(&error);
                    Some((Err(error), None))
                }
            }
        })))
    }

    /// Waits for the whole answer.
    ///
    /// # Errors
    /// The error that ended the stream.
    pub async fn finish(mut self) -> Result<TriageAnswer, TriageError> {
        while let Some(event) = self.next().await {
            if let TriageEvent::Finished(answer) = event? {
                return Ok(*answer);
            }
        }
        Err(LlmError::cut_off().into())
    }
}

impl Stream for Ongoing {
    type Item = Result<TriageEvent, TriageError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

/// The state of an answer between two events.
pub(crate) struct Run {
    pub(crate) chat: ChatStream,
    /// As far as it has come.
    pub(crate) answer: TriageAnswer,
    pub(crate) conversations: Arc<dyn Conversations>,
    pub(crate) started: Instant,
    pub(crate) meter: AnswerMeter,
    /// What a second model is asked when the patient has the answer.
    pub(crate) shadow: Option<ShadowQuestion>,
}

impl Run {
    async fn step(&mut self) -> Result<TriageEvent, TriageError> {
        match self.chat.next().await.unwrap_or_else(|| Err(LlmError::cut_off()))? {
            ChatEvent::Reasoning(text) => {
                self.answer.reasoning.push_str(&text);
                Ok(TriageEvent::Reasoning(text))
            }
            ChatEvent::Answer(text) => {
                self.answer.answer.push_str(&text);
                Ok(TriageEvent::Answer(text))
            }
            ChatEvent::Finished { reason, usage } => {
                let inference_time_ms = milliseconds(self.started);
                let answer = TriageAnswer { reason, usage, inference_time_ms, ..self.answer.clone() };
                self.store(&answer).await?;
                if let Some(shadow) = self.shadow.take() {
                    shadow.begin(answer.conversation_id.clone());
                }
                Ok(TriageEvent::Finished(Box::new(answer)))
            }
        }
    }

    async fn store(&mut self, answer: &TriageAnswer) -> Result<(), TriageError> {
        let message = StoredMessage {
            role: "assistant".to_owned(),
            content: answer.answer.clone(),
            timestamp: None,
            model_name: Some(answer.model.clone()),
            latency_ms: Some(answer.inference_time_ms),
        };
        let turn = Turn { messages: vec![message], retrieval_events: Vec::new() };
        self.conversations.append(&answer.conversation_id, turn).await.map_err(TriageError::Conversations)
    }
}
