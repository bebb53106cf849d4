//! Where models are kept, and how they are downloaded.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use secrecy::SecretString;

use super::secret;

/// Where models are kept, and how they are downloaded. fetch-model reads the same variables.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model cache")]
pub struct CacheArgs {
    /// Folder of downloaded checkpoints
    #[arg(long, env = "MODEL_CACHE_DIR", default_value = "./models", value_name = "DIR")]
    pub model_cache_dir: PathBuf,
    /// Token for private or gated checkpoints
    #[arg(long, env = "HUGGINGFACE_TOKEN", hide_env_values = true, value_parser = secret, value_name = "TOKEN")]
    pub huggingface_token: Option<SecretString>,
    /// huggingface_hub's name for the same; --huggingface-token wins over it
    #[arg(long, env = "HF_TOKEN", hide_env_values = true, value_parser = secret, value_name = "TOKEN")]
    pub hf_token: Option<SecretString>,
    /// Mirror to download checkpoints from
    #[arg(long, env = "HF_ENDPOINT", value_name = "URL")]
    pub hf_endpoint: Option<String>,
    /// Never download: 0 and false are off, anything else is on
    #[arg(long, env = "HF_HUB_OFFLINE", default_value = "0", action = ArgAction::Set, value_parser = switch)]
    pub hf_hub_offline: bool,
    /// After how long a cached branch is compared with the Hub's at a start, for example 12h; 0s is always
    /// [default: never]
    #[arg(long, env = "MODEL_TTL", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub model_ttl: Option<Duration>,
    /// Repositories that may be used, separated by commas: owner/name or owner/* [default: all]
    #[arg(long, env = "MODEL_ALLOW", value_name = "LIST")]
    pub model_allow: Option<String>,
    /// Lock file, as fetch-model --lock writes it, that says which commit and which bytes a model must have
    #[arg(long, env = "MODELS_LOCK", value_name = "FILE")]
    pub models_lock: Option<PathBuf>,
    /// Ranges of a file that are downloaded at once
    #[arg(long, env = "FETCH_CONNECTIONS", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64), value_name = "NUMBER")]
    pub fetch_connections: u16,
    /// Tries in a row that may bring nothing before a download is given up
    #[arg(long, env = "FETCH_RETRIES", default_value_t = 8, value_name = "NUMBER")]
    pub fetch_retries: u32,
    /// After how long without bytes a connection is made anew
    #[arg(long, env = "FETCH_STALL_TIMEOUT", default_value = "30s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub fetch_stall_timeout: Duration,
    /// Longest time for one file
    #[arg(long, env = "FETCH_FILE_TIMEOUT", default_value = "12h", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub fetch_file_timeout: Duration,
    /// Longest time for a whole download
    #[arg(long, env = "FETCH_TIMEOUT", default_value = "24h", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub fetch_timeout: Duration,
}

impl CacheArgs {
    /// The token, by either of its names.
    pub(crate) fn token(&self) -> Option<&SecretString> {
        self.huggingface_token.as_ref().or(self.hf_token.as_ref())
    }
}

/// As huggingface_hub reads its switches.
#[expect(clippy::unnecessary_wraps, reason = "the form of a clap value parser")]
fn switch(text: &str) -> Result<bool, std::convert::Infallible> {
    Ok(!matches!(text.to_ascii_lowercase().as_str(), "" | "0" | "false" | "no" | "off"))
}
