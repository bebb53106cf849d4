//! [`Question`]: what a patient asks, and the limits that it must keep.
//!
//! Owns validation; knows neither HTTP nor stores.

use std::fmt;
use std::time::Duration;

use llm_client::ChatOptions;

use crate::error::TriageError;
use crate::mrn::Mrn;
use crate::trace_id::TraceId;

/// Default of [`Limits::max_query_chars`].
pub const DEFAULT_MAX_QUERY_CHARS: usize = 8_000;
/// Default of [`Limits::answer_timeout`].
pub const DEFAULT_ANSWER_TIMEOUT: Duration = Duration::from_secs(600);

/// What one question may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest question, in Unicode characters.
    pub max_query_chars: usize,
    /// Time allowed from the start of inference, waiting included, to the last token.
    pub answer_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_query_chars: DEFAULT_MAX_QUERY_CHARS, answer_timeout: DEFAULT_ANSWER_TIMEOUT }
    }
}

/// A question as it was asked; [`crate::TriageService::ask`] checks it.
#[derive(Clone, PartialEq)]
pub struct Question {
    /// Whose record it is about.
    pub patient_mrn: String,
    /// The patient's words.
    pub query: String,
    /// Who shall answer; the client's default mode when absent.
    pub mode: Option<String>,
    /// The conversation that it continues; a new one when absent.
    pub conversation_id: Option<String>,
    /// Sampling and length.
    pub options: ChatOptions,
    /// The request that carried it.
    pub trace_id: TraceId,
}

/// Shows nothing of the patient.
impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").field("trace_id", &self.trace_id).finish_non_exhaustive()
    }
}

impl Question {
    /// Whose record it is about, once the question keeps its limits.
    pub(crate) fn checked_mrn(&self, limits: &Limits) -> Result<Mrn, TriageError> {
        let mrn = Mrn::parse(&self.patient_mrn)
            .map_err(|error| TriageError::Invalid { field: "patient_mrn", reason: error.to_string() })?;
        let invalid = |reason: String| Err(TriageError::Invalid { field: "query", reason });
        if self.query.trim().is_empty() {
            return invalid("must not be empty".to_owned());
        }
        if self.query.chars().count() > limits.max_query_chars {
            return invalid(format!("must have at most {} characters", limits.max_query_chars));
        }
        Ok(mrn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mrn: &str, query: &str) -> Result<Mrn, TriageError> {
        let question = Question {
            patient_mrn: mrn.to_owned(),
            query: query.to_owned(),
            mode: None,
            conversation_id: None,
            options: ChatOptions::default(),
            trace_id: TraceId::random(),
        };
        question.checked_mrn(&Limits { max_query_chars: 5, ..Limits::default() })
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert!(check("P1", "ééééé").is_ok());
        assert!(matches!(check("P1", "éééééé"), Err(TriageError::Invalid { field: "query", .. })));
    }

    #[test]
    fn the_first_fault_is_named() {
        assert!(matches!(check("P 1", ""), Err(TriageError::Invalid { field: "patient_mrn", .. })));
        assert!(matches!(check("P1", " \n\t"), Err(TriageError::Invalid { field: "query", .. })));
    }
}
