//! Brings the model of the mode `qwen` into memory: from the cache, else from the Hub.

use std::error::Error;

use llm_client::{LoadStage, LoadedModel, ModelIdentity, ModelLoader, ThinkingBudget};
use model_cache::{CacheConfig, FetchEvent, ModelCache, ModelFiles, ModelSpec, Network};
use qwen_runtime::{GenerationOptions, LoadProgress, Runtime, RuntimeConfig, SamplingOptions};
use secrecy::ExposeSecret;

use crate::cli::ModelArgs;
use crate::settings::Settings;

/// Loads what `MODEL` names.
#[derive(Debug)]
pub struct CachedModelLoader {
    spec: ModelSpec,
    cache: ModelCache,
    runtime: RuntimeConfig,
}

impl CachedModelLoader {
    /// A loader for the model that `settings` name; nothing is read yet.
    ///
    /// # Errors
    /// When `MODEL`, the token or the endpoint cannot be used.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let model = &settings.model;
        let token = model.huggingface_token.as_ref().or(model.hf_token.as_ref());
        let cache = ModelCache::new(CacheConfig {
            dir: model.model_cache_dir.clone(),
            endpoint: model.hf_endpoint.clone(),
            token: token.map(|token| token.expose_secret().parse()).transpose()?,
            network: if model.hf_hub_offline { Network::Offline } else { Network::Online },
        })?;
        let runtime = RuntimeConfig {
            device: model.device.0,
            max_context: usize::try_from(model.max_context)?,
            max_sequences: usize::try_from(model.max_sequences)?,
            max_waiting: settings.max_waiting,
            defaults: generation_options(model),
        };
        Ok(Self { spec: model.model.parse()?, cache, runtime })
    }

    fn files(&self, report: &dyn Fn(LoadStage)) -> Result<ModelFiles, String> {
        if let Ok(files) = self.cache.resolve(&self.spec) {
            return Ok(files);
        }
        if !matches!(self.spec, ModelSpec::Hub { .. }) {
            return self.cache.resolve(&self.spec).map_err(|error| chain(&error));
        }
        report(LoadStage { stage: format!("fetching {}", self.spec), percent: None });
        tracing::info!(model = %self.spec, "fetching the model");
        let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("starting the download: {error}"))?;
        let fetched = runtime.block_on(async {
            let on_event = move |event: FetchEvent| {
                // The receiver lives as long as this future.
                let _ = sender.send(event);
            };
            let mut fetch = std::pin::pin!(self.cache.fetch(&self.spec, &on_event));
            loop {
                tokio::select! {
                    files = &mut fetch => return files,
                    Some(event) = events.recv() => report(self.fetch_stage(&event)),
                }
            }
        });
        fetched.map_err(|error| chain(&error))
    }

    fn fetch_stage(&self, event: &FetchEvent) -> LoadStage {
        let percent = match event {
            FetchEvent::Progress { done_bytes, total_bytes, .. } if *total_bytes > 0 => {
                u8::try_from(done_bytes.saturating_mul(100) / total_bytes).ok()
            }
            _ => None,
        };
        LoadStage { stage: format!("fetching {}", self.spec), percent }
    }
}

impl ModelLoader for CachedModelLoader {
    fn identity(&self) -> ModelIdentity {
        ModelIdentity { name: self.spec.to_string(), revision: None }
    }

    fn load(&self, report: &dyn Fn(LoadStage)) -> Result<LoadedModel, String> {
        let files = self.files(report)?;
        tracing::info!(model = %files.name, "loading the model");
        let runtime = Runtime::load(&files.path, self.runtime.clone(), &|progress| {
            report(match progress {
                LoadProgress::Tokenizer => LoadStage { stage: "loading the tokenizer".to_owned(), percent: None },
                LoadProgress::Layers { done, total } => LoadStage {
                    stage: "loading the model".to_owned(),
                    percent: (done * 100).checked_div(total).and_then(|percent| u8::try_from(percent).ok()),
                },
            });
        })
        .map_err(|error| chain(&error))?;
        Ok(LoadedModel { runtime, identity: ModelIdentity { name: files.name, revision: files.revision } })
    }
}

/// An error with its causes, in one line for an operator.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries repeat their cause in their own words.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

pub(crate) fn generation_options(model: &ModelArgs) -> GenerationOptions {
    GenerationOptions {
        max_new_tokens: model.max_new_tokens.map(|tokens| tokens as usize),
        thinking_budget: model.thinking_budget.map(|budget| match budget.0 {
            ThinkingBudget::Tokens(tokens) => qwen_runtime::ThinkingBudget::Tokens(tokens as usize),
            ThinkingBudget::Off => qwen_runtime::ThinkingBudget::Off,
        }),
        sampling: SamplingOptions {
            temperature: model.temperature,
            top_k: model.top_k,
            top_p: model.top_p,
            min_p: model.min_p,
            repetition_penalty: model.repetition_penalty,
            presence_penalty: model.presence_penalty,
            frequency_penalty: model.frequency_penalty,
            logit_bias: None,
            seed: model.seed,
        },
        stop: Vec::new(),
    }
}
