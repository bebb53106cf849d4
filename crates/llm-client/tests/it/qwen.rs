//! A small model in this process: loading in the background, failing, trying again, answering.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;

use llm_client::{
    Backend, BackendStatus, ChatOptions, ChatRequest, Entry, LlmClient, LlmError, LoadPolicy, LoadStage, LoadedModel,
    MemoryBudget, MockBackend, ModelIdentity, ModelLoader, QwenBackend, Registry, ThinkingBudget,
};
use qwen_runtime::{Runtime, RuntimeConfig};

use crate::registry::request;

/// Loads the runtime's own small golden checkpoint; fails while `failures` are left.
struct Loader {
    directory: tempfile::TempDir,
    loads: AtomicUsize,
    failures: usize,
}

impl Loader {
    fn new(failures: usize) -> Arc<Self> {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../qwen-runtime/tests/golden");
        let directory = tempfile::tempdir().unwrap();
        let copy = |from: PathBuf, to: &str| std::fs::copy(golden.join(from), directory.path().join(to)).unwrap();
        for name in ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"] {
            copy(Path::new("tied-f32").join(name), name);
        }
        copy("chat/qwen3-thinking-2507.jinja".into(), "chat_template.jinja");
        Arc::new(Self { directory, loads: AtomicUsize::new(0), failures })
    }
}

impl ModelLoader for Loader {
    fn identity(&self) -> ModelIdentity {
        ModelIdentity { name: "golden".to_owned(), revision: None }
    }

    fn load(&self, report: &dyn Fn(LoadStage)) -> Result<LoadedModel, String> {
        if self.loads.fetch_add(1, Ordering::SeqCst) < self.failures {
            return Err("the disk is full".to_owned());
        }
        report(LoadStage { stage: "loading".to_owned(), percent: Some(50) });
        let runtime =
            Runtime::load(self.directory.path(), RuntimeConfig::on_cpu(), &|_| {}).map_err(|e| e.to_string())?;
        let identity = ModelIdentity { revision: Some("abc".to_owned()), ..self.identity() };
        Ok(LoadedModel { runtime, identity })
    }
}

fn client(loader: Arc<Loader>, policy: LoadPolicy) -> LlmClient {
    let entry = Entry::new("qwen", Backend::Qwen(QwenBackend::new(loader, policy)));
    LlmClient::new(vec![entry], "qwen").unwrap()
}

