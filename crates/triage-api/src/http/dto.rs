//! The JSON of `POST /triage`, as CarePath's clients write and read it.
//!
//! Owns field names and their ranges; knows nothing of how a question is answered.

use llm_client::{ChatOptions, ThinkingBudget};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::error::ApiError;
use super::fields::Fields;
use crate::ongoing::TriageAnswer;
use crate::question::Question;
use crate::trace_id::TraceId;

/// A patient's question.
#[derive(ToSchema)]
pub(super) struct TriageRequest {
    /// The patient's medical record number.
    #[schema(example = "P000123")]
    pub(super) patient_mrn: String,
    /// The question, in the patient's words.
    #[schema(example = "What are my current medications?")]
    pub(super) query: String,
    /// Who answers; the service's default mode when absent, null or empty.
    pub(super) llm_mode: Option<String>,
    /// The conversation that the question continues; a new one when absent, null or empty.
    pub(super) conversation_id: Option<String>,
    /// Upper limit of generated tokens, reasoning and answer together.
    #[schema(minimum = 1)]
    pub(super) max_new_tokens: Option<u32>,
    /// Softmax temperature; 0 always takes the likeliest token.
    #[schema(minimum = 0)]
    pub(super) temperature: Option<f32>,
    /// Nucleus mass, above 0 and at most 1.
    pub(super) top_p: Option<f32>,
    /// Candidates kept; 0 is off.
    pub(super) top_k: Option<u32>,
    /// Seed of the random draws: the same seed gives the same text.
    pub(super) seed: Option<u64>,
    /// Most tokens of reasoning, or `"off"` for no limit but `max_new_tokens`.
    pub(super) thinking_budget: Option<Budget>,
    /// Whether the reasoning is returned: in the body when true, in a stream unless false.
    pub(super) include_reasoning: Option<bool>,
    /// Whether the answer is streamed; as the `Accept` header says when absent.
    pub(super) stream: Option<bool>,
}

/// A number of tokens, or `"off"`.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(try_from = "Value")]
#[schema(value_type = Value, example = 256)]
pub(super) struct Budget(ThinkingBudget);

impl TryFrom<Value> for Budget {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        if value == "off" {
            return Ok(Self(ThinkingBudget::Off));
        }
        let tokens = value.as_u64().and_then(|tokens| u32::try_from(tokens).ok());
        tokens.map(|tokens| Self(ThinkingBudget::Tokens(tokens))).ok_or("neither a number nor off")
    }
}

impl TriageRequest {
    /// Reads the body and names all its faults.
    pub(super) fn read(body: Map<String, Value>) -> Result<Self, ApiError> {
        const COUNT: &str = "an integer of 0 or more";
        let mut fields = Fields::new(body);
        let named = |name: Option<String>| name.filter(|name| !name.is_empty());
        let request = Self {
            patient_mrn: fields.required("patient_mrn", "a string"),
            query: fields.required("query", "a string"),
            llm_mode: named(fields.optional("llm_mode", "a string")),
            conversation_id: named(fields.optional("conversation_id", "a string")),
            max_new_tokens: fields.tested("max_new_tokens", "an integer of 1 or more", |tokens| *tokens >= 1),
            temperature: fields.tested("temperature", "a number of 0 or more", |temperature: &f32| {
                temperature.is_finite() && *temperature >= 0.0
            }),
            top_p: fields.tested("top_p", "a number above 0 and at most 1", |top_p| *top_p > 0.0 && *top_p <= 1.0),
            top_k: fields.optional("top_k", COUNT),
            seed: fields.optional("seed", COUNT),
            thinking_budget: fields.optional("thinking_budget", "an integer of 0 or more, or \"off\""),
            include_reasoning: fields.optional("include_reasoning", "true or false"),
            stream: fields.optional("stream", "true or false"),
        };
        fields.finish().map(|()| request).map_err(|errors| ApiError::invalid(&errors))
    }

