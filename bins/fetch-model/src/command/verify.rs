//! Owns `fetch-model verify`: what is broken is said, and decides how the program ends.

use std::time::Instant;

use model_cache::{ModelCache, ModelSpec, Verdict, VerifiedFile, VerifyAction, VerifyScope};
use serde_json::{Value, json};

use super::{Ended, Failure, print, print_json};
use crate::progress::Display;
use crate::quantity::size;

/// What to verify, and how to tell.
#[derive(Debug)]
pub(super) struct Request {
    /// `None` is everything.
    pub(super) scope: Option<ModelSpec>,
    pub(super) json: bool,
    pub(super) discard: bool,
}

pub(super) fn run(request: &Request, cache: &ModelCache, display: &Display) -> Result<Ended, Failure> {
    let scope = request.scope.clone().map_or(VerifyScope::Everything, VerifyScope::Model);
    let action = if request.discard { VerifyAction::Discard } else { VerifyAction::Report };
    let start = Instant::now();
    let files = cache.verify(&scope, action, &|event| display.show(event))?;
    display.close();
    let broken = files.iter().filter(|file| file.verdict.is_broken()).count();
    if request.json {
        print_json(&json!({
            "files": files.iter().map(as_json).collect::<Vec<_>>(),
            "broken": broken,
            "seconds": start.elapsed().as_secs_f64(),
        }))?;
    } else {
        files.iter().filter(|file| file.verdict != Verdict::Sound).try_for_each(|file| print(&line(file)))?;
        print(&summary(cache, &files, broken))?;
    }
    Ok(if broken == 0 { Ended::Well } else { Ended::WithFaults })
}

fn summary(cache: &ModelCache, files: &[VerifiedFile], broken: usize) -> String {
    let total = files.len();
    let bytes = size(files.iter().map(|file| file.size).sum());
    match broken {
        _ if total == 0 => format!("no model in {}", cache.dir().display()),
        0 => format!("{total} files, {bytes}: nothing is broken"),
        1 => format!("{total} files, {bytes}: 1 is broken"),
        _ => format!("{total} files, {bytes}: {broken} are broken"),
    }
}

fn line(file: &VerifiedFile) -> String {
    let model = [Some(file.model.as_str()), file.commit.as_deref()].into_iter().flatten().collect::<Vec<_>>().join("@");
    let discarded = if file.discarded { "; it was removed, the next fetch brings it again" } else { "" };
    format!("{model}: {} {}{discarded}", file.file, file.verdict)
}

fn as_json(file: &VerifiedFile) -> Value {
    json!({
        "model": file.model,
        "commit": file.commit,
        "file": file.file,
        "path": file.path.to_string_lossy(),
        "size_bytes": file.size,
        "verdict": name(&file.verdict),
        "message": file.verdict.to_string(),
        "discarded": file.discarded,
    })
}

fn name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Sound => "sound",
        Verdict::Unproven => "unproven",
        Verdict::Missing => "missing",
        Verdict::WrongDigest { .. } => "wrong_digest",
        Verdict::Unreadable(_) => "unreadable",
        Verdict::Outside => "outside",
        _ => "broken",
    }
}
