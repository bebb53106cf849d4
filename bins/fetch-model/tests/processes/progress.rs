//! What a program that embeds this one reads on standard error.

use std::time::Duration;

use serde_json::Value;

use crate::hub::Hub;
use crate::hub::sample::{self, WEIGHTS};
use crate::process::{LARGE, MODEL, Program, slow_hub};

fn lines(hub: &Hub, model: &str) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let variables = [("HF_ENDPOINT", &*hub.url())];
    let said = Program::start(dir.path(), &["--progress", "json", model], &variables).stderr();
    said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn json_lines_tell_the_progress() {
    let hub = slow_hub(Duration::from_millis(1));
    let lines = lines(&hub, MODEL);
    assert!(lines.iter().all(Value::is_object) && lines.len() > 10, "{lines:?}");
    let done: Vec<u64> = lines.iter().filter_map(|line| line["done_bytes"].as_u64()).collect();
    assert!(done.is_sorted(), "{done:?}");
    let small: u64 =
        sample::checkpoint().iter().filter(|(file, _)| *file != WEIGHTS).map(|(_, b)| b.len() as u64).sum();
    assert_eq!(done.last(), Some(&(LARGE.len() + small)));
}

/// A failure is a line like the others, for whoever reads nothing but JSON.
#[test]
fn json_lines_tell_a_failure() {
    let hub = Hub::start(vec![]);
    let lines = lines(&hub, "acme/absent");
    let last = lines.last().expect("it says why").to_string();
    assert!(last.contains("not found"), "{last}");
}
