//! Any server that speaks OpenAI's chat completions: vLLM, SGLang, TGI, llama-server, a hosted
//! router.
//!
//! Source of the protocol: OpenAI's API reference, "Chat completions, streaming", with the
//! reasoning fields of vLLM (`reasoning`) and llama-server (`reasoning_content`).

use std::time::Duration;

use futures_util::{StreamExt, stream};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::sse::SseLines;
use super::think_tags::ThinkTags;
use crate::chat::{ChatEvent, ChatOptions, ChatRequest, FinishReason, ModelIdentity, Usage};
use crate::client::EventStream;
use crate::error::LlmError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);
/// Longest error text that is passed on, in characters.
const MAX_REASON: usize = 200;
/// Longest body that is read whole, in bytes.
const MAX_BODY: usize = 8 << 20;

/// Where a server is and what is asked of it.
#[derive(Debug, Clone)]
pub struct OpenAiConfig {
    /// Base address, up to and including `/v1`.
    pub base_url: String,
    /// Bearer token.
    pub api_key: Option<SecretString>,
    /// The model's name on that server.
    pub model: String,
    /// Values for requests that name none; what is unset here too is left to the server.
    pub defaults: ChatOptions,
    /// Longest silence of the server in the middle of an answer, and before it.
    pub read_timeout: Duration,
}

/// A remote server that answers.
#[derive(Debug, Clone)]
pub struct OpenAiBackend {
    http: reqwest::Client,
    config: OpenAiConfig,
}

impl OpenAiBackend {
    /// A backend for the server that `config` names. Nothing is sent yet.
    ///
    /// # Errors
    /// [`LlmError::InvalidRequest`] when the address is none, [`LlmError::Unavailable`] when TLS
    /// cannot be set up.
    pub fn new(config: OpenAiConfig) -> Result<Self, LlmError> {
        let url = reqwest::Url::parse(&config.base_url);
        if !url.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            return Err(LlmError::InvalidRequest("the server's address is no http or https URL".to_owned()));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(config.read_timeout)
            .build()
            .map_err(|error| unavailable(&error))?;
        Ok(Self { http, config })
    }

    pub(crate) fn model(&self) -> ModelIdentity {
        ModelIdentity { name: self.config.model.clone(), revision: None }
    }

    pub(crate) async fn stream(&self, request: ChatRequest) -> Result<EventStream, LlmError> {
        let url = format!("{}/chat/completions", self.config.base_url.trim_end_matches('/'));
        let mut call = self.http.post(url).json(&body(&self.config, request));
        if let Some(key) = &self.config.api_key {
            call = call.bearer_auth(key.expose_secret());
        }
        let response = call.send().await.map_err(|error| unavailable(&error))?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let is_stream = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("text/event-stream"));
        let reader = ChunkReader::of_model(&self.config.model);
        if is_stream { Ok(events(response, reader)) } else { whole(response, reader).await }
    }
}

fn body(config: &OpenAiConfig, request: ChatRequest) -> Value {
    let messages: Vec<Value> = request
        .messages
        .iter()
        .map(|message| json!({"role": message.role.as_str(), "content": message.content}))
        .collect();
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(config.model));
    body.insert("messages".to_owned(), json!(messages));
    body.insert("stream".to_owned(), json!(true));
    body.insert("stream_options".to_owned(), json!({"include_usage": true}));
    let (options, defaults) = (request.options, &config.defaults);
    // Unset values are left to the server. `top_k` is no field of OpenAI's own, but of every other
    // server's; a thinking budget has a different name on each, so it is not passed on.
    let values = [
        ("max_tokens", options.max_new_tokens.or(defaults.max_new_tokens).map(Value::from)),
        ("temperature", options.temperature.or(defaults.temperature).map(Value::from)),
        ("top_p", options.top_p.or(defaults.top_p).map(Value::from)),
        ("top_k", options.top_k.or(defaults.top_k).map(Value::from)),
        ("seed", options.seed.or(defaults.seed).map(Value::from)),
    ];
    body.extend(values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    Value::Object(body)
}

/// The reason without the address, which can carry what must not be logged.
fn unavailable(error: &reqwest::Error) -> LlmError {
    let reason = if error.is_connect() {
        "it cannot be reached"
    } else if error.is_timeout() {
        "it does not answer in time"
    } else if error.is_builder() {
        "the connection cannot be set up"
    } else {
        "the connection broke"
    };
    LlmError::Unavailable { reason: reason.to_owned(), status: error.status().map(|status| status.as_u16()) }
}

fn broken(reason: &str) -> LlmError {
    LlmError::Unavailable { reason: reason.to_owned(), status: None }
}

async fn refusal(response: reqwest::Response) -> LlmError {
    let status = response.status();
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let retry_after = seconds.map_or(DEFAULT_RETRY_AFTER, Duration::from_secs);
    if status == StatusCode::TOO_MANY_REQUESTS {
        return LlmError::Overloaded { retry_after };
    }
    let reason = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "it refused the API key".to_owned(),
        StatusCode::NOT_FOUND => "it knows no such model or path".to_owned(),
        // A server's own words can quote the prompt: only their kind is passed on.
        _ => match json_body(response).await.as_ref().and_then(error_type) {
            Some(kind) => format!("it answered {status} ({kind})"),
            None => format!("it answered {status}"),
        },
    };
    LlmError::Unavailable { reason, status: Some(status.as_u16()) }
}

/// `error.type` of an OpenAI error body: a word, not a sentence.
fn error_type(body: &Value) -> Option<String> {
    let kind = body.get("error")?.get("type")?.as_str()?;
    let is_word = kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_word.then(|| kind.chars().take(MAX_REASON).collect())
}

