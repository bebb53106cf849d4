//! Brings a model into memory: from the cache, else from the Hub.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use llm_client::{LoadStage, LoadedModel, ModelIdentity, ModelLoader};
use model_cache::{
    CacheConfig, FetchEvent, FetchLimits, ModelCache, ModelFiles, ModelInUse, ModelSpec, ModelsLock, Network, Refresh,
};
use qwen_runtime::{
    Adapter, Checkpoint, ComputeDevice, EngineConfig, LoadProgress, Runtime, RuntimeConfig, RuntimeError,
};
use secrecy::ExposeSecret;

use crate::cli::CacheArgs;
use crate::system_memory::SystemMemory;

/// How long memory is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// Which model, and what it runs on.
#[derive(Debug)]
pub struct ModelSource {
    spec: ModelSpec,
    adapter: Option<PathBuf>,
    runtime: RuntimeConfig,
}

impl ModelSource {
    /// The model that `spec` names, with an adapter.
    ///
    /// # Errors
    /// When `spec` cannot be read.
    pub fn new(spec: &str, adapter: Option<PathBuf>, runtime: RuntimeConfig) -> anyhow::Result<Self> {
        Ok(Self { spec: spec.parse()?, adapter, runtime })
    }

    /// Where it comes from.
    pub(crate) fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// The checkpoint at `path`, with the adapter.
    pub(crate) fn checkpoint(&self, path: &Path) -> Result<Checkpoint, RuntimeError> {
        let checkpoint = Checkpoint::open(path)?;
        match &self.adapter {
            Some(adapter) => checkpoint.with_adapter(Adapter::open(adapter)?),
            None => Ok(checkpoint),
        }
    }

    /// Memory of the machine that it takes, in bytes; `None` on a GPU, which has its own.
    pub(crate) fn memory(&self, checkpoint: &Checkpoint) -> Result<Option<u64>, RuntimeError> {
        match self.runtime.engine {
            EngineConfig::Candle(devices) if devices.first() != ComputeDevice::Cpu => Ok(None),
            EngineConfig::Candle(_) | EngineConfig::Cpu(_) => Runtime::memory(checkpoint, &self.runtime).map(Some),
        }
    }
}

/// Loads a model that the cache has, or fetches it first.
#[derive(Debug)]
pub struct CachedModelLoader {
    source: ModelSource,
    cache: ModelCache,
    /// One model at a time is loaded, so that none counts on memory that another is about to take.
    turn: Arc<Mutex<()>>,
    /// Keeps `fetch-model prune` from the model that was loaded last.
    in_use: Mutex<Option<ModelInUse>>,
}

impl CachedModelLoader {
    /// A loader for a model; nothing is read yet.
    ///
    /// # Errors
    /// When the cache's settings cannot be used.
    pub fn new(cache: &CacheArgs, source: ModelSource, turn: Arc<Mutex<()>>) -> anyhow::Result<Self> {
        Ok(Self { source, cache: ModelCache::new(cache_config(cache)?)?, turn, in_use: Mutex::default() })
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
            let mut fetch = std::pin::pin!(self.cache.fetch(&self.source.spec, &on_event));
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

    /// The model in memory; refused before anything is loaded where it does not fit.
    fn runtime(&self, path: &Path, progress: &dyn Fn(LoadProgress)) -> Result<Runtime, String> {
        let checkpoint = self.source.checkpoint(path).map_err(in_one_line)?;
        if let Some(adapter) = &self.source.adapter {
            tracing::info!(adapter = %adapter.display(), "the adapter is merged into the model");
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(needed) = self.source.memory(&checkpoint).map_err(in_one_line)? {
            self.require(needed)?;
        }
        Runtime::of_checkpoint(&checkpoint, self.source.runtime.clone(), progress).map_err(in_one_line)
    }

    /// Waits a moment for memory that a model which was just unloaded gives back.
    fn require(&self, needed: u64) -> Result<(), String> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let Some(memory) = SystemMemory::now() else { return Ok(()) };
            match memory.require(needed) {
                Err(refusal) if Instant::now() >= give_up => return Err(refusal),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// What is going on, for those who ask; the log gets it where it begins and where something is not as it should be.
    fn stage(&self, event: &FetchEvent, percent: &mut Option<u8>) -> LoadStage {
        let mut stage = format!("fetching {}", self.source.spec);
        match event {
            FetchEvent::Started { total_bytes, resumed_bytes, .. } => {
                tracing::info!(model = %self.source.spec, total_bytes, resumed_bytes, "fetching the model");
            }
            FetchEvent::Progress { done_bytes, total_bytes, .. } => {
                *percent =
                    done_bytes.saturating_mul(100).checked_div(*total_bytes).and_then(|part| part.try_into().ok());
            }
            FetchEvent::Waiting { reason, delay } => {
                let seconds = delay.as_secs_f32();
                tracing::warn!(model = %self.source.spec, seconds, "the download waits: {reason}");
                stage = format!("{stage}; waiting: {reason}");
            }
            FetchEvent::Warning { message } => tracing::warn!(model = %self.source.spec, "{message}"),
            FetchEvent::Finished { .. } => tracing::info!(model = %self.source.spec, "the model is in the cache"),
            _ => {}
        }
        LoadStage { stage, percent: *percent }
    }
}

/// What a runtime is doing, for those who ask.
pub(crate) fn stage_of(progress: LoadProgress) -> LoadStage {
    match progress {
        LoadProgress::Tokenizer => LoadStage { stage: "loading the tokenizer".to_owned(), percent: None },
        LoadProgress::Weights { done, total } => LoadStage {
            stage: "loading the model".to_owned(),
            percent: (done * 100).checked_div(total).and_then(|percent| u8::try_from(percent).ok()),
        },
    }
}

/// With its causes, for an operator.
pub(crate) fn in_one_line(error: RuntimeError) -> String {
    format!("{:#}", anyhow::Error::new(error))
}

pub(crate) fn cache_config(cache: &CacheArgs) -> anyhow::Result<CacheConfig> {
    let lock = cache.models_lock.as_ref().map(|path| {
        let text = fs::read_to_string(path).with_context(|| format!("MODELS_LOCK: cannot read {}", path.display()))?;
        anyhow::Ok(ModelsLock::parse(&text)?)
    });
    Ok(CacheConfig {
        endpoint: cache.hf_endpoint.clone(),
        token: cache.token().map(|token| token.expose_secret().parse()).transpose()?,
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
        ModelIdentity { name: self.source.spec.to_string(), revision: None }
    }

    fn load(&self, report: &dyn Fn(LoadStage)) -> Result<LoadedModel, String> {
        let files = self.files(report)?;
        // A volume without locks only has no protection.
        match files.hold() {
            Ok(held) => *self.in_use.lock().unwrap_or_else(PoisonError::into_inner) = Some(held),
            Err(error) => tracing::warn!("{}; the model is not marked as in use", error.with_causes()),
        }
        tracing::info!(model = %files.name, "loading the model");
        let runtime = self.runtime(&files.path, &|progress| report(stage_of(progress)))?;
        Ok(LoadedModel { runtime, identity: ModelIdentity { name: files.name, revision: files.revision } })
    }
}
