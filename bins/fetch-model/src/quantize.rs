//! Owns the `quantize` command: what can be typed, and how its progress looks. Must not know formats.

use std::io::{IsTerminal, stderr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, ValueEnum};
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use model_cache::{CacheConfig, ModelCache, ModelSpec, Network};
use qwen_runtime::{ExistingFile, FileType, QuantizeOptions, QuantizeProgress, QuantizeReport};

/// The least time between two lines in a log.
const PAUSE: Duration = Duration::from_secs(5);

const TEMPLATE: &str = "{bar:30} {percent:>3}% {eta} left  {msg}";

/// The command line after `quantize`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A directory with safetensors, or `owner/name[@revision]` of a model that is in the cache.
    #[arg(value_name = "MODEL")]
    model: String,

    /// What the file is made of: about 4.9, 5.7, 6.6, 8.5 or 16 bits for each weight.
    #[arg(long = "type", value_name = "TYPE", value_enum)]
    file_type: TypeName,

    /// The GGUF file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// How much each column of the matrices counts: a file of llama.cpp's `llama-imatrix`.
    #[arg(long, value_name = "FILE")]
    imatrix: Option<PathBuf>,

    /// Replace the file if it is there.
    #[arg(long)]
    overwrite: bool,

    /// Threads that compute [default: one for each processor].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,

    /// The cache's directory.
    #[arg(long, value_name = "DIR", env = "MODEL_CACHE_DIR", default_value = "./models")]
    model_cache_dir: PathBuf,
}

/// The names of file types on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum TypeName {
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

impl From<TypeName> for FileType {
    fn from(name: TypeName) -> Self {
        match name {
            TypeName::Q4KM => Self::Q4KM,
            TypeName::Q5KM => Self::Q5KM,
            TypeName::Q6K => Self::Q6K,
            TypeName::Q8_0 => Self::Q8_0,
            TypeName::F16 => Self::F16,
        }
    }
}

/// Quantizes and returns the path of the file.
pub(crate) fn run(arguments: Arguments, display: &Display) -> anyhow::Result<PathBuf> {
    let spec: ModelSpec = arguments.model.parse()?;
    // Only what is there already: downloading is the other command's business.
    let config = CacheConfig { dir: arguments.model_cache_dir, endpoint: None, token: None, network: Network::Offline };
    let model = ModelCache::new(config)?.resolve(&spec)?;
    let name = model.name.rsplit('/').next().unwrap_or(&model.name).to_owned();
    let options = QuantizeOptions {
        importance: arguments.imatrix,
        existing: if arguments.overwrite { ExistingFile::Replace } else { ExistingFile::Keep },
        name: Some(name),
        threads: arguments.threads,
        ..QuantizeOptions::new(arguments.file_type.into())
    };
    let start = Instant::now();
    let done = qwen_runtime::quantize(&model.path, &arguments.out, &options, &|progress| display.show(progress));
    display.close();
    let report = done.with_context(|| format!("cannot quantize {}", model.path.display()))?;
    eprintln!("{}", summary(&report, start.elapsed()));
    Ok(arguments.out)
}

fn summary(report: &QuantizeReport, time: Duration) -> String {
    let bits = report.bytes as f64 * 8.0 / report.weights.max(1) as f64;
    let types: Vec<_> = report.types.iter().map(|count| format!("{} {:?}", count.tensors, count.dtype)).collect();
    let mut text = format!("{}, {bits:.2} bits for each weight, {:.0?}", HumanBytes(report.bytes), time);
    text.push_str(&format!("; tensors: {}", types.join(", ")));
    if report.weighted_tensors > 0 {
        text.push_str(&format!("; {} weighted by importance", report.weighted_tensors));
    }
    text
}

/// What the person who waits sees: a bar on a terminal, now and then a line elsewhere.
#[derive(Debug)]
pub(crate) enum Display {
    /// For a terminal.
    Bar(ProgressBar),
    /// For a file or a pipe: the moment of the last line.
    Lines(Mutex<Instant>),
}

impl Display {
    /// Chooses by what standard error is.
    pub(crate) fn for_stderr() -> Self {
        if stderr().is_terminal() {
            let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
            // Hidden until there is something to show.
            Self::Bar(ProgressBar::hidden().with_style(style))
        } else {
            Self::Lines(Mutex::new(Instant::now()))
        }
    }

    fn show(&self, progress: QuantizeProgress<'_>) {
        match self {
            Self::Bar(bar) => {
                if bar.is_hidden() {
                    bar.set_draw_target(ProgressDrawTarget::stderr());
                }
                bar.set_length(progress.total);
                bar.set_position(progress.done);
                bar.set_message(progress.tensor.to_owned());
            }
            Self::Lines(last) => {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                if last.elapsed() >= PAUSE {
                    *last = Instant::now();
                    let percent = progress.done.saturating_mul(100) / progress.total.max(1);
                    eprintln!("{percent}%: {}", progress.tensor);
                }
            }
        }
    }

    fn close(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
