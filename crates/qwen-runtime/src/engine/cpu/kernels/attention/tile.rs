//! [`Tile`]: the innermost loop over keys and values.

use super::super::lines::LINE;
use super::super::simd::{ROWS, Simd};
use super::KvFormat;

/// Where `V` vectors of the cache lie.
type Vectors<K, const V: usize> = [*const <K as KvFormat>::Stored; V];

/// Sums of products of `V` vectors of the cache with `N` rows, even and odd ones apart, so that no
/// addition waits for the one before.
pub(super) struct Tile<S: Simd, const N: usize, const V: usize> {
    pub(super) even: [[S::F; V]; N],
    odd: [[S::F; V]; N],
}

impl<S: Simd, const N: usize, const V: usize> Tile<S, N, V> {
    #[inline(always)]
    pub(super) unsafe fn empty() -> Self {
        // SAFETY: the caller has the instruction set.
        unsafe { Self { even: [[S::splat(0.0); V]; N], odd: [[S::splat(0.0); V]; N] } }
    }

    /// Adds `Σ w[k] · x[row][k]` for `k` below `len`. Vectors of one lane of the blocks lie 16 values
    /// apart. Meanwhile the lines at `hints` are asked for, and those at `far` for the second-level cache.
    #[inline(always)]
    pub(super) unsafe fn add<W: KvFormat, K: KvFormat, const HINTS: usize, const FAR: usize>(
        &mut self,
        read: [*const W::Stored; V],
        (hints, far): ([Vectors<K, V>; HINTS], [Vectors<K, V>; FAR]),
        len: usize,
        x: *const f32,
        x_stride: usize,
    ) {
        // SAFETY: the caller's vectors and rows reach to `len`; any address may be asked for.
        unsafe {
            let mut k = 0;
            while k + 2 <= len {
                for at in (0..size_of::<K::Stored>() * 2 * ROWS).step_by(LINE) {
                    let line = |hint: &*const K::Stored| hint.wrapping_add(k * ROWS).cast::<u8>().wrapping_add(at);
                    hints.as_flattened().iter().for_each(|hint| S::prefetch(line(hint)));
                    far.as_flattened().iter().for_each(|hint| S::prefetch_far(line(hint)));
                }
                let mut first = [S::splat(0.0); V];
                let mut second = first;
                for v in 0..V {
                    first[v] = W::load::<S>(read[v].add(k * ROWS));
                    second[v] = W::load::<S>(read[v].add((k + 1) * ROWS));
                }
                for n in 0..N {
                    let x = x.add(n * x_stride + k);
                    let (x, y) = (S::splat(x.read()), S::splat(x.add(1).read()));
                    for v in 0..V {
                        self.even[n][v] = S::fma(first[v], x, self.even[n][v]);
                        self.odd[n][v] = S::fma(second[v], y, self.odd[n][v]);
                    }
                }
                k += 2;
            }
            if k < len {
                for v in 0..V {
                    let last = W::load::<S>(read[v].add(k * ROWS));
                    for n in 0..N {
                        self.even[n][v] = S::fma(last, S::splat(x.add(n * x_stride + k).read()), self.even[n][v]);
                    }
                }
            }
        }
    }

    #[inline(always)]
    pub(super) unsafe fn sums(mut self) -> [[S::F; V]; N] {
        for n in 0..N {
            for v in 0..V {
                // SAFETY: the caller has the instruction set.
                self.even[n][v] = unsafe { S::add(self.even[n][v], self.odd[n][v]) };
            }
        }
        self.even
    }
}
