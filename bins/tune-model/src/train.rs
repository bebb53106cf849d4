//! Owns `tune-model train`.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use qwen_runtime::{ChatTemplate, Checkpoint, Tokenizer};
use qwen_tune::{DType, ExportType, Parameters, TrainerOptions, export, open_device};

use crate::cli::TrainArguments;
use crate::config::{Config, Model};
use crate::rows::{self, RowMaker};
use crate::training_run::{TrainingRun, threads};
use crate::{environment, side_files};

pub(crate) fn run(arguments: &TrainArguments) -> Result<()> {
    environment::ensure()?;
    let config = Config::read(&arguments.config)?;
    let (data, training, out) = (&config.data, &config.training, &config.data.out);
    let (start, folder) = match (&config.model, &data.tokenizer, &data.base) {
        (Some(model), Some(tokenizer), None) => (Start::New(model), tokenizer),
        (None, None, Some(base)) => (Start::Trained(Box::new(Checkpoint::open(base)?)), base),
        _ => bail!(
            "{}: a new model has a [model] and a tokenizer; one that is trained on has a base, and neither",
            arguments.config.display()
        ),
    };
    let (tokenizer, template) = language(&start, folder)?;
    let threads = threads(arguments.compute.threads);
    let maker = RowMaker { template: &template, tokenizer: &tokenizer, row_length: data.row_length, threads };
    let rows = maker.rows(&data.conversations)?;
    let options = TrainerOptions {
        rows_per_step: training.rows_per_step,
        threads,
        seed: training.seed,
        schedule: training.schedule()?,
        adamw: training.adamw(),
        muon: training.muon(),
    };
    let device = open_device(arguments.compute.device)?;
    let (parameters, of) = match &start {
        Start::New(model) => {
            // As many rows as a multiple of 64: matrices of whole groups.
            let architecture = model.architecture(tokenizer.id_count().next_multiple_of(64));
            let parameters =
                Parameters::random(&architecture, model.initialization, training.seed, DType::F32, &device)?;
            (parameters, serde_json::to_string(model)?)
        }
        Start::Trained(base) => (Parameters::of_checkpoint(base, DType::F32, &device)?, base.fingerprint()?),
    };
    let numbers = serde_json::to_string(training)?;
    let identity = format!("{of} {numbers} threads {threads} data {}", rows::digest(&rows));
    let run = TrainingRun { parameters: &parameters, rows: &rows, options, save_every: training.save_every, out };
    run.complete(identity)?;
    export(&parameters, ExportType::F16, out)?;
    side_files::copy(folder, out)?;
    if let Start::New(_) = start {
        let path = out.join("generation_config.json");
        std::fs::write(&path, generation_config(&tokenizer)).with_context(|| path.display().to_string())?;
    }
    Ok(writeln!(std::io::stdout(), "{}", out.display())?)
}

/// What training begins with.
enum Start<'a> {
    New(&'a Model),
    Trained(Box<Checkpoint>),
}

fn language(start: &Start<'_>, folder: &Path) -> Result<(Tokenizer, ChatTemplate)> {
    if let Start::Trained(base) = start {
        return Ok((Tokenizer::of_checkpoint(base)?, ChatTemplate::of_checkpoint(base)?));
    }
    let path = folder.join("chat_template.jinja");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok((Tokenizer::from_file(&folder.join("tokenizer.json"))?, ChatTemplate::new(text)?))
}

/// What serving should do unless it is told otherwise: take the likeliest token, and end with the turn.
fn generation_config(tokenizer: &Tokenizer) -> String {
    let ends: Vec<u32> =
        ["<|im_end|>", "<|endoftext|>"].into_iter().filter_map(|name| tokenizer.added_token(name)).collect();
    format!("{:#}\n", serde_json::json!({"do_sample": false, "eos_token_id": ends}))
}
