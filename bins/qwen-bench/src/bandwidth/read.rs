//! Owns the reading itself: every thread sums up memory of its own, of which no cache holds more than a part.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

use anyhow::Context;
use memmap2::MmapMut;

/// Bytes that each thread reads, at least; far more than caches hold.
const LEAST_EACH: usize = 256 << 20;
/// Bytes that all threads read together, at least.
const LEAST: usize = 512 << 20;
/// How often everything is read; the fastest pass counts, as in the STREAM benchmark.
const PASSES: usize = 5;
/// Sums that are kept beside each other, so that none waits for another and they become vectors.
const LANES: usize = 16;

/// Bytes a second that `threads` threads read together.
pub(super) fn bandwidth(threads: usize) -> anyhow::Result<f64> {
    let each = (LEAST / threads).max(LEAST_EACH);
    // The threads, and the clock.
    let barrier = Barrier::new(threads + 1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(each, &barrier))).collect();
        barrier.wait();
        let mut best = f64::INFINITY;
        for _ in 0..PASSES {
            barrier.wait();
            let start = Instant::now();
            barrier.wait();
            best = best.min(start.elapsed().as_secs_f64());
        }
        for worker in workers {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok((each * threads) as f64 / best)
    })
}

/// Writes the memory once, which also puts it near this thread's processor, and reads it in step with the others.
fn work(len: usize, barrier: &Barrier) -> anyhow::Result<()> {
    let memory = memory(len);
    if let Ok(memory) = &memory {
        black_box(sum(memory));
    }
    // Also a thread that has no memory waits, or the others would forever.
    barrier.wait();
    for _ in 0..PASSES {
        barrier.wait();
        if let Ok(memory) = &memory {
            black_box(sum(memory));
        }
        barrier.wait();
    }
    memory.map(drop)
}

/// Memory in large pages where the system has them, so that looking up addresses costs nothing.
fn memory(len: usize) -> anyhow::Result<MmapMut> {
    let mut memory = MmapMut::map_anon(len).with_context(|| format!("no memory of {} MiB", len >> 20))?;
    #[cfg(target_os = "linux")]
    // A kernel without large pages says so, and small ones do.
    let _ = memory.advise(memmap2::Advice::HugePage);
    memory.fill(1);
    Ok(memory)
}

fn sum(bytes: &[u8]) -> u64 {
    let mut lanes = [0_u64; LANES];
    let (rows, _) = bytes.as_chunks::<{ 8 * LANES }>();
    for row in rows {
        for (lane, value) in lanes.iter_mut().zip(row.as_chunks().0) {
            *lane = lane.wrapping_add(u64::from_le_bytes(*value));
        }
    }
    lanes.into_iter().fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_read() {
        let mut bytes = vec![0; 1024];
        for at in (0..1024).step_by(8) {
            bytes[at] = 1;
        }
        assert_eq!(sum(&bytes), 128);
    }
}
