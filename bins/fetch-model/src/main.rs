//! Downloads models into the shared cache, and looks after what is there.
//!
//! The answer alone goes to standard output, so that a script can use it; progress and errors go to standard error.
//! Exit code 0: done; 1: it failed, or something is broken; 2: the command line or the settings are wrong.

mod cli;
mod command;
mod lock_file;
mod progress;
mod quantity;
mod settings;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::cli::{Arguments, Progress};
use crate::command::{Ended, Failure};
use crate::progress::Display;

const FAILED: u8 = 1;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    // Before anything reads the environment, and before there is a second thread.
    match dotenvy::from_path(".env") {
        Ok(()) => {}
        Err(error) if error.not_found() => {}
        // The error of a line quotes it, and secrets stand in such lines.
        Err(error) => {
            match error {
                dotenvy::Error::Io(error) => eprintln!("error: .env cannot be read: {}", error.kind()),
                _ => eprintln!("error: .env has a line that is not NAME=value"),
            }
            return ExitCode::from(USAGE);
        }
    }
    let arguments = Arguments::parse();
    let display = Display::new(arguments.cache.progress);
    log_to(&display, arguments.cache.progress);
    match command::run(arguments, &display) {
        Ok(Ended::Well) => ExitCode::SUCCESS,
        Ok(Ended::WithFaults) => ExitCode::from(FAILED),
        Err(Failure { error, is_usage }) => {
            display.fail(&format!("{error:#}"), command::hint(&error));
            ExitCode::from(if is_usage { USAGE } else { FAILED })
        }
    }
}

/// What libraries have to say stands above the bars. hf-hub reports each try that failed, which is said better here.
fn log_to(display: &Display, progress: Progress) {
    // Among JSON lines, a line for people would be none.
    let default = if progress == Progress::Json { "off" } else { "warn,hf_hub=off" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let (log, terminal) = (display.log(), std::io::stderr().is_terminal());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(terminal).with_writer(move || log.clone()).init();
}
