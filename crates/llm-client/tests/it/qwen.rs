//! A small model in this process: loading in the background, failing, trying again, answering.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use llm_client::{
    Backend, BackendStatus, ChatOptions, ChatRequest, Entry, LlmClient, LlmError, LoadPolicy, LoadStage, LoadedModel,
    ModelIdentity, ModelLoader, QwenBackend, ThinkingBudget,
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
    let entry = client.entry(None).unwrap();
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
    let entry = client.entry(None).unwrap();
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
        client.stream(client.entry(None).unwrap(), asked)
    };
    let error = stream(&"word ".repeat(500), |_| {}).await.unwrap_err();
    assert!(matches!(error, LlmError::PromptTooLong { .. }), "{error}");
    let error = stream("hi", |options| options.top_p = Some(7.0)).await.unwrap_err();
    assert!(matches!(&error, LlmError::InvalidRequest(reason) if reason.contains("top_p")), "{error}");
}
