//! What a machine can do to a running server: what is answered is kept, and no restart is needed afterwards.

use std::fs::OpenOptions;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::operation::checkpoint;
use crate::process::{Process, try_ask};

async fn until(mut holds: impl AsyncFnMut() -> bool, what: &str) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Files may not grow beyond 128 KiB, as on a disk that is full: the write-ahead log gets there.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_no_answer_that_was_sent() {
    let data = tempfile::tempdir().unwrap();
    let variables = [("DATA_DIR", data.path().to_str().unwrap())];
    // The file with the patients is there before.
    let first = Process::start(&variables);
    first.signal("TERM");
    assert_eq!(first.ended().0.code(), Some(0));
    let process = Process::limited("trap '' XFSZ; ulimit -S -f 256", &variables);
    let mut sent = Vec::new();
    let refusal = loop {
        match process.ask(json!({})).await {
            (200, answer) => sent.push(answer),
            other => break other,
        }
        assert!(sent.len() < 2000, "the limit is not met");
    };
    assert_eq!(refusal.0, 503, "{}", refusal.1);
    assert_eq!(process.get("/health").await.0, 200);
    let freed = Command::new("prlimit").args(["--fsize=unlimited:", "--pid", &process.id().to_string()]).status();
    assert!(freed.unwrap().success());
    until(async || process.ask(json!({})).await.0 == 200, "the disk has room again").await;
    assert!(!sent.is_empty());
    for answer in sent {
        let log = process.log_of(&answer).await;
        assert_eq!(log["messages"][1]["content"], answer["response"], "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_without_end_stop_nothing_for_good() {
    let process = Process::limited("ulimit -n 60", &[]);
    assert_eq!(process.ask(json!({})).await.0, 200);
    let idle: Vec<_> = (0..120).map_while(|_| TcpStream::connect(("127.0.0.1", process.port)).ok()).collect();
    assert!(idle.len() > 60, "{} connections", idle.len());
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(idle);
    until(
        async || try_ask(&process.url("/triage"), json!({})).await.is_some_and(|(status, _)| status == 200),
        "it answers again",
    )
    .await;
}

/// A model that is in memory needs its file no more; the next start says what is wrong with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_outlives_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    checkpoint(&model);
    let prompt = folder.path().join("prompt.jinja");
    std::fs::write(&prompt, "{# version: test #}Answer from the record: {{ record.patient }}").unwrap();
    let variables = [
        ("LLM_MODE", "qwen"),
        ("MODEL", model.to_str().unwrap()),
        ("PROMPT_TEMPLATE", prompt.to_str().unwrap()),
        ("MAX_NEW_TOKENS", "8"),
        ("THREADS", "1"),
    ];
    let process = Process::start(&variables);
    until(async || process.get("/ready").await.0 == 200, "the model is ready").await;
    let weights = model.join("model.safetensors");
    let length = weights.metadata().unwrap().len();
    OpenOptions::new().write(true).open(&weights).unwrap().set_len(length / 2).unwrap();
    assert_eq!(process.ask(json!({})).await.0, 200);
    std::fs::remove_file(&weights).unwrap();
    assert_eq!(process.ask(json!({})).await.0, 200);

    std::fs::write(&weights, [0; 99]).unwrap();
    let next = Process::start(&variables);
    until(async || next.get("/ready").await.1["status"] == "failed", "the load fails").await;
    let (status, ready) = next.get("/ready").await;
    assert!(status == 503 && ready["error"].as_str().unwrap().contains("model.safetensors"), "{ready}");
}
