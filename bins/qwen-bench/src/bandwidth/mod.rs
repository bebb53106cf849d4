//! Owns `qwen-bench bandwidth`: how many bytes a second the memory delivers to threads that only read.

pub(crate) mod child;
mod read;

use std::io::{Write, stdout};

use serde::{Deserialize, Serialize};

use crate::cli::{BandwidthArguments, Format};
use crate::failure::Failure;
use crate::plan;

/// What is printed for programs.
#[derive(Debug, Serialize, Deserialize)]
struct Bandwidth {
    n_threads: usize,
    /// Bytes a second, of all threads together.
    read_bandwidth: f64,
}

pub(crate) fn run(arguments: &BandwidthArguments) -> Result<(), Failure> {
    let mut results = Vec::new();
    for n_threads in plan::threads(&arguments.threads) {
        let result = Bandwidth { n_threads, read_bandwidth: read::bandwidth(n_threads)? };
        match arguments.output {
            Format::Md => writeln!(stdout(), "{n_threads} threads: {:.1} GB/s", result.read_bandwidth / 1e9)?,
            Format::Jsonl => writeln!(stdout(), "{}", serde_json::to_string(&result).map_err(std::io::Error::from)?)?,
            Format::Json => {}
        }
        results.push(result);
    }
    if arguments.output == Format::Json {
        writeln!(stdout(), "{}", serde_json::to_string_pretty(&results).map_err(std::io::Error::from)?)?;
    }
    Ok(())
}
