//! P000123, the patient that CarePath's own documents, load test and front end ask for.

use serde_json::json;

use super::{SeedEntry, SeedPatient, object};

/// The record as CarePath ships it, with `_id` as its API shows it.
pub(super) fn p000123() -> SeedPatient {
    SeedPatient {
        mrn: "P000123".to_owned(),
        body: object(json!({
            "_id": "675000000000000000000001",
            "mrn": "P000123",
            "name": {"first": "Alice", "last": "Nguyen"},
            "dob": "1984-03-12",
            "sex": "F",
            "address": {"line1": "123 Elm St", "city": "Raleigh", "state": "NC", "zip": "27601"},
            "conditions": [{
                "code": "E11.9", "system": "ICD-10", "display": "Type 2 diabetes mellitus", "onset_date": "2015-06-01"
            }],
            "medications": [{
                "drug_code": "860975", "name": "Metformin 500mg", "start_date": "2020-01-10", "end_date": null,
                "sig": "Take 1 tablet twice daily with meals"
            }],
            "allergies": [{"substance": "Penicillin", "reaction": "Rash", "severity": "mild"}],
            "primary_care_provider_id": "PROV-1001",
            "risk_score": 0.72
        })),
        encounters: vec![encounter()],
        claims: vec![claim()],
        documents: vec![document()],
    }
}

fn encounter() -> SeedEntry {
    SeedEntry {
        id: "ENC-2024-09-15-01".to_owned(),
        date: "2024-09-15T09:30:00Z".to_owned(),
        body: object(json!({
            "_id": "675000000000000000000010",
            "patient_mrn": "P000123",
            "encounter_id": "ENC-2024-09-15-01",
            "type": "outpatient",
            "location": "Raleigh Primary Care Clinic",
            "start": "2024-09-15T09:30:00Z",
            "end": "2024-09-15T09:55:00Z",
            "diagnoses": [{"code": "E11.9", "system": "ICD-10", "display": "Type 2 diabetes mellitus"}],
            "vitals": {"bp_systolic": 130, "bp_diastolic": 82, "heart_rate": 72, "weight_kg": 82.5},
            "labs": [{
                "name": "Hemoglobin A1c", "loinc": "4548-4", "value": 7.4, "unit": "%",
                "collected_at": "2024-09-14T08:00:00Z"
            }],
            "notes": "Discussed diet, exercise, and medication adherence."
        })),
    }
}

fn claim() -> SeedEntry {
    SeedEntry {
        id: "CLM-2024-0001".to_owned(),
        date: "2024-09-15".to_owned(),
        body: object(json!({
            "_id": "675000000000000000000020",
            "claim_id": "CLM-2024-0001",
            "patient_mrn": "P000123",
            "payer": "Acme Health Plan",
            "service_date": "2024-09-15",
            "cpt_codes": ["99213"],
            "icd10_codes": ["E11.9"],
            "billed_amount": 180.0,
            "allowed_amount": 120.0,
            "patient_responsibility": 30.0,
            "status": "paid"
        })),
    }
}

fn document() -> SeedEntry {
    let text =
        "Your personalized diabetes care plan focuses on A1c control, daily walking, and medication adherence...";
    SeedEntry {
        id: "DOC-CAREPLAN-P000123-2024".to_owned(),
        date: "2024-09-15T09:40:00Z".to_owned(),
        body: object(json!({
            "_id": "675000000000000000000030",
            "doc_id": "DOC-CAREPLAN-P000123-2024",
            "patient_mrn": "P000123",
            "source_type": "care_plan",
            "title": "Diabetes Care Plan 2024",
            "text": text,
            "tags": ["diabetes", "care_plan", "education"],
            "metadata": {
                "author_provider_id": "PROV-1001", "created_at": "2024-09-15T09:40:00Z",
                "encounter_id": "ENC-2024-09-15-01"
            }
        })),
    }
}
