//! Computes what other software has computed, for comparison: logits, rendered chats, sampling
//! distributions and token ids.
//!
//! ```text
//! cargo run --release -p examples --example golden -- logits MODEL --prompts expected.json --out out.safetensors
//! cargo run --release -p examples --example golden -- chat --templates DIR --cases cases.json --out out.json
//! cargo run --release -p examples --example golden -- sampling --cases cases.json --out out.json
//! cargo run --release -p examples --example golden -- tokenizer --tokenizer tokenizer.json --cases cases.json --out out.json
//! ```

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use qwen_runtime::{
    Adapter, CandleConfig, CandleEngine, Chat, ChatTemplate, Checkpoint, CpuConfig, CpuEngine, Devices, Engine,
    GenerationPrompt, KernelSet, KnownTokens, KvType, LogitsAt, RuntimeError, Sampler, SamplingOptions, SequenceId,
    SequenceStep, TokenHistory, TokenId, Tokenizer, WeightForm,
};
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Parser)]
enum Command {
    /// Logits of prompts, and greedy continuations.
    Logits(LogitsArgs),
    /// Chats rendered by templates.
    Chat {
        /// Directory of NAME.jinja files.
        #[arg(long)]
        templates: PathBuf,
        #[command(flatten)]
        files: CaseFiles,
    },
    /// Distributions of the sampler.
    Sampling {
        #[command(flatten)]
        files: CaseFiles,
    },
    /// Token ids of texts.
    Tokenizer {
        /// A tokenizer.json.
        #[arg(long)]
        tokenizer: PathBuf,
        #[command(flatten)]
        files: CaseFiles,
    },
}

#[derive(clap::Args)]
struct CaseFiles {
    /// The cases; each gets an "actual".
    #[arg(long)]
    cases: PathBuf,
    /// Where the cases go with their results.
    #[arg(long)]
    out: PathBuf,
}

#[derive(clap::Args)]
struct LogitsArgs {
    /// A checkpoint directory or a .gguf file.
    model: PathBuf,
    /// The directory of an adapter for it.
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// A JSON file with "prompts": lists of token ids.
    #[arg(long)]
    prompts: PathBuf,
    /// Where the tensors go: logits.<i> float32 [T, V], greedy.<i> int64 [N].
    #[arg(long)]
    out: PathBuf,
    /// Which engine computes.
    #[arg(long, value_enum, default_value_t = EngineChoice::Candle)]
    engine: EngineChoice,
    /// Where the candle engine computes: `cpu`, `cuda[:N]` or `metal[:N]`, the last two in builds with that feature.
    #[arg(long, default_value = "cpu")]
    device: Devices,
    /// Greedy tokens after each prompt; ends of sequence are not obeyed.
    #[arg(long, default_value_t = 0)]
    greedy: usize,
    /// Feed prompts in pieces of this many tokens.
    #[arg(long)]
    chunk: Option<usize>,
    /// Run all prompts together, interleaved in mixed batches.
    #[arg(long)]
    batch: bool,
    /// Widen the stored weights to float32 at load.
    #[arg(long)]
    dequantize: bool,
    /// What the cpu engine quantizes plain weights to at load: q4_k_m, q5_k_m, q6_k, q8_0 or none.
    #[arg(long, value_name = "TYPE", conflicts_with = "dequantize")]
    quantize: Option<WeightForm>,
    /// Threads of the cpu engine; all cores by default.
    #[arg(long)]
    threads: Option<usize>,
    /// Keys and values of the cpu engine: f32, f16 or q8_0.
    #[arg(long, default_value_t = KvType::F32)]
    kv_type: KvType,
    /// Instructions of the cpu engine: scalar, avx2 or avx512; the best by default.
    #[arg(long)]
    kernels: Option<KernelSet>,
}

#[derive(Clone, Copy, ValueEnum)]
enum EngineChoice {
    /// The candle engine.
    Candle,
    /// The cpu engine.
    Cpu,
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Logits(args) => logits(&args),
        Command::Chat { templates, files } => files.run(chat_case(&templates)),
        Command::Sampling { files } => files.run(sampling_case),
        Command::Tokenizer { tokenizer, files } => {
            let tokenizer = Tokenizer::from_file(&tokenizer)?;
            files.run(|case| {
                let text = case.get("text").and_then(Value::as_str).context("a case has no text")?;
                Ok(serde_json::to_value(tokenizer.encode(text)?)?)
            })
        }
    }
}

