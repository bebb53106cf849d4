//! [`Recent`]: the last measurements of something.

use std::collections::VecDeque;

/// At most `MOST` measurements, each with the number of its step. Quantiles of them count, since a step that something
/// else held up, such as the system with new memory, says nothing of the next one.
#[derive(Debug, Default)]
pub(super) struct Recent<const MOST: usize>(VecDeque<(usize, f64)>);

impl<const MOST: usize> Recent<MOST> {
    pub(super) fn add(&mut self, step: usize, value: f64) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back((step, value));
    }

    /// Forgets those of the steps before one.
    pub(super) fn forget(&mut self, known_from: usize) {
        while self.0.front().is_some_and(|(step, _)| *step < known_from) {
            self.0.pop_front();
        }
    }

    /// Keeps the last `len`.
    pub(super) fn keep(&mut self, len: usize) {
        self.0.drain(..self.0.len().saturating_sub(len));
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The step of the last one.
    pub(super) fn last(&self) -> Option<usize> {
        self.0.back().map(|(step, _)| *step)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, f64)> {
        self.0.iter().copied()
    }

    pub(super) fn median(&self) -> Option<f64> {
        quantile(self.0.iter().map(|(_, value)| *value), 0.5)
    }

    /// By how much the values grow from step to step, if there are as many as can be, of steps that follow each other.
    pub(super) fn slope(&self) -> Option<f64> {
        let (first, last) = (self.0.front()?.0, self.0.back()?.0);
        if self.0.len() < MOST || last - first >= MOST {
            return None;
        }
        let half = MOST / 2;
        let values = |from: usize| self.0.iter().skip(from).take(half).map(|(_, value)| *value);
        let [earlier, later] = [0, half].map(|from| quantile(values(from), 0.5));
        Some((later? - earlier?) / half as f64)
    }
}

/// What a share of the values does not exceed.
pub(super) fn quantile(values: impl Iterator<Item = f64>, share: f64) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    // The lower of two, as steps are held up and never hurried.
    values.get((share * values.len().saturating_sub(1) as f64) as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that grow by 2 in each step.
    fn of(steps: impl IntoIterator<Item = usize>) -> Recent<4> {
        let mut recent = Recent::default();
        steps.into_iter().for_each(|step| recent.add(step, 2.0 * step as f64));
        recent
    }

    #[test]
    fn the_last_ones_are_known() {
        let mut recent = of(0..9);
        assert_eq!((recent.len(), recent.last(), recent.median()), (4, Some(8), Some(12.0)));
        recent.forget(6);
        assert_eq!(recent.iter().collect::<Vec<_>>(), [(6, 12.0), (7, 14.0), (8, 16.0)]);
        recent.keep(5);
        assert_eq!(recent.len(), 3);
        recent.keep(1);
        assert_eq!(recent.iter().collect::<Vec<_>>(), [(8, 16.0)]);
    }

    #[test]
    fn only_steps_that_follow_each_other_have_a_slope() {
        assert_eq!(of(3..7).slope(), Some(2.0));
        assert_eq!(of(3..6).slope(), None);
        assert_eq!(of([3, 4, 5, 7]).slope(), None);
        assert_eq!(Recent::<4>::default().slope(), None);
    }
}
