//! Servers over one PostgreSQL database: what they share, and what a crash of one or of the database costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::postgres_server::PostgresServer;
use crate::process::{Process, try_ask};

fn over(server: &PostgresServer) -> Process {
    Process::start(&[("DATABASE_URL", &server.url()), ("LLM_MODE", "mock")])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_sent_outlives_the_server_that_sent_it() {
    let Some(database) = PostgresServer::start() else { return };
    let (one, other) = (over(&database), over(&database));
    let (_, answer) = one.ask(json!({})).await;
    let read = other.log_of(&answer).await;
    assert_eq!(read["messages"][1]["content"], answer["response"], "{read}");

    let ends = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (address, ends) = (one.url("/triage"), Arc::clone(&ends));
            tokio::spawn(async move {
                let mut answers = Vec::new();
                while !ends.load(Ordering::Relaxed)
                    && let Some((200, answer)) = try_ask(&address, json!({})).await
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
        let read = other.log_of(answer).await;
        assert_eq!(read["messages"][1]["content"], answer["response"], "{read}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_comes_back_needs_no_restart_of_the_server() {
    let Some(mut database) = PostgresServer::start() else { return };
    let process = over(&database);
    let (status, answer) = process.ask(json!({})).await;
    assert_eq!(status, 200);
    database.kill();
    let (status, refusal) = process.ask(json!({})).await;
    assert_eq!(status, 503, "{refusal}");
    assert_eq!(process.get("/health").await.0, 200);
    assert_eq!(process.get("/health/db").await.0, 503);
    database.restart();
    let (status, _) = process.ask(json!({})).await;
    assert_eq!(status, 200);
    let read = process.log_of(&answer).await;
    assert_eq!(read["messages"].as_array().unwrap().len(), 2, "{read}");
}
