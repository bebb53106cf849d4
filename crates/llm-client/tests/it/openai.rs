//! A remote server on loopback, good and bad.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures_util::StreamExt;
use llm_client::{
    Backend, ChatEvent, ChatOptions, ChatRequest, Entry, FinishReason, LlmClient, LlmError, OpenAiBackend,
    OpenAiConfig, Usage,
};

use crate::registry::request;

/// A server that reads one request and answers with `pieces`, pausing before each but the first.
struct Server {
    base_url: String,
    requests: mpsc::Receiver<String>,
    /// Hears when the client has gone away while the server still writes.
    closed: mpsc::Receiver<()>,
}

fn serve(pieces: Vec<String>, pause: Duration) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let (request_sender, requests) = mpsc::channel();
    let (closed_sender, closed) = mpsc::channel();
    thread::spawn(move || {
        let Ok((mut socket, _)) = listener.accept() else { return };
        let mut received = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let len = socket.read(&mut buffer).unwrap();
            received.extend_from_slice(&buffer[..len]);
            let text = String::from_utf8_lossy(&received).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_lowercase().strip_prefix("content-length: ").map(|n| n.parse::<usize>().unwrap())
                })
                .unwrap_or(0);
            if body.len() >= length {
                request_sender.send(text).unwrap();
                break;
            }
        }
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 {
                thread::sleep(pause);
            }
            if socket.write_all(piece.as_bytes()).and_then(|()| socket.flush()).is_err() {
                let _ = closed_sender.send(());
                return;
            }
        }
    });
    Server { base_url, requests, closed }
}

fn sse(lines: &[&str]) -> Vec<String> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n".to_owned();
    std::iter::once(head).chain(lines.iter().map(|line| format!("{line}\n\n"))).collect()
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<String> {
    vec![format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())]
}

fn client(base_url: &str) -> LlmClient {
    let config = OpenAiConfig {
        base_url: base_url.to_owned(),
        api_key: Some("secret-key".to_owned().into()),
        model: "qwen3".to_owned(),
        defaults: ChatOptions::default(),
        read_timeout: Duration::from_millis(500),
    };
    assert!(!format!("{config:?}").contains("secret-key"));
    LlmClient::new(vec![Entry::new("openai", Backend::OpenAi(OpenAiBackend::new(config).unwrap()))], "openai").unwrap()
}

async fn ask(server: &Server) -> Result<llm_client::ChatAnswer, LlmError> {
    let client = client(&server.base_url);
    client.generate(client.default_entry(), request("a secret question")).await
}

