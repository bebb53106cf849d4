//! [`Finding`]: one line of the doctor's report.

use std::fmt;

use serde::Serialize;

use crate::settings::Settings;

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// Worth knowing; it works.
    Note,
    /// It does not work.
    Problem,
}

/// What was found about one thing, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) about: String,
    pub(super) found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(about: impl Into<String>, found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, about: about.into(), found: found.into(), remedy: None }
    }

    pub(super) fn note(about: impl Into<String>, found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Note, ..Self::ok(about, found) }
    }

    pub(super) fn problem(about: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Problem, remedy: Some(remedy.into()), ..Self::ok(about, found) }
    }

    /// A problem of what does not answer requests is only worth knowing.
    pub(super) fn unless_needed(self, needed: Needed) -> Self {
        match (self.verdict, needed) {
            (Verdict::Problem, Needed::Later) => Self { verdict: Verdict::Note, ..self },
            _ => self,
        }
    }
}

/// Whether the service needs a thing as it is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needed {
    /// For every answer.
    Now,
    /// When somebody asks for it by name.
    Later,
}

impl Needed {
    /// Of what belongs to `mode`.
    pub(super) fn by(settings: &Settings, mode: &str) -> Self {
        if mode == settings.mode { Self::Now } else { Self::Later }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Note => "note",
            Verdict::Problem => "PROBLEM",
        };
        write!(f, "{verdict:8} {:18} {}", self.about, self.found)?;
        self.remedy.iter().try_for_each(|remedy| write!(f, " → {remedy}"))
    }
}
