//! Owns the answers that give out files: the Hub's own, its redirects, and those of the host with the large files.

use super::answer::Answer;
use super::content::Blob;
use super::request::Request;

/// Where the second host keeps files.
pub(crate) const CDN: &str = "/cdn/";

/// Where an endless chain of redirects begins.
pub(crate) const HOP: &str = "/hop/";

/// `/{owner}/{name}/resolve/{revision}/{file}`: the file itself, or where it is.
pub(crate) fn resolve(request: &Request, commit: &str, blob: &Blob, place: &str) -> Answer {
    let answer = match &blob.lfs {
        None => direct(request, blob),
        Some(lfs) => Answer::text(302, format!("Found. Redirecting to {place}"))
            .with("Content-Type", "text/plain; charset=utf-8")
            .with("Location", place)
            .with("X-Linked-Size", blob.content.len().to_string())
            .with("X-Linked-ETag", format!("\"{}\"", lfs.sha256)),
    };
    answer.with("X-Repo-Commit", commit)
}

/// The bytes that a request wants of a file.
pub(crate) fn direct(request: &Request, blob: &Blob) -> Answer {
    let etag = format!("\"{}\"", blob.etag());
    // A range of another version of the file is of no use.
    let stale = request.header("if-range").is_some_and(|other| other != etag);
    let answer = match request.range(blob.content.len()) {
        Err(()) => Answer::text(416, "").with("Content-Range", format!("bytes */{}", blob.content.len())),
        Ok(range) => Answer::file(&blob.content, range.filter(|_| !stale)),
    };
    answer.with("ETag", etag)
}

/// A refusal in the Hub's words: in the body, and in headers for programs.
pub(crate) fn refusal(status: u16, code: &str, message: &str) -> Answer {
    let answer = Answer::json(&serde_json::json!({ "error": message })).with("X-Error-Message", message);
    let answer = if code.is_empty() { answer } else { answer.with("X-Error-Code", code) };
    Answer { status, ..answer }
}
