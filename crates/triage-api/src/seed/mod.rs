//! The synthetic patients of a new database: P000123, and P000001 to P000060 drawn from a fixed
//! seed. Pure data, the same on every run and machine; knows no store.
//!
//! Nobody here exists: last names say so, and no value was taken from a person's record. The codes
//! of conditions (ICD-10-CM) and laboratory tests (LOINC) are real; drug codes are illustrative.

mod catalog;
mod draw;
mod patient;
mod sample;
mod visits;

use serde_json::Value;

use crate::records::Document;

/// One synthetic patient with everything that belongs to them.
pub(crate) struct SeedPatient {
    pub(crate) mrn: String,
    pub(crate) body: Document,
    pub(crate) encounters: Vec<SeedEntry>,
    pub(crate) claims: Vec<SeedEntry>,
    pub(crate) documents: Vec<SeedEntry>,
}

/// An encounter, a claim or a document, with the key and the date it is found by.
pub(crate) struct SeedEntry {
    pub(crate) id: String,
    pub(crate) date: String,
    pub(crate) body: Document,
}

/// How many patients are drawn; their record numbers are `P000001` and so on.
const DRAWN: u32 = 60;

/// All synthetic patients.
pub(crate) fn patients() -> Vec<SeedPatient> {
    let mut patients: Vec<_> = (1..=DRAWN).map(patient::draw_patient).collect();
    patients.push(sample::p000123());
    patients
}

/// The object of a `json!({…})`.
fn object(value: Value) -> Document {
    match value {
        Value::Object(object) => object,
        _ => Document::new(),
    }
}

/// A store key in the shape of MongoDB's: 24 hex digits, different for each kind, patient and item.
fn key(kind: u32, patient: u32, item: u32) -> String {
    format!("6750{kind:04}{patient:08}{item:08}")
}
