//! Whole generations on a small checkpoint: text, limits, reasoning, cancellation.

use std::path::Path;
use std::time::{Duration, Instant};

use qwen_runtime::{
    Chat, ComputeDevice, EngineConfig, FinishReason, GenerationEvent, GenerationOptions, GenerationRequest,
    GenerationStream, Prompt, Runtime, RuntimeConfig, RuntimeError, SamplingOptions, ThinkingBudget, Usage,
};

use crate::golden;

/// The small checkpoint with a chat template, which the golden copy does not have.
fn checkpoint(template: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(golden::own("tied-f32")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, directory.path().join(path.file_name().unwrap())).unwrap();
    }
    std::fs::copy(golden::own(&format!("chat/{template}.jinja")), directory.path().join("chat_template.jinja"))
        .unwrap();
    directory
}

fn load(path: &Path, config: RuntimeConfig) -> Runtime {
    Runtime::load(path, config, &|_| {}).unwrap()
}

fn request(text: &str, options: GenerationOptions) -> GenerationRequest {
    GenerationRequest { prompt: Prompt::Chat(Chat::new().with_message("user", text)), options }
}

fn options(max_new_tokens: usize, budget: Option<ThinkingBudget>, seed: u64) -> GenerationOptions {
    GenerationOptions {
        max_new_tokens: Some(max_new_tokens),
        thinking_budget: budget,
        sampling: SamplingOptions { seed: Some(seed), temperature: Some(1.0), ..SamplingOptions::default() },
        stop: Vec::new(),
        timeout: None,
    }
}

#[derive(Debug, PartialEq)]
struct Outcome {
    reasoning: String,
    answer: String,
    reason: FinishReason,
    usage: Usage,
}

fn read(mut stream: GenerationStream) -> Result<Outcome, RuntimeError> {
    let mut outcome = Outcome {
        reasoning: String::new(),
        answer: String::new(),
        reason: FinishReason::Stop,
        usage: Usage::default(),
    };
    while let Some(event) = stream.blocking_next() {
        match event? {
            GenerationEvent::Accepted { .. } => {}
            GenerationEvent::Reasoning(text) => {
                assert!(outcome.answer.is_empty(), "reasoning after the answer");
                outcome.reasoning.push_str(&text);
            }
            GenerationEvent::Answer(text) => outcome.answer.push_str(&text),
            GenerationEvent::Finished { reason, usage } => {
                outcome.reason = reason;
                outcome.usage = usage;
                assert!(stream.blocking_next().is_none(), "an event after the last one");
                return Ok(outcome);
            }
        }
    }
    panic!("the stream ended without its last event")
}

fn run(runtime: &Runtime, options: GenerationOptions) -> Outcome {
    read(runtime.generate(request("hi", options)).unwrap()).unwrap()
}

#[test]
fn a_budget_closes_the_reasoning_and_an_answer_follows() {
    let directory = checkpoint("qwen3-thinking-2507");
    let runtime = load(directory.path(), RuntimeConfig::on_cpu());
    for seed in 0..12 {
        for (max_new_tokens, budget) in [(1, None), (2, None), (16, None), (24, Some(8)), (24, Some(0)), (6, Some(900))]
        {
            let outcome = run(&runtime, options(max_new_tokens, budget.map(ThinkingBudget::Tokens), seed));
            let limit = budget.unwrap_or(max_new_tokens / 2).min(max_new_tokens - 1);
            assert!(outcome.usage.completion_tokens <= max_new_tokens, "{outcome:?}");
            // Four more tokens may complete a character.
            assert!(outcome.usage.reasoning_tokens <= (limit + 4).min(max_new_tokens), "{limit}: {outcome:?}");
            assert!(!outcome.reasoning.contains("think>"), "{outcome:?}");
            assert!(!outcome.answer.trim().is_empty(), "{max_new_tokens} {budget:?} {seed}: {outcome:?}");
        }
    }
}

#[test]
fn without_a_budget_a_cut_off_thought_is_all_reasoning() {
    let directory = checkpoint("qwen3-thinking-2507");
    let runtime = load(directory.path(), RuntimeConfig::on_cpu());
    let outcomes: Vec<_> = (0..8).map(|seed| run(&runtime, options(4, Some(ThinkingBudget::Off), seed))).collect();
    let cut = outcomes.iter().find(|outcome| outcome.reason == FinishReason::Length).unwrap();
    assert_eq!((cut.answer.as_str(), cut.usage.reasoning_tokens), ("", 4));
}

