//! [`Frames`]: an ongoing answer as server-sent events.
//!
//! Owns the wire format and the comments that keep a silent connection open; knows nothing of how
//! an answer is made.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use serde::Serialize;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::dto::TriageResponse;
use super::error::ApiError;
use crate::error::TriageError;
use crate::ongoing::{Ongoing, TriageEvent};
use crate::trace_id::TraceId;

/// What is sent when nothing else is: a comment, which clients skip.
const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// Where the events come from.
pub(super) enum Source {
    /// The question is not taken up yet.
    Asking(BoxFuture<'static, Result<Ongoing, TriageError>>),
    /// The answer is being made.
    Ongoing(Ongoing),
    /// The last event is sent.
    Ended,
}

impl Source {
    async fn next(&mut self) -> Option<Result<TriageEvent, TriageError>> {
        loop {
            match self {
                Self::Asking(asking) => match asking.await {
                    Ok(ongoing) => *self = Self::Ongoing(ongoing),
                    Err(error) => return Some(Err(error)),
                },
                Self::Ongoing(ongoing) => return ongoing.next().await,
                Self::Ended => return None,
            }
        }
    }
}

/// The events of one answer. Dropping them stops the inference.
pub(super) struct Frames {
    source: Source,
    trace_id: TraceId,
    include_reasoning: Option<bool>,
    keep_alive: Duration,
    /// When the next comment is due.
    due: Instant,
}

impl Frames {
    pub(super) fn new(
        source: Source,
        trace_id: TraceId,
        include_reasoning: Option<bool>,
        keep_alive: Duration,
    ) -> Self {
        // A question that is still being taken up has been silent that long already.
        let silence = if matches!(source, Source::Asking(_)) { Duration::ZERO } else { keep_alive };
        Self { source, trace_id, include_reasoning, keep_alive, due: Instant::now() + silence }
    }

    /// The answer to the request; its head leaves at once.
    pub(super) fn respond(self) -> HttpResponse {
        let frames = stream::unfold(self, |mut frames| async {
            let frame = frames.next().await?;
            Some((Ok::<_, actix_web::Error>(frame), frames))
        });
        HttpResponse::Ok()
            .content_type("text/event-stream")
            .insert_header((header::CACHE_CONTROL, "no-cache"))
            // A proxy that collects the answer would undo the stream.
            .insert_header(("x-accel-buffering", "no"))
            .streaming(frames)
    }

    async fn next(&mut self) -> Option<Bytes> {
        let frame = loop {
            match timeout_at(self.due, self.source.next()).await {
                Err(_) => break Bytes::from_static(KEEP_ALIVE),
                Ok(None) => return None,
                Ok(Some(Ok(TriageEvent::Reasoning(_)))) if self.include_reasoning == Some(false) => {}
                Ok(Some(event)) => break self.frame(event),
            }
        };
        self.due = Instant::now() + self.keep_alive;
        Some(frame)
    }

    fn frame(&mut self, event: Result<TriageEvent, TriageError>) -> Bytes {
        match event {
            Ok(TriageEvent::Reasoning(delta)) => written("reasoning", &json!({ "delta": delta })),
            Ok(TriageEvent::Answer(delta)) => written("answer", &json!({ "delta": delta })),
            Ok(TriageEvent::Finished(answer)) => {
                self.source = Source::Ended;
                written("result", &TriageResponse::new(*answer, &self.trace_id, self.include_reasoning))
            }
            Err(error) => {
                self.source = Source::Ended;
                let error = ApiError::from(error);
                error.log();
                let mut body = error.body(&self.trace_id);
                // The head said 200 long ago.
                body["status"] = json!(error.status().as_u16());
                written("error", &body)
            }
        }
    }
}

/// One event. JSON has no raw line breaks, so one `data` line holds it.
fn written(event: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_else(|_| "{}".to_owned());
    Bytes::from(format!("event: {event}\ndata: {data}\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_do_not_end_an_event() {
        let frame = written("answer", &json!({ "delta": "a\n\nb\r" }));
        assert_eq!(&frame[..], b"event: answer\ndata: {\"delta\":\"a\\n\\nb\\r\"}\n\n");
    }
}
