//! [`Pass`]: what every layer is told of a step, and the buffers that it works in.

use std::ops::Range;

use super::kernels::{Activations, Elementwise, Lines, Mark, Norm, Precision, ROWS, Team, Tiles, tile_stride};
use super::packed::Weights;
use crate::checkpoint::Architecture;
use crate::engine::rope::RotaryTable;

/// One sequence's rows in the flat batch of a step.
#[derive(Debug)]
pub(super) struct SequenceRows {
    /// First row.
    pub(super) row: usize,
    /// Number of rows.
    pub(super) tokens: usize,
    /// Positions before them.
    pub(super) past: usize,
    /// How many of its rows, which are its last ones, logits are wanted of.
    pub(super) wanted: usize,
    /// Blocks of all positions, these included.
    pub(super) table: Vec<u32>,
}

impl SequenceRows {
    /// The rows whose logits are wanted.
    pub(super) fn wanted_rows(&self) -> Range<usize> {
        let end = self.row + self.tokens;
        end - self.wanted..end
    }

    /// These rows alone, in a batch in which they begin at `row`.
    pub(super) fn only_wanted(&self, row: usize) -> Self {
        let Self { wanted, .. } = *self;
        Self { row, tokens: wanted, past: self.past + self.tokens - wanted, wanted, table: self.table.clone() }
    }
}

/// A step on its way through the layers.
pub(super) struct Pass<'a> {
    pub(super) architecture: &'a Architecture,
    pub(super) team: &'a mut Team,
    pub(super) weights: &'a Weights,
    pub(super) elementwise: Elementwise,
    pub(super) rotary: &'a RotaryTable,
    pub(super) sequences: &'a [SequenceRows],
}

/// What lies between two operations. Buffers keep their memory from step to step.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// The residual stream, tiles `[hidden / 16][token][16]`.
    pub(super) x: Lines,
    /// Query, key and value projections, tiles; of each kv head its queries, its key and its value.
    pub(super) projected: Lines,
    /// `[kv head][token][query head of it][head_dim]`
    pub(super) queries: Lines,
    /// The same for the results of attention.
    pub(super) attended: Lines,
    /// Sums over spans of positions, `[span][kv head][query head of it][head_dim]`, and their marks.
    pub(super) gathered: Lines,
    pub(super) marks: Vec<Mark>,
    /// The feed-forward part's middle, tiles.
    pub(super) gated: Lines,
    pub(super) activations: Activations,
}

impl Buffers {
    /// Keeps some of the `tokens` rows of the residual stream and of the queries, whose heads are `kv_heads` groups.
    pub(super) fn keep(&mut self, rows: &[usize], tokens: usize, kv_heads: usize) {
        if rows.len() == tokens {
            return;
        }
        keep(&mut self.x, ROWS, [tile_stride(tokens), tile_stride(rows.len())], rows);
        let len = self.queries.len() / (kv_heads * tokens);
        keep(&mut self.queries, len, [len * tokens, len * rows.len()], rows);
    }
}

/// Keeps some rows, in their order, of `len` values each, of parts that are and will be so far apart.
fn keep(values: &mut Lines, len: usize, [stride, kept_stride]: [usize; 2], rows: &[usize]) {
    let parts = values.len() / stride;
    for part in 0..parts {
        for (index, row) in rows.iter().enumerate() {
            let from = part * stride + row * len;
            values.copy_within(from..from + len, part * kept_stride + index * len);
        }
    }
    values.truncate(parts * kept_stride);
}

impl Pass<'_> {
    /// Rows of the flat batch.
    pub(super) fn tokens(&self) -> usize {
        self.sequences.iter().map(|sequence| sequence.tokens).sum()
    }

    pub(super) fn eps(&self) -> f32 {
        self.architecture.rms_norm_eps as f32
    }

    /// Fills the activations of all tokens in parts: `write` is given a token, a column of it, and room for the values
    /// from there on. All tokens of a part follow each other, so that a thread mostly has the columns that it made.
    pub(super) fn fill(
        &mut self,
        activations: &mut Activations,
        (columns, precision): (usize, Precision),
        write: &(dyn Fn(usize, usize, &mut [f32]) + Sync),
    ) {
        let (set, tokens) = (self.elementwise.0, self.tokens());
        let rows = activations.rows(tokens, columns, precision);
        self.team.run(rows.parts() * tokens, &|range| {
            for task in range {
                let (part, token) = (task / tokens, task % tokens);
                rows.fill_part(set, token, part, |first, values| write(token, first, values));
            }
        });
    }

    /// The residual stream, normed, as activations.
    pub(super) fn normalize(&mut self, buffers: &mut Buffers, weight: &[f32], precision: Precision) {
        let tokens = self.tokens();
        let x = Tiles { values: &buffers.x, stride: tile_stride(tokens) };
        let (set, norm) = (self.elementwise, Norm { weight, eps: self.eps() });
        let rows = buffers.activations.rows(tokens, weight.len(), precision);
        self.team.run(tokens, &|range| {
            range.for_each(|token| rows.fill(set.0, token, |row| set.normalize(x, token, norm, row)));
        });
    }
}
