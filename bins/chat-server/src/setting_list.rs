//! The list of settings, made from the flags themselves: `chat-server settings` and `.env.example`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{Arg, CommandFactory};

use crate::cli::Cli;

/// How wide a comment may be.
const WIDTH: usize = 100;

/// Every setting with its flag, variable and default, in the form of a .env file.
pub fn list() -> String {
    let mut text = String::from(
        "# Every setting of chat-server (`chat-server settings` prints this list). Copy what you change to .env;\n\
         # a variable of the environment wins over .env, a flag wins over both, and an empty value is none.\n",
    );
    let command = Cli::command();
    let mut heading = None;
    for arg in command.get_arguments().filter(|arg| arg.get_env().is_some()) {
        if arg.get_help_heading() != heading {
            heading = arg.get_help_heading();
            let _ = write!(text, "\n## {}\n", heading.unwrap_or("Other"));
        }
        describe(arg, &mut text);
    }
    text
}

fn describe(arg: &Arg, text: &mut String) {
    let (Some(flag), Some(variable)) = (arg.get_long(), arg.get_env()) else { return };
    let mut comment = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let choices: Vec<String> = arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if !choices.is_empty() {
        let _ = write!(comment, ": {}", choices.join(" or "));
    }
    let _ = write!(comment, " (--{flag})");
    for line in wrapped(&comment) {
        let _ = writeln!(text, "# {line}");
    }
    let default = arg.get_default_values().first().map(|value| value.to_string_lossy()).unwrap_or_default();
    let _ = writeln!(text, "#{}={default}", variable.to_string_lossy());
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + word.len() < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Prints the list.
pub fn print() -> ExitCode {
    match std::io::stdout().write_all(list().as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
