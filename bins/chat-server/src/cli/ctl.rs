//! `chat-server ctl`: what an operator asks of a running server.

use std::str::FromStr;

use clap::{Args, Subcommand};
use secrecy::SecretString;

use super::secret;

/// What an operator asks of a running server, and how the answer is shown.
#[derive(Debug, Clone, Args)]
pub struct CtlArgs {
    /// The server's operators' interface [default: http://CHAT_ADMIN_HOST:CHAT_ADMIN_PORT]
    #[arg(long, global = true)]
    pub url: Option<String>,
    /// Token of that interface [default: CHAT_ADMIN_TOKEN]
    #[arg(long, value_parser = secret, global = true)]
    pub token: Option<SecretString>,
    /// Print the server's state as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: CtlCommand,
}

/// What an operator asks.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum CtlCommand {
    /// List the models and what they are doing
    List,
    /// Load a model, and wait until it can answer
    Load {
        /// Its mode
        name: String,
    },
    /// Unload a model; answers that are being made are finished
    Unload {
        /// Its mode
        name: String,
    },
    /// Let a model answer everything that names no mode
    Default {
        /// Its mode
        name: String,
    },
    /// Share requests between models, as an A/B test; without any, the default answers everything again
    Route {
        /// For example qwen=90 small=10
        #[arg(value_name = "NAME=WEIGHT")]
        shares: Vec<Share>,
    },
    /// Let a model answer the same requests in the background, to be compared; `off` ends that
    Shadow {
        /// Its mode, or off
        name: String,
    },
    /// Let the default before this one answer; where there is none, mock
    Rollback,
    /// Show who answers
    Status,
}

/// A mode and its weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The mode.
    pub mode: String,
    /// Its weight among the others.
    pub weight: u32,
}

impl FromStr for Share {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mode, weight) = text.rsplit_once('=').ok_or("expected NAME=WEIGHT")?;
        let weight = weight.parse().map_err(|_| "expected a whole number as the weight")?;
        Ok(Self { mode: mode.to_owned(), weight })
    }
}
