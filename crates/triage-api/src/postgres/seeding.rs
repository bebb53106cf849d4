//! Fills an empty database with the synthetic patients.

use sqlx::{Postgres, Transaction};

use super::database::{Database, json};
use super::failure::store_error;
use crate::error::StoreError;
use crate::seed::{self, SeedEntry, SeedPatient};

/// Stores the synthetic patients when there is no patient yet.
pub(super) async fn seed_when_empty(database: &Database) -> Result<(), StoreError> {
    fill(database).await.map_err(|error| store_error("records", &error))
}

async fn fill(database: &Database) -> sqlx::Result<()> {
    // Asked without the lock first: a filled database may be read-only.
    if sqlx::query_scalar(ANY_PATIENT).fetch_one(database.pool()).await? {
        return Ok(());
    }
    let mut transaction = database.begin().await?;
    // Another server may be doing the same: one waits for the other, and then finds patients.
    sqlx::query("LOCK TABLE patients IN SHARE ROW EXCLUSIVE MODE").execute(&mut *transaction).await?;
    if sqlx::query_scalar(ANY_PATIENT).fetch_one(&mut *transaction).await? {
        return Ok(());
    }
    for patient in seed::patients() {
        insert(&mut transaction, patient).await?;
    }
    transaction.commit().await
}

const ANY_PATIENT: &str = "SELECT EXISTS (SELECT 1 FROM patients)";

async fn insert(transaction: &mut Transaction<'_, Postgres>, patient: SeedPatient) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO patients (mrn, body) VALUES ($1, $2)")
        .bind(&patient.mrn)
        .bind(json(&patient.body)?)
        .execute(&mut **transaction)
        .await?;
    let tables: [(&'static str, Vec<SeedEntry>); 3] = [
        (
            "INSERT INTO encounters (encounter_id, patient_mrn, started_at, body) VALUES ($1, $2, $3, $4)",
            patient.encounters,
        ),
        ("INSERT INTO claims (claim_id, patient_mrn, service_date, body) VALUES ($1, $2, $3, $4)", patient.claims),
        ("INSERT INTO documents (doc_id, patient_mrn, created_at, body) VALUES ($1, $2, $3, $4)", patient.documents),
    ];
    for (statement, entries) in tables {
        for entry in entries {
            sqlx::query(statement)
                .bind(entry.id)
                .bind(&patient.mrn)
                .bind(entry.date)
                .bind(json(&entry.body)?)
                .execute(&mut **transaction)
                .await?;
        }
    }
    Ok(())
}
