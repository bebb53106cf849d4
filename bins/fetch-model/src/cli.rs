//! Owns what can be typed: flags and the environment variables that stand in for them. Must not decide what they mean.

use std::ffi::OsString;

use clap::builder::FalseyValueParser;
use clap::{Parser, Subcommand};

use crate::quantize;

/// Downloads a model into the shared cache and prints its path.
///
/// A model that is there and whole is not downloaded again. Settings are also read from a file `.env`; a flag wins over
/// the environment, and the environment over the file.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Exit codes: 0 the model is there; 1 failed; 2 wrong usage."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// `owner/name[@revision][:file.gguf]`, a directory, or a `.gguf` file
    /// [default: Qwen/Qwen3-4B-Thinking-2507].
    #[arg(value_name = "MODEL", env = "MODEL")]
    pub(crate) model: Option<String>,

    /// The cache's directory [default: ./models].
    #[arg(long, value_name = "DIR", env = "MODEL_CACHE_DIR")]
    pub(crate) model_cache_dir: Option<OsString>,

    /// An access token of the Hub, for gated and private repositories; where it is not set, HF_TOKEN is used.
    #[arg(long, value_name = "TOKEN", env = "HUGGINGFACE_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,

    /// The name that Hugging Face's own tools use.
    #[arg(long, value_name = "TOKEN", env = "HF_TOKEN", hide = true, hide_env_values = true)]
    pub(crate) hf_token: Option<String>,

    /// A mirror of the Hub [default: the Hub itself].
    #[arg(long, value_name = "URL", env = "HF_ENDPOINT")]
    pub(crate) endpoint: Option<String>,

    /// Use what is in the cache, and no network. In the environment, 0, false, no, off and nothing mean no.
    #[arg(long, env = "HF_HUB_OFFLINE", value_parser = FalseyValueParser::new())]
    pub(crate) offline: bool,
}

/// What else the program does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Writes a model of safetensors as a GGUF file, smaller where wanted, and prints its path.
    Quantize(quantize::Arguments),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn is_consistent() {
        Arguments::command().debug_assert();
    }
}
