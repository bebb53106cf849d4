//! Modes, aliases and deadlines.

use std::time::Duration;

use llm_client::{
    Backend, ChatOptions, ChatRequest, Entry, FinishReason, LlmClient, LlmError, Message, MockBackend, Registry, Role,
    RouteKey,
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
