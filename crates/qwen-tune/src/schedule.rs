//! [`Schedule`]: the learning rate of each step.

use crate::error::TuneError;

/// A linear warm-up, then half a cosine down to a part of the peak (SGDR without restarts,
/// arXiv 1608.03983).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    peak: f64,
    warm_up: usize,
    steps: usize,
    floor: f64,
}

impl Schedule {
    /// A schedule of `steps` steps, of which the first `warm_up` rise to `peak`; the last one has
    /// `floor` times the peak.
    ///
    /// # Errors
    /// [`TuneError::Parameter`] for no steps, a warm-up that is not shorter, or rates that cannot be.
    pub fn new(peak: f64, warm_up: usize, steps: usize, floor: f64) -> Result<Self, TuneError> {
        if !(peak > 0.0 && peak.is_finite()) {
            return Err(TuneError::parameter("learning_rate", "it must be above 0"));
        }
        if !(0.0..=1.0).contains(&floor) {
            return Err(TuneError::parameter("floor", "it must be between 0 and 1"));
        }
        if warm_up >= steps {
            return Err(TuneError::parameter("warm_up", format!("it must be shorter than the {steps} steps")));
        }
        Ok(Self { peak, warm_up, steps, floor })
    }

    /// How many steps there are.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The learning rate of step `step`, from 0; the last one's for later ones.
    #[must_use]
    pub fn rate(&self, step: usize) -> f64 {
        if step < self.warm_up {
            return self.peak * (step + 1) as f64 / self.warm_up as f64;
        }
        let left = (self.steps - self.warm_up).saturating_sub(1).max(1) as f64;
        let done = ((step - self.warm_up) as f64 / left).min(1.0);
        let cosine = (1.0 + (std::f64::consts::PI * done).cos()) / 2.0;
        self.peak * (self.floor + (1.0 - self.floor) * cosine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_and_falls() {
        let schedule = Schedule::new(1.0, 4, 15, 0.1).unwrap();
        let rates: Vec<_> = (0..16).map(|step| (schedule.rate(step) * 1e4).round() / 1e4).collect();
        assert_eq!(rates[..5], [0.25, 0.5, 0.75, 1.0, 1.0]);
        assert_eq!((rates[9], rates[14], rates[15]), (0.55, 0.1, 0.1));
        assert!(rates[4..].windows(2).all(|pair| pair[0] >= pair[1]));
        assert_eq!(Schedule::new(1.0, 0, 1, 0.0).unwrap().rate(0), 1.0);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (peak, warm_up, steps, floor) in
            [(0.0, 0, 9, 0.1), (f64::NAN, 0, 9, 0.1), (1.0, 9, 9, 0.1), (1.0, 0, 9, 1.1)]
        {
            assert!(Schedule::new(peak, warm_up, steps, floor).is_err());
        }
    }
}
