//! [`Order`]: which rows a step learns from.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Every row once in each epoch, in an order that the seed and the epoch alone decide: so that a run
/// that goes on after an interruption sees what it would have seen.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    seed: u64,
    rows: usize,
    epoch: Option<(u64, Vec<usize>)>,
}

impl Order {
    pub(crate) fn new(seed: u64, rows: usize) -> Self {
        Self { seed, rows, epoch: None }
    }

    /// The row that is learnt from as number `index` of the whole run.
    pub(crate) fn row(&mut self, index: usize) -> usize {
        let (epoch, place) = ((index / self.rows) as u64, index % self.rows);
        match &self.epoch {
            Some((current, rows)) if *current == epoch => rows[place],
            _ => {
                let mut rows: Vec<usize> = (0..self.rows).collect();
                let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
                rng.set_stream(epoch);
                rows.shuffle(&mut rng);
                let row = rows[place];
                self.epoch = Some((epoch, rows));
                row
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_epoch_has_every_row_in_another_order_that_can_be_entered_anywhere() {
        let mut order = Order::new(3, 50);
        let all: Vec<_> = (0..100).map(|index| order.row(index)).collect();
        let (first, second) = all.split_at(50);
        assert_ne!(first, second);
        for epoch in [first, second] {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..50));
        }
        for index in [99, 3, 50, 49, 7] {
            assert_eq!(Order::new(3, 50).row(index), all[index]);
            assert_eq!(order.row(index), all[index]);
        }
    }
}
