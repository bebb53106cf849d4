//! Owns the limit on what a check may allocate. Must not know what is checked.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, which aborts as soon as more is live than [`Limited::run`] allows.
///
/// A panic would allocate, and an allocation that fails need not be noticed; an abort is a finding always.
#[derive(Debug)]
pub struct Limited {
    live: AtomicUsize,
    limit: AtomicUsize,
}

impl Limited {
    /// An allocator without a limit.
    #[expect(clippy::new_without_default, reason = "a static needs a constant")]
    pub const fn new() -> Self {
        Self { live: AtomicUsize::new(0), limit: AtomicUsize::new(usize::MAX) }
    }

    /// Runs `check`, which may have `bytes` bytes more live at once than are live before it. For one thread at a time.
    pub fn run<T>(&self, bytes: usize, check: impl FnOnce() -> T) -> T {
        self.limit.store(self.live.load(Ordering::Relaxed) + bytes, Ordering::Relaxed);
        let result = check();
        self.limit.store(usize::MAX, Ordering::Relaxed);
        result
    }

    fn grow(&self, bytes: usize) {
        let live = self.live.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let limit = self.limit.load(Ordering::Relaxed);
        if live > limit {
            // What is said from here on may be allocated.
            self.limit.store(usize::MAX, Ordering::Relaxed);
            eprintln!("{} bytes more than allowed are allocated, {bytes} of them now", live - limit);
            std::process::abort();
        }
    }

    fn shrink(&self, bytes: usize) {
        self.live.fetch_sub(bytes, Ordering::Relaxed);
    }
}

// SAFETY: every call is passed on to the system's allocator as it came; what is counted beside it decides nothing but
// whether the process goes on.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.grow(layout.size());
        // SAFETY: the caller promises what `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.shrink(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.grow(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Old and new block exist side by side while the bytes are moved.
        self.grow(size);
        // SAFETY: as above.
        let moved = unsafe { System.realloc(block, layout, size) };
        self.shrink(layout.size());
        moved
    }
}
