//! Owns computing many digests at once: one file to a thread, the longest first. Must not know what they are compared
//! with.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::gauge::Gauge;
use crate::{Digest, WorkEvent};

/// More threads than this only make a disk seek.
const MAX_THREADS: usize = 8;

/// A file whose digest is wanted.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) path: PathBuf,
    /// What to call it.
    pub(super) name: String,
    pub(super) size: u64,
    /// Of which kind the digest is to be.
    pub(super) like: Digest,
}

/// Computes the digests, by path.
pub(super) fn digests(
    mut tasks: Vec<Task>,
    progress: &(dyn Fn(WorkEvent) + Sync),
) -> HashMap<PathBuf, io::Result<Digest>> {
    tasks.sort_by_key(|task| std::cmp::Reverse(task.size));
    let gauge = Gauge::start(tasks.len(), tasks.iter().map(|task| task.size).sum(), progress);
    let next = AtomicUsize::new(0);
    let computed = Mutex::new(HashMap::new());
    let work = || {
        while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
            let digest = File::open(&task.path)
                .and_then(|file| task.like.compute(gauge.watch(&task.name, task.size, file), task.size));
            computed.lock().unwrap_or_else(PoisonError::into_inner).insert(task.path.clone(), digest);
            gauge.done(&task.name);
        }
    };
    let threads = thread::available_parallelism().map_or(2, usize::from).clamp(2, MAX_THREADS).min(tasks.len());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    computed.into_inner().unwrap_or_else(PoisonError::into_inner)
}
