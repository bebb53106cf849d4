//! What a new database holds.

use serde_json::{Value, json};
use triage_api::records::{Page, PatientRecords};
use triage_api::sqlite::SqliteStores;

use crate::{Fixture, mrn};

async fn summary(stores: &SqliteStores, number: &str) -> Value {
    serde_json::to_value(stores.records.summary(&mrn(number)).await.unwrap().unwrap()).unwrap()
}

async fn all_summaries(stores: &SqliteStores) -> Vec<Value> {
    let listing = stores.records.list(Page { skip: 0, limit: 100 }).await.unwrap();
    let mut summaries = Vec::new();
    for patient in &listing.items {
        summaries.push(summary(stores, patient["mrn"].as_str().unwrap()).await);
    }
    summaries
}

fn array<'a>(value: &'a Value, pointer: &str) -> &'a Vec<Value> {
    value.pointer(pointer).unwrap().as_array().unwrap()
}

#[tokio::test]
async fn p000123_is_as_carepath_ships_it() {
    let fixture = Fixture::new().await;
    assert_eq!(
        summary(&fixture.stores, "P000123").await,
        json!({
            "patient": {
                "_id": "675000000000000000000001", "mrn": "P000123", "name": {"first": "Alice", "last": "Nguyen"},
                "dob": "1984-03-12", "sex": "F",
                "address": {"line1": "123 Elm St", "city": "Raleigh", "state": "NC", "zip": "27601"},
                "conditions": [{"code": "E11.9", "system": "ICD-10", "display": "Type 2 diabetes mellitus",
                    "onset_date": "2015-06-01"}],
                "medications": [{"drug_code": "860975", "name": "Metformin 500mg", "start_date": "2020-01-10",
                    "end_date": null, "sig": "Take 1 tablet twice daily with meals"}],
                "allergies": [{"substance": "Penicillin", "reaction": "Rash", "severity": "mild"}],
                "primary_care_provider_id": "PROV-1001", "risk_score": 0.72
            },
            "recent_encounters": [{
                "_id": "675000000000000000000010", "patient_mrn": "P000123", "encounter_id": "ENC-2024-09-15-01",
                "type": "outpatient", "location": "Raleigh Primary Care Clinic", "start": "2024-09-15T09:30:00Z",
                "end": "2024-09-15T09:55:00Z",
                "diagnoses": [{"code": "E11.9", "system": "ICD-10", "display": "Type 2 diabetes mellitus"}],
                "vitals": {"bp_systolic": 130, "bp_diastolic": 82, "heart_rate": 72, "weight_kg": 82.5},
                "labs": [{"name": "Hemoglobin A1c", "loinc": "4548-4", "value": 7.4, "unit": "%",
                    "collected_at": "2024-09-14T08:00:00Z"}],
                "notes": "Discussed diet, exercise, and medication adherence."
            }],
            "recent_claims": [{
                "_id": "675000000000000000000020", "claim_id": "CLM-2024-0001", "patient_mrn": "P000123",
                "payer": "Acme Health Plan", "service_date": "2024-09-15", "cpt_codes": ["99213"],
                "icd10_codes": ["E11.9"], "billed_amount": 180.0, "allowed_amount": 120.0,
                "patient_responsibility": 30.0, "status": "paid"
            }],
            "documents": [{
                "_id": "675000000000000000000030", "doc_id": "DOC-CAREPLAN-P000123-2024", "patient_mrn": "P000123",
                "source_type": "care_plan", "title": "Diabetes Care Plan 2024",
                "text": "Your personalized diabetes care plan focuses on A1c control, daily walking, and medication \
                         adherence...",
                "tags": ["diabetes", "care_plan", "education"],
                "metadata": {"author_provider_id": "PROV-1001", "created_at": "2024-09-15T09:40:00Z",
                    "encounter_id": "ENC-2024-09-15-01"}
            }],
            "summary_metadata": {"mrn": "P000123", "encounter_count": 1, "claim_count": 1, "document_count": 1}
        })
    );
}

