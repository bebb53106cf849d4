//! Owns candle's number of threads, which it takes from the environment once: when the environment says another number
//! than the command line, the program starts again with the right one.

use std::process::Command;

use crate::failure::{Failure, usage};

const VARIABLES: [&str; 2] = ["CANDLE_NUM_THREADS", "RAYON_NUM_THREADS"];

/// Returns when candle will compute with `threads`; otherwise another process takes this one's place.
pub(crate) fn set(threads: &[usize]) -> Result<(), Failure> {
    let Some((first, rest)) = threads.split_first() else { return Ok(()) };
    if rest.iter().any(|other| other != first) {
        return Err(usage("candle has one number of threads for each run: give -t one number"));
    }
    let wanted = first.to_string();
    if VARIABLES.iter().all(|name| std::env::var(name).is_ok_and(|value| value == wanted)) {
        return Ok(());
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).envs(VARIABLES.map(|name| (name, wanted.as_str())));
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
