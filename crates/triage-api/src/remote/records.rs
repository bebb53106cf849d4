//! Patient records of the DB API.

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;

use super::db_api::{DbApi, MAX_PAGE, ping};
use super::transport::upstream;
use crate::error::StoreError;
use crate::mrn::Mrn;
use crate::records::{Document, Listing, Page, PatientRecords, PatientSummary};

/// CarePath's own page of patients; a bare array is read too, whose total is then unknown.
#[derive(Deserialize)]
struct PatientPage {
    items: Vec<Document>,
    total: u64,
}

/// Patients come in the API's own order.
impl PatientRecords for DbApi {
    fn list(&self, page: Page) -> BoxFuture<'_, Result<Listing, StoreError>> {
        Box::pin(async move {
            let Page { skip, limit } = page;
            let (from, most) = (skip.to_string(), limit.clamp(1, MAX_PAGE).to_string());
            let query = [("skip", from.as_str()), ("limit", most.as_str())];
            let answer = self.records.get(&["patients"], &query).await?;
            let answer = answer.ok_or_else(|| upstream("it has no list of patients"))?;
            let PatientPage { items, total } = read_page(answer, skip)?;
            Ok(Listing { items, total, skip, limit })
        })
    }

    fn patient<'a>(&'a self, mrn: &'a Mrn) -> BoxFuture<'a, Result<Option<Document>, StoreError>> {
        Box::pin(async move {
            let patient = self.records.get(&["patients", mrn.as_str()], &[]).await?;
            patient.map(|patient| of_patient(mrn, patient, |patient| patient)).transpose()
        })
    }

    fn summary<'a>(&'a self, mrn: &'a Mrn) -> BoxFuture<'a, Result<Option<PatientSummary>, StoreError>> {
        Box::pin(async move {
            let summary = self.records.get(&["patients", mrn.as_str(), "summary"], &[]).await?;
            summary.map(|summary| of_patient(mrn, summary, |summary: &PatientSummary| &summary.patient)).transpose()
        })
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(ping(&self.records))
    }
}

fn read_page(answer: Value, skip: u32) -> Result<PatientPage, StoreError> {
    let unreadable = |_| upstream("its answer is not the expected JSON");
    if answer.is_array() {
        let items: Vec<Document> = serde_json::from_value(answer).map_err(unreadable)?;
        let total = u64::from(skip) + items.len() as u64;
        return Ok(PatientPage { items, total });
    }
    serde_json::from_value(answer).map_err(unreadable)
}

/// `record` when it is of the patient that was asked for: an answer about another person would be
/// worse than none.
fn of_patient<T>(mrn: &Mrn, record: T, patient: impl Fn(&T) -> &Document) -> Result<T, StoreError> {
    match patient(&record).get("mrn") {
        Some(Value::String(found)) if found != mrn.as_str() => Err(upstream("it answered for another patient")),
        _ => Ok(record),
    }
}