#[tokio::test]
async fn the_sample_files_hold_the_same_p000123() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/carepath-sample");
    if !folder.is_dir() {
        eprintln!("skipped: there are no CarePath sample files here");
        return;
    }
    let sample = |file: &str| {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let mut value: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        value["_id"] = value["_id"]["$oid"].clone();
        value
    };
    let fixture = Fixture::new().await;
    let stored = summary(&fixture.stores, "P000123").await;
    assert_eq!(stored["patient"], sample("patients.jsonl"));
    assert_eq!(stored["recent_encounters"], json!([sample("encounters.jsonl")]));
    assert_eq!(stored["recent_claims"], json!([sample("claims.jsonl")]));
    assert_eq!(stored["documents"], json!([sample("documents.jsonl")]));
}

#[tokio::test]
async fn the_drawn_patients_are_the_same_on_every_machine() {
    let fixture = Fixture::new().await;
    insta::assert_json_snapshot!("p000001", summary(&fixture.stores, "P000001").await);
    // FNV-1a over all of them: any change of seed, draw or catalog shows.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in serde_json::to_vec(&all_summaries(&fixture.stores).await).unwrap() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    insta::assert_snapshot!(format!("{hash:016x}"), @"e6b7ee90a84de90c");
}

#[tokio::test]
async fn the_drawn_patients_are_plausible() {
    let fixture = Fixture::new().await;
    let summaries = all_summaries(&fixture.stores).await;
    assert_eq!(summaries.len(), 61);
    let count = |matches: &dyn Fn(&Value) -> bool| summaries.iter().filter(|summary| matches(summary)).count();
    let ended =
        |summary: &Value| array(summary, "/patient/medications").iter().any(|drug| drug["end_date"].is_string());
    assert!(count(&ended) >= 20, "{} patients with ended medications", count(&ended));
    assert!(count(&|summary| array(summary, "/recent_claims").is_empty()) < 30);
    assert!(count(&|summary| !array(summary, "/documents").is_empty()) > 20);
    assert!(count(&|summary| !array(summary, "/patient/allergies").is_empty()) > 20);
    for summary in &summaries {
        assert!(!array(summary, "/patient/conditions").is_empty());
        assert!(!array(summary, "/recent_encounters").is_empty());
        for drug in array(summary, "/patient/medications") {
            assert!(!drug["sig"].as_str().unwrap().is_empty());
            if let Some(end) = drug["end_date"].as_str() {
                assert!(drug["start_date"].as_str().unwrap() < end, "{drug}");
            }
        }
        let starts: Vec<_> = array(summary, "/recent_encounters").iter().map(|visit| visit["start"].as_str()).collect();
        assert!(starts.is_sorted_by(|a, b| a >= b), "newest first: {starts:?}");
        for (kind, list) in [("encounter", "recent_encounters"), ("claim", "recent_claims"), ("document", "documents")]
        {
            assert_eq!(summary["summary_metadata"][format!("{kind}_count")], array(summary, &format!("/{list}")).len());
        }
    }
}

#[tokio::test]
async fn patients_are_listed_in_order_by_page() {
    let fixture = Fixture::new().await;
    let stores = &fixture.stores;
    let page = |skip, limit| async move {
        let listing = stores.records.list(Page { skip, limit }).await.unwrap();
        assert_eq!((listing.total, listing.skip, listing.limit), (61, skip, limit));
        listing.items.iter().map(|item| item["mrn"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(page(0, 2).await, ["P000001", "P000002"]);
    assert_eq!(page(59, 10).await, ["P000060", "P000123"]);
    assert!(page(61, 10).await.is_empty());
}

#[tokio::test]
async fn an_unknown_patient_is_none() {
    let fixture = Fixture::new().await;
    let stores = &fixture.stores;
    assert!(stores.records.patient(&mrn("P999999")).await.unwrap().is_none());
    assert!(stores.records.summary(&mrn("P999999")).await.unwrap().is_none());
    assert_eq!(stores.records.patient(&mrn("P000123")).await.unwrap().unwrap()["dob"], "1984-03-12");
}
