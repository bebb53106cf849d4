//! [`Application`] on a free port, over a new SQLite file.

use std::path::Path;
use std::sync::Arc;

use chat_server::application::Application;
use chat_server::cli::Cli;
use chat_server::settings::Settings;
use reqwest::Client;
use serde_json::{Value, json};

fn settings(data_dir: &Path, more: &[&str]) -> Settings {
    let data_dir = data_dir.to_str().unwrap();
    let fixed = ["chat-server", "--port", "0", "--host", "127.0.0.1", "--chat-admin-port", "0", "--data-dir", data_dir];
    let mock = ["--default-llm-mode", "mock"];
    Settings::try_from(Cli::read_from(fixed.into_iter().chain(mock).chain(more.iter().copied())).unwrap()).unwrap()
}

/// Starts the service and returns its address.
async fn start(settings: Settings) -> String {
    let application = Application::build(settings, Arc::new(|| Value::Null)).await.unwrap();
    let address = format!("http://127.0.0.1:{}", application.port());
    tokio::spawn(application.run_until_stopped());
    address
}

async fn get(url: String) -> (u16, Value) {
    let response = Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn ask(address: &str, body: &Value) -> (u16, Value) {
    let client = Client::builder().no_proxy().build().unwrap();
    let response = client.post(format!("{address}/triage")).json(body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_question_about_the_sample_patient_is_answered_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let address = start(settings(folder.path(), &[])).await;
    let question = json!({ "patient_mrn": "P000123", "query": "What are my current medications?" });
    let (status, body) = ask(&address, &question).await;
    assert_eq!((status, &body["llm_mode"], &body["model"]), (200, &json!("mock"), &json!("mock")));
    let id = body["conversation_id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("CONV-") && id.contains("-P000123-"), "{id}");

    let (status, log) = get(format!("{address}/chat-logs/{id}")).await;
    assert_eq!((status, &log["trace_id"]), (200, &body["trace_id"]));
    assert_eq!(log["messages"].as_array().unwrap().len(), 2);
    assert_eq!(log["messages"][1]["content"], body["response"]);

    // Another service over the same file knows the conversation and continues it.
    let again = start(settings(folder.path(), &[])).await;
    let (status, body) =
        ask(&again, &json!({ "patient_mrn": "P000123", "query": "And?", "conversation_id": id })).await;
    assert_eq!((status, &body["conversation_id"]), (200, &json!(id)));
    let (_, log) = get(format!("{again}/chat-logs/{id}")).await;
    assert_eq!(log["messages"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_new_file_is_filled_with_synthetic_patients() {
    let folder = tempfile::tempdir().unwrap();
    let address = start(settings(&folder.path().join("made/on/the/way"), &[])).await;
    let (_, page) = get(format!("{address}/patients?limit=100")).await;
    assert_eq!(page["total"], 61);
    let (_, summary) = get(format!("{address}/patients/P000123/summary")).await;
    assert_eq!(summary["patient"]["name"], json!({ "first": "Alice", "last": "Nguyen" }));
    let (status, health) = get(format!("{address}/health/db")).await;
    assert_eq!((status, &health["database"]), (200, &json!("sqlite")));
}

#[tokio::test]
async fn a_records_service_that_is_down_is_502() {
    let folder = tempfile::tempdir().unwrap();
    let address = start(settings(folder.path(), &["--db-api-base-url", "http://127.0.0.1:1"])).await;
    let (status, body) = ask(&address, &json!({ "patient_mrn": "P000123", "query": "Hello?" })).await;
    assert_eq!((status, &body["detail"]["error"]), (502, &json!("Error fetching patient data")));
    assert_eq!(get(format!("{address}/patients")).await, (502, json!({ "detail": "Error fetching data" })));
    assert_eq!(get(format!("{address}/health/db")).await.0, 503);
    assert_eq!(get(format!("{address}/health")).await.0, 200);
}

#[tokio::test]
async fn what_cannot_work_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.jinja");
    std::fs::write(&broken, "{{ nobody.knows }}").unwrap();
    let file = folder.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    for (more, word) in [
        (["--llm-mode", "gpt"], "gpt"),
        (["--prompt-template", broken.to_str().unwrap()], "broken"),
        (["--data-dir", file.to_str().unwrap()], "a-file"),
        (["--db-api-base-url", "ftp://db"], "DB_API_BASE_URL"),
    ] {
        let arguments: Vec<&str> = ["chat-server", "--port", "0"].into_iter().chain(more).collect();
        let cli = Cli::read_from(arguments).unwrap();
        let error = Application::build(Settings::try_from(cli).unwrap(), Arc::new(|| Value::Null)).await.unwrap_err();
        assert!(format!("{error:#}").contains(word), "{error:#}");
    }
}
