//! How many tokens of prompts a step takes, so that the texts beside them keep flowing.

use std::time::Duration;

use super::decode_time::DecodeTime;
use super::recent::Recent;

/// Tokens of prompts in a step in which no text goes on. A cancelled request holds the others up for
/// no longer than this takes.
const ALONE: usize = 256;
/// Beside texts: as long as nothing is measured, and at least.
const FIRST: usize = 16;
const LEAST: usize = 8;
/// How much longer than a step of texts alone a step may take.
const STRETCH: f64 = 2.95;
/// Steps with prompts that are remembered: few, as a token costs more the longer its prompt.
const REMEMBERED: usize = 5;
/// After so many steps what texts alone took is forgotten. What a token of a prompt took is not: it is corrected within
/// a few steps, and without it every prompt would begin with `FIRST` tokens again.
const FORGOTTEN_AFTER: usize = 256;

/// What a step consists of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct StepSize {
    /// Texts that go on.
    pub(super) decoding: usize,
    /// Tokens of prompts.
    pub(super) prompt_tokens: usize,
}

/// Learns from past steps how many tokens of prompts fit into the next one.
#[derive(Debug, Default)]
pub(super) struct StepBudget {
    /// A step of texts alone.
    decode: DecodeTime,
    /// Seconds that a token of a prompt adds to it.
    prompt_token: Recent<REMEMBERED>,
    /// Steps so far, and those with prompts since the last one without.
    steps: usize,
    mixed: usize,
}

impl StepBudget {
    /// Tokens of prompts for a step beside `decoding` texts.
    pub(super) fn prompt_tokens(&self, decoding: usize) -> usize {
        match (self.decode.at(self.steps + 1), self.prompt_token.median()) {
            _ if decoding == 0 => ALONE,
            (None, _) => 0,
            _ if self.mixed >= self.decode.holds_for() => 0,
            (Some(_), None) => FIRST,
            // Rounded, since whole tokens left out would add up over a long prompt.
            (Some(step), Some(token)) => (((STRETCH - 1.0) * step / token).round() as usize).clamp(LEAST, ALONE),
        }
    }

