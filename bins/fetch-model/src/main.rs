//! Downloads a model into the shared cache and prints its path.
//!
//! The path alone goes to standard output, so that a script can use it; progress and errors go to standard error.
//! Exit code 0: the model is there and whole; 1: it is not; 2: the command line or the settings are wrong.

mod cli;
mod progress;
mod quantize;
mod settings;

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use model_cache::{CacheError, ModelCache, ModelFiles, ModelSpec};
use tracing_subscriber::EnvFilter;

use crate::cli::{Arguments, Command};
use crate::progress::Display;
use crate::settings::Settings;

const FAILED: u8 = 1;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    // Before anything reads the environment, and before there is a second thread.
    match dotenvy::from_path(".env") {
        // The error quotes the line, and secrets stand in such lines.
        Err(error) if !error.not_found() => {
            return fail(&anyhow::anyhow!(".env has a line that is not NAME=value"), USAGE);
        }
        _ => {}
    }
    let mut arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(terminal).with_writer(std::io::stderr).init();
    if let Some(Command::Quantize(arguments)) = arguments.command.take() {
        return match quantize::run(arguments, &quantize::Display::for_stderr()) {
            Ok(path) => {
                println!("{}", path.display());
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error, FAILED),
        };
    }
    let settings = match Settings::try_from(arguments) {
        Ok(settings) => settings,
        Err(error) => return fail(&error.into(), USAGE),
    };
    let cache = match ModelCache::new(settings.cache) {
        Ok(cache) => cache,
        Err(error) => return fail(&error.into(), USAGE),
    };
    match run(&cache, &settings.model) {
        Ok(model) => {
            println!("{}", model.path.display());
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error, FAILED),
    }
}

fn run(cache: &ModelCache, model: &ModelSpec) -> anyhow::Result<ModelFiles> {
    let display = Display::for_stderr();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let fetched =
        runtime.context("cannot start the runtime")?.block_on(cache.fetch(model, &|event| display.show(&event)));
    display.close();
    Ok(fetched?)
}

fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("error: {error:#}");
    if let Some(CacheError::AccessDenied { .. }) = error.downcast_ref() {
        eprintln!("hint: give the token with HUGGINGFACE_TOKEN (or HF_TOKEN), in the environment or in .env");
    }
    ExitCode::from(code)
}
