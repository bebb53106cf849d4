//! Owns progress for programs: one JSON object to a line. The names of its fields are documented, and stay.

use serde_json::{Value, json};

use super::Step;

pub(super) fn step(step: &Step) -> Value {
    match step {
        Step::Started { files, total_bytes, resumed_bytes } => json!({
            "event": "started", "files": files, "total_bytes": total_bytes, "resumed_bytes": resumed_bytes.unwrap_or(0),
        }),
        Step::Progress { file, file_done_bytes, file_total_bytes, done_bytes, total_bytes } => json!({
            "event": "progress", "file": file, "file_done_bytes": file_done_bytes,
            "file_total_bytes": file_total_bytes, "done_bytes": done_bytes, "total_bytes": total_bytes,
        }),
        Step::Waiting { reason, delay } => {
            json!({"event": "waiting", "reason": reason, "delay_seconds": delay.as_secs_f64()})
        }
        Step::Verified { file } => json!({"event": "verified", "file": file}),
        Step::Done { file } => json!({"event": "done", "file": file}),
        Step::Warning { message } => json!({"event": "warning", "message": message}),
        Step::Finished { path } => json!({"event": "finished", "path": path.to_string_lossy()}),
    }
}

pub(super) fn error(message: &str, hint: Option<&str>) -> Value {
    json!({"event": "error", "message": message, "hint": hint})
}
