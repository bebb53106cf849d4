//! Owns progress on a terminal: a bar for each file that moves, and one for all of them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::lines::waiting;
use super::{Step, say};

/// Leaves 24 columns to the name on a terminal of 80.
const TEMPLATE: &str =
    "{wide_msg} {bar:10} {percent:>3}% {binary_bytes:>10}/{binary_total_bytes:>10} {binary_bytes_per_sec:>12} {eta:>4}";

/// The bars of one piece of work.
#[derive(Debug, Default)]
pub(crate) struct Bars {
    multi: MultiProgress,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    total: Option<ProgressBar>,
    files: HashMap<String, ProgressBar>,
}

impl Bars {
    pub(super) fn multi(&self) -> &MultiProgress {
        &self.multi
    }

    pub(super) fn show(&self, step: &Step) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match step {
            Step::Started { total_bytes, resumed_bytes, .. } => {
                let total = self.multi.add(bar(*total_bytes, "total"));
                start_at(&total, resumed_bytes.unwrap_or(0));
                total.enable_steady_tick(Duration::from_millis(250));
                state.total = Some(total);
            }
            Step::Progress { file, file_done_bytes, file_total_bytes, done_bytes, .. } => {
                let State { total, files } = &mut *state;
                let bar = files.entry(file.clone()).or_insert_with(|| {
                    let bar = bar(*file_total_bytes, file);
                    let bar = match total {
                        Some(total) => self.multi.insert_before(total, bar),
                        None => self.multi.add(bar),
                    };
                    start_at(&bar, *file_done_bytes);
                    bar
                });
                bar.set_position(*file_done_bytes);
                if let Some(total) = total {
                    total.set_position(*done_bytes);
                }
            }
            Step::Verified { file } | Step::Done { file } => {
                if let Some(bar) = state.files.remove(file) {
                    bar.finish_and_clear();
                    self.multi.remove(&bar);
                }
            }
            Step::Waiting { reason, delay } => self.above(&waiting(reason, *delay)),
            Step::Warning { message } => self.above(&format!("warning: {message}")),
            Step::Finished { .. } => {}
        }
    }

    pub(super) fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { total, files } = &mut *state;
        files.drain().map(|(_, bar)| bar).chain(total.take()).for_each(|bar| bar.finish_and_clear());
    }

    fn above(&self, line: &str) {
        self.multi.suspend(|| say(line));
    }
}

fn bar(length: u64, name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style).with_message(name.to_owned())
}

/// What was here before counts as done, and not for the rate.
fn start_at(bar: &ProgressBar, position: u64) {
    bar.set_position(position);
    bar.reset_eta();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_one() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
