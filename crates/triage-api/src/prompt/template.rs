//! [`PromptTemplate`]: the template of the system turn, built in or from a file.
//!
//! The template is the operator's and trusted; what it shows of a record is data that is never
//! read as template. A template sees one variable, `record`, whose fields the built-in one shows.

use std::fmt;
use std::path::Path;

use jiff::Timestamp;
use llm_client::{Message, Role};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};

use super::history::turns_of;
use super::record_view::RecordView;
use crate::conversations::StoredMessage;
use crate::error::TriageError;
use crate::records::PatientSummary;

/// The version of the built-in template.
const BUILT_IN: &str = "triage-v1";
const BUILT_IN_SOURCE: &str = include_str!("templates/triage-v1.jinja");

/// A template of the prompt, parsed and tried once.
pub struct PromptTemplate {
    version: String,
    environment: Environment<'static>,
}

impl PromptTemplate {
    /// The template that comes with this crate, `triage-v1`.
    ///
    /// # Errors
    /// [`TriageError::Prompt`], which a test of this crate rules out.
    pub fn built_in() -> Result<Self, TriageError> {
        Self::from_source(BUILT_IN, BUILT_IN_SOURCE)
    }

    /// Reads the template in a file; its version is the file's name without the extension.
    ///
    /// # Errors
    /// [`TriageError::Prompt`] when the file cannot be read, is no template, or uses a field that a
    /// record does not have; it says the version and the line.
    pub fn from_file(path: &Path) -> Result<Self, TriageError> {
        let version = path.file_stem().unwrap_or_default().to_string_lossy();
        let source = std::fs::read_to_string(path)
            .map_err(|error| TriageError::Prompt(format!("{version} cannot be read: {}", error.kind())))?;
        Self::from_source(&version, &source)
    }

    /// Reads a template.
    ///
    /// # Errors
    /// As [`PromptTemplate::from_file`].
    pub fn from_source(version: &str, source: &str) -> Result<Self, TriageError> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment
            .add_template_owned(version.to_owned(), source.to_owned())
            .map_err(|error| failure(version, &error))?;
        let template = Self { version: version.to_owned(), environment };
        // Once with everything and once with nothing, so that a bad name fails here, not later.
        template.render(&RecordView::example())?;
        template.render(&RecordView::default())?;
        Ok(template)
    }

    /// The version, for example `triage-v1`: it is stored with answers and named in logs.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The turns for a model: the system turn with the record, the last answered questions of the
    /// conversation, and the question.
    ///
    /// Fields of the record that are missing or of another shape are left out. The record's part
    /// is at most 2,400 characters long and the earlier turns 4,000, whatever is stored.
    ///
    /// # Errors
    /// [`TriageError::Prompt`] when the template fails on this record; it says the line, and
    /// nothing of the record.
    pub fn messages(
        &self,
        summary: &PatientSummary,
        history: &[StoredMessage],
        question: &str,
    ) -> Result<Vec<Message>, TriageError> {
        let today = Timestamp::now().strftime("%Y-%m-%d").to_string();
        let system = self.render(&RecordView::new(summary, &today))?;
        let mut messages = vec![Message::new(Role::System, system)];
        messages.extend(turns_of(history));
        messages.push(Message::new(Role::User, question.trim()));
        Ok(messages)
    }

    fn render(&self, record: &RecordView) -> Result<String, TriageError> {
        self.environment
            .get_template(&self.version)
            .and_then(|template| template.render(context! { record => Serde(record) }))
            .map_err(|error| failure(&self.version, &error))
    }
}

impl fmt::Debug for PromptTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PromptTemplate").field("version", &self.version).finish_non_exhaustive()
    }
}

/// The kind of an error and its line; the full message can quote values of a record.
fn failure(version: &str, error: &minijinja::Error) -> TriageError {
    TriageError::Prompt(format!("{version}: {} in line {}", error.kind(), error.line().unwrap_or(0)))
}
