//! What operators do while it serves: models come and go, the default changes, requests are shared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Process, program};

/// The runtime's small golden checkpoint, with room for a prompt.
pub(crate) fn checkpoint(to: &Path) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/qwen-runtime/tests/golden");
    std::fs::create_dir(to).unwrap();
    let copy = |from: PathBuf, name: &str| std::fs::copy(golden.join(from), to.join(name)).unwrap();
    for name in ["generation_config.json", "model.safetensors", "tokenizer.json"] {
        copy(Path::new("tied-f32").join(name), name);
    }
    copy("chat/qwen3-thinking-2507.jinja".into(), "chat_template.jinja");
    let config = std::fs::read_to_string(golden.join("tied-f32/config.json")).unwrap();
    let roomy = config.replace("\"max_position_embeddings\": 256", "\"max_position_embeddings\": 4096");
    assert_ne!(config, roomy);
    std::fs::write(to.join("config.json"), roomy).unwrap();
}

/// A server with the models `a`, which answers, and `b`, which is not loaded; together they have room.
struct Service {
    process: Process,
    folder: TempDir,
}

impl Service {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, file, prompt] = ["a", "b", "models.toml", "prompt.jinja"].map(|name| folder.path().join(name));
        checkpoint(&a);
        checkpoint(&b);
        let models = format!(
            "memory = \"100MiB\"\n[models.a]\nmodel = {a:?}\nmemory = \"40MiB\"\nmax_new_tokens = 12\n\
             [models.b]\nmodel = {b:?}\nmemory = \"40MiB\"\nmax_new_tokens = 12\n\
             [models.large]\nmodel = {a:?}\nmemory = \"61MiB\"\n"
        );
        std::fs::write(&file, models).unwrap();
        std::fs::write(&prompt, "{# version: test #}Answer from the record: {{ record.patient }}").unwrap();
        let process = Process::start(&[
            ("MODELS_FILE", file.to_str().unwrap()),
            ("PROMPT_TEMPLATE", prompt.to_str().unwrap()),
            ("LLM_MODE", "a"),
            ("THREADS", "1"),
        ]);
        let service = Self { process, folder };
        service.ctl(&["load", "a"]);
        service
    }

    /// What `chat-server ctl` says.
    fn try_ctl(&self, arguments: &[&str]) -> Output {
        let url = format!("http://127.0.0.1:{}", self.process.admin_port);
        let command = ["ctl", "--url", &url].into_iter().chain(arguments.iter().copied());
        program(&self.folder).args(command).output().unwrap()
    }

    fn ctl(&self, arguments: &[&str]) -> String {
        let output = self.try_ctl(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn state(&self) -> Value {
        serde_json::from_str(&self.ctl(&["status", "--json"])).unwrap()
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.try_ctl(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

async fn ask(url: &str, mrn: &str, more: Value) -> (StatusCode, Value) {
    let mut body = json!({ "patient_mrn": mrn, "query": "What are my current medications?" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let client = Client::builder().no_proxy().build().unwrap();
    let response = client.post(url).json(&body).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_changes_and_changes_back_while_people_ask() {
    let service = Service::start();
    let (url, stop) = (service.process.url("/triage"), Arc::new(AtomicBool::new(false)));
    let person = |number: usize| {
        let (url, stop) = (url.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut answered = BTreeMap::<(String, String), usize>::new();
            while !stop.load(Ordering::Relaxed) {
                let (status, body) = ask(&url, &format!("P{:06}", 1 + number), json!({})).await;
                assert_eq!(status, 200, "{body}");
                let text = |field: &str| body[field].as_str().unwrap().to_owned();
                *answered.entry((text("llm_mode"), text("model"))).or_default() += 1;
            }
            answered
        })
    };
    let people: Vec<_> = (0..4).map(person).collect();
    let pause = || tokio::time::sleep(Duration::from_millis(400));
    pause().await;
    service.ctl(&["load", "b"]);
    assert!(service.ctl(&["default", "b"]).starts_with("default   b\nbefore    a\n"));
    service.ctl(&["unload", "a"]);
    pause().await;
    service.ctl(&["load", "a"]);
    assert!(service.ctl(&["rollback"]).starts_with("default   a\n"));
    pause().await;
    service.ctl(&["default", "mock"]);
    pause().await;
    service.ctl(&["route", "a=1", "b=1"]);
    pause().await;
    stop.store(true, Ordering::Relaxed);

    let mut answered = BTreeMap::<(String, String), usize>::new();
    for person in people {
        for (who, times) in person.await.unwrap() {
            *answered.entry(who).or_default() += times;
        }
    }
    let expected: Vec<_> = ["a", "b", "mock"].map(|name| (name.to_owned(), name.to_owned())).into();
    assert_eq!(answered.keys().cloned().collect::<Vec<_>>(), expected, "{answered:?}");
}

#[tokio::test]
async fn a_second_model_answers_in_the_background() {
    let service = Service::start();
    service.ctl(&["load", "b"]);
    assert!(service.ctl(&["shadow", "b"]).contains("shadow    b\n"));
    assert!(service.refused(&["unload", "b"]).contains("in the background"));
    let (status, body) = ask(&service.process.url("/triage"), "P000123", json!({})).await;
    assert_eq!((status, &body["llm_mode"]), (StatusCode::OK, &json!("a")));
    let client = Client::builder().no_proxy().build().unwrap();
    let url = service.process.url(&format!("/chat-logs/{}", body["conversation_id"].as_str().unwrap()));
    let event = loop {
        let log: Value = client.get(&url).send().await.unwrap().json().await.unwrap();
        assert_eq!(log["messages"].as_array().unwrap().len(), 2, "{log}");
        if let Some(event) = log["retrieval_events"].get(1) {
            break event.clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((&event["query_type"], &event["llm_mode"]), (&json!("shadow_answer"), &json!("b")), "{event}");
    let metrics = client.get(service.process.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("carepath_shadow_answers_total{mode=\"b\",model=\"b\",outcome="), "{metrics}");
    service.ctl(&["shadow", "off"]);
    assert_eq!(service.state()["shadow"], Value::Null);
}

#[tokio::test]
async fn a_conversation_keeps_its_model_while_that_answers() {
    let service = Service::start();
    let url = service.process.url("/triage");
    service.ctl(&["load", "b"]);
    service.ctl(&["route", "a=50", "b=50"]);
    let mut modes = BTreeMap::new();
    for number in 0..20 {
        let mrn = format!("P{:06}", 1 + number);
        let (_, first) = ask(&url, &mrn, json!({})).await;
        modes.insert(mrn, (first["llm_mode"].clone(), first["conversation_id"].clone()));
    }
    let of_a = modes.values().filter(|(mode, _)| mode == "a").count();
    assert!((1..20).contains(&of_a), "{of_a}");
    // Nearly everybody new would be answered by b now; conversations that a began are still a's.
    service.ctl(&["route", "a=1", "b=1000"]);
    for (mrn, (mode, conversation)) in &modes {
        let (_, next) = ask(&url, mrn, json!({ "conversation_id": conversation })).await;
        assert_eq!(&next["llm_mode"], mode);
    }
    service.ctl(&["route"]);
    for (mrn, (_, conversation)) in &modes {
        let (_, next) = ask(&url, mrn, json!({ "conversation_id": conversation })).await;
        assert_eq!(next["llm_mode"], "a");
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_its_reason() {
    let service = Service::start();
    let url = service.process.url("/triage");
    assert!(service.refused(&["default", "b"]).contains("b is not loaded"));
    assert!(service.refused(&["load", "large"]).contains("it needs 61 MiB, and 60 MiB of 100 MiB are free"));
    assert!(service.refused(&["unload", "a"]).contains("a answers requests: choose another default first"));
    assert!(service.refused(&["load", "nobody"]).contains("Expected one of: mock, a, b, large"));
    assert!(service.refused(&["route", "a=4000000"]).contains("a whole number up to 1000000"));
    let (status, body) = ask(&url, "P000123", json!({ "llm_mode": "b" })).await;
    assert_eq!((status, &body["detail"]["stage"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("not loaded")));
    let state = service.state();
    assert_eq!((&state["default"], &state["memory_bytes"]["taken"]), (&json!("a"), &json!(40 << 20)));
    let table = service.ctl(&["list"]);
    assert!(table.lines().any(|line| line.starts_with("* a ") && line.contains("ready")), "{table}");
}

/// Before anything is loaded; what else is in the process goes on.
#[tokio::test]
async fn a_model_that_the_machine_has_no_memory_for_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("a");
    checkpoint(&model);
    let process = Process::start(&[("MODEL", model.to_str().unwrap()), ("LLM_MODE", "qwen"), ("KV_MEMORY", "90000G")]);
    let client = Client::builder().no_proxy().build().unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let error = loop {
        let body: Value = client.get(process.url("/ready")).send().await.unwrap().json().await.unwrap();
        if body["status"] == "failed" {
            break body["error"].as_str().unwrap().to_owned();
        }
        assert!(tokio::time::Instant::now() < deadline, "{body}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(error.starts_with("the model needs 92160") && error.contains("a smaller KV_MEMORY"), "{error}");
    let (status, _) = ask(&process.url("/triage"), "P000123", json!({ "llm_mode": "mock" })).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn operators_show_their_token_and_web_pages_are_refused() {
    let client = Client::builder().no_proxy().build().unwrap();
    let open = Process::start(&[]);
    let url = |process: &Process| format!("http://127.0.0.1:{}/admin/models", process.admin_port);
    let response = client.get(url(&open)).header("Origin", "https://evil.example").send().await.unwrap();
    assert_eq!(response.status(), 403);
    let response = client.get(url(&open)).header("Host", "rebound.example").send().await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(client.get(url(&open)).send().await.unwrap().status(), 200);
    assert_eq!(client.get(open.url("/admin/models")).send().await.unwrap().status(), 404);

    let closed = Process::start(&[("CHAT_ADMIN_TOKEN", "let-me-in")]);
    for wrong in ["", "let-me-im", "let-me-in-too"] {
        let response = client.get(url(&closed)).bearer_auth(wrong).send().await.unwrap();
        assert_eq!(response.status(), 401, "{wrong}");
        assert_eq!(
            response.json::<Value>().await.unwrap()["detail"]["error"],
            "Send the token as Authorization: Bearer"
        );
    }
    assert_eq!(client.get(url(&closed)).bearer_auth("let-me-in").send().await.unwrap().status(), 200);
    let (_, log) = {
        closed.signal("TERM");
        closed.ended()
    };
    assert!(!log.contains("let-me-i"), "{log}");
}

/// A server over a data folder that outlives it.
fn over(data: &TempDir, mode: &str) -> Process {
    Process::start(&[
        ("DATA_DIR", data.path().to_str().unwrap()),
        ("LLM_MODE", mode),
        ("OPENAI_BASE_URL", "http://127.0.0.1:9/v1"),
        ("OPENAI_MODEL", "none"),
    ])
}

async fn default_of(process: &Process) -> String {
    let client = Client::builder().no_proxy().build().unwrap();
    let url = format!("http://127.0.0.1:{}/admin/models", process.admin_port);
    let state: Value = client.get(url).send().await.unwrap().json().await.unwrap();
    state["default"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn decisions_outlive_the_server_until_llm_mode_changes() {
    let data = tempfile::tempdir().unwrap();
    let client = Client::builder().no_proxy().build().unwrap();
    let first = over(&data, "mock");
    let url = format!("http://127.0.0.1:{}/admin/default", first.admin_port);
    let response = client.put(url).json(&json!({ "mode": "openai" })).send().await.unwrap();
    assert_eq!(response.status(), 200);
    first.signal("KILL");
    drop(first);

    let again = over(&data, "mock");
    assert_eq!(default_of(&again).await, "openai");
    drop(again);
    let (_, other) = (over(&data, "openai"), over(&data, "openai"));
    assert_eq!(default_of(&other).await, "openai");
    drop(other);
    // The mode of the configuration has changed in between: what was decided before is forgotten.
    assert_eq!(default_of(&over(&data, "mock")).await, "mock");
}

#[tokio::test]
async fn every_replica_follows_within_five_seconds() {
    let data = tempfile::tempdir().unwrap();
    let client = Client::builder().no_proxy().build().unwrap();
    let (one, other) = (over(&data, "mock"), over(&data, "mock"));
    let change = |path: &str, body: Value| {
        client.put(format!("http://127.0.0.1:{}/admin/{path}", one.admin_port)).json(&body).send()
    };
    change("default", json!({ "mode": "openai" })).await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while default_of(&other).await != "openai" {
        assert!(tokio::time::Instant::now() < deadline, "the other replica does not follow");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let response = client.post(format!("http://127.0.0.1:{}/admin/rollback", other.admin_port)).send().await.unwrap();
    assert_eq!(response.json::<Value>().await.unwrap()["default"], "mock");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while default_of(&one).await != "mock" {
        assert!(tokio::time::Instant::now() < deadline, "the first replica does not follow back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
