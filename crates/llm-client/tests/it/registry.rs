//! Modes, aliases and deadlines.

use std::time::Duration;

use llm_client::{
    Backend, ChatOptions, ChatRequest, Entry, FinishReason, LlmClient, LlmError, Message, MockBackend, Role,
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
    let answer = client.generate(client.entry(Some("test")).unwrap(), request("one two")).await.unwrap();
    assert_eq!((answer.mode.as_str(), answer.model.to_string().as_str()), ("mock", "mock"));
    assert_eq!((answer.reason, answer.usage.prompt_tokens), (FinishReason::Stop, 2));
    assert!(answer.answer.ends_with("real LLM response."));
}

#[test]
fn an_unknown_mode_is_told_the_modes() {
    let (_, client) = mock(Duration::ZERO);
    let error = client.entry(Some("gpt")).unwrap_err();
    assert!(matches!(&error, LlmError::UnknownMode { known, .. } if known == &["mock", "test"]));
    assert_eq!(error.to_string(), "unknown LLM mode \"gpt\"; expected one of: mock, test");
    assert!(LlmClient::new(Vec::new(), "mock").is_err());
}

#[tokio::test]
async fn time_that_is_over_ends_the_answer_and_its_work() {
    let (backend, client) = mock(Duration::from_millis(20));
    let timeout = Some(Duration::from_millis(70));
    let error =
        client.generate(client.entry(None).unwrap(), ChatRequest { timeout, ..request("hi") }).await.unwrap_err();
    assert!(matches!(error, LlmError::Timeout(allowed) if Some(allowed) == timeout));
    assert_eq!(backend.running(), 0);
}

#[test]
fn what_is_said_is_not_shown() {
    let shown = format!("{:?}", request("my chest hurts"));
    assert!(!shown.contains("chest"), "{shown}");
}