#[tokio::test]
async fn a_stream_is_read_and_the_request_is_what_servers_expect() {
    let server = serve(
        sse(&[
            ": comment",
            r#"data: {"choices":[{"delta":{"role":"assistant","content":""}}]}"#,
            r#"data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}"#,
            r#"data: {"choices":[{"delta":{"reasoning":"m"}}]}"#,
            r#"data: {"choices":[{"delta":{"content":"Yes, "}}]}"#,
            r#"data: {"choices":[{"delta":{"content":"é."},"finish_reason":"length"}]}"#,
            r#"data: {"choices":[],"usage":{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens":5,"completion_tokens_details":{"reasoning_tokens":2}}}"#,
            "data: [DONE]",
        ]),
        Duration::from_millis(5),
    );
    let client = client(&server.base_url);
    let mut asked = request("hello");
    asked.options.temperature = Some(0.5);
    asked.options.max_new_tokens = Some(77);
    let answer = client.generate(client.default_entry(), asked).await.unwrap();
    assert_eq!((answer.reasoning.as_str(), answer.answer.as_str()), ("hmm", "Yes, é."));
    assert_eq!(answer.reason, FinishReason::Length);
    assert_eq!(answer.usage, Usage { prompt_tokens: 9, cached_tokens: 4, completion_tokens: 5, reasoning_tokens: 2 });
    assert_eq!((answer.mode.as_str(), answer.model.name.as_str()), ("openai", "qwen3"));
    let sent = server.requests.recv().unwrap();
    assert!(sent.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains("authorization: Bearer secret-key"), "{sent}");
    let body: serde_json::Value = serde_json::from_str(sent.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(
        body,
        serde_json::json!({
            "model": "qwen3", "messages": [{"role": "user", "content": "hello"}], "stream": true,
            "stream_options": {"include_usage": true}, "max_tokens": 77, "temperature": 0.5,
        })
    );
}

#[tokio::test]
async fn think_tags_in_the_text_are_reasoning() {
    let server = serve(
        sse(&[
            r#"data: {"choices":[{"delta":{"content":"<thi"}}]}"#,
            r#"data: {"choices":[{"delta":{"content":"nk>hm</think>\n\nok"},"finish_reason":"stop"}]}"#,
        ]),
        Duration::ZERO,
    );
    let answer = ask(&server).await.unwrap();
    assert_eq!((answer.reasoning.as_str(), answer.answer.as_str()), ("hm", "ok"));
}

#[tokio::test]
async fn a_thinking_model_without_tags_starts_inside_its_reasoning() {
    let server = serve(
        sse(&[
            r#"data: {"choices":[{"delta":{"content":"hm"}}]}"#,
            r#"data: {"choices":[{"delta":{"content":"m</think>ok"},"finish_reason":"stop"}]}"#,
        ]),
        Duration::ZERO,
    );
    let config = OpenAiConfig {
        base_url: server.base_url.clone(),
        api_key: None,
        model: "Qwen3-4B-Thinking-2507".to_owned(),
        defaults: ChatOptions::default(),
        read_timeout: Duration::from_secs(5),
    };
    let entry = Entry::new("openai", Backend::OpenAi(OpenAiBackend::new(config).unwrap()));
    let client = LlmClient::new(vec![entry], "openai").unwrap();
    let answer = client.generate(client.default_entry(), request("hi")).await.unwrap();
    assert_eq!((answer.reasoning.as_str(), answer.answer.as_str()), ("hmm", "ok"));
}

#[tokio::test]
async fn an_answer_in_one_piece_is_read() {
    let body = r#"{"choices":[{"message":{"role":"assistant","content":"fine"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let server = serve(answer("200 OK", "content-type: application/json\r\n", body), Duration::ZERO);
    assert_eq!(ask(&server).await.unwrap().answer, "fine");
}

#[tokio::test]
async fn every_failure_has_a_name_and_no_words_of_the_patient() {
    let quoting = r#"{"error":{"type":"invalid_request_error","message":"a secret question is too long"}}"#;
    let cases = [
        (answer("500 Internal Server Error", "", quoting), "invalid_request_error", Some(500)),
        (answer("400 Bad Request", "", "not JSON"), "400", Some(400)),
        (answer("401 Unauthorized", "", ""), "API key", Some(401)),
        (answer("404 Not Found", "", ""), "no such model", Some(404)),
        (answer("200 OK", "content-type: application/json\r\n", "{\"choi"), "no JSON", None),
        (sse(&["data: {\"choi"]), "no JSON", None),
        (sse(&[r#"data: {"choices":[{"delta":{"content":"half"}}]}"#]), "cut off", None),
        (sse(&["data: [DONE]"]), "cut off", None),
        (sse(&[r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}]}"#]), "empty", None),
        (sse(&[r#"data: {"error":{"message":"a secret question"}}"#]), "in the middle", None),
        (vec!["HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{".to_owned()], "no JSON", None),
        (vec!["nonsense\r\n\r\n".to_owned()], "broke", None),
    ];
    for (pieces, expected, expected_status) in cases {
        let server = serve(pieces, Duration::ZERO);
        let error = ask(&server).await.unwrap_err();
        let LlmError::Unavailable { reason, status } = &error else { panic!("{expected}: {error:?}") };
        assert!(reason.contains(expected), "{reason}, expected {expected}");
        assert_eq!(*status, expected_status, "{reason}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("secret") && !shown.contains("127.0.0.1"), "{shown}");
    }
    let server = serve(answer("429 Too Many Requests", "retry-after: 17\r\n", ""), Duration::ZERO);
    let error = ask(&server).await.unwrap_err();
    assert!(matches!(error, LlmError::Overloaded { retry_after } if retry_after == Duration::from_secs(17)));
}

#[tokio::test]
async fn a_server_that_is_down_or_silent_is_named() {
    let down = client("http://127.0.0.1:9/v1");
    let error = down.generate(down.default_entry(), request("hi")).await.unwrap_err();
    assert!(error.to_string().contains("cannot be reached"), "{error}");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = client(&format!("http://{}/v1", silent.local_addr().unwrap()));
    let error = client.generate(client.default_entry(), request("hi")).await.unwrap_err();
    assert!(error.to_string().contains("in time"), "{error}");
    let error = OpenAiBackend::new(OpenAiConfig {
        base_url: "ftp://x".to_owned(),
        api_key: None,
        model: String::new(),
        defaults: ChatOptions::default(),
        read_timeout: Duration::from_secs(1),
    })
    .unwrap_err();
    assert!(matches!(error, LlmError::InvalidRequest(_)));
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    let lines = vec![r#"data: {"choices":[{"delta":{"content":"more "}}]}"#; 400];
    let server = serve(sse(&lines), Duration::from_millis(5));
    let client = client(&server.base_url);
    let asked: ChatRequest = request("hi");
    let mut stream = client.stream(client.default_entry(), asked).await.unwrap();
    assert!(matches!(stream.next().await, Some(Ok(ChatEvent::Answer(_)))));
    drop(stream);
    let closed = tokio::task::spawn_blocking(move || server.closed.recv_timeout(Duration::from_secs(5)));
    assert!(closed.await.unwrap().is_ok(), "the server wrote to the end");
}
