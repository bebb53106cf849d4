//! The log: its form, its level, and whose lines reach it.
//!
//! Libraries log addresses, statements and bodies when they are asked for detail, and record
//! numbers stand in those. So LOG_LEVEL is that of this service's own crates, and no library is
//! heard below `warn`.

use std::io::{self, IsTerminal};
use std::panic::PanicHookInfo;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use crate::cli::{LogArgs, LogFormat};

/// The crates that keep patients out of their lines.
const OWN: [&str; 5] = ["chat_server", "triage_api", "llm_client", "qwen_runtime", "model_cache"];

/// Starts the log on standard error. A second call changes nothing.
pub fn start(log: LogArgs) {
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let lines = match log.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    // One filter for all, and not one of the layer's own: that forgets a line after sqlx has only asked whether
    // another would be heard.
    let started = registry().with(targets(log.log_level.0)).with(lines).try_init();
    if started.is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
}

fn targets(level: LevelFilter) -> Targets {
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        // Its failures come back as errors, and are told as such.
        .with_target("hf_hub", LevelFilter::OFF)
        .with_targets(OWN.map(|target| (target, level)))
}

/// The message of a panic can quote the text that it happened on.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(location, "a thread panicked");
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn libraries_are_not_heard_below_warn() {
        let targets = targets(LevelFilter::TRACE);
        for library in ["sqlx::query", "reqwest::connect", "hyper_util::client", "actix_http::h1", "log"] {
            assert!(!targets.would_enable(library, &Level::INFO), "{library}");
            assert!(targets.would_enable(library, &Level::WARN), "{library}");
        }
        assert!(targets.would_enable("triage_api::http::trace", &Level::TRACE));
    }

    #[test]
    fn a_quiet_service_keeps_its_libraries_quiet() {
        assert!(!targets(LevelFilter::ERROR).would_enable("sqlx::query", &Level::WARN));
        assert!(!targets(LevelFilter::OFF).would_enable("sqlx::query", &Level::ERROR));
    }
}
