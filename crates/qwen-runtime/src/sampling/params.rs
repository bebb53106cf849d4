//! Sampling values: what a person may ask for, and what has been checked.

use crate::TokenId;
use crate::error::RuntimeError;

/// CarePath's values, used where neither a request nor the checkpoint says anything.
const DEFAULT_TEMPERATURE: f32 = 0.7;
const DEFAULT_TOP_P: f32 = 0.9;
/// Largest temperature; beyond it the distribution is uniform for every purpose.
const MAX_TEMPERATURE: f32 = 100.0;
/// Largest penalty in either direction; OpenAI's limit is 2.
const MAX_PENALTY: f32 = 100.0;

/// Sampling values as a request, a configuration or a checkpoint names them; `None` is unsaid.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SamplingOptions {
    /// Divides the logits; 0 takes the most probable token.
    pub temperature: Option<f32>,
    /// Keeps this many most probable tokens; 0 is off.
    pub top_k: Option<u32>,
    /// Keeps the smallest set with this mass; 1 is off.
    pub top_p: Option<f32>,
    /// Keeps tokens with at least this share of the largest probability; 0 is off.
    pub min_p: Option<f32>,
    /// Divides positive and multiplies negative logits of tokens seen; 1 is off.
    pub repetition_penalty: Option<f32>,
    /// Subtracted once from the logit of each generated token; 0 is off.
    pub presence_penalty: Option<f32>,
    /// Subtracted for each time a token was generated; 0 is off.
    pub frequency_penalty: Option<f32>,
    /// Added to the logits of single tokens.
    pub logit_bias: Option<Vec<(TokenId, f32)>>,
    /// Seed of the draws; without one, draws differ from run to run.
    pub seed: Option<u64>,
}

impl SamplingOptions {
    /// These values, and where they say nothing those of `other`.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        Self {
            temperature: self.temperature.or(other.temperature),
            top_k: self.top_k.or(other.top_k),
            top_p: self.top_p.or(other.top_p),
            min_p: self.min_p.or(other.min_p),
            repetition_penalty: self.repetition_penalty.or(other.repetition_penalty),
            presence_penalty: self.presence_penalty.or(other.presence_penalty),
            frequency_penalty: self.frequency_penalty.or(other.frequency_penalty),
            logit_bias: self.logit_bias.or_else(|| other.logit_bias.clone()),
            seed: self.seed.or(other.seed),
        }
    }

    /// Checks the values; what is still unsaid takes CarePath's defaults (temperature 0.7, top-p
    /// 0.9) or is off.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidParameter`], which names the value.
    pub fn validate(self) -> Result<SamplingParams, RuntimeError> {
        let number = |name, value: Option<f32>, default: f32, min: f32, max: f32| {
            let value = value.unwrap_or(default);
            if value >= min && value <= max {
                return Ok(value);
            }
            Err(RuntimeError::parameter(name, format!("{value} is not between {min} and {max}")))
        };
        let temperature = number("temperature", self.temperature, DEFAULT_TEMPERATURE, 0.0, MAX_TEMPERATURE)?;
        let top_p = number("top_p", self.top_p, DEFAULT_TOP_P, 0.0, 1.0)?;
        if top_p == 0.0 {
            return Err(RuntimeError::parameter(
                "top_p",
                "0 keeps nothing; use temperature 0 for the most probable token",
            ));
        }
        let logit_bias = self.logit_bias.unwrap_or_default();
        if let Some((token, bias)) = logit_bias.iter().find(|(_, bias)| !bias.is_finite()) {
            return Err(RuntimeError::parameter("logit_bias", format!("{bias} for token {token} is no finite number")));
        }
        Ok(SamplingParams {
            temperature,
            top_k: self.top_k.unwrap_or(0) as usize,
            top_p,
            min_p: number("min_p", self.min_p, 0.0, 0.0, 1.0)?,
            repetition_penalty: number("repetition_penalty", self.repetition_penalty, 1.0, 0.01, MAX_PENALTY)?,
            presence_penalty: number("presence_penalty", self.presence_penalty, 0.0, -MAX_PENALTY, MAX_PENALTY)?,
            frequency_penalty: number("frequency_penalty", self.frequency_penalty, 0.0, -MAX_PENALTY, MAX_PENALTY)?,
            logit_bias,
            seed: self.seed,
        })
    }
}

/// Checked sampling values; only [`SamplingOptions::validate`] makes them.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingParams {
    pub(super) temperature: f32,
    pub(super) top_k: usize,
    pub(super) top_p: f32,
    pub(super) min_p: f32,
    pub(super) repetition_penalty: f32,
    pub(super) presence_penalty: f32,
    pub(super) frequency_penalty: f32,
    pub(super) logit_bias: Vec<(TokenId, f32)>,
    pub(super) seed: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsaid_values_fall_through_to_the_defaults() {
        let request = SamplingOptions { temperature: Some(0.2), ..Default::default() };
        let checkpoint = SamplingOptions { temperature: Some(0.6), top_k: Some(20), ..Default::default() };
        let params = request.or(&checkpoint).validate().unwrap();
        assert_eq!((params.temperature, params.top_k, params.top_p), (0.2, 20, DEFAULT_TOP_P));
    }

    #[test]
    fn values_out_of_range_are_named() {
        let bad = |options: SamplingOptions| options.validate().unwrap_err().to_string();
        assert!(bad(SamplingOptions { temperature: Some(-0.1), ..Default::default() }).contains("temperature"));
        assert!(bad(SamplingOptions { temperature: Some(f32::NAN), ..Default::default() }).contains("temperature"));
        assert!(bad(SamplingOptions { top_p: Some(0.0), ..Default::default() }).contains("top_p"));
        assert!(bad(SamplingOptions { min_p: Some(1.5), ..Default::default() }).contains("min_p"));
        assert!(bad(SamplingOptions { repetition_penalty: Some(0.0), ..Default::default() }).contains("repetition"));
        assert!(
            bad(SamplingOptions { logit_bias: Some(vec![(3, f32::INFINITY)]), ..Default::default() }).contains("bias")
        );
    }
}
