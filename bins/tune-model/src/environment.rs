//! Owns what candle and the allocator take from the environment once: where it does not say so, the program starts
//! again with it.

use std::process::Command;

/// Threads of training have rows of their own, so candle computes on the one that asks. And the memory of tensors is
/// needed again in a moment: it is not given back to the system.
const VARIABLES: [(&str, &str); 3] =
    [("CANDLE_NUM_THREADS", "1"), ("RAYON_NUM_THREADS", "1"), ("MIMALLOC_PURGE_DELAY", "-1")];

/// Returns when the environment is so; otherwise another process takes this one's place.
pub(crate) fn ensure() -> anyhow::Result<()> {
    if VARIABLES.iter().all(|(name, wanted)| std::env::var(name).is_ok_and(|value| value == *wanted)) {
        return Ok(());
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).envs(VARIABLES);
    Err(replace_this_process(command).into())
}

#[cfg(unix)]
fn replace_this_process(mut command: Command) -> std::io::Error {
    std::os::unix::process::CommandExt::exec(&mut command)
}

#[cfg(not(unix))]
fn replace_this_process(mut command: Command) -> std::io::Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}
