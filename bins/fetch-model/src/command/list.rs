//! Owns `fetch-model list`: a table for people, JSON for programs.

use model_cache::{CachedModel, Inventory, ModelCache, ModelState, Unfinished};
use serde_json::{Value, json};

use super::table::table;
use super::{Ended, Failure, print, print_json};
use crate::quantity::{date, size, timestamp};

/// How many digits of a commit people need.
const SHORT: usize = 12;

pub(super) fn run(cache: &ModelCache, json: bool) -> Result<Ended, Failure> {
    let inventory = cache.list()?;
    if json {
        print_json(&as_json(cache, &inventory))?;
    } else {
        print(&as_text(cache, &inventory))?;
    }
    Ok(Ended::Well)
}

fn as_text(cache: &ModelCache, inventory: &Inventory) -> String {
    let dir = cache.dir().display();
    let mut parts = Vec::new();
    if inventory.models.is_empty() {
        parts.push(format!("no model in {dir}"));
    } else {
        let head = ["REPOSITORY", "REVISION", "SIZE", "LAST USED", "STATE", ""].map(str::to_owned).to_vec();
        let rows: Vec<_> = [head].into_iter().chain(inventory.models.iter().map(row)).collect();
        let count = inventory.models.len();
        let versions = if count == 1 { "version" } else { "versions" };
        parts.push(table(&rows));
        parts.push(format!("{count} {versions}, {} in {dir}", size(inventory.size)));
    }
    if !inventory.unfinished.is_empty() {
        let head = ["UNFINISHED", "FILE", "SIZE", "LAST CHANGE", "STATE"].map(str::to_owned).to_vec();
        let rows: Vec<_> = [head].into_iter().chain(inventory.unfinished.iter().map(unfinished_row)).collect();
        parts.push(table(&rows));
    }
    parts.join("\n\n")
}

fn row(model: &CachedModel) -> Vec<String> {
    let commit = model.commit.as_deref().map_or("-", |commit| commit.get(..SHORT).unwrap_or(commit));
    let revision = [&[commit.to_owned()], model.references.as_slice()].concat().join(" ");
    let flags = [(model.pinned, "pinned"), (model.in_use, "in use")];
    let mut flags: Vec<_> = flags.into_iter().filter(|(is, _)| *is).map(|(_, flag)| flag).collect();
    if model.commit.is_none() {
        flags.push("of the Python service");
    }
    vec![
        model.repo.to_string(),
        revision,
        size(model.size),
        model.last_use.map_or_else(|| "-".to_owned(), date),
        state(model),
        flags.join(", "),
    ]
}

fn state(model: &CachedModel) -> String {
    match &model.state {
        ModelState::Whole => "whole".to_owned(),
        ModelState::GgufOnly => model.ggufs.join(" "),
        ModelState::Incomplete(faults) => {
            let first = faults.first().map(|fault| format!(": {fault}")).unwrap_or_default();
            let more = if faults.len() > 1 { format!(", and {} more", faults.len() - 1) } else { String::new() };
            format!("incomplete{first}{more}")
        }
    }
}

fn unfinished_row(unfinished: &Unfinished) -> Vec<String> {
    vec![
        unfinished.repo.to_string(),
        unfinished.file.clone().unwrap_or_else(|| "-".to_owned()),
        size(unfinished.bytes),
        unfinished.last_change.map_or_else(|| "-".to_owned(), date),
        if unfinished.live { "is being fetched" } else { "interrupted; the next fetch goes on with it" }.to_owned(),
    ]
}

fn as_json(cache: &ModelCache, inventory: &Inventory) -> Value {
    json!({
        "dir": cache.dir().to_string_lossy(),
        "size_bytes": inventory.size,
        "models": inventory.models.iter().map(model_json).collect::<Vec<_>>(),
        "unfinished": inventory.unfinished.iter().map(unfinished_json).collect::<Vec<_>>(),
    })
}

fn model_json(model: &CachedModel) -> Value {
    let (state, faults) = match &model.state {
        ModelState::Whole => ("whole", [].as_slice()),
        ModelState::GgufOnly => ("gguf", [].as_slice()),
        ModelState::Incomplete(faults) => ("incomplete", faults.as_slice()),
    };
    json!({
        "repo": model.repo.to_string(),
        "commit": model.commit,
        "references": model.references,
        "path": model.path.to_string_lossy(),
        "files": model.files,
        "size_bytes": model.size,
        "shared_bytes": model.shared,
        "state": state,
        "faults": faults.iter().map(|fault| json!({"file": fault.file, "message": fault.to_string()})).collect::<Vec<_>>(),
        "ggufs": model.ggufs,
        "pinned": model.pinned,
        "in_use": model.in_use,
        "last_use": model.last_use.and_then(timestamp),
    })
}

fn unfinished_json(unfinished: &Unfinished) -> Value {
    json!({
        "repo": unfinished.repo.to_string(),
        "file": unfinished.file,
        "path": unfinished.path.to_string_lossy(),
        "bytes": unfinished.bytes,
        "last_change": unfinished.last_change.and_then(timestamp),
        "live": unfinished.live,
    })
}
