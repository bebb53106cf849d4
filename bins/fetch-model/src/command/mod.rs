//! Owns which command does what, and how each ends. One file for each.

mod carry;
mod fetch;
mod list;
mod pin;
mod prune;
mod quantize;
mod table;
mod verify;

use std::io::{Write, stdout};

use anyhow::Context;
use model_cache::{CacheError, ModelCache, ModelSpec};

use crate::cli::{Arguments, Command};
use crate::lock_file::LockFile;
use crate::progress::Display;
use crate::settings::{self, FetchSettings};

/// How a command ended that has done its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Well,
    /// It has found what should not be.
    WithFaults,
}

/// Why a command did not do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: anyhow::Error,
    /// Whether the command line or the settings are wrong.
    pub(crate) is_usage: bool,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { error, is_usage: false }
    }
}

impl From<CacheError> for Failure {
    fn from(error: CacheError) -> Self {
        Self { error: error.into(), is_usage: false }
    }
}

fn usage(error: impl Into<anyhow::Error>) -> Failure {
    Failure { error: error.into(), is_usage: true }
}

/// Does what the arguments say.
pub(crate) fn run(arguments: Arguments, display: &Display) -> Result<Ended, Failure> {
    let Arguments { command, fetch, cache } = arguments;
    let Some(command) = command else {
        let settings = FetchSettings::new(fetch, cache).map_err(usage)?;
        return fetch::run(settings, display);
    };
    let mut config = settings::cache_config(cache).map_err(usage)?;
    if let Command::Prune { lock_file: Some(path), .. } = &command
        && !path.is_empty()
    {
        config.lock = Some(LockFile::new(path.into()).read_existing().map_err(usage)?);
    }
    let cache = ModelCache::new(config).map_err(usage)?;
    match command {
        Command::List { json } => list::run(&cache, json),
        Command::Verify { model, json, discard } => {
            let scope = model.as_deref().map(parse).transpose()?;
            verify::run(&verify::Request { scope, json, discard }, &cache, display)
        }
        Command::Prune { older_than, dry_run, json, lock_file: _ } => {
            let older_than = older_than.as_deref().map(crate::quantity::duration).transpose().map_err(usage)?;
            prune::run(&prune::Request { older_than, dry_run, json }, &cache)
        }
        Command::Pin { model } => pin::pin(&cache, &parse(&model)?),
        Command::Unpin { model } => pin::unpin(&cache, &parse(&model)?),
        Command::Import { path, repo } => carry::import(&cache, &path, &repo.parse().map_err(usage)?, display),
        Command::Quantize(arguments) => {
            let model = parse(&arguments.model)?;
            quantize::run(&cache, &model, arguments, display)
        }
        Command::Export { model, out } => carry::export(&cache, &parse(&model)?, &out, display),
    }
}

/// What the cache's words cannot say, since they know nothing of this program's settings.
pub(crate) fn hint(error: &anyhow::Error) -> Option<&'static str> {
    match error.downcast_ref() {
        Some(CacheError::AccessDenied { .. }) => {
            Some("give the token with HUGGINGFACE_TOKEN (or HF_TOKEN), in the environment or in .env")
        }
        _ => None,
    }
}

fn parse(model: &str) -> Result<ModelSpec, Failure> {
    model.parse().map_err(|error: CacheError| usage(error))
}

/// Prints an answer.
fn print(text: &str) -> Result<(), Failure> {
    Ok(writeln!(stdout(), "{text}").context("cannot write to standard output")?)
}

fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    print(&serde_json::to_string_pretty(value).context("this cannot be written as JSON")?)
}
