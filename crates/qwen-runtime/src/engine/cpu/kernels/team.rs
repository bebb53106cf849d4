//! [`Team`]: threads that stay, and share the tasks of one operation after another.
//!
//! Between operations they look for work for some microseconds and then sleep, so that an idle
//! engine uses no processor. A thread begins with its own share of the tasks, the same in each operation of as many
//! parts: so it mostly finds what it needs in its own caches. Who is ready first helps the others; no result depends on
//! who did what.

use std::any::Any;
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Rounds of looking before a thread sleeps: some tens of microseconds.
const LOOKS: u32 = 10_000;

/// The state's lowest bits count the threads at work on the job.
const AT_WORK: u64 = 0xffff;
/// Set while threads may begin to work on it.
const OPEN: u64 = 0x1_0000;
/// Jobs are counted above.
const JOB: u64 = 0x2_0000;

/// What a thread does with a task.
type Work<'a> = dyn Fn(Range<usize>) + Sync + 'a;

struct Job {
    work: *const Work<'static>,
}

/// The tasks of a thread that nobody has begun: the first one and the end, in one number, so that no thread sees one
/// without the other. On a cache line of its own, since it is mostly one thread that looks at it.
#[derive(Default)]
#[repr(align(64))]
struct Queue(AtomicU64);

impl Queue {
    fn fill(&self, tasks: Range<usize>) {
        self.0.store(Self::pack(tasks), Ordering::Relaxed);
    }

    const fn pack(tasks: Range<usize>) -> u64 {
        (tasks.start as u64) << 32 | tasks.end as u64
    }

    /// Takes a part of those that are left: `split` says which, and what is left then.
    fn take(&self, split: impl Fn(Range<usize>) -> [Range<usize>; 2]) -> Option<Range<usize>> {
        let mut now = self.0.load(Ordering::Relaxed);
        loop {
            let left = (now >> 32) as usize..(now & 0xffff_ffff) as usize;
            if left.is_empty() {
                return None;
            }
            let [taken, rest] = split(left);
            match self.0.compare_exchange_weak(now, Self::pack(rest), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(taken),
                Err(other) => now = other,
            }
        }
    }

    /// Some for the thread itself: many at first, so that it reads a long stretch of memory, and few at the end, so that
    /// others can help. Mostly even numbers, for kernels that do two tasks at a time.
    fn first(&self) -> Option<Range<usize>> {
        self.take(|Range { start, end }| {
            let share = (end - start) * 3 / 4;
            let middle = start + if share < 2 { 1 } else { share.next_multiple_of(2) };
            [start..middle, middle..end]
        })
    }

    /// Some for another thread: half of them, those that the thread itself would come to last.
    fn last(&self) -> Option<Range<usize>> {
        self.take(|Range { start, end }| {
            let middle = start + (end - start) / 2;
            [middle..end, start..middle]
        })
    }
}

