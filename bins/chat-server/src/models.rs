//! The modes of this service: which backend answers to which name.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use llm_client::{
    Backend, ChatOptions, Entry, LlmClient, LoadPolicy, MockBackend, OpenAiBackend, OpenAiConfig, QwenBackend,
};

use crate::cli::ModelLoad;
use crate::model_loader::CachedModelLoader;
use crate::settings::Settings;

/// CarePath's name of its default model, and the first name of the mode that answers with it.
const QWEN: &str = "qwen";
const QWEN_ALIASES: [&str; 2] = ["Qwen3-4B-Thinking-2507", "gguf"];
/// The mode of any OpenAI-compatible server.
const OPENAI: &str = "openai";
/// CarePath's mode of a hosted model.
const HF_QWEN: &str = "hf-qwen2.5";
/// Where CarePath's `hf-qwen2.5` mode asks.
const HF_ROUTER: &str = "https://router.huggingface.co/v1";

/// A client with every mode that `settings` allow, whose default is `settings.mode`.
///
/// # Errors
/// When no mode has that name, or a mode's settings cannot be used.
pub fn client(settings: &Settings) -> anyhow::Result<LlmClient> {
    let delay = Duration::from_millis(settings.model.mock_word_delay_ms);
    let mut entries = vec![Entry::new("mock", Backend::Mock(MockBackend::with_word_delay(delay)))];
    entries.push(qwen(settings)?);
    let remote = &settings.remote;
    match (&remote.openai_base_url, &remote.openai_model) {
        (Some(base_url), Some(model)) => {
            let backend = remote_backend(settings, base_url, model, remote.openai_api_key.clone())?;
            entries.push(Entry::new(OPENAI, backend));
        }
        (None, None) if settings.mode != OPENAI => {}
        _ => bail!("the mode openai needs both OPENAI_BASE_URL and OPENAI_MODEL"),
    }
    if settings.mode == HF_QWEN && remote.hf_api_token.is_none() {
        bail!("the mode {HF_QWEN} needs HF_API_TOKEN");
    }
    if let Some(token) = &remote.hf_api_token {
        let backend = remote_backend(settings, HF_ROUTER, &remote.hf_qwen_model_id, Some(token.clone()))?;
        entries.push(Entry::new(HF_QWEN, backend));
    }
    Ok(LlmClient::new(entries, &settings.mode)?)
}

fn qwen(settings: &Settings) -> anyhow::Result<Entry> {
    // A mode that answers only when it is asked for by name is not loaded before that.
    let is_default = settings.mode == QWEN || QWEN_ALIASES.contains(&settings.mode.as_str());
    let policy = match settings.model.model_load {
        ModelLoad::Eager if is_default => LoadPolicy::Eager,
        ModelLoad::Eager | ModelLoad::Lazy => LoadPolicy::Lazy,
    };
    let backend = QwenBackend::new(Arc::new(CachedModelLoader::new(settings)?), policy);
    let entry = Entry::new(QWEN, Backend::Qwen(backend));
    Ok(QWEN_ALIASES.into_iter().fold(entry, Entry::with_alias))
}

fn remote_backend(
    settings: &Settings,
    base_url: &str,
    model: &str,
    api_key: Option<secrecy::SecretString>,
) -> anyhow::Result<Backend> {
    let config = OpenAiConfig {
        base_url: base_url.to_owned(),
        api_key,
        model: model.to_owned(),
        defaults: ChatOptions {
            max_new_tokens: settings.model.max_new_tokens,
            temperature: settings.model.temperature,
            top_p: settings.model.top_p,
            top_k: settings.model.top_k,
            seed: settings.model.seed,
            // Each server names it differently, so it is not passed on.
            thinking_budget: None,
        },
        read_timeout: settings.limits.answer_timeout,
    };
    Ok(Backend::OpenAi(OpenAiBackend::new(config)?))
}
