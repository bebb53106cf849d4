//! Owns `tune-model train`.

use std::io::Write;
use std::thread::available_parallelism;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use qwen_runtime::{ChatTemplate, Tokenizer};
use qwen_tune::{
    Conversation, DType, Example, ExampleEncoder, ExportType, PackedRow, Parameters, RunDirectory, StepReport, Trainer,
    TrainerOptions, export, open_device, pack,
};
use sha2::{Digest, Sha256};

use crate::cli::TrainArguments;
use crate::config::Config;
use crate::{environment, plot};

/// Files of a tokenizer's directory that the model's directory gets.
const TOKENIZER_FILES: [&str; 3] = ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"];

pub(crate) fn run(arguments: &TrainArguments) -> Result<()> {
    environment::ensure()?;
    let config = Config::read(&arguments.config)?;
    let folder = &config.data.tokenizer;
    let tokenizer = Tokenizer::from_file(&folder.join("tokenizer.json"))?;
    let rows = rows(&config, &tokenizer)?;
    // As many rows as a multiple of 64: matrices of whole groups.
    let architecture = config.architecture(tokenizer.id_count().next_multiple_of(64));
    let threads = arguments.threads.or_else(|| available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let training = &config.training;
    let options = TrainerOptions {
        rows_per_step: training.rows_per_step,
        threads,
        seed: training.seed,
        schedule: training.schedule()?,
        adamw: training.adamw(),
    };
    let device = open_device(arguments.device)?;
    let parameters = Parameters::random(&architecture, training.seed, DType::F32, &device)?;
    let files = RunDirectory::open(&config.data.out.join("run"), identity(&config, &rows, threads)?)?;
    let mut trainer = Trainer::new(&parameters, &rows, options)?;
    let mut done = 0;
    if let Some(saved) = files.load(&parameters)? {
        done = saved.steps;
        trainer = trainer.resume(saved.steps, &saved.optimizer);
        eprintln!("going on behind step {done}");
    }
    files.rewind(done)?;
    let steps = options.schedule.steps();
    let bar = Progress::new(steps, done)?;
    while let Some(report) = trainer.step()? {
        files.note(&report)?;
        bar.show(&report);
        let done = report.step + 1;
        if done.is_multiple_of(training.save_every) || done == steps {
            files.save(&parameters, trainer.state())?;
        }
    }
    export(&parameters, ExportType::F16, &config.data.out)?;
    let write = |name: &str, bytes: &[u8]| {
        let path = config.data.out.join(name);
        std::fs::write(&path, bytes).with_context(|| path.display().to_string())
    };
    for name in TOKENIZER_FILES {
        let path = folder.join(name);
        write(name, &std::fs::read(&path).with_context(|| path.display().to_string())?)?;
    }
    write("generation_config.json", generation_config(&tokenizer).as_bytes())?;
    write("loss.svg", plot::loss_curve(&files.curve()?).as_bytes())?;
    Ok(writeln!(std::io::stdout(), "{}", config.data.out.display())?)
}

/// The data as rows; what does not fit into one is refused with its place.
fn rows(config: &Config, tokenizer: &Tokenizer) -> Result<Vec<PackedRow>> {
    let path = config.data.tokenizer.join("chat_template.jinja");
    let template = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let template = ChatTemplate::new(template)?;
    let encoder = ExampleEncoder::new(&template, tokenizer)?;
    let data = &config.data.conversations;
    let mut examples: Vec<Example> = Vec::new();
    for (row, conversation) in Conversation::read_all(data)? {
        for example in encoder.examples(&conversation)? {
            let len = example.prompt.len() + example.answer.len();
            if len > config.data.row_length {
                bail!("{}, row {row}: {len} tokens; row_length is {}", data.display(), config.data.row_length);
            }
            examples.push(example);
        }
    }
    let rows = pack(&examples, config.data.row_length)?;
    let (tokens, alone): (usize, usize) = (
        rows.iter().map(|row| row.tokens.len()).sum(),
        examples.iter().map(|example| example.prompt.len() + example.answer.len()).sum(),
    );
    eprintln!("{} examples of {alone} tokens are {} rows of {tokens}", examples.len(), rows.len());
    Ok(rows)
}

/// Everything that decides the course of a run.
fn identity(config: &Config, rows: &[PackedRow], threads: usize) -> Result<String> {
    let mut data = Sha256::new();
    for row in rows {
        for token in &row.tokens {
            data.update(token.to_le_bytes());
        }
        for target in &row.targets {
            data.update(target.after.to_le_bytes());
            data.update(target.token.to_le_bytes());
        }
    }
    let digest: String = data.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let (model, training) = (serde_json::to_string(&config.model)?, serde_json::to_string(&config.training)?);
    Ok(format!("{model} {training} threads {threads} data {digest}"))
}

/// What serving should do unless it is told otherwise: take the likeliest token, and end with the turn.
fn generation_config(tokenizer: &Tokenizer) -> String {
    let ends: Vec<u32> =
        ["<|im_end|>", "<|endoftext|>"].into_iter().filter_map(|name| tokenizer.added_token(name)).collect();
    format!("{:#}\n", serde_json::json!({"do_sample": false, "eos_token_id": ends}))
}

/// A bar with loss, tokens a second and the time that is left.
struct Progress {
    bar: ProgressBar,
    start: Instant,
    tokens: std::cell::Cell<usize>,
}

impl Progress {
    fn new(steps: usize, done: usize) -> Result<Self> {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} steps, {msg}, {eta} left")?;
        let bar = ProgressBar::new(steps as u64).with_style(style).with_position(done as u64);
        bar.reset_eta();
        Ok(Self { bar, start: Instant::now(), tokens: std::cell::Cell::new(0) })
    }

    fn show(&self, report: &StepReport) {
        self.tokens.set(self.tokens.get() + report.tokens);
        let speed = self.tokens.get() as f64 / self.start.elapsed().as_secs_f64();
        let text = format!("loss {:.3}, {speed:.0} tokens/s", report.loss);
        self.bar.set_position(report.step as u64 + 1);
        self.bar.set_message(text.clone());
        // Where there is no terminal, a line now and then.
        if self.bar.is_hidden() && (report.step + 1).is_multiple_of(50) {
            eprintln!("step {}: {text}", report.step + 1);
        }
    }
}
