//! [`DecodeTime`]: what a step of the running texts alone would take.

use super::recent::{Recent, quantile};

/// Steps that are remembered: many, since the work around a new request, such as cutting its prompt into tokens, holds
/// several in a row up.
const REMEMBERED: usize = 64;
/// Which share of them the time that counts exceeds: what is promised is that few gaps between tokens are long, so slow
/// steps are compared with slow ones. Of few steps the median counts, or two that were held up would decide.
const SLOW: f64 = 0.75;
const FEW: usize = 16;
/// Stretches of steps by which it is known how the time grows, and how many it takes: one alone may have seen the
/// machine become slower.
const STRETCHES: usize = 5;
const ENOUGH: usize = 3;
/// After so many steps a stretch is forgotten.
const FORGOTTEN_AFTER: usize = 4096;
/// Most of a step's time that it can have grown by since it was measured.
const MOST_GROWTH: f64 = 0.25;
/// Most steps of another kind until it is measured again.
const HOLDS_FOR: usize = 50;

/// Learns from steps of texts alone.
#[derive(Debug, Default)]
pub(super) struct DecodeTime {
    texts: usize,
    /// Seconds of a step of `texts` texts.
    steps: Recent<REMEMBERED>,
    /// Seconds that a step takes longer for each token that a text has grown, by whole stretches of steps.
    growth: Recent<STRETCHES>,
}

impl DecodeTime {
    /// From now on so many texts run. Others take another time; what was measured of those before would stretch steps
    /// too far.
    pub(super) fn set_texts(&mut self, texts: usize) {
        if texts != self.texts {
            (self.steps, self.texts) = (Recent::default(), texts);
        }
    }

    /// Learns that step number `step` was one, and took `seconds`.
    pub(super) fn add(&mut self, step: usize, seconds: f64) {
        if self.steps.last().is_some_and(|last| step - last > HOLDS_FOR) {
            // What was measured before so long a pause must not outvote what is measured after it.
            self.steps.keep((self.steps.len() / 4).max(4));
        }
        self.steps.add(step, seconds);
        self.growth.forget(step.saturating_sub(FORGOTTEN_AFTER));
        let learned = self.growth.last().unwrap_or(0);
        if let Some(growth) = self.steps.slope().filter(|_| step >= learned + REMEMBERED) {
            self.growth.add(step, growth / self.texts as f64);
        }
    }

    /// Forgets the steps before one.
    pub(super) fn forget(&mut self, known_from: usize) {
        self.steps.forget(known_from);
    }

    /// Seconds that it would take as step number `step`.
    pub(super) fn at(&self, step: usize) -> Option<f64> {
        let known = self.growth.len() >= ENOUGH;
        let growth = self.growth.median().filter(|growth| known && *growth > 0.0).unwrap_or(0.0) * self.texts as f64;
        let grown =
            |(from, seconds): (usize, f64)| seconds + (growth * (step - from) as f64).min(MOST_GROWTH * seconds);
        quantile(self.steps.iter().map(grown), if self.steps.len() < FEW { 0.5 } else { SLOW })
    }

    /// For how many steps of another kind that holds: after one measurement, which may be wrong, for 2.
    pub(super) fn holds_for(&self) -> usize {
        HOLDS_FOR.min(2 * self.steps.len().pow(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it is after steps of so many milliseconds.
    fn after(milliseconds: impl IntoIterator<Item = f64>) -> DecodeTime {
        let mut time = DecodeTime::default();
        time.set_texts(4);
        milliseconds.into_iter().enumerate().for_each(|(step, ms)| time.add(step, ms));
        time
    }

    #[test]
    fn several_steps_in_a_row_that_were_held_up_change_nothing() {
        let time = after([[20.0; 16].as_slice(), &[30.0; 4]].concat());
        assert_eq!(time.at(20), Some(20.0));
    }

    #[test]
    fn where_steps_differ_the_slow_ones_count() {
        let time = after((0..90).map(|step| if step % 3 == 0 { 24.0 } else { 20.0 }));
        assert_eq!(time.at(90), Some(24.0));
    }

    #[test]
    fn growth_goes_on_when_nothing_is_measured() {
        let grown = |step: usize| 10.0 + 0.01 * step as f64;
        let held_up = |step: usize| if step.is_multiple_of(9) { 3.0 } else { 0.0 };
        let time = after((0..200).map(|step| grown(step) + held_up(step)));
        for step in [200, 250, 300] {
            let error = time.at(step).unwrap() - grown(step);
            assert!((0.0..0.3).contains(&error), "{error} ms in step {step}");
        }
    }

    #[test]
    fn growth_is_known_for_other_texts() {
        let mut time = after((0..200).map(|step| 10.0 + 0.04 * f64::from(step)));
        time.set_texts(2);
        assert_eq!(time.at(200), None);
        time.add(200, 8.0);
        assert!((time.at(300).unwrap() - 10.0).abs() < 1e-9);
    }

    #[test]
    fn a_change_of_the_machine_is_no_growth() {
        let time = after((0..320).map(|step| if step < 170 { 10.0 } else { 12.0 }));
        assert_eq!(time.at(400), Some(12.0));
        let time = after((0..100).map(|step| if step < 30 { 10.0 } else { 12.0 }));
        assert_eq!(time.at(200), Some(12.0));
        // Of three stretches it is in one, and no step counts in two.
        let time = after((0..200).map(|step| if step < 170 { 10.0 } else { 12.0 }));
        assert_eq!(time.at(300), Some(12.0));
    }

    #[test]
    fn two_of_four_or_five_steps_that_were_held_up_change_nothing() {
        assert_eq!(after([20.0, 20.0, 20.0, 30.0, 30.0]).at(5), Some(20.0));
        assert_eq!(after([20.0, 20.0, 30.0, 30.0]).at(4), Some(20.0));
    }

    #[test]
    fn a_machine_that_becomes_faster_or_slower_during_a_prompt_is_noticed() {
        for now in [20.0, 80.0] {
            let mut time = after([40.0; 64]);
            let measured = (1..=3).map(|round| 63 + round * (HOLDS_FOR + 1));
            measured.for_each(|step| time.add(step, now));
            assert_eq!(time.at(220), Some(now));
        }
    }

    #[test]
    fn a_pause_that_is_not_so_long_forgets_nothing() {
        let mut time = after([20.0; 64]);
        time.add(63 + HOLDS_FOR, 30.0);
        assert_eq!((time.steps.len(), time.at(64 + HOLDS_FOR)), (64, Some(20.0)));
    }

    #[test]
    fn growth_is_limited_and_forgotten() {
        let mut time = after((0..200).map(|step| 10.0 + 0.04 * f64::from(step)));
        time.set_texts(2);
        time.add(200, 8.0);
        assert_eq!(time.at(2000), Some(10.0));
        time.set_texts(4);
        time.add(200 + FORGOTTEN_AFTER, 18.0);
        assert_eq!(time.at(300 + FORGOTTEN_AFTER), Some(18.0));
    }

    #[test]
    fn texts_do_not_shrink() {
        let time = after((0..320).map(|step| 20.0 - 0.01 * f64::from(step)));
        assert!((16.8..17.5).contains(&time.at(2000).unwrap()), "{:?}", time.at(2000));
    }
}
