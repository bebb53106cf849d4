//! [`SqliteRecords`]: patient records in SQLite, read only.

use futures_util::future::BoxFuture;
use sqlx::Row;
use sqlx::types::Json;

use super::database::Database;
use super::failure::store_error;
use crate::error::StoreError;
use crate::mrn::Mrn;
use crate::records::{Document, Listing, Page, PatientRecords, PatientSummary};

/// One statement, so that it sees one state of the database. The inner queries choose the newest,
/// the aggregates put them in order.
const SUMMARY: &str = "
SELECT body AS patient,
  (SELECT json_group_array(json(body) ORDER BY started_at DESC, encounter_id) FROM
    (SELECT * FROM encounters WHERE patient_mrn = ?1 ORDER BY started_at DESC, encounter_id LIMIT 10)) AS encounters,
  (SELECT json_group_array(json(body) ORDER BY service_date DESC, claim_id) FROM
    (SELECT * FROM claims WHERE patient_mrn = ?1 ORDER BY service_date DESC, claim_id LIMIT 10)) AS claims,
  (SELECT json_group_array(json(body) ORDER BY created_at DESC, doc_id) FROM
    (SELECT * FROM documents WHERE patient_mrn = ?1 ORDER BY created_at DESC, doc_id LIMIT 20)) AS documents
FROM patients WHERE mrn = ?1";

/// Patient records in an SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteRecords {
    database: Database,
}

impl SqliteRecords {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }

    async fn select_page(&self, page: Page) -> sqlx::Result<Listing> {
        let total: i64 = sqlx::query_scalar("SELECT count(*) FROM patients").fetch_one(self.database.readers()).await?;
        let items: Vec<Json<Document>> =
            sqlx::query_scalar("SELECT body FROM patients ORDER BY mrn LIMIT ?1 OFFSET ?2")
                .bind(page.limit)
                .bind(page.skip)
                .fetch_all(self.database.readers())
                .await?;
        let items = items.into_iter().map(|Json(item)| item).collect();
        Ok(Listing { items, total: total.unsigned_abs(), skip: page.skip, limit: page.limit })
    }

    async fn select_patient(&self, mrn: &Mrn) -> sqlx::Result<Option<Document>> {
        let body: Option<Json<Document>> = sqlx::query_scalar("SELECT body FROM patients WHERE mrn = ?1")
            .bind(mrn.as_str())
            .fetch_optional(self.database.readers())
            .await?;
        Ok(body.map(|Json(body)| body))
    }

    async fn select_summary(&self, mrn: &Mrn) -> sqlx::Result<Option<PatientSummary>> {
        let row = sqlx::query(SUMMARY).bind(mrn.as_str()).fetch_optional(self.database.readers()).await?;
        let Some(row) = row else { return Ok(None) };
        let Json(patient) = row.try_get("patient")?;
        let Json(recent_encounters): Json<Vec<Document>> = row.try_get("encounters")?;
        let Json(recent_claims): Json<Vec<Document>> = row.try_get("claims")?;
        let Json(documents): Json<Vec<Document>> = row.try_get("documents")?;
        Ok(Some(PatientSummary::new(mrn, patient, recent_encounters, recent_claims, documents)))
    }
}

impl PatientRecords for SqliteRecords {
    fn list(&self, page: Page) -> BoxFuture<'_, Result<Listing, StoreError>> {
        Box::pin(async move { self.select_page(page).await.map_err(failed) })
    }

    fn patient<'a>(&'a self, mrn: &'a Mrn) -> BoxFuture<'a, Result<Option<Document>, StoreError>> {
        Box::pin(async move { self.select_patient(mrn).await.map_err(failed) })
    }

    fn summary<'a>(&'a self, mrn: &'a Mrn) -> BoxFuture<'a, Result<Option<PatientSummary>, StoreError>> {
        Box::pin(async move { self.select_summary(mrn).await.map_err(failed) })
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.database.ping().await.map_err(failed) })
    }
}

fn failed(error: sqlx::Error) -> StoreError {
    store_error("records", &error)
}
