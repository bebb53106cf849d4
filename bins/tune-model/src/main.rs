//! Makes models: training data of patients who do not exist, a tokenizer, and the training itself.
//!
//! The path of what was made goes to standard output; progress and errors go to standard error. Exit code 0: done;
//! 1: it failed; 2: the command line is wrong.

mod cli;
mod config;
mod environment;
mod evaluate;
mod low_rank;
mod merge;
mod plot;
mod rows;
mod score;
mod side_files;
mod synth;
mod train;
mod training_run;
mod write_data;
mod write_tokenizer;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Arguments, Command};

/// Tensors come and go by the thousand; the system's allocator gives their pages back each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Synth(arguments) => write_data::run(&arguments),
        Command::Tokenizer(arguments) => write_tokenizer::run(&arguments),
        Command::Train(arguments) => train::run(&arguments),
        Command::Lora(arguments) => low_rank::run(&arguments),
        Command::Merge(arguments) => merge::run(&arguments),
        Command::Eval(arguments) => evaluate::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
