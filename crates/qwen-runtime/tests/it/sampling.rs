//! Distributions against transformers and vLLM, and draws against distributions.

use qwen_runtime::{KnownTokens, Sampler, SamplingOptions, TokenHistory};
use serde::Deserialize;

use crate::golden;

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    logits: Vec<f32>,
    prompt: Vec<u32>,
    generated: Vec<u32>,
    params: Params,
    expected: Vec<f64>,
}

#[derive(Deserialize)]
struct Params {
    temperature: f32,
    top_k: u32,
    top_p: f32,
    min_p: f32,
    repetition_penalty: f32,
    presence_penalty: f32,
    frequency_penalty: f32,
}

fn cases() -> Vec<Case> {
    let cases: Cases = serde_json::from_slice(&std::fs::read(golden::own("sampling/cases.json")).unwrap()).unwrap();
    assert!(cases.cases.len() >= 40);
    cases.cases
}

fn sampler(case: &Case, seed: u64) -> (Sampler, TokenHistory) {
    let params = &case.params;
    let options = SamplingOptions {
        temperature: Some(params.temperature),
        top_k: Some(params.top_k),
        top_p: Some(params.top_p),
        min_p: Some(params.min_p),
        repetition_penalty: Some(params.repetition_penalty),
        presence_penalty: Some(params.presence_penalty),
        frequency_penalty: Some(params.frequency_penalty),
        logit_bias: None,
        seed: Some(seed),
    };
    let mut history = TokenHistory::of_prompt(&case.prompt);
    case.generated.iter().for_each(|&token| history.push(token));
    (Sampler::new(options.validate().unwrap(), KnownTokens::all(case.logits.len())), history)
}

#[test]
fn every_distribution_is_the_expected_one() {
    for (index, case) in cases().iter().enumerate() {
        let (mut sampler, history) = sampler(case, 0);
        let mut actual = vec![0.0; case.expected.len()];
        for candidate in sampler.distribution(&case.logits, &history) {
            actual[candidate.token as usize] = f64::from(candidate.value);
        }
        for (token, (actual, expected)) in actual.iter().zip(&case.expected).enumerate() {
            assert!((actual - expected).abs() < 1e-5, "case {index}, token {token}: {actual}, expected {expected}");
        }
    }
}

#[test]
fn draws_fit_the_distributions() {
    const DRAWS: u32 = 20_000;
    for (index, case) in cases().iter().enumerate() {
        let (mut sampler, history) = sampler(case, 1000 + index as u64);
        let mut counts = vec![0_u32; case.expected.len()];
        for _ in 0..DRAWS {
            counts[sampler.sample(&case.logits, &history, &[]).unwrap() as usize] += 1;
        }
        // Pearson's statistic over the outcomes expected at least five times; rarer ones are one outcome.
        let (mut statistic, mut outcomes) = (0.0, 0_u32);
        let (mut rare_expected, mut rare_count) = (0.0, 0.0);
        for (count, probability) in counts.iter().zip(&case.expected) {
            let (count, expected) = (f64::from(*count), probability * f64::from(DRAWS));
            if *probability == 0.0 {
                assert_eq!(count, 0.0, "case {index}: a removed token was drawn");
            } else if expected < 5.0 {
                rare_expected += expected;
                rare_count += count;
            } else {
                statistic += (count - expected).powi(2) / expected;
                outcomes += 1;
            }
        }
        if rare_expected >= 5.0 {
            statistic += (rare_count - rare_expected).powi(2) / rare_expected;
            outcomes += 1;
        }
        // Wilson and Hilferty's approximation of the chi-square quantile at 1 - 1e-6 (z = 4.75).
        let freedom = f64::from(outcomes.saturating_sub(1).max(1));
        let spread = 2.0 / (9.0 * freedom);
        let limit = freedom * (1.0 - spread + 4.75 * spread.sqrt()).powi(3);
        assert!(statistic < limit, "case {index}: chi-square {statistic} of {freedom} degrees, limit {limit}");
    }
}
