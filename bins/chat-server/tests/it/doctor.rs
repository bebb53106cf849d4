//! `chat-server doctor`, with what it should find caused first.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::Value;
use tempfile::TempDir;

use crate::operation::checkpoint;
use crate::process::{Process, client, program};

/// Exit code and report of a doctor with these variables, in a folder of its own.
fn doctor(folder: &TempDir, variables: &[(&str, &str)]) -> (i32, String) {
    let output = program(folder).envs(variables.iter().copied()).arg("doctor").output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

#[track_caller]
fn assert_line(report: &str, parts: &[&str]) {
    let found = report.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(found, "no line with {parts:?} in\n{report}");
}

/// A server that answers everything with `status`; its address.
fn always(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
        }
    });
    address
}

#[test]
fn a_new_installation_is_well() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".env"), "LOG_LEVEL=debug\n").unwrap();
    let (code, report) = doctor(&folder, &[("HF_HUB_OFFLINE", "1"), ("HF_TOKEN", "hf-secret")]);
    assert_eq!(code, 0, "{report}");
    assert_line(&report, &["ok", "LOG_LEVEL", "debug, from .env"]);
    assert_line(&report, &["ok", "HF_TOKEN", "(set, not shown), from the environment"]);
    assert_line(&report, &["ok", "mode", "triage-mini answers, with triage-mini"]);
    assert_line(&report, &["note", "MODEL_CACHE_DIR", "is not there yet"]);
    assert_line(&report, &["note", "model qwen", "Qwen/Qwen3-4B-Thinking-2507"]);
    assert_line(&report, &["note", "hub", "HF_HUB_OFFLINE is set"]);
    assert_line(&report, &["note", "database", "is not there yet"]);
    assert!(!report.contains("hf-secret"), "{report}");
}

#[test]
fn a_model_is_judged_by_its_files_and_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("small");
    checkpoint(&model);
    let model = model.to_str().unwrap();
    let fits = [("LLM_MODE", "qwen"), ("MODEL", model)];
    let (code, report) = doctor(&folder, &fits);
    assert_eq!(code, 0, "{report}");
    assert_line(&report, &["ok", "model qwen", "small is whole"]);
    assert_line(&report, &["ok", "memory qwen", "needs", "MiB are free"]);
    let (code, report) = doctor(&folder, &[&fits[..], &[("KV_MEMORY", "90000G")]].concat());
    assert_eq!(code, 1, "{report}");
    assert_line(&report, &["PROBLEM", "memory qwen", "the model needs 92160", "→ choose a smaller model"]);
    std::fs::write(folder.path().join("small/model.safetensors"), "cut off").unwrap();
    let (code, report) = doctor(&folder, &fits);
    assert_eq!(code, 1, "{report}");
    assert_line(&report, &["PROBLEM", "model qwen", "→ see docs/models.md"]);
}

#[test]
fn what_does_not_answer_is_named_with_its_setting() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, server) = (always("401 Unauthorized"), always("500 Oops"));
    let dead = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let with_login = server.replace("http://", "http://me:password@");
    let (code, report) = doctor(
        &folder,
        &[
            ("LLM_MODE", "qwen"),
            ("HF_ENDPOINT", &hub),
            ("DB_API_BASE_URL", &dead),
            ("OPENAI_BASE_URL", &with_login),
            ("OPENAI_MODEL", "m"),
        ],
    );
    assert_eq!(code, 1, "{report}");
    assert_line(
        &report,
        &["PROBLEM", "hub", "has no Qwen/Qwen3-4B-Thinking-2507", "→ see MODEL, and HUGGINGFACE_TOKEN"],
    );
    assert_line(&report, &["PROBLEM", "database", "→ see DB_API_BASE_URL"]);
    // Nobody needs it as long as another mode answers.
    assert_line(&report, &["note", "model server", "it answers 500"]);
    assert_line(&report, &["there are 2 problems"]);
    assert!(!report.contains("password"), "{report}");
    let well = always("200 OK");
    let (_, report) = doctor(&folder, &[("HF_ENDPOINT", &well), ("OPENAI_BASE_URL", &well), ("OPENAI_MODEL", "m")]);
    assert_line(&report, &["ok", "hub", "it has Qwen/Qwen3-4B-Thinking-2507"]);
    assert_line(&report, &["ok", "model server", "OPENAI_BASE_URL answers"]);
}

#[tokio::test]
async fn operators_may_ask_a_running_server_for_it() {
    let process = Process::start(&[("LLM_MODE", "mock"), ("HF_HUB_OFFLINE", "1"), ("HF_TOKEN", "hf-secret")]);
    let url = format!("http://127.0.0.1:{}/admin/doctor", process.admin_port);
    let report: Value = client().get(url).send().await.unwrap().json().await.unwrap();
    let found = |about: &str| {
        let mut findings = report["findings"].as_array().into_iter().flatten();
        findings.find(|finding| finding["about"] == about).unwrap_or_else(|| panic!("{about} is not in {report}"))
    };
    assert_eq!(found("mode")["found"], "mock answers, with mock");
    assert_eq!(found("HF_TOKEN")["found"], "(set, not shown), from the environment");
    assert_eq!(found("database")["verdict"], "ok");
    assert_eq!(report["problems"], 0, "{report}");
}

#[test]
fn a_setting_that_cannot_be_used_is_a_finding_too() {
    let folder = tempfile::tempdir().unwrap();
    let (code, report) = doctor(&folder, &[("CHAT_ADMIN_HOST", "0.0.0.0")]);
    assert_eq!(code, 1, "{report}");
    assert_line(&report, &["PROBLEM", "settings", "set CHAT_ADMIN_TOKEN"]);
    let output = program(&folder).env("LLM_MODE", "nobody").args(["doctor", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let mode = findings.iter().find(|finding| finding["about"] == "mode").unwrap();
    assert_eq!(mode["verdict"], "problem");
    assert!(mode["found"].as_str().unwrap().contains("unknown LLM mode"), "{mode}");
}
