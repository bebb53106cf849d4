//! Who answers: the mode, the model of this process and its defaults for sampling.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use llm_client::ThinkingBudget;

/// Who answers: the mode, the model of this process and its defaults for sampling.
///
/// A sampling value that is not set comes from the checkpoint's generation_config.json, else from
/// CarePath's defaults.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// Mode that answers when a request names none; `triage-mini` when neither this nor
    /// --default-llm-mode is set (`mock` in builds without that model)
    #[arg(long, env = "LLM_MODE", value_name = "MODE")]
    pub llm_mode: Option<String>,
    /// CarePath's name for the same; --llm-mode wins over it
    #[arg(long, env = "DEFAULT_LLM_MODE", value_name = "MODE")]
    pub default_llm_mode: Option<String>,
    /// Modes that answer in its place, in this order, when it cannot, separated by commas; `degraded` is a
    /// fixed answer that says to contact a clinician [default: none]
    #[arg(long, env = "FALLBACK", value_delimiter = ',', value_name = "MODES")]
    pub fallback: Vec<String>,
    /// Checkpoint of the mode `qwen`: `owner/name[@revision][:file.gguf]`, a directory, or a .gguf
    #[arg(long, env = "MODEL", default_value = "Qwen/Qwen3-4B-Thinking-2507")]
    pub model: String,
    /// Directory of a LoRA adapter, in PEFT's layout, that is merged into the model of the mode `qwen` while it is
    /// loaded
    #[arg(long, env = "ADAPTER", value_name = "DIR")]
    pub adapter: Option<PathBuf>,
    /// File that names several models of this process instead of --model, with their memory and defaults; it can
    /// change who answers without a restart (docs/operations.md)
    #[arg(long, env = "MODELS_FILE", value_name = "FILE")]
    pub models_file: Option<PathBuf>,
    /// When the model is loaded
    #[arg(long, env = "MODEL_LOAD", default_value = "eager")]
    pub model_load: ModelLoad,
    /// Most tokens of an answer, reasoning included [default: 512]
    #[arg(long, env = "MAX_NEW_TOKENS", value_parser = clap::value_parser!(u32).range(1..), value_name = "TOKENS")]
    pub max_new_tokens: Option<u32>,
    /// Softmax temperature; 0 always takes the likeliest token [default: the checkpoint's, else 0.7]
    #[arg(long, env = "TEMPERATURE", value_parser = not_negative)]
    pub temperature: Option<f32>,
    /// Nucleus mass, above 0 and at most 1 [default: the checkpoint's, else 0.9]
    #[arg(long, env = "TOP_P", value_parser = not_negative)]
    pub top_p: Option<f32>,
    /// Candidates kept; 0 is off [default: the checkpoint's, else off]
    #[arg(long, env = "TOP_K")]
    pub top_k: Option<u32>,
    /// Least probability relative to the likeliest token; 0 is off [default: the checkpoint's, else off]
    #[arg(long, env = "MIN_P", value_parser = not_negative)]
    pub min_p: Option<f32>,
    /// Factor against tokens that are there already; 1 is off [default: the checkpoint's, else off]
    #[arg(long, env = "REPETITION_PENALTY", value_parser = not_negative, value_name = "FACTOR")]
    pub repetition_penalty: Option<f32>,
    /// Taken from the score of generated tokens once; 0 is off
    #[arg(long, env = "PRESENCE_PENALTY", allow_negative_numbers = true, value_name = "PENALTY")]
    pub presence_penalty: Option<f32>,
    /// Taken from the score of generated tokens each time; 0 is off
    #[arg(long, env = "FREQUENCY_PENALTY", allow_negative_numbers = true, value_name = "PENALTY")]
    pub frequency_penalty: Option<f32>,
    /// Seed of the random draws [default: another one for each request]
    #[arg(long, env = "SEED")]
    pub seed: Option<u64>,
    /// Most tokens of reasoning, or off [default: half of the most tokens]
    #[arg(long, env = "THINKING_BUDGET", value_name = "TOKENS")]
    pub thinking_budget: Option<ThinkingBudgetArg>,
    /// Pause of the mode `mock` before each word, to try out streams
    #[arg(long, env = "MOCK_WORD_DELAY_MS", default_value_t = 0, value_name = "MILLISECONDS")]
    pub mock_word_delay_ms: u64,
}

/// When the model of this process is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModelLoad {
    /// At the start.
    Eager,
    /// On the first request.
    Lazy,
}

/// A number of tokens, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThinkingBudgetArg(pub ThinkingBudget);

impl FromStr for ThinkingBudgetArg {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self(ThinkingBudget::Off));
        }
        text.parse()
            .map(|tokens| Self(ThinkingBudget::Tokens(tokens)))
            .map_err(|_| "expected a number of tokens or off")
    }
}

impl fmt::Display for ThinkingBudgetArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ThinkingBudget::Tokens(tokens) => write!(f, "{tokens}"),
            ThinkingBudget::Off => f.write_str("off"),
        }
    }
}

fn not_negative(text: &str) -> Result<f32, &'static str> {
    let number: f32 = text.parse().map_err(|_| "expected a number")?;
    if number.is_finite() && number >= 0.0 { Ok(number) } else { Err("expected a number of 0 or more") }
}
