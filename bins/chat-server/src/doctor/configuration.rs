//! Which settings were changed, to what, and where; secrets only whether.

use std::collections::HashMap;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory};

use super::finding::Finding;
use crate::cli::Cli;

/// One line for each setting that has not its default.
pub(super) fn findings(matches: &ArgMatches) -> Vec<Finding> {
    let dot_env: HashMap<String, String> =
        dotenvy::from_path_iter(Path::new(".env")).into_iter().flatten().filter_map(Result::ok).collect();
    let command = Cli::command();
    let changed = command.get_arguments().filter_map(|arg| {
        let variable = arg.get_env()?.to_str()?;
        let id = arg.get_id().as_str();
        let values: Vec<_> = matches.get_raw(id)?.map(|value| value.to_string_lossy()).collect();
        let value = values.join(",");
        let source = match matches.value_source(id)? {
            ValueSource::CommandLine => "a flag",
            ValueSource::EnvVariable if dot_env.get(variable) == Some(&value) => ".env",
            ValueSource::EnvVariable => "the environment",
            _ => return None,
        };
        let shown = if arg.is_hide_env_values_set() { "(set, not shown)".to_owned() } else { without_login(&value) };
        Some(Finding::ok(variable, format!("{shown}, from {source}")))
    });
    changed.collect()
}

/// An address without the name and the password in it.
fn without_login(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://…{}", &rest[at..]),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_passwords() {
        assert_eq!(without_login("https://me:secret@hub.example/v1?a=b@c"), "https://…@hub.example/v1?a=b@c");
        assert_eq!(without_login("http://vllm:8000/v1"), "http://vllm:8000/v1");
        assert_eq!(without_login("Qwen/Qwen3-4B@main"), "Qwen/Qwen3-4B@main");
    }
}
