//! [`TrainingRun`]: training that can be interrupted anywhere, with a bar, a curve and a picture of it.

use std::path::Path;
use std::thread::available_parallelism;
use std::time::Instant;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use qwen_tune::{PackedRow, Parameters, RunDirectory, StepReport, Trainer, TrainerOptions};

use crate::plot;

/// What is trained, and where its files are.
pub(crate) struct TrainingRun<'a> {
    pub(crate) parameters: &'a Parameters,
    pub(crate) rows: &'a [PackedRow],
    pub(crate) options: TrainerOptions,
    /// Steps between checkpoints.
    pub(crate) save_every: usize,
    /// The directory of what is made; `run` in it has the checkpoints and the curve.
    pub(crate) out: &'a Path,
}

impl TrainingRun<'_> {
    /// Trains to the end, from where an interrupted run of the same `identity` stopped.
    pub(crate) fn complete(&self, identity: String) -> Result<()> {
        let Self { parameters, rows, options, save_every, out } = *self;
        let files = RunDirectory::open(&out.join("run"), identity)?;
        let mut trainer = Trainer::new(parameters, rows, options)?;
        let mut done = 0;
        if let Some(saved) = files.load(parameters)? {
            done = saved.steps;
            trainer = trainer.resume(saved.steps, &saved.optimizer);
            eprintln!("going on behind step {done}");
        }
        files.rewind(done)?;
        let steps = options.schedule.steps();
        let bar = Progress::new(steps, done)?;
        while let Some(report) = trainer.step()? {
            files.note(&report)?;
            bar.show(&report);
            let done = report.step + 1;
            if done.is_multiple_of(save_every) || done == steps {
                files.save(parameters, trainer.state())?;
            }
        }
        let path = out.join("loss.svg");
        std::fs::write(&path, plot::loss_curve(&files.curve()?)).with_context(|| path.display().to_string())
    }
}

/// As many threads as are asked for, else one for each processor.
pub(crate) fn threads(asked: Option<usize>) -> usize {
    asked.or_else(|| available_parallelism().ok().map(usize::from)).unwrap_or(1).max(1)
}

/// A bar with loss, tokens a second and the time that is left.
struct Progress {
    bar: ProgressBar,
    start: Instant,
    tokens: std::cell::Cell<usize>,
}

impl Progress {
    fn new(steps: usize, done: usize) -> Result<Self> {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} steps, {msg}, {eta} left")?;
        let bar = ProgressBar::new(steps as u64).with_style(style).with_position(done as u64);
        bar.reset_eta();
        Ok(Self { bar, start: Instant::now(), tokens: std::cell::Cell::new(0) })
    }

    fn show(&self, report: &StepReport) {
        self.tokens.set(self.tokens.get() + report.tokens);
        let speed = self.tokens.get() as f64 / self.start.elapsed().as_secs_f64();
        let text = format!("loss {:.3}, {speed:.0} tokens/s", report.loss);
        self.bar.set_position(report.step as u64 + 1);
        self.bar.set_message(text.clone());
        // Where there is no terminal, a line now and then.
        if self.bar.is_hidden() && (report.step + 1).is_multiple_of(50) {
            eprintln!("step {}: {text}", report.step + 1);
        }
    }
}
