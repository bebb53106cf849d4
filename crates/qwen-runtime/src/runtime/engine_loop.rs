//! [`EngineLoop`]: owns the engine, and runs step after step on it.

use std::slice;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant;

use super::job::Job;
use super::scheduler::{Scheduler, Share};
use super::sequence::Sequence;
use super::step_budget::StepBudget;
use crate::engine::{Engine, Logits, LogitsAt, SequenceId, SequenceStep};
use crate::error::RuntimeError;

/// Tells the time; tests have a time of their own.
pub(super) type Clock = Box<dyn Fn() -> Instant + Send>;

/// What the engine thread does.
pub(super) struct EngineLoop {
    engine: Box<dyn Engine>,
    pub(super) scheduler: Scheduler,
    pub(super) budget: StepBudget,
    clock: Clock,
}

impl EngineLoop {
    pub(super) fn new(engine: Box<dyn Engine>, clock: Clock) -> Self {
        Self { engine, scheduler: Scheduler::default(), budget: StepBudget::default(), clock }
    }

    /// Works until the last sender of jobs is gone and the last job is done.
    pub(super) fn run(&mut self, jobs: &Receiver<Job>) {
        loop {
            if self.scheduler.is_idle() {
                match self.wait(jobs) {
                    Some(job) => self.scheduler.enqueue(Sequence::from(job)),
                    None => return,
                }
            }
            jobs.try_iter().for_each(|job| self.scheduler.enqueue(Sequence::from(job)));
            self.drop_abandoned();
            self.admit();
            self.step();
        }
    }

    /// The next job; `None` when the last sender is gone. Until there is one, the engine prepares for it, and then the
    /// thread sleeps.
    fn wait(&mut self, jobs: &Receiver<Job>) -> Option<Job> {
        loop {
            match jobs.try_recv() {
                Ok(job) => return Some(job),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if self.engine.prepare() => {}
                Err(TryRecvError::Empty) => return jobs.recv().ok(),
            }
        }
    }

    /// Forgets requests whose readers are gone or whose time is up.
    pub(super) fn drop_abandoned(&mut self) {
        for id in self.scheduler.drop_abandoned((self.clock)()) {
            self.free(id);
        }
    }

    /// Starts waiting requests while there is room, each from what the engine has of it already.
    pub(super) fn admit(&mut self) {
        while let Some(sequence) = self.scheduler.next(self.engine.capacity()) {
            match self.engine.resume(sequence.tokens()) {
                Ok((id, cached)) => self.scheduler.start(sequence, id, cached),
                Err(error) => sequence.fail(error),
            }
        }
    }

    /// One step of the engine. When the KV cache has no room for it, the youngest requests are
    /// paused until it has.
    pub(super) fn step(&mut self) {
        loop {
            let plan = self.scheduler.plan(&self.budget);
            if plan.is_empty() {
                return;
            }
            let start = (self.clock)();
            match self.compute(&plan) {
                Ok(logits) => {
                    let size = self.scheduler.size(&plan);
                    self.read(&plan, &logits);
                    // Sampling is a part of what the texts wait for.
                    return self.budget.observe(size, (self.clock)() - start);
                }
                Err(RuntimeError::CacheFull { .. }) if self.pause_youngest() => {}
                Err(error) => return self.isolate(&plan, error),
            }
        }
    }

    fn compute(&mut self, plan: &[Share]) -> Result<Vec<Logits>, RuntimeError> {
        let part = |share: &Share| {
            let running = &self.scheduler.running()[share.index];
            let at_end = share.tokens == running.pending().len();
            SequenceStep {
                sequence: running.id,
                position: running.computed(),
                tokens: &running.pending()[..share.tokens],
                logits: if at_end { LogitsAt::Last } else { LogitsAt::None },
            }
        };
        let batch: Vec<SequenceStep<'_>> = plan.iter().map(part).collect();
        self.engine.step(&batch)
    }

    /// Samples where there are logits, and forgets what has ended.
    fn read(&mut self, plan: &[Share], logits: &[Logits]) {
        // From the last on, since those that end leave the list.
        for (share, logits) in plan.iter().zip(logits).rev() {
            if !self.scheduler.running_mut(share.index).advance(share.tokens, logits.last()) {
                self.retire(share.index);
            }
        }
    }

    fn pause_youngest(&mut self) -> bool {
        let paused = self.scheduler.pause_youngest();
        if let Some(id) = paused {
            tracing::debug!("the KV cache is full: the youngest request is paused");
            self.free(id);
        }
        paused.is_some()
    }

    /// After a step that failed, and so changed nothing: its members are tried one by one, and only
    /// those that fail alone are given up.
    fn isolate(&mut self, plan: &[Share], error: RuntimeError) {
        tracing::error!(%error, "an engine step failed");
        if let [share] = plan {
            return self.give_up(share.index, &error);
        }
        for share in plan.iter().rev() {
            let alone = slice::from_ref(share);
            match self.compute(alone) {
                Ok(logits) => self.read(alone, &logits),
                // Room is the next step's business.
                Err(RuntimeError::CacheFull { .. }) => {}
                Err(error) => self.give_up(share.index, &error),
            }
        }
    }

    fn give_up(&mut self, index: usize, error: &RuntimeError) {
        self.scheduler.running()[index].sequence.fail(RuntimeError::Compute(error.to_string()));
        self.retire(index);
    }

    fn retire(&mut self, index: usize) {
        let running = self.scheduler.retire(index);
        self.free(running.id);
    }

    fn free(&mut self, id: SequenceId) {
        if let Err(error) = self.engine.free(id) {
            tracing::error!(%error, "a sequence could not be freed");
        }
    }
}
