//! [`PostgresRecords`]: patient records in PostgreSQL, read only.

use futures_util::future::BoxFuture;
use sqlx::types::Json;

use super::database::Database;
use super::failure::store_error;
use crate::error::StoreError;
use crate::mrn::Mrn;
use crate::records::{Document, Listing, Page, PatientRecords, PatientSummary};

/// One statement, so that it sees one state of the database. The inner queries choose the newest,
/// the aggregates put them in order.
const SUMMARY: &str = "
SELECT body::json,
  (SELECT coalesce(json_agg(body::json ORDER BY started_at DESC, encounter_id), '[]') FROM
    (SELECT * FROM encounters WHERE patient_mrn = $1 ORDER BY started_at DESC, encounter_id LIMIT 10) AS newest),
  (SELECT coalesce(json_agg(body::json ORDER BY service_date DESC, claim_id), '[]') FROM
    (SELECT * FROM claims WHERE patient_mrn = $1 ORDER BY service_date DESC, claim_id LIMIT 10) AS newest),
  (SELECT coalesce(json_agg(body::json ORDER BY created_at DESC, doc_id), '[]') FROM
    (SELECT * FROM documents WHERE patient_mrn = $1 ORDER BY created_at DESC, doc_id LIMIT 20) AS newest)
FROM patients WHERE mrn = $1";

/// A row of [`SUMMARY`].
type SummaryRow = (Json<Document>, Json<Vec<Document>>, Json<Vec<Document>>, Json<Vec<Document>>);

/// Patient records in a PostgreSQL database.
#[derive(Debug, Clone)]
pub struct PostgresRecords {
    database: Database,
}

impl PostgresRecords {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }

    async fn select_page(&self, page: Page) -> sqlx::Result<Listing> {
        let total: i64 = sqlx::query_scalar("SELECT count(*) FROM patients").fetch_one(self.database.pool()).await?;
        let items: Vec<Json<Document>> =
            sqlx::query_scalar("SELECT body::json FROM patients ORDER BY mrn LIMIT $1 OFFSET $2")
                .bind(i64::from(page.limit))
                .bind(i64::from(page.skip))
                .fetch_all(self.database.pool())
                .await?;
        let items = items.into_iter().map(|Json(item)| item).collect();
        Ok(Listing { items, total: total.unsigned_abs(), skip: page.skip, limit: page.limit })
    }

    async fn select_patient(&self, mrn: &Mrn) -> sqlx::Result<Option<Document>> {
        let body: Option<Json<Document>> = sqlx::query_scalar("SELECT body::json FROM patients WHERE mrn = $1")
            .bind(mrn.as_str())
            .fetch_optional(self.database.pool())
            .await?;
        Ok(body.map(|Json(body)| body))
    }

    async fn select_summary(&self, mrn: &Mrn) -> sqlx::Result<Option<PatientSummary>> {
        let row: Option<SummaryRow> =
            sqlx::query_as(SUMMARY).bind(mrn.as_str()).fetch_optional(self.database.pool()).await?;
        Ok(row.map(|(Json(patient), Json(encounters), Json(claims), Json(documents))| {
            PatientSummary::new(mrn, patient, encounters, claims, documents)
        }))
    }
}

impl PatientRecords for PostgresRecords {
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
