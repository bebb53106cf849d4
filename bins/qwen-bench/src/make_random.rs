//! Owns `qwen-bench make-random`: a model of random weights, whose path is printed.

use std::io::{Write, stdout};

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use qwen_runtime::{ExistingFile, RandomModelOptions, RuntimeError, random_model};

use crate::cli::MakeRandomArguments;
use crate::failure::Failure;
use crate::shape::Vocabulary;

const TEMPLATE: &str = "{bar:40} {percent:>3}% {binary_bytes:>10}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";

pub(crate) fn run(arguments: MakeRandomArguments) -> Result<(), Failure> {
    let vocabulary = if arguments.tokenizer.is_some() { Vocabulary::Real } else { Vocabulary::None };
    let name = arguments.shape.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    let options = RandomModelOptions {
        file_type: arguments.file_type.into(),
        existing: if arguments.force { ExistingFile::Replace } else { ExistingFile::Keep },
        seed: arguments.seed,
        name: format!("qwen3-random-{name}"),
        tokenizer: arguments.tokenizer,
    };
    let style = ProgressStyle::with_template(TEMPLATE).context("the bar's template")?;
    let bar = ProgressBar::no_length().with_style(style);
    let done = random_model(&arguments.shape.architecture(vocabulary), &arguments.out, &options, &|done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    done.map_err(|error| match error {
        RuntimeError::TargetExists { .. } => anyhow!("{error}; --force replaces it"),
        other => other.into(),
    })?;
    Ok(writeln!(stdout(), "{}", arguments.out.display())?)
}
