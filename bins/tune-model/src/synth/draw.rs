//! [`Draw`]: chance, the same for the same seed on every machine.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A source of choices.
pub(crate) struct Draw {
    rng: ChaCha8Rng,
    strange: u32,
}

impl Draw {
    /// The source for patient number `number` of a seed; so many of a hundred names are strange.
    pub(crate) fn new(seed: u64, number: u64, strange: u32) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        Self { rng, strange }
    }

    /// Whether a name is of words that nobody knows.
    pub(crate) fn is_strange(&mut self) -> bool {
        self.strange > 0 && self.chance(self.strange)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u32, high: u32) -> u32 {
        self.rng.random_range(low..=high)
    }

    /// True in so many of a hundred cases.
    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        self.between(1, 100) <= percent
    }

    /// One of some.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.rng.random_range(0..from.len())]
    }

    /// The place of one of some, each as likely as its weight is large.
    pub(crate) fn weighted(&mut self, weights: &[u32]) -> usize {
        let mut left = self.between(1, weights.iter().sum());
        for (place, &weight) in weights.iter().enumerate() {
            if left <= weight {
                return place;
            }
            left -= weight;
        }
        weights.len() - 1
    }

    /// `count` different things, fewer where `draw` repeats itself.
    pub(crate) fn several<T: PartialEq>(&mut self, count: u32, mut draw: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut drawn: Vec<T> = Vec::new();
        for _ in 0..count {
            let next = draw(self);
            if !drawn.contains(&next) {
                drawn.push(next);
            }
        }
        drawn
    }
}
