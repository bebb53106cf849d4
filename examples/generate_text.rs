//! Generates text with a Qwen3 checkpoint in this process, and shows it as it comes.
//!
//! ```text
//! cargo run --release -p examples --example generate_text -- MODEL "Why do I take metformin?" "Be brief."
//! ```
//!
//! MODEL is a directory with `config.json` and safetensors, or a `.gguf` file; the last argument is what the model is
//! told first.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use qwen_runtime::{
    Chat, GenerationEvent, GenerationOptions, GenerationRequest, LoadProgress, Prompt, Runtime, RuntimeConfig,
};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let model: PathBuf = arguments.next().context("usage: generate_text MODEL [QUESTION [SYSTEM]]")?.into();
    let question = arguments.next().unwrap_or_else(|| "Why do I take metformin?".to_owned());

    let system = arguments.next().unwrap_or_else(|| "You are a helpful assistant.".to_owned());

    // Shown on a terminal only.
    let bar = ProgressBar::no_length().with_style(ProgressStyle::with_template("{msg} {bar:40} {percent:>3}% {eta}")?);
    let runtime = Runtime::load(&model, RuntimeConfig::on_cpu(), &|progress| match progress {
        LoadProgress::Tokenizer => bar.set_message("tokenizer"),
        LoadProgress::Weights { done, total } => {
            bar.set_message("weights");
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        }
    })?;
    bar.finish_and_clear();
    eprintln!("{} with {}", model.display(), runtime.engine());

    let chat = Chat::new().with_message("system", system).with_message("user", question);
    let options = GenerationOptions { max_new_tokens: Some(512), ..GenerationOptions::default() };
    let mut stream = runtime.generate(GenerationRequest { prompt: Prompt::Chat(chat), options })?;
    let mut out = std::io::stdout();
    while let Some(event) = stream.blocking_next() {
        match event? {
            GenerationEvent::Reasoning(text) | GenerationEvent::Answer(text) => {
                write!(out, "{text}")?;
                out.flush()?;
            }
            GenerationEvent::Finished { reason, usage } => writeln!(out, "\n[{reason:?}, {usage:?}]")?,
            GenerationEvent::Accepted { prompt_tokens } => eprintln!("{prompt_tokens} tokens of prompt"),
        }
    }
    Ok(())
}
