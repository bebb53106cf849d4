//! Owns the Hub's answers in JSON: what a repository is and what it consists of. Must not give out files.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::answer::Answer;
use super::content::Blob;
use super::repository::Repo;

/// `/api/models/{owner}/{name}/revision/{revision}`.
pub(crate) fn info(repo: &Repo, commit: &str, files: &BTreeMap<String, Blob>) -> Answer {
    let siblings: Vec<Value> = files.keys().map(|file| json!({"rfilename": file})).collect();
    Answer::json(&json!({
        "_id": "0123456789abcdef01234567",
        "id": repo.id,
        "modelId": repo.id,
        "sha": commit,
        "private": false,
        "gated": if repo.access == super::Access::Open { json!(false) } else { json!("manual") },
        "disabled": false,
        "lastModified": "2026-01-01T00:00:00.000Z",
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "siblings": siblings,
    }))
}

/// `/api/models/{owner}/{name}/tree/{revision}`: one page of it, and a `Link` to the next.
pub(crate) fn tree(repo: &Repo, files: &BTreeMap<String, Blob>, question: &Question<'_>) -> Answer {
    let mut entries: Vec<Value> = Vec::new();
    let mut folders = BTreeSet::new();
    for (file, blob) in files {
        let parents: Vec<_> = file.match_indices('/').map(|(at, _)| &file[..at]).collect();
        for folder in parents.iter().take(if question.recursive { usize::MAX } else { 1 }) {
            if folders.insert(*folder) {
                entries.push(json!({"type": "directory", "oid": "0".repeat(40), "size": 0, "path": folder}));
            }
        }
        if question.recursive || parents.is_empty() {
            entries.push(entry(file, blob));
        }
    }
    let page: Vec<Value> = entries.iter().skip(question.cursor).take(repo.page()).cloned().collect();
    let answer = Answer::json(&Value::Array(page));
    let next = question.cursor + repo.page();
    if next >= entries.len() {
        return answer;
    }
    let recursive = if question.recursive { "recursive=true&" } else { "" };
    answer.with("Link", format!("<{}?{recursive}cursor={next}>; rel=\"next\"", question.url))
}

/// What is asked of a listing.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    /// The listing itself, without a query.
    pub(crate) url: &'a str,
    pub(crate) recursive: bool,
    /// The number of the first entry.
    pub(crate) cursor: usize,
}

fn entry(file: &str, blob: &Blob) -> Value {
    let mut entry = json!({"type": "file", "oid": blob.oid, "size": blob.content.len(), "path": file});
    if let Some(lfs) = &blob.lfs {
        let (oid, size) = (&lfs.sha256, blob.content.len());
        entry["lfs"] = json!({"oid": oid, "size": size, "pointerSize": lfs.pointer_size});
    }
    entry
}
