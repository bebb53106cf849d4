//! Brings the model of the mode `qwen` into memory: from the cache, else from the Hub.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use llm_client::{LoadStage, LoadedModel, ModelIdentity, ModelLoader};
use model_cache::{
    CacheConfig, FetchEvent, FetchLimits, ModelCache, ModelFiles, ModelInUse, ModelSpec, ModelsLock, Network, Refresh,
};
use qwen_runtime::{Adapter, Checkpoint, LoadProgress, Runtime, RuntimeConfig, RuntimeError};
use secrecy::ExposeSecret;

use crate::cli::CacheArgs;
use crate::settings::Settings;

/// Loads what `MODEL` names.
#[derive(Debug)]
pub struct CachedModelLoader {
    spec: ModelSpec,
    cache: ModelCache,
    adapter: Option<PathBuf>,
    runtime: RuntimeConfig,
    /// Keeps `fetch-model prune` from the model that was loaded last.
    in_use: Mutex<Option<ModelInUse>>,
}

impl CachedModelLoader {
    /// A loader for the model that `settings` name; nothing is read yet.
    ///
    /// # Errors
    /// When `MODEL`, the token or the endpoint cannot be used.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let cache = ModelCache::new(cache_config(&settings.cache)?)?;
        let runtime = settings.runtime.clone();
        let (spec, adapter) = (settings.model.model.parse()?, settings.model.adapter.clone());
        Ok(Self { spec, cache, adapter, runtime, in_use: Mutex::default() })
    }

    fn files(&self, report: &dyn Fn(LoadStage)) -> Result<ModelFiles, String> {
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
            let mut percent = None;
            loop {
                tokio::select! {
                    files = &mut fetch => {
                        while let Ok(event) = events.try_recv() {
                            report(self.stage(&event, &mut percent));
                        }
                        return files;
                    }
                    Some(event) = events.recv() => report(self.stage(&event, &mut percent)),
                }
            }
        });
        fetched.map_err(|error| error.with_causes())
    }

    fn runtime(&self, path: &Path, progress: &dyn Fn(LoadProgress)) -> Result<Runtime, RuntimeError> {
        let mut checkpoint = Checkpoint::open(path)?;
        if let Some(adapter) = &self.adapter {
            checkpoint = checkpoint.with_adapter(Adapter::open(adapter)?)?;
            tracing::info!(adapter = %adapter.display(), "the adapter is merged into the model");
        }
        Runtime::of_checkpoint(&checkpoint, self.runtime.clone(), progress)
    }

    /// What is going on, for those who ask; the log gets it where it begins and where something is not as it should be.
    fn stage(&self, event: &FetchEvent, percent: &mut Option<u8>) -> LoadStage {
        let mut stage = format!("fetching {}", self.spec);
        match event {
            FetchEvent::Started { total_bytes, resumed_bytes, .. } => {
                tracing::info!(model = %self.spec, total_bytes, resumed_bytes, "fetching the model");
            }
            FetchEvent::Progress { done_bytes, total_bytes, .. } => {
                *percent =
                    done_bytes.saturating_mul(100).checked_div(*total_bytes).and_then(|part| part.try_into().ok());
            }
            FetchEvent::Waiting { reason, delay } => {
                let seconds = delay.as_secs_f32();
                tracing::warn!(model = %self.spec, seconds, "the download waits: {reason}");
                stage = format!("{stage}; waiting: {reason}");
            }
            FetchEvent::Warning { message } => tracing::warn!(model = %self.spec, "{message}"),
            FetchEvent::Finished { .. } => tracing::info!(model = %self.spec, "the model is in the cache"),
            _ => {}
        }
        LoadStage { stage, percent: *percent }
    }
}

fn cache_config(cache: &CacheArgs) -> anyhow::Result<CacheConfig> {
    let token = cache.huggingface_token.as_ref().or(cache.hf_token.as_ref());
    let lock = cache.models_lock.as_ref().map(|path| {
        let text = fs::read_to_string(path).with_context(|| format!("MODELS_LOCK: cannot read {}", path.display()))?;
        anyhow::Ok(ModelsLock::parse(&text)?)
    });
    Ok(CacheConfig {
        endpoint: cache.hf_endpoint.clone(),
        token: token.map(|token| token.expose_secret().parse()).transpose()?,
        network: if cache.hf_hub_offline { Network::Offline } else { Network::Online },
        refresh: cache.model_ttl.map_or(Refresh::Never, Refresh::After),
        allowed: cache.model_allow.as_deref().unwrap_or_default().parse()?,
        limits: FetchLimits {
            connections: cache.fetch_connections.into(),
            retries: cache.fetch_retries,
            stall: cache.fetch_stall_timeout,
            file: cache.fetch_file_timeout,
            total: cache.fetch_timeout,
            ..FetchLimits::default()
        },
        lock: lock.transpose()?,
        ..CacheConfig::new(&cache.model_cache_dir)
    })
}

impl ModelLoader for CachedModelLoader {
    fn identity(&self) -> ModelIdentity {
        ModelIdentity { name: self.spec.to_string(), revision: None }
    }

    fn load(&self, report: &dyn Fn(LoadStage)) -> Result<LoadedModel, String> {
        let files = self.files(report)?;
        // A volume without locks only has no protection.
        match files.hold() {
            Ok(held) => *self.in_use.lock().unwrap_or_else(PoisonError::into_inner) = Some(held),
            Err(error) => tracing::warn!("{}; the model is not marked as in use", error.with_causes()),
        }
        tracing::info!(model = %files.name, "loading the model");
        let runtime = self
            .runtime(&files.path, &|progress| {
                report(match progress {
                    LoadProgress::Tokenizer => LoadStage { stage: "loading the tokenizer".to_owned(), percent: None },
                    LoadProgress::Weights { done, total } => LoadStage {
                        stage: "loading the model".to_owned(),
                        percent: (done * 100).checked_div(total).and_then(|percent| u8::try_from(percent).ok()),
                    },
                });
            })
            // With its causes, in one line for an operator.
            .map_err(|error| format!("{:#}", anyhow::Error::new(error)))?;
        Ok(LoadedModel { runtime, identity: ModelIdentity { name: files.name, revision: files.revision } })
    }
}
