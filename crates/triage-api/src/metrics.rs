//! [`Metrics`]: what the service counts, in Prometheus' terms. Nothing of a patient is in a label.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use llm_client::{BackendStatus, Entry, FinishReason, LlmError, Usage};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::error::TriageError;

type Labels<const N: usize> = [(&'static str, String); N];
type Seconds<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;

/// Counters, histograms and gauges.
pub struct Metrics {
    registry: Registry,
    requests: Family<Labels<3>, Counter>,
    request_seconds: Seconds<1>,
    answers: Family<Labels<3>, Counter>,
    answer_seconds: Seconds<2>,
    first_token_seconds: Seconds<2>,
    tokens: Family<Labels<3>, Counter>,
    in_progress: Family<Labels<2>, Gauge>,
    fallbacks: Family<Labels<2>, Counter>,
    shadow_answers: Family<Labels<3>, Counter>,
    shadow_seconds: Seconds<2>,
    models: ModelGauges,
    /// One reader at a time: the gauges of models are set anew for each.
    reading: Mutex<()>,
}

#[derive(Default)]
struct ModelGauges {
    state: Family<Labels<3>, Gauge>,
    percent: Family<Labels<1>, Gauge>,
    memory: Family<Labels<1>, Gauge>,
    load_milliseconds: Family<Labels<1>, Gauge>,
    share: Family<Labels<1>, Gauge>,
    passed_over: Family<Labels<1>, Gauge>,
    resident: Gauge,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// From 5 ms to 11 minutes.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 2.0, 18))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("carepath");
        let metrics = Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            answers: Family::default(),
            answer_seconds: Family::new_with_constructor(seconds),
            first_token_seconds: Family::new_with_constructor(seconds),
            tokens: Family::default(),
            in_progress: Family::default(),
            fallbacks: Family::default(),
            shadow_answers: Family::default(),
            shadow_seconds: Family::new_with_constructor(seconds),
            models: ModelGauges::default(),
            reading: Mutex::default(),
            registry: Registry::default(),
        };
        let Self { requests, request_seconds, answers, answer_seconds, first_token_seconds, tokens, .. } = &metrics;
        registry.register("http_requests", "Requests, by route, method and status", requests.clone());
        registry.register("http_request_seconds", "Time of a request, to the last byte", request_seconds.clone());
        registry.register("answers", "Answers that a model was asked for, by how they ended", answers.clone());
        registry.register(
            "answer_seconds",
            "Time of an answer, waiting for the model included",
            answer_seconds.clone(),
        );
        registry.register("first_token_seconds", "Time to an answer's first token", first_token_seconds.clone());
        registry.register(
            "tokens",
            "Tokens of prompts, those that were not computed again, and of answers",
            tokens.clone(),
        );
        registry.register("answers_in_progress", "Answers that wait or run", metrics.in_progress.clone());
        let Self { fallbacks, shadow_answers, shadow_seconds, .. } = &metrics;
        registry.register("fallbacks", "Answers that another mode gave than the one that should", fallbacks.clone());
        registry.register("shadow_answers", "Answers in the background, by how they ended", shadow_answers.clone());
        registry.register("shadow_seconds", "Time of an answer in the background", shadow_seconds.clone());
        let ModelGauges { state, percent, memory, load_milliseconds, share, passed_over, resident } = &metrics.models;
        registry.register("model_state", "1 for the state that a model is in", state.clone());
        registry.register("model_load_percent", "How much of a download or load is done", percent.clone());
        registry.register("model_memory_bytes", "Memory that is set aside for a model", memory.clone());
        registry.register("model_load_milliseconds", "How long a model took to load", load_milliseconds.clone());
        registry.register(
            "route_weight",
            "A mode's weight among those that answer requests without a mode",
            share.clone(),
        );
        registry.register(
            "passed_over",
            "1 where a mode failed again and again, and others answer for it",
            passed_over.clone(),
        );
        registry.register("resident_memory_bytes", "Memory of the process, where the system says it", resident.clone());
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// Everything, in the text form of OpenMetrics 1.0.
    pub(crate) fn text(&self, llm: &llm_client::Registry) -> String {
        let _one = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        self.models.set(llm);
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// Another mode answers than the one that should.
    pub(crate) fn fell_back(&self, from: &Entry, to: &Entry) {
        let labels = [("from", from.name().to_owned()), ("to", to.name().to_owned())];
        self.fallbacks.get_or_create(&labels).inc();
    }

    /// An answer in the background is over, after some time where it was begun.
    pub(crate) fn shadow_answer(&self, entry: &Entry, outcome: &'static str, time: Option<Duration>) {
        let [mode, model] = [("mode", entry.name().to_owned()), ("model", entry.model().to_string())];
        if let Some(time) = time {
            self.shadow_seconds.get_or_create(&[mode.clone(), model.clone()]).observe(time.as_secs_f64());
        }
        self.shadow_answers.get_or_create(&[mode, model, ("outcome", outcome.to_owned())]).inc();
    }

    /// A request is over; without a status, its client left before the answer.
    pub(crate) fn request(&self, route: &str, method: &'static str, status: Option<u16>, time: Duration) {
        let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        let labels = [("route", route.to_owned()), ("method", method.to_owned()), ("status", status)];
        self.requests.get_or_create(&labels).inc();
        self.request_seconds.get_or_create(&[("route", route.to_owned())]).observe(time.as_secs_f64());
    }
}

impl ModelGauges {
    fn set(&self, llm: &llm_client::Registry) {
        let Self { state, percent, memory, load_milliseconds, share, passed_over, resident } = self;
        state.clear();
        share.clear();
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        for entry in llm.entries() {
            let mode = [("mode", entry.name().to_owned())];
            let status = entry.status();
            let done = match status {
                BackendStatus::Ready => 100,
                BackendStatus::Loading { percent, .. } => percent.unwrap_or(0),
                BackendStatus::Idle | BackendStatus::Unloaded | BackendStatus::Failed { .. } => 0,
            };
            let [name] = mode.clone();
            state
                .get_or_create(&[name, ("model", entry.model().to_string()), ("state", status.name().to_owned())])
                .set(1);
            percent.get_or_create(&mode).set(done.into());
            passed_over.get_or_create(&mode).set(entry.is_passed_over().into());
            let has_room = !matches!(status, BackendStatus::Idle | BackendStatus::Unloaded);
            memory.get_or_create(&mode).set(if has_room { whole(entry.memory()) } else { 0 });
            let load_time = entry.load_time().unwrap_or_default().as_millis();
            load_milliseconds.get_or_create(&mode).set(i64::try_from(load_time).unwrap_or(i64::MAX));
        }
        let routing = llm.routing();
        for mode in routing.answering() {
            let weight = routing.weights.get(mode).copied().unwrap_or(1);
            share.get_or_create(&[("mode", mode.to_owned())]).set(weight.into());
        }
        if let Some(bytes) = resident_bytes() {
            resident.set(whole(bytes));
        }
    }
}

/// `VmRSS` of Linux.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// What becomes of one answer. One that is dropped before it ended was given up by its client.
pub(crate) struct AnswerMeter {
    metrics: Arc<Metrics>,
    mode: String,
    model: String,
    started: Instant,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Waiting,
    Running,
    Ended,
}

impl AnswerMeter {
    /// An answer is asked for; it waits for its first token.
    pub(crate) fn start(metrics: Arc<Metrics>, entry: &Entry) -> Self {
        let (mode, model) = (entry.name().to_owned(), entry.model().to_string());
        let meter = Self { metrics, mode, model, started: Instant::now(), stage: Stage::Waiting };
        meter.gauge(Stage::Waiting).inc();
        meter
    }

    /// A token has come.
    pub(crate) fn token(&mut self) {
        if self.stage == Stage::Waiting {
            self.gauge(Stage::Waiting).dec();
            self.gauge(Stage::Running).inc();
            self.stage = Stage::Running;
            let time = self.started.elapsed().as_secs_f64();
            self.metrics.first_token_seconds.get_or_create(&self.labels()).observe(time);
        }
    }

    /// The answer is whole.
    pub(crate) fn finished(&mut self, reason: FinishReason, usage: Usage) {
        for (kind, count) in [
            ("prompt", usage.prompt_tokens),
            ("cached", usage.cached_tokens),
            ("completion", usage.completion_tokens),
            ("reasoning", usage.reasoning_tokens),
        ] {
            let [mode, model] = self.labels();
            self.metrics.tokens.get_or_create(&[mode, model, ("kind", kind.to_owned())]).inc_by(count.into());
        }
        self.end(reason.as_str());
    }

    /// There will be no answer.
    pub(crate) fn failed(&mut self, error: &TriageError) {
        self.end(match error {
            TriageError::Llm(error) => outcome(error),
            TriageError::Conversations(_) => "not_stored",
            _ => "error",
        });
    }

    /// There will be no answer of this mode; the error, to go on with.
    pub(crate) fn failed_by(&mut self, error: LlmError) -> LlmError {
        self.end(outcome(&error));
        error
    }

    fn end(&mut self, outcome: &str) {
        if self.stage == Stage::Ended {
            return;
        }
        self.gauge(self.stage).dec();
        self.stage = Stage::Ended;
        let [mode, model] = self.labels();
        self.metrics.answers.get_or_create(&[mode, model, ("outcome", outcome.to_owned())]).inc();
        self.metrics.answer_seconds.get_or_create(&self.labels()).observe(self.started.elapsed().as_secs_f64());
    }

    fn labels(&self) -> Labels<2> {
        [("mode", self.mode.clone()), ("model", self.model.clone())]
    }

    fn gauge(&self, stage: Stage) -> Gauge {
        let stage = if stage == Stage::Waiting { "waiting" } else { "running" };
        self.metrics.in_progress.get_or_create_owned(&[("mode", self.mode.clone()), ("stage", stage.to_owned())])
    }
}

/// How an answer ended that a model did not give.
fn outcome(error: &LlmError) -> &'static str {
    match error {
        LlmError::NotReady { .. } => "not_ready",
        LlmError::Overloaded { .. } => "overloaded",
        LlmError::PromptTooLong { .. } | LlmError::InvalidRequest(_) => "refused",
        LlmError::Timeout(_) => "timeout",
        LlmError::Unavailable { .. } => "unavailable",
        _ => "error",
    }
}

impl Drop for AnswerMeter {
    fn drop(&mut self) {
        self.end("given_up");
    }
}
