//! Owns `tune-model lora`.

use std::io::Write;

use anyhow::Result;
use qwen_runtime::{ChatTemplate, Checkpoint, Tokenizer};
use qwen_tune::{
    AdamWOptions, DType, LowRankOptions, Parameters, Schedule, TrainerOptions, export_adapter, open_device,
};

use crate::cli::LowRankArguments;
use crate::environment;
use crate::rows::{self, RowMaker};
use crate::training_run::{TrainingRun, threads};

/// Steps between checkpoints, which are small.
const SAVE_EVERY: usize = 50;
/// The last learning rate as a part of the highest.
const FLOOR: f64 = 0.05;

pub(crate) fn run(arguments: &LowRankArguments) -> Result<()> {
    environment::ensure()?;
    let &LowRankArguments { rank, seed, learning_rate, rows_per_step, row_length, .. } = arguments;
    let base = Checkpoint::open(&arguments.base)?;
    let (tokenizer, template) = (Tokenizer::of_checkpoint(&base)?, ChatTemplate::of_checkpoint(&base)?);
    let threads = threads(arguments.compute.threads);
    let maker = RowMaker { template: &template, tokenizer: &tokenizer, row_length, threads };
    let rows = maker.rows(&arguments.data)?;
    let steps = (rows.len() * arguments.epochs).div_ceil(rows_per_step.max(1)).max(2);
    let options = TrainerOptions {
        rows_per_step,
        threads,
        seed,
        schedule: Schedule::new(learning_rate, steps / 20, steps, FLOOR)?,
        // So few weights need not be kept small.
        adamw: AdamWOptions { weight_decay: 0.0, ..AdamWOptions::default() },
        muon: None,
    };
    let alpha = arguments.alpha.unwrap_or(2.0 * rank as f64);
    let device = open_device(arguments.compute.device)?;
    let parameters = Parameters::low_rank(&base, LowRankOptions { rank, alpha, seed }, DType::F32, &device)?;
    let base_fingerprint = base.fingerprint()?;
    let numbers =
        format!("rank {rank} alpha {alpha} seed {seed} rate {learning_rate} rows {rows_per_step} steps {steps}");
    let identity = format!("{numbers} threads {threads} base {base_fingerprint} data {}", rows::digest(&rows));
    let out = &arguments.out;
    let run = TrainingRun { parameters: &parameters, rows: &rows, options, save_every: SAVE_EVERY, out };
    run.complete(identity)?;
    export_adapter(&parameters, &base, out)?;
    Ok(writeln!(std::io::stdout(), "{}", out.display())?)
}
