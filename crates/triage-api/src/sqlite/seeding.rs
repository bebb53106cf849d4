//! Fills an empty database with the synthetic patients.

use sqlx::types::Json;
use sqlx::{Sqlite, Transaction};

use super::database::Database;
use super::failure::store_error;
use crate::error::StoreError;
use crate::seed::{self, SeedEntry, SeedPatient};

/// Stores the synthetic patients when there is no patient yet.
pub(super) async fn seed_when_empty(database: &Database) -> Result<(), StoreError> {
    fill(database).await.map_err(|error| store_error("records", &error))
}

async fn fill(database: &Database) -> sqlx::Result<()> {
    // Asked without the write lock first: a filled file may be read-only.
    if sqlx::query_scalar(ANY_PATIENT).fetch_one(database.readers()).await? {
        return Ok(());
    }
    let mut transaction = database.begin_write().await?;
    // Asked again: another process may have been first.
    if sqlx::query_scalar(ANY_PATIENT).fetch_one(&mut *transaction).await? {
        return Ok(());
    }
    for patient in seed::patients() {
        insert(&mut transaction, patient).await?;
    }
    transaction.commit().await
}

const ANY_PATIENT: &str = "SELECT EXISTS (SELECT 1 FROM patients)";

async fn insert(transaction: &mut Transaction<'_, Sqlite>, patient: SeedPatient) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO patients (mrn, body) VALUES (?1, ?2)")
        .bind(&patient.mrn)
        .bind(Json(patient.body))
        .execute(&mut **transaction)
        .await?;
    let tables: [(&'static str, Vec<SeedEntry>); 3] = [
        (
            "INSERT INTO encounters (encounter_id, patient_mrn, started_at, body) VALUES (?1, ?2, ?3, ?4)",
            patient.encounters,
        ),
        ("INSERT INTO claims (claim_id, patient_mrn, service_date, body) VALUES (?1, ?2, ?3, ?4)", patient.claims),
        ("INSERT INTO documents (doc_id, patient_mrn, created_at, body) VALUES (?1, ?2, ?3, ?4)", patient.documents),
    ];
    for (statement, entries) in tables {
        for entry in entries {
            sqlx::query(statement)
                .bind(entry.id)
                .bind(&patient.mrn)
                .bind(entry.date)
                .bind(Json(entry.body))
                .execute(&mut **transaction)
                .await?;
        }
    }
    Ok(())
}
