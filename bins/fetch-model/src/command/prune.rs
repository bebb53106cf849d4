//! Owns `fetch-model prune`: what goes, what stays and why.

use std::time::Duration;

use model_cache::{Kept, KeptBecause, ModelCache, PruneMode, PruneOptions, Pruned, Removed};
use serde_json::{Value, json};

use super::{Ended, Failure, print, print_json};
use crate::quantity::size;

/// What to remove, and how to tell.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) older_than: Option<Duration>,
    pub(super) dry_run: bool,
    pub(super) json: bool,
}

pub(super) fn run(request: &Request, cache: &ModelCache) -> Result<Ended, Failure> {
    let mode = if request.dry_run { PruneMode::Report } else { PruneMode::Remove };
    let pruned = cache.prune(&PruneOptions { older_than: request.older_than, mode })?;
    if request.json {
        print_json(&json!({
            "dry_run": request.dry_run,
            "freed_bytes": pruned.freed,
            "removed": pruned.removed.iter().map(removed_json).collect::<Vec<_>>(),
            "kept": pruned.kept.iter().map(kept_json).collect::<Vec<_>>(),
        }))?;
    } else {
        as_lines(&pruned, mode).iter().try_for_each(|line| print(line))?;
    }
    Ok(Ended::Well)
}

fn as_lines(pruned: &Pruned, mode: PruneMode) -> Vec<String> {
    let (verb, freed) = match mode {
        PruneMode::Report => ("would remove", "would be freed"),
        PruneMode::Remove => ("removed", "freed"),
    };
    let mut lines: Vec<_> = pruned.kept.iter().map(kept_line).collect();
    for removed in &pruned.removed {
        lines.extend(match removed {
            Removed::Version { repo, commit, references } => {
                let names = if references.is_empty() { String::new() } else { format!(" ({})", references.join(", ")) };
                Some(format!("{verb} {repo}@{commit}{names}"))
            }
            Removed::Unfinished { path, bytes } => Some(format!("{verb} {}, {}", path.display(), size(*bytes))),
            Removed::Leftover { path } => Some(format!("{verb} {}", path.display())),
            // Bytes go with their versions; the sum says how many.
            _ => None,
        });
    }
    let blobs = pruned.removed.iter().filter(|removed| matches!(removed, Removed::Blob { .. })).count();
    lines.push(match (pruned.removed.is_empty(), blobs) {
        (true, _) => "nothing to remove".to_owned(),
        (false, 0) => format!("{} {freed}", size(pruned.freed)),
        (false, blobs) => format!("{} {freed}, {blobs} files with bytes among it", size(pruned.freed)),
    });
    lines
}

fn kept_line(kept: &Kept) -> String {
    let why = match kept.because {
        KeptBecause::Pinned => "it is pinned",
        KeptBecause::Locked => "the lock file names it",
        KeptBecause::InUse => "it is in use",
        KeptBecause::Current => "a branch or tag is at it",
        KeptBecause::Fetching => "its repository is being fetched",
        _ => "its folder is a link",
    };
    format!("kept {}@{}: {why}", kept.repo, kept.commit)
}

fn removed_json(removed: &Removed) -> Value {
    match removed {
        Removed::Version { repo, commit, references } => {
            json!({"kind": "version", "repo": repo.to_string(), "commit": commit, "references": references})
        }
        Removed::Blob { path, bytes } => json!({"kind": "blob", "path": path.to_string_lossy(), "bytes": bytes}),
        Removed::Unfinished { path, bytes } => {
            json!({"kind": "unfinished", "path": path.to_string_lossy(), "bytes": bytes})
        }
        Removed::Leftover { path } => json!({"kind": "leftover", "path": path.to_string_lossy()}),
        _ => json!({"kind": "other"}),
    }
}

fn kept_json(kept: &Kept) -> Value {
    let because = match kept.because {
        KeptBecause::Pinned => "pinned",
        KeptBecause::Locked => "locked",
        KeptBecause::InUse => "in_use",
        KeptBecause::Current => "current",
        KeptBecause::Fetching => "fetching",
        _ => "linked",
    };
    json!({"repo": kept.repo.to_string(), "commit": kept.commit, "because": because})
}
