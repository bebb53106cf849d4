//! The rotary table's rows as tensors.

use candle_core::{Device, Result, Tensor};

use crate::engine::rope::RotaryTable;

impl RotaryTable {
    /// The rows of `positions`: cos and sin, each `(positions, head_dim / 2)`.
    pub(super) fn rows(&mut self, positions: &[u32], device: &Device) -> Result<(Tensor, Tensor)> {
        self.reach(positions.iter().max().map_or(0, |&last| last as usize + 1));
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        for &position in positions {
            let (c, s) = self.at(position as usize);
            cos.extend_from_slice(c);
            sin.extend_from_slice(s);
        }
        let shape = (positions.len(), cos.len() / positions.len().max(1));
        Ok((Tensor::from_vec(cos, shape, device)?, Tensor::from_vec(sin, shape, device)?))
    }
}
