//! candle-transformers' own quantized Qwen3 on a GGUF file: one test, as a JSON line with llama-bench's `avg_ts`.
//!
//! The number of threads is `RAYON_NUM_THREADS`.

use std::fs::File;
use std::path::PathBuf;
use std::time::Instant;

use candle_core::quantized::gguf_file;
use candle_core::{Device, Result, Tensor};
use candle_transformers::models::quantized_qwen3::ModelWeights;
use clap::Parser;

/// Tokens of a prompt in a step.
const BATCH: usize = 512;

#[derive(Parser)]
#[command(about = "Measures candle-transformers' quantized Qwen3.")]
struct Arguments {
    /// A GGUF file.
    model: PathBuf,
    /// Tokens of a prompt.
    #[arg(long, default_value_t = 0)]
    prompt: usize,
    /// Tokens that are generated one after another.
    #[arg(long, default_value_t = 0)]
    generate: usize,
    /// Tokens before the clock starts.
    #[arg(long, default_value_t = 0)]
    depth: usize,
}

/// Tokens `start..end`, at most `at_once` in a step; what they are does not matter.
fn run(model: &mut ModelWeights, (start, end): (usize, usize), at_once: usize) -> Result<()> {
    for first in (start..end).step_by(at_once) {
        let tokens = (first as u32..end.min(first + at_once) as u32).collect::<Vec<_>>();
        let input = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
        model.forward(&input, first)?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let Arguments { model, prompt, generate, depth } = Arguments::parse();
    let mut file = File::open(model)?;
    let content = gguf_file::Content::read(&mut file)?;
    let mut model = ModelWeights::from_gguf(content, &mut file, &Device::Cpu)?;
    // The first run of anything pays for pages and buffers.
    run(&mut model, (0, if prompt > 0 { BATCH } else { 16 }), BATCH)?;
    model.clear_kv_cache();
    run(&mut model, (0, depth), BATCH)?;
    let start = Instant::now();
    run(&mut model, (depth, depth + prompt), BATCH)?;
    run(&mut model, (depth + prompt, depth + prompt + generate), 1)?;
    println!("{{\"avg_ts\": {}}}", (prompt + generate) as f64 / start.elapsed().as_secs_f64());
    Ok(())
}
