//! Asks an OpenAI-compatible server, and shows the answer as it comes.
//!
//! ```text
//! cargo run --release -p examples --example call_remote -- http://localhost:8000/v1 qwen3 "What is an A1c?"
//! ```

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use llm_client::{
    Backend, ChatEvent, ChatOptions, ChatRequest, Entry, LlmClient, Message, OpenAiBackend, OpenAiConfig, Role,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let base_url = arguments.next().context("usage: call_remote BASE_URL MODEL [QUESTION]")?;
    let model = arguments.next().context("usage: call_remote BASE_URL MODEL [QUESTION]")?;
    let question = arguments.next().unwrap_or_else(|| "What is an A1c?".to_owned());

    let backend = OpenAiBackend::new(OpenAiConfig {
        base_url,
        api_key: None,
        model,
        defaults: ChatOptions::default(),
        read_timeout: Duration::from_secs(120),
    })?;
    let client = LlmClient::new(vec![Entry::new("openai", Backend::OpenAi(backend))], "openai")?;
    let request = ChatRequest {
        messages: vec![Message::new(Role::User, question)],
        options: ChatOptions::default(),
        timeout: Some(Duration::from_secs(300)),
    };
    let mut answer = client.stream(client.default_entry(), request).await?;
    let mut out = std::io::stdout();
    while let Some(event) = answer.next().await {
        match event? {
            ChatEvent::Reasoning(text) | ChatEvent::Answer(text) => {
                write!(out, "{text}")?;
                out.flush()?;
            }
            ChatEvent::Finished { reason, usage } => writeln!(out, "\n[{}, {usage:?}]", reason.as_str())?,
        }
    }
    Ok(())
}