    /// Learns from a step.
    pub(super) fn observe(&mut self, size: StepSize, elapsed: Duration) {
        let elapsed = elapsed.as_secs_f64();
        self.steps += 1;
        self.decode.forget(self.steps.saturating_sub(FORGOTTEN_AFTER));
        self.decode.set_texts(size.decoding);
        match size {
            StepSize { decoding: 0, .. } => {}
            StepSize { prompt_tokens: 0, .. } => {
                self.decode.add(self.steps, elapsed);
                self.mixed = 0;
            }
            StepSize { prompt_tokens, .. } => {
                if let Some(step) = self.decode.at(self.steps) {
                    // The texts cannot have taken all of it, whatever they took before.
                    let token = (elapsed - step).max(elapsed / 4.0) / prompt_tokens as f64;
                    self.prompt_token.add(self.steps, token);
                }
                self.mixed += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed(prompt_tokens: usize) -> StepSize {
        StepSize { decoding: 4, prompt_tokens }
    }

    /// Seconds of a step whose texts take `decode` and whose prompts add `token` for each token.
    fn run(budget: &mut StepBudget, decode: f64, token: f64) -> f64 {
        let prompt_tokens = budget.prompt_tokens(4);
        let elapsed = decode + token * prompt_tokens as f64;
        budget.observe(mixed(prompt_tokens), Duration::from_secs_f64(elapsed));
        elapsed
    }

    #[test]
    fn texts_alone_are_measured_first_and_prompts_alone_have_a_budget_of_their_own() {
        let mut budget = StepBudget::default();
        assert_eq!((budget.prompt_tokens(0), budget.prompt_tokens(1)), (ALONE, 0));
        budget.observe(StepSize { decoding: 0, prompt_tokens: ALONE }, Duration::from_secs(9));
        assert_eq!(budget.prompt_tokens(1), 0);
        run(&mut budget, 0.03, 0.003);
        assert_eq!(budget.prompt_tokens(1), FIRST);
    }

    #[test]
    fn a_step_comes_to_the_stretch_on_any_machine() {
        for (decode, token) in [(0.03, 0.003), (0.3, 0.02), (0.004, 0.000_02), (0.07, 0.02)] {
            let mut budget = StepBudget::default();
            let steps: Vec<f64> = (0..30).map(|_| run(&mut budget, decode, token)).collect();
            let tokens = budget.prompt_tokens(4);
            if (LEAST + 1..ALONE).contains(&tokens) {
                assert!((steps[29] / decode - STRETCH).abs() < 0.2, "{} of {decode}", steps[29]);
            }
            // The nearest whole token may be one half too much.
            let most = (decode * STRETCH + token / 2.0).max(decode + token * FIRST as f64);
            assert!(steps.iter().all(|step| *step <= most * 1.01));
        }
    }

    #[test]
    fn texts_that_take_longer_are_noticed() {
        let mut budget = StepBudget::default();
        for _ in 0..300 {
            run(&mut budget, 0.02, 0.002);
        }
        let before = budget.prompt_tokens(4);
        for _ in 0..200 {
            run(&mut budget, 0.08, 0.002);
        }
        // So that no such step is due.
        budget.observe(StepSize { decoding: 4, prompt_tokens: 0 }, Duration::from_millis(80));
        assert!(budget.prompt_tokens(4) > 3 * before);
    }

    #[test]
    fn the_stretch_holds_for_texts_that_grow_beside_a_prompt() {
        let mut budget = StepBudget::default();
        let decode = |step: u32| 0.01 + 0.000_02 * f64::from(step);
        for step in 0..200 {
            let elapsed = Duration::from_secs_f64(decode(step));
            budget.observe(StepSize { decoding: 4, prompt_tokens: 0 }, elapsed);
        }
        for step in 200..300 {
            let stretch = run(&mut budget, decode(step), 0.001) / decode(step);
            let text_alone_or_first = step == 250 || step == 200;
            assert!(text_alone_or_first || (stretch - STRETCH).abs() < 0.1, "{stretch} in step {step}");
        }
    }

    #[test]
    fn fewer_texts_are_measured_after_their_first_step() {
        let mut budget = StepBudget::default();
        for _ in 0..7 {
            budget.observe(StepSize { decoding: 4, prompt_tokens: 0 }, Duration::from_millis(80));
        }
        run(&mut budget, 0.08, 0.002);
        let token = budget.prompt_token.median();
        // Three of the texts end. How much of the step is the prompt's, nobody knows.
        budget.observe(StepSize { decoding: 1, prompt_tokens: 16 }, Duration::from_millis(52));
        assert_eq!((budget.prompt_tokens(1), budget.prompt_token.median()), (0, token));
        budget.observe(StepSize { decoding: 1, prompt_tokens: 0 }, Duration::from_millis(20));
        assert!((FIRST..=20).contains(&budget.prompt_tokens(1)), "{}", budget.prompt_tokens(1));
    }

    #[test]
    fn texts_alone_are_seldom_measured_once_they_are_known() {
        let mut budget = StepBudget::default();
        let mut alone = Vec::new();
        for step in 0..900 {
            if budget.prompt_tokens(4) == 0 {
                alone.push(step);
            }
            run(&mut budget, 0.02, 0.002);
        }
        assert_eq!(alone[..4], [0, 3, 12, 31]);
        assert!(alone[5..].windows(2).all(|pair| pair[1] - pair[0] == 51), "{alone:?}");
    }

    #[test]
    fn a_step_that_was_held_up_changes_nothing() {
        let mut budget = StepBudget::default();
        budget.observe(StepSize { decoding: 4, prompt_tokens: 0 }, Duration::from_millis(20));
        for _ in 0..20 {
            run(&mut budget, 0.02, 0.002);
        }
        let before = budget.prompt_tokens(4);
        for _ in 0..5 {
            budget.observe(mixed(before), Duration::from_millis(500));
            budget.observe(StepSize { decoding: 4, prompt_tokens: 0 }, Duration::from_millis(500));
            for _ in 0..4 {
                assert_eq!(budget.prompt_tokens(4), before);
                budget.observe(StepSize { decoding: 4, prompt_tokens: 0 }, Duration::from_millis(20));
                run(&mut budget, 0.02, 0.002);
            }
        }
    }

    #[test]
    fn after_a_pause_texts_are_measured_anew_and_prompts_go_on_as_before() {
        let mut budget = StepBudget::default();
        run(&mut budget, 0.02, 0.002);
        run(&mut budget, 0.02, 0.002);
        let before = budget.prompt_tokens(4);
        for _ in 0..=FORGOTTEN_AFTER {
            budget.observe(StepSize { decoding: 0, prompt_tokens: ALONE }, Duration::from_secs(1));
        }
        assert_eq!(budget.prompt_tokens(4), 0);
        run(&mut budget, 0.02, 0.002);
        assert_eq!(budget.prompt_tokens(4), before);
    }

    #[test]
    fn what_texts_took_long_ago_is_forgotten() {
        let mut budget = StepBudget::default();
        let alone = |milliseconds| (StepSize { decoding: 4, prompt_tokens: 0 }, Duration::from_millis(milliseconds));
        for _ in 0..64 {
            let (size, elapsed) = alone(80);
            budget.observe(size, elapsed);
        }
        for _ in 0..8 {
            (0..40).for_each(|_| budget.observe(mixed(20), Duration::from_millis(61)));
            let (size, elapsed) = alone(20);
            budget.observe(size, elapsed);
        }
        assert_eq!(budget.prompt_tokens(4), 19);
    }

    #[test]
    fn a_first_measurement_that_was_held_up_is_soon_corrected() {
        let mut budget = StepBudget::default();
        for _ in 0..100 {
            run(&mut budget, 0.02, 0.002);
        }
        budget.observe(StepSize { decoding: 5, prompt_tokens: 0 }, Duration::from_millis(200));
        let mut long = 0;
        for _ in 0..100 {
            let prompt_tokens = budget.prompt_tokens(5);
            let elapsed = 0.02 + 0.002 * prompt_tokens as f64;
            budget.observe(StepSize { decoding: 5, prompt_tokens }, Duration::from_secs_f64(elapsed));
            long += usize::from(elapsed > 0.02 * STRETCH * 1.1);
        }
        assert_eq!(long, 2);
    }

    #[test]
    fn no_measurement_breaks_it() {
        for elapsed in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            let mut budget = StepBudget::default();
            for prompt_tokens in [0, 16, 16, 0, 16] {
                budget.observe(mixed(prompt_tokens), elapsed);
            }
            assert!((LEAST..=ALONE).contains(&budget.prompt_tokens(4)));
        }
    }
}
