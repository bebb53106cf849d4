//! Owns what can be typed: subcommands, flags and the environment variables that stand in for them. Must not decide what
//! they mean.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Downloads a model into the shared cache and prints its path.
///
/// A model that is there and whole is not downloaded again. Settings are also read from a file `.env`; a flag wins over
/// the environment, and the environment over the file. A variable that is empty is not set.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
#[command(after_help = "Exit codes: 0 done; 1 failed, or something is broken; 2 wrong usage.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) fetch: FetchArguments,

    #[command(flatten)]
    pub(crate) cache: CacheArguments,
}

/// What to do, where it is not fetching.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists what the cache holds: versions, sizes, last use, and downloads that did not end.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Reads every byte and compares it with the digests; exits with 1 when something is broken.
    Verify {
        /// One model; without it, everything in the cache.
        #[arg(value_name = "MODEL")]
        model: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Remove broken files, so that the next fetch brings them again.
        #[arg(long)]
        discard: bool,
    },
    /// Makes room: removes old versions and what interrupted processes left, but nothing that is pinned or in use.
    Prune {
        /// Also remove versions that a branch or tag is at, when they were not used for this long: 30d, 12h.
        #[arg(long, value_name = "DURATION")]
        older_than: Option<String>,
        /// Also keep the versions that this lock file names.
        #[arg(long, value_name = "FILE", env = "MODELS_LOCK")]
        lock_file: Option<OsString>,
        /// Remove nothing; say what would be removed.
        #[arg(long)]
        dry_run: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Keeps a version that is in the cache, whatever prune removes.
    Pin {
        /// `owner/name[@revision][:file.gguf]`
        #[arg(value_name = "MODEL")]
        model: String,
    },
    /// Lets a pinned version go.
    Unpin {
        /// `owner/name[@revision]`
        #[arg(value_name = "MODEL")]
        model: String,
    },
    /// Copies a model from a directory or a `.gguf` file into the cache, without a network.
    Import {
        /// A directory that `export` made, any whole checkpoint, or a `.gguf` file.
        #[arg(value_name = "PATH")]
        path: PathBuf,
        /// The repository that it is to be.
        #[arg(long = "as", value_name = "OWNER/NAME")]
        repo: String,
    },
    /// Writes a model of safetensors as a GGUF file, smaller where wanted, and prints its path.
    Quantize(QuantizeArguments),
    /// Copies a model out of the cache into a new plain directory, for a machine without a network.
    Export {
        /// `owner/name[@revision][:file.gguf]`
        #[arg(value_name = "MODEL")]
        model: String,
        /// The directory; it must not exist.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

/// What quantizing needs.
#[derive(Debug, Args)]
pub(crate) struct QuantizeArguments {
    /// A directory with safetensors, or `owner/name[@revision]` of a model that is in the cache.
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,

    /// What the file is made of: about 4.9, 5.7, 6.6, 8.5 or 16 bits for each weight.
    #[arg(long = "type", value_name = "TYPE", value_enum)]
    pub(crate) file_type: TypeName,

    /// The GGUF file to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,

    /// How much each column of the matrices counts: a file of llama.cpp's `llama-imatrix`.
    #[arg(long, value_name = "FILE")]
    pub(crate) imatrix: Option<PathBuf>,

    /// Replace the file if it is there.
    #[arg(long)]
    pub(crate) overwrite: bool,

    /// Threads that compute [default: one for each processor].
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
}

/// The names of file types.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum TypeName {
    #[value(name = "q4_k_m")]
    Q4KM,
    #[value(name = "q5_k_m")]
    Q5KM,
    #[value(name = "q6_k")]
    Q6K,
    #[value(name = "q8_0")]
    Q8_0,
    #[value(name = "f16")]
    F16,
}

/// What every subcommand needs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cache")]
pub(crate) struct CacheArguments {
    /// The cache's directory [default: ./models].
    #[arg(long, global = true, value_name = "DIR", env = "MODEL_CACHE_DIR")]
    pub(crate) model_cache_dir: Option<OsString>,

    /// Repositories that may be used: owner/name or owner/*, separated by commas [default: all].
    #[arg(long, global = true, value_name = "LIST", env = "MODEL_ALLOW")]
    pub(crate) allow: Option<String>,

    /// How progress is shown on standard error: auto is bar on a terminal and lines elsewhere.
    #[arg(long, global = true, value_enum, ignore_case = true, value_name = "HOW", default_value = "auto")]
    pub(crate) progress: Progress,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    Auto,
    Bar,
    Lines,
    Json,
    None,
}

/// What fetching needs.
#[derive(Debug, Args)]
pub(crate) struct FetchArguments {
    /// `owner/name[@revision][:file.gguf]`, a directory, or a `.gguf` file
    /// [default: Qwen/Qwen3-4B-Thinking-2507].
    #[arg(value_name = "MODEL", env = "MODEL")]
    pub(crate) model: Option<String>,

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

    /// Fetch these files instead of those that a runtime needs; several times, or separated by spaces.
    #[arg(long, value_name = "GLOB", env = "FETCH_INCLUDE", value_delimiter = ' ')]
    pub(crate) include: Vec<String>,

    /// Leave these files out; several times, or separated by spaces.
    #[arg(long, value_name = "GLOB", env = "FETCH_EXCLUDE", value_delimiter = ' ')]
    pub(crate) exclude: Vec<String>,

    /// Compare a cached branch with the Hub's.
    #[arg(long, env = "FETCH_REFRESH", value_parser = FalseyValueParser::new())]
    pub(crate) refresh: bool,

    /// Compare a cached branch with the Hub's when the last comparison is longer ago: 12h, 7d [default: never].
    #[arg(long, value_name = "DURATION", env = "MODEL_TTL")]
    pub(crate) ttl: Option<String>,

    /// Write into the lock file what the model is.
    #[arg(long, conflicts_with = "locked")]
    pub(crate) lock: bool,

    /// Fetch only what the lock file says; a model that is not in it is refused.
    #[arg(long)]
    pub(crate) locked: bool,

    /// The lock file [default: ./models.lock]. Where it is named, --locked is meant unless there is --lock.
    #[arg(long, value_name = "FILE", env = "MODELS_LOCK")]
    pub(crate) lock_file: Option<OsString>,

    #[command(flatten)]
    pub(crate) limits: LimitArguments,
}

/// How long a download may take, and how often it is tried.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArguments {
    /// Ranges of a file that are transferred at once, 1 to 64 [default: 4].
    #[arg(long, value_name = "NUMBER", env = "FETCH_CONNECTIONS")]
    pub(crate) connections: Option<String>,

    /// After how long without bytes a connection is made anew [default: 30s].
    #[arg(long, value_name = "DURATION", env = "FETCH_STALL_TIMEOUT")]
    pub(crate) stall_timeout: Option<String>,

    /// How long one file may take [default: 12h].
    #[arg(long, value_name = "DURATION", env = "FETCH_FILE_TIMEOUT")]
    pub(crate) file_timeout: Option<String>,

    /// How long everything may take [default: 24h].
    #[arg(long, value_name = "DURATION", env = "FETCH_TIMEOUT")]
    pub(crate) timeout: Option<String>,

    /// Tries in a row that may bring nothing [default: 8].
    #[arg(long, value_name = "NUMBER", env = "FETCH_RETRIES")]
    pub(crate) retries: Option<String>,

    /// Bytes that must stay free on the volume: 500M, 2G [default: 64M].
    #[arg(long, value_name = "BYTES", env = "FETCH_KEEP_FREE")]
    pub(crate) keep_free: Option<String>,
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
