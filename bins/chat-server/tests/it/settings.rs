//! Flags, variables, `.env` and their documentation.

use std::process::Output;

use chat_server::setting_list;
use tempfile::TempDir;

use crate::process::{Process, program};

fn run(folder: &TempDir, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = program(folder).args(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
}

#[test]
fn the_example_file_has_every_setting() {
    let example = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.env.example")).unwrap();
    assert!(
        example == setting_list::list(),
        ".env.example is not what `cargo run --bin chat-server settings` prints: write that to it"
    );
}

#[test]
fn the_list_and_the_help_name_every_variable() {
    let folder = tempfile::tempdir().unwrap();
    let (code, list) = run(&folder, &["settings"]);
    assert_eq!((code, list.as_str()), (Some(0), setting_list::list().as_str()));
    let (code, help) = run(&folder, &["--help"]);
    assert_eq!(code, Some(0));
    let names = list.lines().filter_map(|line| line.strip_prefix('#')?.split_once('=')).map(|(name, _)| name);
    let names: Vec<&str> = names.filter(|name| !name.contains(' ')).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(help.contains(&format!("[env: {name}")), "{name} is not in --help");
    }
    for known in ["CHAT_API_PORT=8002", "LLM_MODE=", "DB_API_BASE_URL=", "CORS_ALLOW_ORIGINS=*", "DATA_DIR=./data"] {
        assert!(list.contains(&format!("#{known}\n")), "{known}");
    }
}

#[test]
fn help_shows_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let output = program(&folder).env("OPENAI_API_KEY", "sk-1").env("HF_TOKEN", "hf-1").arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(!help.contains("sk-1") && !help.contains("hf-1"));
}

#[test]
fn an_empty_variable_is_not_set() {
    let names = setting_list::list();
    let names = names.lines().filter_map(|line| line.strip_prefix('#')?.split_once('=')).map(|(name, _)| name);
    let keep = ["CHAT_API_HOST", "CHAT_API_PORT", "CHAT_ADMIN_PORT", "LOG_FORMAT"];
    let empty: Vec<(&str, &str)> =
        names.filter(|name| !name.contains(' ') && !keep.contains(name)).map(|name| (name, "")).collect();
    Process::start(&empty);
}

#[test]
fn a_dot_env_file_is_read_and_yields_to_flags() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".env"), "LLM_MODE=from-dot-env\n").unwrap();
    let (code, output) = run(&folder, &[]);
    assert_eq!(code, Some(1));
    assert!(output.contains("unknown LLM mode \"from-dot-env\""), "{output}");
    let (_, output) = run(&folder, &["--llm-mode", "from-flag"]);
    assert!(output.contains("unknown LLM mode \"from-flag\""), "{output}");
}

#[test]
fn a_broken_dot_env_file_is_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".env"), "HF_TOKEN=\"hf-secret\n").unwrap();
    let (code, output) = run(&folder, &[]);
    assert_eq!(code, Some(1));
    assert!(output.contains(".env") && !output.contains("hf-secret"), "{output}");
}

#[test]
fn a_usage_error_is_2() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [["--workers", "0"], ["--log-level", "loud"], ["--nothing", "1"]] {
        assert_eq!(run(&folder, &arguments).0, Some(2), "{arguments:?}");
    }
}