#[test]
fn the_same_seed_gives_the_same_text_alone_and_beside_others() {
    let directory = checkpoint("qwen3-thinking-2507");
    let runtime = load(directory.path(), RuntimeConfig { max_sequences: 3, ..RuntimeConfig::on_cpu() });
    let alone = run(&runtime, options(40, None, 5));
    let streams: Vec<_> =
        (4..8).map(|seed| runtime.generate(request("hi", options(40, None, seed))).unwrap()).collect();
    let together: Vec<_> = streams.into_iter().map(|stream| read(stream).unwrap()).collect();
    // What others had computed before is the only difference.
    let usage = Usage { cached_tokens: together[1].usage.cached_tokens, ..alone.usage };
    assert_eq!(together[1], Outcome { usage, ..alone });
    assert_ne!(together[0].answer, together[1].answer);
}

#[test]
fn a_prompt_that_begins_as_an_earlier_one_is_not_computed_again() {
    let directory = checkpoint("qwen3-thinking-2507");
    // The engine for processors keeps whole blocks of 16 tokens, candle any number.
    for (engine, unit) in [(RuntimeConfig::on_cpu().engine, 16), (EngineConfig::Candle(ComputeDevice::Cpu.into()), 1)] {
        let runtime = load(directory.path(), RuntimeConfig { engine, ..RuntimeConfig::on_cpu() });
        let first = run(&runtime, options(24, None, 5));
        let second = run(&runtime, options(24, None, 5));
        assert_eq!(first.usage.cached_tokens, 0);
        assert_eq!(second.usage.cached_tokens, (second.usage.prompt_tokens - 1) / unit * unit, "{engine:?}");
        assert_eq!((second.reasoning, second.answer), (first.reasoning, first.answer));
    }
}

#[test]
fn a_small_budget_of_the_kv_cache_shortens_the_context() {
    let directory = checkpoint("qwen3-thinking-2507");
    let config = RuntimeConfig::on_cpu();
    let shape = load(directory.path(), config.clone()).architecture().clone();
    let token_bytes = 2 * shape.layers * shape.kv_size() * 2;
    let runtime = load(directory.path(), RuntimeConfig { kv_memory: Some(64 * token_bytes as u64), ..config });
    assert_eq!(runtime.capacity().max_tokens, 64);
    let long = request(&"word ".repeat(40), options(16, None, 1));
    let error = read(runtime.generate(long).unwrap()).unwrap_err();
    assert!(matches!(error, RuntimeError::PromptTooLong { limit, .. } if limit < 64), "{error}");
    assert!(run(&runtime, options(16, None, 1)).usage.completion_tokens > 0);
}

#[test]
fn a_request_ends_when_its_time_is_up_and_others_go_on() {
    let directory = checkpoint("qwen3-thinking-2507");
    let runtime = load(directory.path(), RuntimeConfig { max_sequences: 1, ..RuntimeConfig::on_cpu() });
    let endless = || options(200, Some(ThinkingBudget::Off), 1);
    let timeout = |ms| Some(Duration::from_millis(ms));
    let running = runtime.generate(request("hi", GenerationOptions { timeout: timeout(0), ..endless() })).unwrap();
    let other = runtime.generate(request("hi", endless())).unwrap();
    let waiting = runtime.generate(request("hi", GenerationOptions { timeout: timeout(1), ..endless() })).unwrap();
    for (stream, ms) in [(running, 0), (waiting, 1)] {
        let error = read(stream).unwrap_err();
        assert!(matches!(error, RuntimeError::DeadlineExceeded { allowed } if Some(allowed) == timeout(ms)), "{error}");
    }
    assert!(read(other).is_ok());
    let enough = GenerationOptions { timeout: Some(Duration::from_secs(600)), ..options(4, None, 1) };
    assert!(read(runtime.generate(request("hi", enough)).unwrap()).is_ok());
}

#[test]
fn a_stop_string_ends_the_answer() {
    let directory = checkpoint("qwen3");
    let runtime = load(directory.path(), RuntimeConfig::on_cpu());
    let whole = run(&runtime, options(40, None, 3)).answer;
    let stop: String = whole.chars().skip(3).take(3).collect();
    let stopped = run(&runtime, GenerationOptions { stop: vec![stop.clone()], ..options(40, None, 3) });
    assert_eq!(stopped.reason, FinishReason::Stop);
    assert_eq!(stopped.answer, whole[..whole.find(&stop).unwrap()]);
}

