//! [`Draw`]: choices from a seeded stream. They are computed here from raw 32-bit words, whose
//! values the algorithm fixes, so that no release of a crate changes the patients.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Changing it changes every synthetic patient.
const SEED: u64 = 0x5EED_CA5E_0000_0000;

/// A stream of choices.
pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    /// The stream of one patient, independent of all others.
    pub(super) fn for_patient(number: u32) -> Self {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&(SEED | u64::from(number)).to_le_bytes());
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// A number from `low` to `high`, both included; `low` when they are the wrong way around.
    pub(super) fn between(&mut self, low: u32, high: u32) -> u32 {
        let width = u64::from(high.saturating_sub(low)) + 1;
        // The top half of a 32 by 32 bit product is below `width`, which is at most 2^32.
        let offset = (u64::from(self.0.next_u32()) * width) >> 32;
        low + u32::try_from(offset).unwrap_or(0)
    }

    /// True in `percent` of all cases.
    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.between(1, 100) <= percent
    }

    /// The index of one of `count` things; 0 when there are none.
    pub(super) fn index(&mut self, count: usize) -> usize {
        self.between(0, u32::try_from(count).unwrap_or(u32::MAX).saturating_sub(1)) as usize
    }

    /// One of a table's items, which must not be empty.
    pub(super) fn pick<T: Copy, const N: usize>(&mut self, items: &[T; N]) -> T {
        const { assert!(N > 0) };
        items[self.index(N)]
    }

    /// A day from 1 to 28 of a month, as `YYYY-MM-DD`.
    pub(super) fn day_of(&mut self, year: u32, month: u32) -> String {
        format!("{year:04}-{month:02}-{:02}", self.between(1, 28))
    }
}