fn short() -> ChatRequest {
    let options = ChatOptions {
        max_new_tokens: Some(12),
        seed: Some(1),
        thinking_budget: Some(ThinkingBudget::Tokens(4)),
        ..ChatOptions::default()
    };
    ChatRequest { options, ..request("hi") }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_request_loads_lazily_and_only_once() {
    let loader = Loader::new(0);
    let client = client(Arc::clone(&loader), LoadPolicy::Lazy);
    let entry = client.default_entry();
    entry.preload();
    assert_eq!((entry.status(), entry.model().to_string().as_str()), (BackendStatus::Idle, "golden"));
    let (first, second) =
        tokio::join!(client.generate(Arc::clone(&entry), short()), client.generate(Arc::clone(&entry), short()),);
    let (mut first, mut second) = (first.unwrap(), second.unwrap());
    // The one that runs later finds the prompt computed; nothing else differs.
    let cached = [&mut first, &mut second].map(|answer| std::mem::take(&mut answer.usage.cached_tokens));
    assert!(cached.iter().all(|tokens| *tokens < first.usage.prompt_tokens), "{cached:?}");
    assert_eq!(first, second);
    assert_eq!(first.model.to_string(), "golden@abc");
    assert!(!first.answer.is_empty() && first.usage.completion_tokens <= 12, "{first:?}");
    assert_eq!((loader.loads.load(Ordering::SeqCst), entry.status()), (1, BackendStatus::Ready));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eager_model_that_is_not_there_says_so_and_is_tried_again() {
    let loader = Loader::new(usize::MAX);
    let client = client(Arc::clone(&loader), LoadPolicy::Eager);
    let entry = client.default_entry();
    let error = client.generate(Arc::clone(&entry), short()).await.unwrap_err();
    assert!(matches!(error, LlmError::NotReady { .. }), "{error}");
    entry.preload();
    let failed = async {
        loop {
            if let BackendStatus::Failed { error, retry_in } = entry.status() {
                return (error, retry_in);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let (error, retry_in) = tokio::time::timeout(Duration::from_secs(10), failed).await.unwrap();
    assert_eq!(error, "the disk is full");
    assert!(retry_in <= Duration::from_secs(5));
    let error = client.generate(entry, short()).await.unwrap_err();
    let LlmError::NotReady { stage, retry_after, .. } = error else { panic!("{error}") };
    assert!(stage.contains("the disk is full") && retry_after <= Duration::from_secs(5), "{stage}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_request_are_named_before_the_stream() {
    let client = client(Loader::new(0), LoadPolicy::Lazy);
    let stream = |text: &str, change: fn(&mut ChatOptions)| {
        let mut asked = request(text);
        change(&mut asked.options);
        client.stream(client.default_entry(), asked)
    };
    let error = stream(&"word ".repeat(500), |_| {}).await.unwrap_err();
    assert!(matches!(error, LlmError::PromptTooLong { .. }), "{error}");
    let error = stream("hi", |options| options.top_p = Some(7.0)).await.unwrap_err();
    assert!(matches!(&error, LlmError::InvalidRequest(reason) if reason.contains("top_p")), "{error}");
}

async fn until(entry: &Entry, reached: impl Fn(&BackendStatus) -> bool) -> BackendStatus {
    let wait = async {
        while !reached(&entry.status()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        entry.status()
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap()
}

/// The answer that runs is finished by the old model, whose memory is given back after it; the next
/// model fits only then.
#[tokio::test(flavor = "multi_thread")]
async fn a_swap_drops_no_request_and_gives_memory_back() {
    let budget = MemoryBudget::new(100);
    let entry = |name: &str, bytes| {
        let backend = QwenBackend::new(Loader::new(0), LoadPolicy::Eager).with_room(budget.clone(), bytes);
        Entry::new(name, Backend::Qwen(backend))
    };
    let mock = Entry::new("mock", Backend::Mock(MockBackend::new()));
    let registry = Registry::new(vec![entry("a", 60), entry("b", 50), mock], "a").unwrap().with_budget(budget.clone());
    let client = LlmClient::of(registry);
    let registry = client.registry();
    let a = registry.load("a").unwrap();
    until(&a, |status| *status == BackendStatus::Ready).await;
    assert_eq!((budget.taken(), a.memory()), (60, 60));

    let error = registry.load("b").unwrap_err();
    assert!(matches!(&error, LlmError::Conflict(reason) if reason.starts_with("b: it needs")), "{error}");
    let error = registry.unload("a").unwrap_err();
    assert!(matches!(&error, LlmError::Conflict(reason) if reason.contains("answers requests")), "{error}");
    let error = registry.set_default("b").unwrap_err();
    assert!(matches!(&error, LlmError::Conflict(reason) if reason.contains("load it first")), "{error}");

    let mut running = client.stream(Arc::clone(&a), short()).await.unwrap();
    // One that was let in, and not asked yet.
    let admitted = a.admit().unwrap();
    registry.set_default("mock").unwrap();
    registry.unload("a").unwrap();
    assert_eq!((a.status(), budget.taken()), (BackendStatus::Unloaded, 60));
    let answer = client.stream(admitted, short()).await.unwrap().collect_answer().await.unwrap();
    assert_eq!(answer.model.to_string(), "golden@abc");
    let error = client.generate(Arc::clone(&a), short()).await.unwrap_err();
    assert!(matches!(error, LlmError::NotReady { .. }), "{error}");
    while let Some(event) = running.next().await {
        event.unwrap();
    }
    drop(running);
    assert_eq!(budget.taken(), 0);

    let b = registry.load("b").unwrap();
    until(&b, |status| *status == BackendStatus::Ready).await;
    registry.set_default("b").unwrap();
    assert_eq!(client.generate(client.default_entry(), short()).await.unwrap().mode, "b");
    assert_eq!(registry.roll_back().unwrap().default, "mock");
}

/// What is unloaded while it loads does not come back, and a failed model is tried at once when an
/// operator says so.
#[tokio::test(flavor = "multi_thread")]
async fn loading_can_be_given_up_and_begun_again() {
    let loader = Loader::new(1);
    let client = client(Arc::clone(&loader), LoadPolicy::Eager);
    let entry = client.registry().load("qwen").unwrap();
    until(&entry, |status| matches!(status, BackendStatus::Failed { .. })).await;
    client.registry().load("qwen").unwrap();
    until(&entry, |status| *status == BackendStatus::Ready).await;
    client.registry().load("qwen").unwrap();
    // The thread that failed would try again now, had it not been told to stop.
    tokio::time::sleep(Duration::from_millis(5_500)).await;
    assert_eq!(loader.loads.load(Ordering::SeqCst), 2);
}