/// A server that does not stream answers in one piece.
async fn whole(response: reqwest::Response, mut reader: ChunkReader) -> Result<EventStream, LlmError> {
    let body = json_body(response).await.ok_or_else(|| broken("its answer is no JSON, or too long"))?;
    let mut events = reader.read(&body, "message")?;
    events.extend(reader.finish()?);
    Ok(Box::pin(stream::iter(events.into_iter().map(Ok))))
}

/// A JSON body of bounded length.
async fn json_body(mut response: reqwest::Response) -> Option<Value> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.ok()? {
        body.extend_from_slice(&piece);
        if body.len() > MAX_BODY {
            return None;
        }
    }
    serde_json::from_slice(&body).ok()
}

fn events(response: reqwest::Response, reader: ChunkReader) -> EventStream {
    struct State {
        bytes: std::pin::Pin<Box<dyn futures_util::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
        lines: SseLines,
        reader: ChunkReader,
        ready: std::collections::VecDeque<ChatEvent>,
        ended: bool,
        failed: Option<LlmError>,
    }
    let state = State {
        bytes: Box::pin(response.bytes_stream()),
        lines: SseLines::default(),
        reader,
        ready: std::collections::VecDeque::new(),
        ended: false,
        failed: None,
    };
    let events = stream::unfold(state, |mut state| async move {
        loop {
            if let Some(event) = state.ready.pop_front() {
                return Some((Ok(event), state));
            }
            if state.ended {
                return state.failed.take().map(|error| (Err(error), state));
            }
            let mut step = || -> Result<(), LlmError> {
                while let Some(data) = state.lines.next_data() {
                    if data == "[DONE]" {
                        state.ended = true;
                        state.ready.extend(state.reader.finish()?);
                        return Ok(());
                    }
                    let chunk: Value =
                        serde_json::from_str(&data).map_err(|_| broken("a piece of its answer is no JSON"))?;
                    state.ready.extend(state.reader.read(&chunk, "delta")?);
                }
                Ok(())
            };
            if let Err(error) = step() {
                // What came before the fault is passed on first.
                state.ended = true;
                state.failed = Some(error);
            }
            if state.ended || !state.ready.is_empty() {
                continue;
            }
            let result = match state.bytes.next().await {
                Some(Ok(bytes)) => state.lines.push(&bytes).map_err(|()| broken("a line of its answer is too long")),
                Some(Err(error)) => Err(unavailable(&error)),
                // Some servers close without [DONE]; the finish reason says whether all is there.
                None => {
                    state.ended = true;
                    state.reader.finish().map(|events| state.ready.extend(events))
                }
            };
            if let Err(error) = result {
                state.ended = true;
                return Some((Err(error), state));
            }
        }
    });
    Box::pin(events)
}

/// Reads the chunks of one answer.
#[derive(Debug, Default)]
struct ChunkReader {
    tags: ThinkTags,
    /// Whether the text starts inside the reasoning unless the server proves otherwise.
    thinking: bool,
    /// Whether there is an answer; one that the server ended must not be empty.
    answered: bool,
    reason: Option<FinishReason>,
    usage: Usage,
}

fn is_answer(event: &ChatEvent) -> bool {
    matches!(event, ChatEvent::Answer(text) if !text.trim().is_empty())
}

impl ChunkReader {
    /// The template of a model that only thinks opens `<think>` in the prompt. A server that does
    /// not split the reasoning off then sends it as the beginning of the text, without a tag.
    fn of_model(model: &str) -> Self {
        Self { thinking: model.to_lowercase().contains("thinking"), ..Self::default() }
    }

    /// The events of a chunk, whose text is in the field `part` of its choice.
    fn read(&mut self, chunk: &Value, part: &str) -> Result<Vec<ChatEvent>, LlmError> {
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            return Err(broken("it failed in the middle of its answer"));
        }
        if let Some(usage) = chunk.get("usage").filter(|usage| usage.is_object()) {
            let count = |value: Option<&Value>| {
                value.and_then(Value::as_u64).map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX))
            };
            self.usage = Usage {
                prompt_tokens: count(usage.get("prompt_tokens")),
                cached_tokens: count(usage.pointer("/prompt_tokens_details/cached_tokens")),
                completion_tokens: count(usage.get("completion_tokens")),
                reasoning_tokens: count(usage.pointer("/completion_tokens_details/reasoning_tokens")),
            };
        }
        let Some(choice) = chunk.pointer("/choices/0") else { return Ok(Vec::new()) };
        match choice.get("finish_reason").and_then(Value::as_str) {
            Some("length") => self.reason = Some(FinishReason::Length),
            Some(_) => self.reason = Some(FinishReason::Stop),
            None => {}
        }
        let text = |name: &str| {
            choice.get(part).and_then(|part| part.get(name)).and_then(Value::as_str).filter(|text| !text.is_empty())
        };
        let mut events = Vec::new();
        if let Some(reasoning) = text("reasoning_content").or_else(|| text("reasoning")) {
            self.thinking = false;
            events.push(ChatEvent::Reasoning(reasoning.to_owned()));
        }
        if let Some(content) = text("content") {
            if std::mem::take(&mut self.thinking) && !content.trim_start().starts_with('<') {
                self.tags = ThinkTags::inside();
            }
            events.extend(self.tags.push(content));
        }
        self.answered |= events.iter().any(is_answer);
        Ok(events)
    }

    fn finish(&mut self) -> Result<Vec<ChatEvent>, LlmError> {
        let Some(reason) = self.reason.take() else { return Err(broken("its answer was cut off")) };
        let mut events = self.tags.finish();
        self.answered |= events.iter().any(is_answer);
        if reason == FinishReason::Stop && !self.answered {
            return Err(broken("its answer is empty"));
        }
        events.push(ChatEvent::Finished { reason, usage: self.usage });
        Ok(events)
    }
}