struct Shared {
    state: AtomicU64,
    /// The job; good while the state is open or a thread is at work.
    job: AtomicPtr<Job>,
    /// One for each thread, the caller's first.
    queues: Box<[Queue]>,
    sleepers: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
    stop: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// The caller and `threads - 1` more.
pub(crate) struct Team {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Team {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Team({})", self.threads())
    }
}

impl Team {
    /// # Errors
    /// Whatever the system says when it starts no thread.
    pub(crate) fn new(threads: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            job: AtomicPtr::new(std::ptr::null_mut()),
            queues: (0..threads.max(1)).map(|_| Queue::default()).collect(),
            sleepers: AtomicUsize::new(0),
            sleep: Mutex::new(()),
            wake: Condvar::new(),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
        });
        let mut team = Self { shared, threads: Vec::new() };
        for index in 1..threads {
            let shared = Arc::clone(&team.shared);
            let thread = thread::Builder::new().name(format!("qwen-cpu-{index}")).spawn(move || shared.serve(index))?;
            team.threads.push(thread);
        }
        Ok(team)
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads.len() + 1
    }

    /// Does tasks `0..tasks`, each once, and returns when all are done. Neighbours are done by one thread, several at
    /// once.
    pub(crate) fn run(&mut self, tasks: usize, work: &Work<'_>) {
        if tasks <= 1 || self.threads.is_empty() {
            if tasks > 0 {
                work(0..tasks);
            }
            return;
        }
        // SAFETY: the lifetime is lengthened for the threads' sake; none of them touches the job
        // after this function has seen the state closed and nobody at work.
        let work: &Work<'static> = unsafe { std::mem::transmute::<&Work<'_>, &Work<'static>>(work) };
        let mut job = Job { work };
        let shared = &*self.shared;
        let threads = shared.queues.len();
        assert!(u32::try_from(tasks).is_ok(), "{tasks} tasks");
        for (index, queue) in shared.queues.iter().enumerate() {
            queue.fill(tasks * index / threads..tasks * (index + 1) / threads);
        }
        shared.job.store(&raw mut job, Ordering::Relaxed);
        let before = shared.state.load(Ordering::Relaxed);
        debug_assert_eq!(before & (AT_WORK | OPEN), 0);
        // Sequentially consistent, as is the sleeper's count: either a thread that goes to sleep
        // sees the job, or it is seen here.
        shared.state.store(before.wrapping_add(JOB) | OPEN, Ordering::SeqCst);
        if shared.sleepers.load(Ordering::SeqCst) > 0 {
            drop(shared.sleep.lock().unwrap_or_else(PoisonError::into_inner));
            shared.wake.notify_all();
        }
        let own = catch_unwind(AssertUnwindSafe(|| shared.work_on(&job, 0)));
        shared.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut looks = 0;
        while shared.state.load(Ordering::Acquire) & AT_WORK != 0 {
            pause(&mut looks);
        }
        let theirs = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = own.err().or(theirs) {
            resume_unwind(panic);
        }
    }
}

