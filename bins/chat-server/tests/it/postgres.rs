//! Servers over one PostgreSQL database: what they share, and what a crash of one or of the database costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};

use crate::postgres_server::PostgresServer;
use crate::process::Process;

fn over(server: &PostgresServer) -> Process {
    Process::start(&[("DATABASE_URL", &server.url()), ("LLM_MODE", "mock")])
}

/// Status and body; none where the server is gone.
async fn ask(client: &Client, address: &str) -> Option<(u16, Value)> {
    let question = json!({ "patient_mrn": "P000123", "query": "What are my current medications?" });
    let response = client.post(address).json(&question).send().await.ok()?;
    Some((response.status().as_u16(), response.json().await.ok()?))
}

async fn log(client: &Client, process: &Process, id: &Value) -> Value {
    let url = process.url(&format!("/chat-logs/{}", id.as_str().unwrap()));
    client.get(url).send().await.unwrap().json().await.unwrap()
}

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_sent_outlives_the_server_that_sent_it() {
    let Some(database) = PostgresServer::start() else { return };
    let (one, other, client) = (over(&database), over(&database), client());
    let (_, answer) = ask(&client, &one.url("/triage")).await.unwrap();
    let read = log(&client, &other, &answer["conversation_id"]).await;
    assert_eq!(read["messages"][1]["content"], answer["response"], "{read}");

    let ends = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (client, address, ends) = (client.clone(), one.url("/triage"), Arc::clone(&ends));
            tokio::spawn(async move {
                let mut answers = Vec::new();
                while !ends.load(Ordering::Relaxed)
                    && let Some((200, answer)) = ask(&client, &address).await
                {
                    answers.push(answer);
                }
                answers
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    one.signal("KILL");
    ends.store(true, Ordering::Relaxed);
    let mut sent = Vec::new();
    for client in clients {
        sent.extend(client.await.unwrap());
    }
    assert!(sent.len() > 8, "{} answers", sent.len());
    for answer in &sent {
        let read = log(&client, &other, &answer["conversation_id"]).await;
        assert_eq!(read["messages"][1]["content"], answer["response"], "{read}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_comes_back_needs_no_restart_of_the_server() {
    let Some(mut database) = PostgresServer::start() else { return };
    let (process, client) = (over(&database), client());
    let (status, answer) = ask(&client, &process.url("/triage")).await.unwrap();
    assert_eq!(status, 200);
    database.kill();
    let (status, refusal) = ask(&client, &process.url("/triage")).await.unwrap();
    assert_eq!(status, 503, "{refusal}");
    assert_eq!(client.get(process.url("/health")).send().await.unwrap().status(), 200);
    assert_eq!(client.get(process.url("/health/db")).send().await.unwrap().status(), 503);
    database.restart();
    let (status, _) = ask(&client, &process.url("/triage")).await.unwrap();
    assert_eq!(status, 200);
    let read = log(&client, &process, &answer["conversation_id"]).await;
    assert_eq!(read["messages"].as_array().unwrap().len(), 2, "{read}");
}
