//! Modes, aliases and deadlines.

use std::time::Duration;

use llm_client::{
    Backend, Candidates, ChatOptions, ChatRequest, Entry, FinishReason, FixedBackend, LlmClient, LlmError, Message,
    MockBackend, OpenAiBackend, OpenAiConfig, Registry, Role, RouteKey,
};

pub(crate) fn request(text: &str) -> ChatRequest {
    ChatRequest { messages: vec![Message::new(Role::User, text)], options: ChatOptions::default(), timeout: None }
}

fn mock(delay: Duration) -> (MockBackend, LlmClient) {
    let backend = MockBackend::with_word_delay(delay);
    let entry = Entry::new("mock", Backend::Mock(backend.clone())).with_alias("test");
    (backend, LlmClient::new(vec![entry], "test").unwrap())
}

#[tokio::test]
async fn an_answer_names_its_mode_and_model() {
    let (_, client) = mock(Duration::ZERO);
    let answer = client.generate(client.registry().entry("test").unwrap(), request("one two")).await.unwrap();
    assert_eq!((answer.mode.as_str(), answer.model.to_string().as_str()), ("mock", "mock"));
    assert_eq!((answer.reason, answer.usage.prompt_tokens), (FinishReason::Stop, 2));
    assert!(answer.answer.ends_with("real LLM response."));
}

#[tokio::test]
async fn a_notice_stands_under_the_answer() {
    let entry = Entry::new("mock", Backend::Mock(MockBackend::new())).with_notice("Not a doctor.");
    let client = LlmClient::new(vec![entry], "mock").unwrap();
    let answer = client.generate(client.default_entry(), request("one two")).await.unwrap();
    assert!(answer.answer.ends_with("real LLM response.\n\nNot a doctor."), "{}", answer.answer);
}

#[test]
fn an_unknown_mode_is_told_the_modes() {
    let (_, client) = mock(Duration::ZERO);
    let error = client.registry().entry("gpt").unwrap_err();
    assert!(matches!(&error, LlmError::UnknownMode { known, .. } if known == &["mock", "test"]));
    assert_eq!(error.to_string(), "unknown LLM mode \"gpt\"; expected one of: mock, test");
    assert!(LlmClient::new(Vec::new(), "mock").is_err());
}

#[tokio::test]
async fn time_that_is_over_ends_the_answer_and_its_work() {
    let (backend, client) = mock(Duration::from_millis(20));
    let timeout = Some(Duration::from_millis(70));
    let error = client.generate(client.default_entry(), ChatRequest { timeout, ..request("hi") }).await.unwrap_err();
    assert!(matches!(error, LlmError::Timeout(allowed) if Some(allowed) == timeout));
    assert_eq!(backend.running(), 0);
}

#[test]
fn what_is_said_is_not_shown() {
    let shown = format!("{:?}", request("my chest hurts"));
    assert!(!shown.contains("chest"), "{shown}");
}

fn registry(names: &[&str], default: &str) -> Registry {
    let entry = |name: &&str| Entry::new(*name, Backend::Mock(MockBackend::new()));
    Registry::new(names.iter().map(entry).collect(), default).unwrap()
}

fn weights(weights: &[(&str, u32)]) -> Vec<(String, u32)> {
    weights.iter().map(|&(name, weight)| (name.to_owned(), weight)).collect()
}

#[test]
fn defaults_change_and_change_back() {
    let registry = registry(&["mock", "a", "b"], "a");
    assert_eq!(registry.set_default("b").unwrap().previous, ["a"]);
    registry.set_weights(&weights(&[("a", 1), ("b", 1)])).unwrap();
    let back = registry.roll_back().unwrap();
    assert_eq!((back.default.as_str(), back.weights.len(), back.previous.len()), ("a", 0, 0));
    assert_eq!(registry.roll_back().unwrap().default, "mock");
    assert!(matches!(registry.set_default("c"), Err(LlmError::UnknownMode { .. })));
    assert_eq!(registry.default_entry().name(), "mock");
}

#[test]
fn people_keep_their_model_while_it_answers() {
    let registry = registry(&["mock", "a", "b"], "mock");
    registry.set_weights(&weights(&[("a", 1), ("b", 1), ("mock", 0)])).unwrap();
    let people: Vec<String> = (0..200).map(|number| format!("P{number}")).collect();
    let of = |person: &str, last_model| registry.route(RouteKey { person, last_model }).name().to_owned();
    let to_a = people.iter().filter(|person| of(person, None) == "a").count();
    assert!((60..140).contains(&to_a), "{to_a}");
    assert!(people.iter().all(|person| of(person, None) == of(person, None) && of(person, None) != "mock"));
    // Both have the model `mock`: who began with it stays with the mode that is the person's own.
    assert!(people.iter().all(|person| of(person, Some("mock")) == of(person, None)));
    assert!(matches!(registry.set_weights(&weights(&[("c", 1)])), Err(LlmError::UnknownMode { .. })));
    registry.set_weights(&[]).unwrap();
    assert!(people.iter().all(|person| of(person, Some("gone")) == "mock"));
}

/// Fails as long as nobody listens.
fn broken() -> Entry {
    let config = OpenAiConfig {
        base_url: "http://127.0.0.1:1/v1".to_owned(),
        api_key: None,
        model: "nobody".to_owned(),
        defaults: ChatOptions::default(),
        read_timeout: Duration::from_secs(1),
    };
    Entry::new("broken", Backend::OpenAi(OpenAiBackend::new(config).unwrap()))
}

#[tokio::test]
async fn a_mode_that_fails_again_and_again_is_passed_over() {
    let safe = Entry::new("degraded", Backend::Fixed(FixedBackend::new("safe-answer", "Ask your clinician.")));
    let registry = Registry::new(vec![broken(), safe], "broken").unwrap();
    let client = LlmClient::of(registry.with_fallback(&["degraded".to_owned()]).unwrap());
    let names = || -> Vec<String> {
        client.registry().candidates(RouteKey::default()).map(|entry| entry.name().to_owned()).collect()
    };
    for _ in 0..3 {
        assert_eq!(names(), ["broken", "degraded"]);
        let error = client.generate(client.default_entry(), request("hi")).await.unwrap_err();
        assert!(error.may_be_answered_elsewhere(), "{error}");
    }
    assert_eq!(names(), ["degraded"]);
    assert!(client.default_entry().is_passed_over());
    // Whoever asks for it by name gets it.
    assert_eq!(Candidates::only(client.default_entry()).count(), 1);
    let answer = client.generate(client.registry().entry("degraded").unwrap(), request("hi")).await.unwrap();
    assert_eq!((answer.answer.as_str(), answer.model.to_string().as_str()), ("Ask your clinician.", "safe-answer"));
    assert!(Registry::new(vec![broken()], "broken").unwrap().with_fallback(&["nobody".to_owned()]).is_err());
}

#[test]
fn a_shadow_stays_until_it_answers_itself() {
    let registry = registry(&["mock", "a", "b"], "a");
    assert_eq!(registry.set_shadow(Some("b")).unwrap().shadow.as_deref(), Some("b"));
    assert!(matches!(registry.unload("b"), Err(LlmError::Conflict(_))));
    assert_eq!(registry.set_default("mock").unwrap().shadow.as_deref(), Some("b"));
    assert_eq!(registry.set_default("b").unwrap().shadow, None);
    registry.set_shadow(Some("a")).unwrap();
    assert_eq!(registry.set_shadow(None).unwrap().shadow, None);
    assert!(matches!(registry.set_shadow(Some("c")), Err(LlmError::UnknownMode { .. })));
}
