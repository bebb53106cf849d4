//! Owns what the arguments mean: defaults filled in, empty values taken for unset, the token checked. Must not fetch.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, bail};
use model_cache::{ByteSize, CacheConfig, FetchLimits, ModelSpec, Network, Refresh, Selection};

use crate::cli::{CacheArguments, FetchArguments, LimitArguments};
use crate::lock_file::LockFile;
use crate::quantity;

/// What is fetched when nobody says.
const DEFAULT_MODEL: &str = "Qwen/Qwen3-4B-Thinking-2507";
/// Where models are kept when nobody says; the container image sets MODEL_CACHE_DIR to /app/models.
const DEFAULT_DIR: &str = "./models";
/// Where models are locked when nobody says.
const DEFAULT_LOCK: &str = "./models.lock";

/// What to fetch, into which cache, and where to note what it was.
#[derive(Debug)]
pub(crate) struct FetchSettings {
    pub(crate) model: ModelSpec,
    pub(crate) cache: CacheConfig,
    /// Where the model is to be locked afterwards.
    pub(crate) lock: Option<LockFile>,
}

impl FetchSettings {
    pub(crate) fn new(fetch: FetchArguments, cache: CacheArguments) -> anyhow::Result<Self> {
        let token = set(fetch.token).or_else(|| set(fetch.hf_token));
        let named_lock = fetch.lock_file.filter(|path| !path.is_empty());
        let is_locked = !fetch.lock && (fetch.locked || named_lock.is_some());
        let lock_file = LockFile::new(named_lock.map_or_else(|| PathBuf::from(DEFAULT_LOCK), PathBuf::from));
        let refresh = match set(fetch.ttl) {
            _ if fetch.refresh => Refresh::Always,
            Some(ttl) => Refresh::After(quantity::duration(&ttl)?),
            None => Refresh::Never,
        };
        let cache = CacheConfig {
            endpoint: set(fetch.endpoint),
            token: token.map(|token| token.parse()).transpose()?,
            network: if fetch.offline { Network::Offline } else { Network::Online },
            refresh,
            selection: Selection::new(&globs(fetch.include), &globs(fetch.exclude))?,
            limits: limits(fetch.limits)?,
            lock: is_locked.then(|| lock_file.read_existing()).transpose()?,
            ..cache_config(cache)?
        };
        let model = set(fetch.model).as_deref().unwrap_or(DEFAULT_MODEL).parse()?;
        Ok(Self { model, cache, lock: fetch.lock.then_some(lock_file) })
    }
}

/// The cache of the subcommands that need no network.
pub(crate) fn cache_config(arguments: CacheArguments) -> anyhow::Result<CacheConfig> {
    let dir = arguments.model_cache_dir.filter(|dir: &OsString| !dir.is_empty());
    Ok(CacheConfig {
        allowed: arguments.allow.unwrap_or_default().parse()?,
        ..CacheConfig::new(dir.map_or_else(|| PathBuf::from(DEFAULT_DIR), PathBuf::from))
    })
}

fn limits(arguments: LimitArguments) -> anyhow::Result<FetchLimits> {
    let mut limits = FetchLimits::default();
    if let Some(connections) = set(arguments.connections) {
        limits.connections = number(&connections)?;
        if !(1..=64).contains(&limits.connections) {
            bail!("connections must be 1 to 64, not {connections}");
        }
    }
    for (text, limit) in [
        (arguments.stall_timeout, &mut limits.stall),
        (arguments.file_timeout, &mut limits.file),
        (arguments.timeout, &mut limits.total),
    ] {
        if let Some(text) = set(text) {
            *limit = quantity::duration(&text)?;
        }
    }
    if let Some(retries) = set(arguments.retries) {
        limits.retries = number(&retries)?;
    }
    if let Some(keep_free) = set(arguments.keep_free) {
        limits.keep_free = keep_free.parse::<ByteSize>().map_err(anyhow::Error::msg)?.0;
    }
    Ok(limits)
}

fn number<T: std::str::FromStr>(text: &str) -> anyhow::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.trim().parse().with_context(|| format!("`{text}` is not a number that can be used here"))
}

fn globs(globs: Vec<String>) -> Vec<String> {
    globs.into_iter().filter_map(|glob| set(Some(glob))).collect()
}

/// A variable that is empty, as in `HF_TOKEN=` of a copied `.env.example`, is not set.
fn set(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.trim().is_empty())
}
