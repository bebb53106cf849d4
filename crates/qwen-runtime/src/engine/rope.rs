//! Rotary position embedding: the frequencies of an architecture, and their cosines and sines.

use crate::checkpoint::{Architecture, RampBounds, RopeScaling};

/// Smallest table in positions; it doubles from there.
const FIRST_LEN: usize = 256;

/// cos and sin of the rotations of the first positions, `[position][head_dim / 2]`, f32.
#[derive(Debug)]
pub(super) struct RotaryTable {
    frequencies: Vec<f32>,
    /// Factor on cos and sin (YaRN's attention factor).
    scale: f32,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl RotaryTable {
    pub(super) fn new(architecture: &Architecture) -> Self {
        let scale = match architecture.rope.scaling {
            RopeScaling::Yarn { attention_factor, .. } => attention_factor as f32,
            RopeScaling::None | RopeScaling::Linear { .. } => 1.0,
        };
        Self { frequencies: frequencies(architecture), scale, cos: Vec::new(), sin: Vec::new() }
    }

    /// Makes the table reach to `positions`.
    pub(super) fn reach(&mut self, positions: usize) {
        let half = self.frequencies.len();
        let len = self.cos.len() / half;
        if positions <= len {
            return;
        }
        for position in len..positions.next_power_of_two().max(FIRST_LEN) {
            for frequency in &self.frequencies {
                // The product is rounded to f32, as transformers rounds it; its cosine is exact.
                let angle = f64::from(position as f32 * frequency);
                self.cos.push(angle.cos() as f32 * self.scale);
                self.sin.push(angle.sin() as f32 * self.scale);
            }
        }
    }

    /// cos and sin of a position that the table reaches, `head_dim / 2` each.
    pub(super) fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let half = self.frequencies.len();
        let row = position * half..(position + 1) * half;
        (&self.cos[row.clone()], &self.sin[row])
    }
}

/// Radians for each position, for each pair of dimensions (transformers' `ROPE_INIT_FUNCTIONS`).
fn frequencies(architecture: &Architecture) -> Vec<f32> {
    let dim = architecture.head_dim as f64;
    let theta = architecture.rope.theta;
    let base = (0..architecture.head_dim / 2).map(|pair| theta.powf(-2.0 * pair as f64 / dim));
    match architecture.rope.scaling {
        RopeScaling::None => base.map(|frequency| frequency as f32).collect(),
        RopeScaling::Linear { factor } => base.map(|frequency| (frequency / factor) as f32).collect(),
        RopeScaling::Yarn { factor, original_context, beta_fast, beta_slow, ramp, .. } => {
            // The dimension that turns `rotations` times over the original context.
            let dimension = |rotations: f64| {
                dim * (original_context / (rotations * 2.0 * std::f64::consts::PI)).ln() / (2.0 * theta.ln())
            };
            let (mut low, mut high) = (dimension(beta_fast), dimension(beta_slow));
            if ramp == RampBounds::Whole {
                (low, high) = (low.floor(), high.ceil());
            }
            let (low, mut high) = (low.max(0.0), high.min(dim - 1.0));
            if low == high {
                high += 0.001;
            }
            base.enumerate()
                .map(|(pair, frequency)| {
                    let interpolated = ((pair as f64 - low) / (high - low)).clamp(0.0, 1.0);
                    (frequency * (1.0 - interpolated) + frequency / factor * interpolated) as f32
                })
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{AttentionBias, HeadWeights, Rope};

    fn architecture(scaling: RopeScaling) -> Architecture {
        Architecture {
            hidden_size: 64,
            layers: 1,
            heads: 2,
            kv_heads: 1,
            head_dim: 128,
            intermediate_size: 64,
            vocab_size: 8,
            rms_norm_eps: 1e-6,
            max_context: 1 << 20,
            rope: Rope { theta: 1e6, scaling },
            head: HeadWeights::Tied,
            attention_bias: AttentionBias::Absent,
        }
    }

    #[test]
    fn tables_grow_only_as_far_as_needed_and_stay_exact() {
        let mut table = RotaryTable::new(&architecture(RopeScaling::None));
        table.reach(6);
        assert_eq!(table.cos.len(), FIRST_LEN * 64);
        assert_eq!(table.at(0).0, [1.0; 64]);
        assert!((table.at(5).0[0] - 5f32.cos()).abs() < 1e-7);
        // Half precision would be off by whole turns here.
        table.reach(70_001);
        assert!((table.at(70_000).0[0] - 70_000f64.cos() as f32).abs() < 1e-6);
    }

    #[test]
    fn yarn_leaves_fast_dimensions_and_interpolates_slow_ones() {
        let yarn = frequencies(&architecture(RopeScaling::Yarn {
            factor: 4.0,
            original_context: 32_768.0,
            attention_factor: 1.0,
            beta_fast: 32.0,
            beta_slow: 1.0,
            ramp: RampBounds::Whole,
        }));
        let plain = frequencies(&architecture(RopeScaling::None));
        assert_eq!(yarn[0], plain[0]);
        assert!((yarn[63] / plain[63] - 0.25).abs() < 1e-6);
        assert!(yarn.windows(2).all(|pair| pair[0] > pair[1]));
    }
}
