//! Owns `qwen-bench make-random`: a model of random weights, whose path is printed.

use std::io::{Write, stdout};

use anyhow::anyhow;
use clap::ValueEnum;
use qwen_runtime::{ExistingFile, RandomModelOptions, RuntimeError, random_model};

use crate::cli::MakeRandomArguments;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::shape::Vocabulary;

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
    let bar = Progress::bar()?;
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