    /// The question in the terms of the service.
    pub(super) fn question(self, trace_id: TraceId) -> Question {
        Question {
            patient_mrn: self.patient_mrn,
            query: self.query,
            mode: self.llm_mode,
            conversation_id: self.conversation_id,
            options: ChatOptions {
                max_new_tokens: self.max_new_tokens,
                temperature: self.temperature,
                top_p: self.top_p,
                top_k: self.top_k,
                seed: self.seed,
                thinking_budget: self.thinking_budget.map(|budget| budget.0),
            },
            trace_id,
        }
    }
}

/// An answer.
#[derive(Serialize, ToSchema)]
pub(super) struct TriageResponse {
    /// Names the request in logs.
    trace_id: String,
    /// As asked.
    patient_mrn: String,
    /// As asked.
    query: String,
    /// The mode that answered.
    llm_mode: String,
    /// The answer.
    response: String,
    /// From the start of inference, waiting included, to the last token.
    inference_time_ms: f64,
    /// The conversation that question and answer are stored in.
    conversation_id: String,
    /// The model that answered, `name@revision`.
    model: String,
    /// What it cost.
    usage: TokenUsage,
    /// `stop`, or `length` when `max_new_tokens` ended it.
    finish_reason: &'static str,
    /// The model's reasoning, when `include_reasoning` is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<String>,
}

/// Tokens that an answer cost.
#[derive(Serialize, ToSchema)]
struct TokenUsage {
    /// Tokens of the prompt.
    prompt_tokens: u32,
    /// Of these, those that were not computed again; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens_details: Option<PromptTokensDetails>,
    /// Generated tokens, reasoning included.
    completion_tokens: u32,
    /// Generated tokens that were reasoning.
    reasoning_tokens: u32,
}

/// What became of the prompt's tokens.
#[derive(Serialize, ToSchema)]
struct PromptTokensDetails {
    /// Tokens with which an earlier prompt began, too.
    cached_tokens: u32,
}

impl TriageResponse {
    /// `answer`, with its reasoning when `include_reasoning` is true.
    pub(super) fn new(answer: TriageAnswer, trace_id: &TraceId, include_reasoning: Option<bool>) -> Self {
        Self {
            trace_id: trace_id.to_string(),
            patient_mrn: answer.patient_mrn.as_str().to_owned(),
            query: answer.query,
            llm_mode: answer.mode,
            response: answer.answer,
            inference_time_ms: answer.inference_time_ms,
            conversation_id: answer.conversation_id,
            model: answer.model,
            usage: TokenUsage {
                prompt_tokens: answer.usage.prompt_tokens,
                prompt_tokens_details: Some(answer.usage.cached_tokens)
                    .filter(|tokens| *tokens > 0)
                    .map(|cached_tokens| PromptTokensDetails { cached_tokens }),
                completion_tokens: answer.usage.completion_tokens,
                reasoning_tokens: answer.usage.reasoning_tokens,
            },
            finish_reason: answer.reason.as_str(),
            reasoning: Some(answer.reasoning).filter(|_| include_reasoning == Some(true)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mrn::Mrn;

    #[test]
    fn cached_tokens_are_told_where_there_are_any() {
        let usage = |cached_tokens| {
            let mrn = Mrn::parse("P000123").unwrap();
            let mut answer =
                TriageAnswer::begun(String::new(), mrn, "qwen".to_owned(), "model".to_owned(), "CONV-1".to_owned());
            answer.usage = llm_client::Usage { prompt_tokens: 9, cached_tokens, ..Default::default() };
            serde_json::to_value(TriageResponse::new(answer, &TraceId::random(), None)).unwrap()["usage"].take()
        };
        assert_eq!(usage(8)["prompt_tokens_details"], serde_json::json!({ "cached_tokens": 8 }));
        assert_eq!(usage(0).get("prompt_tokens_details"), None);
    }
}
