//! Owns the reading itself: every thread sums up memory of its own, of which no cache holds more than a part.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

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

/// When a thread began a pass and when it had read everything.
type Pass = (Instant, Instant);

/// Bytes a second that `threads` threads read together.
pub(super) fn bandwidth(threads: usize) -> anyhow::Result<f64> {
    let each = (LEAST / threads).max(LEAST_EACH);
    let barrier = Barrier::new(threads);
    let passes: anyhow::Result<Vec<_>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(each, &barrier))).collect();
        let results = workers.into_iter().map(|worker| worker.join());
        results.map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let fastest = fastest(&passes?).context("no pass was timed")?;
    Ok((each * threads) as f64 / fastest.as_secs_f64())
}

/// The shortest time from the first thread's beginning of a pass to the last one's end. The threads time
/// themselves: where they are as many as the processors, another that held the clock would come late.
fn fastest(threads: &[[Pass; PASSES]]) -> Option<Duration> {
    let times = (0..PASSES).filter_map(|pass| {
        let start = threads.iter().map(|passes| passes[pass].0).min()?;
        let end = threads.iter().map(|passes| passes[pass].1).max()?;
        Some(end - start)
    });
    times.min()
}

/// Writes the memory once, which also puts it near this thread's processor, and reads it in step with the others.
fn work(len: usize, barrier: &Barrier) -> anyhow::Result<[Pass; PASSES]> {
    let memory = memory(len);
    if let Ok(memory) = &memory {
        black_box(sum(memory));
    }
    let passes = std::array::from_fn(|_| {
        // Also a thread that has no memory waits, or the others would forever.
        barrier.wait();
        let start = Instant::now();
        if let Ok(memory) = &memory {
            black_box(sum(memory));
        }
        (start, Instant::now())
    });
    memory.map(|_| passes)
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
    fn a_pass_lasts_from_the_first_beginning_to_the_last_end() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let pass = |from, to| [(at(from), at(to)); PASSES];
        assert_eq!(fastest(&[pass(3, 10), pass(5, 14)]), Some(Duration::from_millis(11)));
        assert_eq!(fastest(&[]), None);
    }

    #[test]
    fn everything_is_read() {
        let mut bytes = vec![0; 1024];
        for at in (0..1024).step_by(8) {
            bytes[at] = 1;
        }
        assert_eq!(sum(&bytes), 128);
    }
}
