//! Owns what the arguments mean: defaults filled in, empty values taken for unset, the token checked. Must not fetch.

use std::ffi::OsString;
use std::path::PathBuf;

use model_cache::{CacheConfig, CacheError, ModelSpec, Network};

use crate::cli::Arguments;

/// What is fetched when nobody says.
const DEFAULT_MODEL: &str = "Qwen/Qwen3-4B-Thinking-2507";
/// Where models are kept when nobody says; the container image sets MODEL_CACHE_DIR to /app/models.
const DEFAULT_DIR: &str = "./models";

/// What to fetch, and into which cache.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) model: ModelSpec,
    pub(crate) cache: CacheConfig,
}

impl TryFrom<Arguments> for Settings {
    type Error = CacheError;

    fn try_from(arguments: Arguments) -> Result<Self, CacheError> {
        let token = set(arguments.token).or_else(|| set(arguments.hf_token));
        let dir = arguments.model_cache_dir.filter(|dir: &OsString| !dir.is_empty());
        let cache = CacheConfig {
            dir: dir.map_or_else(|| PathBuf::from(DEFAULT_DIR), PathBuf::from),
            endpoint: set(arguments.endpoint),
            token: token.map(|token| token.parse()).transpose()?,
            network: if arguments.offline { Network::Offline } else { Network::Online },
        };
        Ok(Self { model: set(arguments.model).as_deref().unwrap_or(DEFAULT_MODEL).parse()?, cache })
    }
}

/// A variable that is empty, as in `HF_TOKEN=` of a copied `.env.example`, is not set.
fn set(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.trim().is_empty())
}
