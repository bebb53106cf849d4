//! Owns measuring the bandwidth from another process, so that its memory does not count as this one's.

use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use super::Bandwidth;

/// Bytes a second that `threads` threads read together, now.
pub(crate) fn read_bandwidth(threads: usize) -> anyhow::Result<f64> {
    let program = std::env::current_exe().context("this program cannot be found")?;
    let arguments = ["bandwidth", "--output", "jsonl", "--threads", &threads.to_string()];
    let output = Command::new(program).args(arguments).stderr(Stdio::inherit()).output();
    let output = output.context("the bandwidth cannot be measured")?;
    ensure!(output.status.success(), "measuring the bandwidth failed: {}", output.status);
    let result: Bandwidth = serde_json::from_slice(&output.stdout).context("the bandwidth is no number")?;
    Ok(result.read_bandwidth)
}
