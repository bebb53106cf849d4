//! Measures the engines as llama-bench measures llama.cpp, and writes models of random weights to measure them with.
//!
//! The result alone goes to standard output; progress and errors go to standard error. Exit code 0: done; 1: it failed;
//! 2: the command line is wrong, or asks for what the model or the engine cannot do.

mod bandwidth;
mod cli;
mod engine;
mod failure;
mod machine;
mod make_random;
mod measurement;
mod model;
mod plan;
mod progress;
mod record;
mod report;
mod session;
mod shape;
mod statistics;
mod thread_variables;

use std::io::{Write, stderr};
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Arguments, Command};
use crate::failure::Failure;

const FAILED: u8 = 1;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse_from(cli::with_long_names(std::env::args_os()));
    let done = match arguments.command {
        Some(Command::Bandwidth(arguments)) => bandwidth::run(&arguments),
        Some(Command::MakeRandom(arguments)) => make_random::run(arguments),
        None => session::run(&arguments.bench),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { error, is_usage }) => {
            // Standard error that nobody reads any more is no reason to panic.
            let _ = writeln!(stderr(), "error: {error:#}");
            ExitCode::from(if is_usage { USAGE } else { FAILED })
        }
    }
}
