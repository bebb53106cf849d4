//! The modes of this service: which backend answers to which name.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use llm_client::{
    Backend, ChatOptions, Entry, FixedBackend, LlmClient, LoadPolicy, MemoryBudget, MockBackend, OpenAiBackend,
    OpenAiConfig, QwenBackend, Registry,
};

use crate::cli::ModelLoad;
use crate::model_file::{Load, ModelEntry};
use crate::model_loader::{CachedModelLoader, ModelSource};
use crate::settings::Settings;

/// CarePath's name of its default model, and the first name of the mode that answers with it.
const QWEN: &str = "qwen";
const QWEN_ALIASES: [&str; 2] = ["Qwen3-4B-Thinking-2507", "gguf"];
/// The mode of any OpenAI-compatible server.
pub(crate) const OPENAI: &str = "openai";
/// The end of a chain of fallbacks.
const DEGRADED: &str = "degraded";
const SAFE_ANSWER: &str = "I cannot answer your question right now. Please contact your care team or your clinician. \
    If this may be an emergency, call 911 now; if you think of harming yourself, call 988.";
/// CarePath's mode of a hosted model.
const HF_QWEN: &str = "hf-qwen2.5";
/// Where CarePath's `hf-qwen2.5` mode asks.
const HF_ROUTER: &str = "https://router.huggingface.co/v1";

/// A client with every mode that `settings` allow, whose default is `settings.mode`.
///
/// # Errors
/// When no mode has that name, two have the same, or a mode's settings cannot be used.
pub fn client(settings: &Settings) -> anyhow::Result<LlmClient> {
    let delay = Duration::from_millis(settings.model.mock_word_delay_ms);
    let mut entries = vec![Entry::new("mock", Backend::Mock(MockBackend::with_word_delay(delay)))];
    let turn = Arc::new(Mutex::new(()));
    let budget = settings.models.as_ref().and_then(|file| file.memory).map(|size| MemoryBudget::new(size.0));
    match &settings.models {
        Some(file) => {
            for (mode, model) in &file.models {
                let backend = described(settings, mode, model, &turn);
                let backend = backend.with_context(|| format!("MODELS_FILE: models.{mode}"))?;
                entries.push(named(
                    mode,
                    match (&budget, model.memory) {
                        (Some(budget), Some(memory)) => backend.with_room(budget.clone(), memory.0),
                        _ => backend,
                    },
                ));
            }
        }
        None => entries.push(qwen(settings, turn)?),
    }
    #[cfg(feature = "triage-mini")]
    entries.push(embedded(settings));
    entries.extend(remote(settings)?);
    let fallback = fallback(settings)?;
    if fallback.iter().any(|mode| mode == DEGRADED) {
        entries.push(Entry::new(DEGRADED, Backend::Fixed(FixedBackend::new("safe-answer", SAFE_ANSWER))));
    }
    let mut names: Vec<&str> = entries.iter().map(Entry::name).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!("two modes are called {}", twice[0]);
    }
    let registry = Registry::new(entries, &settings.mode)?.with_fallback(&fallback).context("FALLBACK")?;
    Ok(LlmClient::of(match budget {
        Some(budget) => registry.with_budget(budget),
        None => registry,
    }))
}

/// The model that is part of the program.
#[cfg(feature = "triage-mini")]
fn embedded(settings: &Settings) -> Entry {
    let loader = crate::embedded_model::EmbeddedModelLoader::new(settings.runtime.clone());
    let backend = QwenBackend::new(Arc::new(loader), policy_of_flags(settings, triage_mini::NAME));
    Entry::new(triage_mini::NAME, Backend::Qwen(backend)).with_notice(triage_mini::NOTICE)
}

/// Who answers when the default cannot: never what only demonstrates, or says nothing.
fn fallback(settings: &Settings) -> anyhow::Result<Vec<String>> {
    let modes: Vec<String> =
        settings.model.fallback.iter().map(|mode| mode.trim().to_owned()).filter(|mode| !mode.is_empty()).collect();
    if let Some(mode) = modes.iter().find(|mode| ["mock", "triage-mini"].contains(&mode.as_str())) {
        bail!("FALLBACK: {mode} is no help to a patient");
    }
    Ok(modes)
}

/// The modes of models elsewhere.
fn remote(settings: &Settings) -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
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
    Ok(entries)
}

/// The one model that the flags name.
fn qwen(settings: &Settings, turn: Arc<Mutex<()>>) -> anyhow::Result<Entry> {
    let source = source_of_flags(settings)?;
    let loader = CachedModelLoader::new(&settings.cache, source, turn)?;
    Ok(named(QWEN, QwenBackend::new(Arc::new(loader), policy_of_flags(settings, QWEN))))
}

/// When a model that no file describes is loaded: what answers only when it is asked for by name is not loaded before
/// that.
fn policy_of_flags(settings: &Settings, mode: &str) -> LoadPolicy {
    match settings.model.model_load {
        ModelLoad::Eager if is_default(settings, mode) => LoadPolicy::Eager,
        ModelLoad::Eager | ModelLoad::Lazy => LoadPolicy::Lazy,
    }
}

/// A model that the file describes.
fn described(
    settings: &Settings,
    mode: &str,
    model: &ModelEntry,
    turn: &Arc<Mutex<()>>,
) -> anyhow::Result<QwenBackend> {
    let policy = match model.load {
        Load::Eager => LoadPolicy::Eager,
        Load::Lazy => LoadPolicy::Lazy,
        Load::Manual if is_default(settings, mode) => LoadPolicy::Eager,
        Load::Manual => LoadPolicy::Manual,
    };
    let source = source_of_file(settings, model)?;
    Ok(QwenBackend::new(Arc::new(CachedModelLoader::new(&settings.cache, source, Arc::clone(turn))?), policy))
}

fn source_of_flags(settings: &Settings) -> anyhow::Result<ModelSource> {
    ModelSource::new(&settings.model.model, settings.model.adapter.clone(), settings.runtime.clone())
}

fn source_of_file(settings: &Settings, model: &ModelEntry) -> anyhow::Result<ModelSource> {
    ModelSource::new(&model.model, model.adapter.clone(), model.runtime(&settings.runtime)?)
}

/// The models of this process by their modes.
///
/// # Errors
/// When one's settings cannot be used.
pub(crate) fn local_models(settings: &Settings) -> anyhow::Result<Vec<(String, ModelSource)>> {
    match &settings.models {
        Some(file) => {
            file.models.iter().map(|(mode, model)| Ok((mode.clone(), source_of_file(settings, model)?))).collect()
        }
        // By the name that was asked for, where that is one of its.
        None => {
            let mode = if is_default(settings, QWEN) { settings.mode.as_str() } else { QWEN };
            Ok(vec![(mode.to_owned(), source_of_flags(settings)?)])
        }
    }
}

/// Whether the mode, or an alias of it, is the default.
fn is_default(settings: &Settings, mode: &str) -> bool {
    settings.mode == mode || (mode == QWEN && QWEN_ALIASES.contains(&settings.mode.as_str()))
}

/// The mode, with CarePath's names for its own.
fn named(mode: &str, backend: QwenBackend) -> Entry {
    let entry = Entry::new(mode, Backend::Qwen(backend));
    if mode == QWEN { QWEN_ALIASES.into_iter().fold(entry, Entry::with_alias) } else { entry }
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