impl CaseFiles {
    fn run(&self, mut actual: impl FnMut(&Map<String, Value>) -> Result<Value>) -> Result<()> {
        let mut document: Value = read_json(&self.cases)?;
        let list = if document.is_array() { Some(&mut document) } else { document.get_mut("cases") };
        for case in list.and_then(Value::as_array_mut).context("no list of cases")? {
            let case = case.as_object_mut().context("a case is no object")?;
            let result = actual(case)?;
            case.insert("actual".to_owned(), result);
        }
        std::fs::write(&self.out, serde_json::to_vec_pretty(&document)?).context("writing the results")
    }
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("parsing {}", path.display()))
}

fn chat_case(directory: &Path) -> impl FnMut(&Map<String, Value>) -> Result<Value> + '_ {
    let mut templates: HashMap<String, ChatTemplate> = HashMap::new();
    move |case| {
        let name = case.get("template").and_then(Value::as_str).context("a case names no template")?;
        if !templates.contains_key(name) {
            let path = directory.join(format!("{name}.jinja"));
            let source = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            templates.insert(name.to_owned(), ChatTemplate::new(source)?);
        }
        let list = |key: &str| case.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let mut variables = case.clone();
        for key in ["template", "messages", "tools", "add_generation_prompt", "expected", "actual"] {
            variables.shift_remove(key);
        }
        let chat = Chat {
            messages: list("messages"),
            tools: list("tools"),
            variables,
            generation_prompt: match case.get("add_generation_prompt").and_then(Value::as_bool) {
                Some(true) => GenerationPrompt::Add,
                _ => GenerationPrompt::Omit,
            },
        };
        Ok(templates[name].render(&chat).map_or(Value::Null, Value::String))
    }
}

#[derive(Deserialize)]
struct SamplingCase {
    logits: Vec<f32>,
    prompt: Vec<TokenId>,
    generated: Vec<TokenId>,
    params: SamplingValues,
}

#[derive(Deserialize)]
struct SamplingValues {
    temperature: Option<f32>,
    top_k: Option<u32>,
    top_p: Option<f32>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
}

fn sampling_case(case: &Map<String, Value>) -> Result<Value> {
    let case: SamplingCase = serde_json::from_value(Value::Object(case.clone()))?;
    let params = case.params;
    let options = SamplingOptions {
        temperature: params.temperature,
        top_k: params.top_k,
        top_p: params.top_p,
        min_p: params.min_p,
        repetition_penalty: params.repetition_penalty,
        presence_penalty: params.presence_penalty,
        frequency_penalty: params.frequency_penalty,
        ..SamplingOptions::default()
    };
    let mut history = TokenHistory::of_prompt(&case.prompt);
    case.generated.iter().for_each(|&token| history.push(token));
    let mut sampler = Sampler::new(options.validate()?, KnownTokens::all(case.logits.len()));
    let mut probabilities = vec![0.0_f32; case.logits.len()];
    for candidate in sampler.distribution(&case.logits, &history) {
        probabilities[candidate.token as usize] = candidate.value;
    }
    Ok(serde_json::to_value(probabilities)?)
}

#[derive(Deserialize)]
struct Prompts {
    prompts: Vec<Vec<TokenId>>,
}

/// One prompt on its way through the engine.
struct Progress<'a> {
    prompt: &'a [TokenId],
    sequence: SequenceId,
    /// Tokens of the prompt that the engine has.
    fed: usize,
    logits: Vec<f32>,
    greedy: Vec<TokenId>,
}

fn logits(args: &LogitsArgs) -> Result<()> {
    let Prompts { prompts } = read_json(&args.prompts)?;
    if args.chunk == Some(0) {
        bail!("--chunk must be at least 1");
    }
    let mut checkpoint = Checkpoint::open(&args.model)?;
    if let Some(adapter) = &args.adapter {
        checkpoint = checkpoint.with_adapter(Adapter::open(adapter)?)?;
    }
    let vocab_size = checkpoint.architecture().vocab_size;
    // A bare checkpoint without a tokenizer has no padded ids to keep out.
    let known = match Tokenizer::of_checkpoint(&checkpoint) {
        Ok(tokenizer) => tokenizer.known_tokens(),
        Err(RuntimeError::Io { .. }) => KnownTokens::all(vocab_size),
        Err(_) if args.greedy == 0 => KnownTokens::all(vocab_size),
        Err(error) => return Err(error.into()),
    };
    let longest = prompts.iter().map(|prompt| prompt.len() + args.greedy).sum::<usize>().max(1);
    let mut engine = load(args, &checkpoint, prompts.len().max(1), longest)?;
    let mut results = Vec::new();
    let together = if args.batch { prompts.len().max(1) } else { 1 };
    for group in prompts.chunks(together) {
        results.extend(run_group(engine.as_mut(), group, args, &known)?);
    }
    write_tensors(&results, vocab_size, args)
}

