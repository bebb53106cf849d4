//! [`Recent`]: the last measurements of something.

use std::collections::VecDeque;

/// At most `MOST` measurements, each with the number of its step. Quantiles of them count, since a step that something else
/// held up, such as the system with new memory, says nothing of the next one.
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