#[test]
fn what_cannot_be_done_is_named_before_any_work() {
    let directory = checkpoint("qwen3-thinking-2507");
    let runtime = load(directory.path(), RuntimeConfig::on_cpu());
    let fails = |request| read(runtime.generate(request).unwrap()).unwrap_err();
    let long = fails(request(&"word ".repeat(400), GenerationOptions::default()));
    assert!(matches!(long, RuntimeError::PromptTooLong { prompt_tokens, limit } if prompt_tokens > limit), "{long}");
    for max_new_tokens in [0, 257] {
        let error = fails(request("hi", options(max_new_tokens, None, 0)));
        assert!(matches!(error, RuntimeError::InvalidParameter { name: "max_new_tokens", .. }), "{error}");
    }
    let empty = GenerationRequest { prompt: Prompt::Tokens(Vec::new()), options: GenerationOptions::default() };
    assert!(matches!(fails(empty), RuntimeError::InvalidParameter { name: "prompt", .. }));
    let unknown = GenerationRequest { prompt: Prompt::Tokens(vec![640]), options: GenerationOptions::default() };
    assert!(matches!(fails(unknown), RuntimeError::InvalidParameter { name: "prompt", .. }));
    let sampling = SamplingOptions { top_p: Some(2.0), ..SamplingOptions::default() };
    let error = fails(request("hi", GenerationOptions { sampling, ..GenerationOptions::default() }));
    assert!(matches!(error, RuntimeError::InvalidParameter { name: "top_p", .. }), "{error}");
}

#[test]
fn a_dropped_stream_stops_its_work_and_no_other() {
    let directory = checkpoint("qwen3-thinking-2507");
    let config = RuntimeConfig { max_sequences: 1, max_waiting: 3, ..RuntimeConfig::on_cpu() };
    let runtime = load(directory.path(), config);
    let long = || request("hi", options(200, Some(ThinkingBudget::Off), 1));
    let mut first = runtime.generate(long()).unwrap();
    // The first one runs once it has written something; the others wait then.
    while !matches!(first.blocking_next().unwrap().unwrap(), GenerationEvent::Reasoning(_)) {}
    let second = runtime.generate(long()).unwrap();
    let third = runtime.generate(request("hi", options(6, None, 2))).unwrap();
    drop(second);
    drop(first);
    let outcome = read(third).unwrap();
    assert!(outcome.usage.completion_tokens <= 6);
    let deadline = Instant::now() + Duration::from_secs(30);
    while runtime.waiting() > 0 {
        assert!(Instant::now() < deadline, "a place in the waiting room was not given back");
        std::thread::yield_now();
    }
}

#[test]
fn beyond_the_waiting_room_requests_are_refused() {
    let directory = checkpoint("qwen3-thinking-2507");
    let config = RuntimeConfig { max_sequences: 1, max_waiting: 1, ..RuntimeConfig::on_cpu() };
    let runtime = load(directory.path(), config);
    let long = || request("hi", options(200, Some(ThinkingBudget::Off), 1));
    let mut first = runtime.generate(long()).unwrap();
    while !matches!(first.blocking_next().unwrap().unwrap(), GenerationEvent::Reasoning(_)) {}
    let second = runtime.generate(long()).unwrap();
    assert!(matches!(runtime.generate(long()), Err(RuntimeError::Overloaded { waiting: 1 })));
    drop((first, second));
}

#[test]
fn texts_outlive_their_runtime() {
    let directory = checkpoint("qwen3-thinking-2507");
    let runtime = load(directory.path(), RuntimeConfig::on_cpu());
    let stream = runtime.generate(request("hi", options(20, None, 1))).unwrap();
    drop(runtime);
    assert!(read(stream).is_ok());
}

#[test]
fn a_gguf_answers_with_its_own_tokenizer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.gguf");
    std::fs::copy(golden::own("k256-gguf/model-Q4_K_M.gguf"), &path).unwrap();
    std::fs::copy(golden::own("chat/qwen3.jinja"), directory.path().join("chat_template.jinja")).unwrap();
    let runtime = load(&path, RuntimeConfig::on_cpu());
    assert!(run(&runtime, options(8, None, 1)).usage.completion_tokens > 0);
}
