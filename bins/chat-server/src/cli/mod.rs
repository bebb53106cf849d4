//! [`Cli`]: what was typed or set in the environment, not judged yet.
//!
//! Every setting is a flag with a variable of the same name; `settings.rs` judges them together.

mod admin;
mod cache;
mod ctl;
mod engine;
mod log;
mod model;
mod remote;
mod server;
mod store;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use secrecy::SecretString;

pub use admin::AdminArgs;
pub use cache::CacheArgs;
pub use ctl::{CtlArgs, CtlCommand, Share};
pub use engine::{EngineArgs, EngineName};
pub use log::{LogArgs, LogFormat, LogLevel};
pub use model::{ModelArgs, ModelLoad, ThinkingBudgetArg};
pub use remote::RemoteArgs;
pub use server::ServerArgs;
pub use store::StoreArgs;

/// CarePath's chat service: answers patients' questions over HTTP. Every setting is a flag and an
/// environment variable; a .env file in the working directory is read, and an empty variable counts
/// as not set.
#[derive(Debug, Parser)]
#[command(name = "chat-server", version)]
pub struct Cli {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How it serves.
    #[command(flatten)]
    pub server: ServerArgs,
    /// Where operators change who answers.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// Where it reads and writes.
    #[command(flatten)]
    pub store: StoreArgs,
    /// What it logs.
    #[command(flatten)]
    pub log: LogArgs,
    /// Who answers.
    #[command(flatten)]
    pub model: ModelArgs,
    /// What computes.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Where models are kept.
    #[command(flatten)]
    pub cache: CacheArgs,
    /// Who answers elsewhere.
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// What to do instead of serving.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Print every setting with its flag, variable and default, in the form of a .env file
    Settings,
    /// Look at everything that a start needs, and say what to do where something is wrong
    Doctor(DoctorArgs),
    /// Ask the running server with these settings whether it is well
    Health,
    /// Load and unload models of a running server, and choose who answers
    Ctl(CtlArgs),
}

/// How the doctor's findings are shown.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct DoctorArgs {
    /// Print them as JSON
    #[arg(long)]
    pub json: bool,
}

fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(SecretString::from(text))
}

impl Cli {
    /// Reads the process's arguments and environment, and says where each came from; prints help,
    /// version or a usage error and exits where that is what they ask for.
    pub fn read() -> (Self, ArgMatches) {
        let matches = Self::command_without_empty_variables().get_matches();
        (Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()), matches)
    }

    /// As [`Cli::read`], from `arguments` (the first is the program's name).
    ///
    /// # Errors
    /// clap's usage errors.
    pub fn read_from<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<Self, clap::Error> {
        let matches = Self::command_without_empty_variables().try_get_matches_from(arguments)?;
        Self::from_arg_matches(&matches)
    }

    /// Compose files and Kubernetes set variables to nothing; clap would read that as a value.
    fn command_without_empty_variables() -> clap::Command {
        Self::command().mut_args(|arg| {
            let is_empty =
                arg.get_env().is_some_and(|name| std::env::var_os(name).is_some_and(|value| value.is_empty()));
            if is_empty { arg.env(clap::builder::Resettable::Reset) } else { arg }
        })
    }
}
