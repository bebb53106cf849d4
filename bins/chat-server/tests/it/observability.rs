//! What Prometheus reads, and what dashboard and alerts make of it.

use std::collections::BTreeSet;
use std::path::Path;

use reqwest::Client;
use serde_json::json;

use crate::process::Process;

/// Every name of a metric in `text`.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("carepath_")).map(str::to_owned).collect()
}

async fn read(process: &Process) -> String {
    let client = Client::builder().no_proxy().build().unwrap();
    let response = client.get(process.url("/metrics")).send().await.unwrap();
    let form = response.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(form.starts_with("application/openmetrics-text"), "{form}");
    response.text().await.unwrap()
}

async fn ask(process: &Process, body: serde_json::Value) {
    let client = Client::builder().no_proxy().build().unwrap();
    client.post(process.url("/triage")).json(&body).send().await.unwrap().bytes().await.unwrap();
}

#[tokio::test]
async fn answers_are_counted_and_nobody_is_named() {
    let process = Process::start(&[("MOCK_WORD_DELAY_MS", "1")]);
    ask(&process, json!({ "patient_mrn": "P000123", "query": "What about my secret trouble?" })).await;
    ask(&process, json!({ "patient_mrn": "P000123", "query": "And as a stream?", "stream": true })).await;
    ask(&process, json!({ "patient_mrn": "P999999", "query": "Who am I?" })).await;
    let text = read(&process).await;
    for line in [
        "carepath_http_requests_total{route=\"/triage\",method=\"POST\",status=\"200\"} 2",
        "carepath_http_requests_total{route=\"/triage\",method=\"POST\",status=\"404\"} 1",
        "carepath_answers_total{mode=\"mock\",model=\"mock\",outcome=\"stop\"} 2",
        "carepath_first_token_seconds_count{mode=\"mock\",model=\"mock\"} 2",
        "carepath_answers_in_progress{mode=\"mock\",stage=\"waiting\"} 0",
        "carepath_answers_in_progress{mode=\"mock\",stage=\"running\"} 0",
        "carepath_model_state{mode=\"mock\",model=\"mock\",state=\"ready\"} 1",
        "carepath_route_weight{mode=\"mock\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    assert!(!text.contains("P000123") && !text.contains("P999999") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn an_answer_that_is_given_up_is_counted_so() {
    let process = Process::start(&[("MOCK_WORD_DELAY_MS", "60000")]);
    let client = Client::builder().no_proxy().timeout(std::time::Duration::from_millis(300)).build().unwrap();
    let question = json!({ "patient_mrn": "P000123", "query": "Anybody there?" });
    client.post(process.url("/triage")).json(&question).send().await.unwrap_err();
    let given_up = "carepath_answers_total{mode=\"mock\",model=\"mock\",outcome=\"given_up\"} 1";
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while !read(&process).await.contains(given_up) {
        assert!(tokio::time::Instant::now() < deadline, "{}", read(&process).await);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// What is charted or watched is there, by that name.
#[tokio::test]
async fn dashboard_and_alerts_name_metrics_that_are_there() {
    // A counter is there when it has counted something: here another mode has to answer.
    let process = Process::start(&[
        ("LLM_MODE", "openai"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:1/v1"),
        ("OPENAI_MODEL", "far-away"),
        ("FALLBACK", "degraded"),
    ]);
    ask(&process, json!({ "patient_mrn": "P000123", "query": "What are my current medications?" })).await;
    let text = read(&process).await;
    let described: BTreeSet<String> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).map(str::to_owned).collect();
    let exported = names(&text);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/observability");
    for file in ["dashboard.json", "alerts.yaml", "alerts_test.yaml"] {
        let used = names(&std::fs::read_to_string(folder.join(file)).unwrap());
        assert!(used.len() > 4, "{file}: {used:?}");
        let unknown: Vec<_> =
            used.iter().filter(|name| !exported.contains(*name) && !described.contains(*name)).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}
