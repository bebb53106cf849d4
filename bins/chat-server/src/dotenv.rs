//! The `.env` file of the working directory: variables that the environment does not have yet.

use std::path::Path;

use anyhow::bail;
use dotenvy::Error;

/// Reads `.env` where there is one.
///
/// # Errors
/// When the file cannot be read; the message has no line of it, since secrets stand there.
pub fn load() -> anyhow::Result<()> {
    match dotenvy::from_path(Path::new(".env")) {
        Ok(()) => Ok(()),
        Err(error) if error.not_found() => Ok(()),
        Err(Error::LineParse(_, column)) => bail!(".env has a line that is not NAME=value (fault at column {column})"),
        Err(Error::Io(error)) => bail!(".env cannot be read: {}", error.kind()),
        Err(_) => bail!(".env cannot be read"),
    }
}