/// Waits a moment; after many, lets another thread have the processor.
fn pause(looks: &mut u32) {
    *looks += 1;
    if looks.is_multiple_of(4096) {
        thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}

impl Shared {
    /// Does the tasks of the thread number `own`, then those that others have left.
    fn work_on(&self, job: &Job, own: usize) {
        // SAFETY: the job's closure lives while a thread is at work.
        let work = unsafe { &*job.work };
        let (before, others) = self.queues.split_at(own);
        while let Some(tasks) = others[0].first() {
            work(tasks);
        }
        for queue in others[1..].iter().chain(before) {
            while let Some(tasks) = queue.last() {
                work(tasks);
            }
        }
    }

    /// A thread's life.
    fn serve(&self, own: usize) {
        let mut last = 0;
        while let Some(state) = self.wait(last) {
            last = state & !(AT_WORK | OPEN);
            // To begin is to be counted while the job is open; the one who gave it waits for all
            // who were counted.
            let begin = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                (now & OPEN != 0 && now & !(AT_WORK | OPEN) == last).then_some(now + 1)
            });
            if begin.is_err() {
                continue;
            }
            // SAFETY: this thread is counted at work on an open job.
            let job = unsafe { &*self.job.load(Ordering::Relaxed) };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.work_on(job, own))) {
                *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
            }
            self.state.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// The state of an open job that is not number `last`; `None` at the end.
    fn wait(&self, last: u64) -> Option<u64> {
        let fresh = |state: u64| state & OPEN != 0 && state & !(AT_WORK | OPEN) != last;
        let mut looks = 0;
        loop {
            let state = self.state.load(Ordering::Acquire);
            if fresh(state) {
                return Some(state);
            }
            pause(&mut looks);
            if looks < LOOKS {
                continue;
            }
            let guard = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
            self.sleepers.fetch_add(1, Ordering::SeqCst);
            let nothing = |_: &mut ()| !fresh(self.state.load(Ordering::SeqCst)) && !self.stop.load(Ordering::SeqCst);
            drop(self.wake.wait_while(guard, nothing));
            self.sleepers.fetch_sub(1, Ordering::SeqCst);
            if self.stop.load(Ordering::SeqCst) {
                return None;
            }
            looks = 0;
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        drop(self.shared.sleep.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

/// Parts of a slice for the tasks of a team. Each can be taken once.
pub(crate) struct Chunks<'a, T> {
    start: *mut T,
    len: usize,
    chunk: usize,
    taken: Box<[AtomicBool]>,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: a part is given to one thread only, which may be any that may have a `T`.
unsafe impl<T: Send> Sync for Chunks<'_, T> {}

impl<'a, T> Chunks<'a, T> {
    /// Parts of `chunk` elements, the last one perhaps shorter.
    pub(crate) fn new(slice: &'a mut [T], chunk: usize) -> Self {
        let taken = (0..slice.len().div_ceil(chunk.max(1))).map(|_| AtomicBool::new(false)).collect();
        Self { start: slice.as_mut_ptr(), len: slice.len(), chunk, taken, slice: PhantomData }
    }

    /// Part number `index`.
    ///
    /// # Panics
    /// When it is taken a second time, or is none of the parts.
    pub(crate) fn take(&self, index: usize) -> &'a mut [T] {
        self.take_run(index, 1)
    }

    /// `count` parts from number `index` on, at least one, as one slice.
    ///
    /// # Panics
    /// When one is taken a second time, or is none of the parts.
    pub(crate) fn take_run(&self, index: usize, count: usize) -> &'a mut [T] {
        for taken in &self.taken[index..index + count] {
            assert!(!taken.swap(true, Ordering::Relaxed), "a part of {index}..{} is taken twice", index + count);
        }
        let first = index * self.chunk;
        // SAFETY: the parts lie in the slice, and nobody else has them, as was just made sure.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(first), (self.chunk * count).min(self.len - first)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_is_done_once_whoever_comes_late() {
        for threads in [1, 2, 3, 8] {
            let mut team = Team::new(threads).unwrap();
            for round in 0..2000 {
                let tasks = round % 70;
                let mut done = vec![0_u32; tasks];
                let parts = Chunks::new(&mut done, 1);
                team.run(tasks, &|range| range.for_each(|task| parts.take(task)[0] += 1));
                drop(parts);
                assert!(done.iter().all(|&times| times == 1), "{done:?}");
                if round % 500 == 0 {
                    // Long enough that all of them sleep.
                    thread::sleep(std::time::Duration::from_millis(20));
                }
            }
        }
    }

    #[test]
    fn each_thread_begins_with_its_own_share() {
        let mut team = Team::new(4).unwrap();
        for _ in 0..100 {
            let (here, barrier) = (Mutex::new(Vec::new()), std::sync::Barrier::new(4));
            team.run(4, &|range| {
                // Nobody can help another before all have begun.
                barrier.wait();
                here.lock().unwrap().push((range, thread::current().name().map(str::to_owned)));
            });
            let here = here.into_inner().unwrap();
            for index in 1..4 {
                assert!(here.contains(&(index..index + 1, Some(format!("qwen-cpu-{index}")))), "{here:?}");
            }
        }
    }

    #[test]
    fn a_queue_gives_its_tasks_from_either_end() {
        let queue = Queue::default();
        assert_eq!((queue.first(), queue.last()), (None, None));
        queue.fill(10..30);
        let taken = [queue.first(), queue.last(), queue.first(), queue.last(), queue.last(), queue.last()];
        assert_eq!(taken, [Some(10..26), Some(28..30), Some(26..27), Some(27..28), None, None]);
    }

    #[test]
    fn a_panic_comes_back_to_the_caller_and_the_team_goes_on() {
        let mut team = Team::new(3).unwrap();
        let failed = catch_unwind(AssertUnwindSafe(|| {
            team.run(100, &|range| assert!(!range.contains(&57), "task 57"));
        }));
        assert!(failed.is_err());
        let count = AtomicUsize::new(0);
        team.run(100, &|range| {
            count.fetch_add(range.len(), Ordering::Relaxed);
        });
        assert_eq!(count.into_inner(), 100);
    }

    #[test]
    fn a_part_is_taken_once() {
        let mut data = [0; 10];
        let parts = Chunks::new(&mut data, 4);
        assert_eq!((parts.take(0).len(), parts.take(2).len()), (4, 2));
        assert!(catch_unwind(AssertUnwindSafe(|| parts.take(0))).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| parts.take(3))).is_err());
    }
}
