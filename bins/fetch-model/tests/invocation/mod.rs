//! Owns running the program to its end, as a script does.

use std::path::Path;
use std::process::{Command, Output};

/// Runs the program in `dir` (where a `.env` would be read) with nothing in its environment but `variables`.
pub(crate) fn run(dir: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fetch-model"))
        .args(arguments)
        .current_dir(dir)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}
