//! The model that is part of the program: what a newcomer meets who has configured nothing.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::fake_db_api::FakeDbApi;
use crate::process::Process;

/// Questions about the synthetic patients, and what the model answers, byte for byte: what Python's transformers 5
/// generates greedily from the same prompts in float32, with the notice.
const GOLDEN: &str = include_str!("../golden/triage-mini.json");

#[derive(Deserialize)]
struct Golden {
    patient_mrn: String,
    query: String,
    response: String,
}

/// A server with nothing configured but what is given; it is ready.
async fn start(variables: &[(&str, &str)]) -> Process {
    let nothing = [("DEFAULT_LLM_MODE", "")];
    let process = Process::start(&[&nothing[..], variables].concat());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while process.get("/ready").await.0 != 200 {
        assert!(tokio::time::Instant::now() < deadline, "the model is not ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    process
}

async fn ask(process: &Process, patient_mrn: &str, query: &str) -> Value {
    let (status, answer) = process.ask(json!({ "patient_mrn": patient_mrn, "query": query })).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn every_engine_says_the_same() {
    let golden: Vec<Golden> = serde_json::from_str(GOLDEN).unwrap();
    for engine in ["cpu", "candle"] {
        let process = start(&[("ENGINE", engine)]).await;
        for Golden { patient_mrn, query, response } in &golden {
            let answer = ask(&process, patient_mrn, query).await;
            assert_eq!(answer["response"], *response, "{engine}: {patient_mrn}, {query}");
            assert_eq!((&answer["llm_mode"], &answer["model"]), (&json!("triage-mini"), &json!("triage-mini")));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_is_told_the_truth() {
    let process = start(&[]).await;
    let answer = ask(&process, "P000123", "What are my current medications?").await;
    let response = answer["response"].as_str().unwrap();
    assert!(response.contains("Metformin 500mg"), "{response}");
    assert!(response.ends_with("\n\nThis is a demonstration on synthetic data, not for clinical use."), "{response}");
}

/// Drugs that do not exist cannot be known: their names come from the record.
#[tokio::test(flavor = "multi_thread")]
async fn names_are_read_and_not_known() {
    let drugs = [
        ("Zorvimab 35mg", "Take 1 tablet at bedtime"),
        ("Quelotinib 12.5mg", "Take 1 capsule twice daily with meals"),
        ("Bramiprol 8mg", "Take 1 tablet every morning"),
        ("Naxovast 450mg", "Take 2 tablets every 12 hours"),
        ("Fendurixa 20mcg", "Inhale 1 puff once daily"),
    ];
    let medications = drugs.map(|(name, sig)| json!({ "name": name, "sig": sig, "end_date": null }));
    let patient = json!({ "mrn": "P000001", "sex": "F", "dob": "1950-02-03", "medications": medications });
    let records = FakeDbApi::with_patient(patient).await;
    let process = start(&[("DB_API_BASE_URL", records.address())]).await;
    let answer = ask(&process, "P000001", "What are my current medications?").await;
    let response = answer["response"].as_str().unwrap();
    let named: Vec<_> = drugs.into_iter().filter(|(name, _)| response.contains(name)).collect();
    assert!(named.contains(&drugs[0]) && named.len() * 5 >= drugs.len() * 4, "{named:?}: {response}");
}
