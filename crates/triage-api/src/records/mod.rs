//! Patient records, read only: the trait, and the shapes that CarePath's clients read.

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::StoreError;
use crate::hidden::hide_debug;
use crate::mrn::Mrn;

/// A stored JSON object, passed on as it is: clients read fields that this crate never looks at.
pub type Document = Map<String, Value>;

/// Where patient records come from.
pub trait PatientRecords: Send + Sync {
    /// A page of patients, and how many there are: in the order of their record numbers, or in the
    /// order of a remote service, which is its own.
    fn list(&self, page: Page) -> BoxFuture<'_, Result<Listing, StoreError>>;

    /// One patient; `None` when unknown.
    fn patient<'a>(&'a self, mrn: &'a Mrn) -> BoxFuture<'a, Result<Option<Document>, StoreError>>;

    /// One patient with what belongs to it; `None` when unknown.
    fn summary<'a>(&'a self, mrn: &'a Mrn) -> BoxFuture<'a, Result<Option<PatientSummary>, StoreError>>;

    /// Whether the store answers.
    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// A window on a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Items to leave out at the start.
    pub skip: u32,
    /// Most items to return.
    pub limit: u32,
}

/// A page of a list.
#[derive(Clone, PartialEq, Serialize)]
pub struct Listing {
    /// The items of the page.
    pub items: Vec<Document>,
    /// Items in the whole list.
    pub total: u64,
    /// The page's own start.
    pub skip: u32,
    /// The page's own limit.
    pub limit: u32,
}

/// CarePath's `GET /patients/{mrn}/summary`.
#[derive(Clone, PartialEq, Serialize, serde::Deserialize)]
pub struct PatientSummary {
    /// The patient's own record.
    pub patient: Document,
    /// At most 10, newest first.
    #[serde(default)]
    pub recent_encounters: Vec<Document>,
    /// At most 10, newest first.
    #[serde(default)]
    pub recent_claims: Vec<Document>,
    /// At most 20.
    #[serde(default)]
    pub documents: Vec<Document>,
    /// Record number and counts.
    #[serde(default)]
    pub summary_metadata: Document,
}

impl PatientSummary {
    /// A patient's record with what belongs to it, counted.
    pub(crate) fn new(
        mrn: &Mrn,
        patient: Document,
        recent_encounters: Vec<Document>,
        recent_claims: Vec<Document>,
        documents: Vec<Document>,
    ) -> Self {
        let summary_metadata = Document::from_iter([
            ("mrn".to_owned(), json!(mrn.as_str())),
            ("encounter_count".to_owned(), json!(recent_encounters.len())),
            ("claim_count".to_owned(), json!(recent_claims.len())),
            ("document_count".to_owned(), json!(documents.len())),
        ]);
        Self { patient, recent_encounters, recent_claims, documents, summary_metadata }
    }
}

/// Shows the size only: the items are about patients.
impl std::fmt::Debug for Listing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Listing({} of {})", self.items.len(), self.total)
    }
}

hide_debug!(PatientSummary);