fn load(args: &LogitsArgs, checkpoint: &Checkpoint, sequences: usize, tokens: usize) -> Result<Box<dyn Engine>> {
    let weights = if args.dequantize { WeightForm::Dequantized } else { args.quantize.unwrap_or_default() };
    match args.engine {
        EngineChoice::Candle => {
            let config = CandleConfig { devices: args.device, weights, max_sequences: sequences, max_tokens: tokens };
            Ok(Box::new(CandleEngine::load(checkpoint, config, &|_, _| {})?))
        }
        EngineChoice::Cpu => {
            let defaults = CpuConfig::default();
            let config = CpuConfig {
                threads: args.threads.unwrap_or(defaults.threads),
                kv_type: args.kv_type,
                // A sequence's last block may be half full.
                kv_tokens: tokens + 16 * sequences,
                max_sequences: sequences,
                kernels: args.kernels,
                weights,
            };
            Ok(Box::new(CpuEngine::load(checkpoint, config, &|_, _| {})?))
        }
    }
}

fn run_group<'a>(
    engine: &mut dyn Engine,
    prompts: &'a [Vec<TokenId>],
    args: &LogitsArgs,
    known: &KnownTokens,
) -> Result<Vec<Progress<'a>>> {
    let mut group = Vec::new();
    for prompt in prompts {
        let sequence = engine.allocate()?;
        group.push(Progress { prompt, sequence, fed: 0, logits: Vec::new(), greedy: Vec::new() });
    }
    loop {
        let mut batch = Vec::new();
        let mut members = Vec::new();
        for (index, progress) in group.iter().enumerate() {
            let rest = &progress.prompt[progress.fed..];
            let (tokens, logits) = if !rest.is_empty() {
                (&rest[..rest.len().min(args.chunk.unwrap_or(rest.len()))], LogitsAt::All)
            } else if !progress.greedy.is_empty() && progress.greedy.len() < args.greedy {
                (&progress.greedy[progress.greedy.len() - 1..], LogitsAt::Last)
            } else {
                continue;
            };
            let position = engine.len(progress.sequence)?;
            batch.push(SequenceStep { sequence: progress.sequence, position, tokens, logits });
            members.push((index, tokens.len()));
        }
        if batch.is_empty() {
            break;
        }
        let outputs = engine.step(&batch)?;
        for ((index, fed), output) in members.into_iter().zip(outputs) {
            let progress = &mut group[index];
            if progress.fed < progress.prompt.len() {
                progress.fed += fed;
                progress.logits.extend_from_slice(output.values());
            }
            if progress.fed == progress.prompt.len() && progress.greedy.len() < args.greedy {
                let row = output.last().context("a step returned no logits")?;
                progress.greedy.push(known.argmax(row).context("no token can be chosen")?);
            }
        }
    }
    for progress in &group {
        engine.free(progress.sequence)?;
    }
    Ok(group)
}

fn write_tensors(results: &[Progress<'_>], vocab_size: usize, args: &LogitsArgs) -> Result<()> {
    let mut tensors = Vec::new();
    for (index, progress) in results.iter().enumerate() {
        let bytes: Vec<u8> = progress.logits.iter().flat_map(|value| value.to_le_bytes()).collect();
        tensors.push((format!("logits.{index}"), Dtype::F32, vec![progress.prompt.len(), vocab_size], bytes));
        if args.greedy > 0 {
            let bytes = progress.greedy.iter().flat_map(|&id| i64::from(id).to_le_bytes()).collect();
            tensors.push((format!("greedy.{index}"), Dtype::I64, vec![progress.greedy.len()], bytes));
        }
    }
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>>>()?;
    safetensors::serialize_to_file(views, None, &args.out).context("writing the tensors")
}
