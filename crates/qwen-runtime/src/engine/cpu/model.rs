//! The forward pass of Qwen3 over a flat batch of tokens.

use super::kernels::{Activations, Chunks, Elementwise, Lines, Norm, ROWS, RowGroup, Team, Tiles, tile_stride};
use super::kv_cache::KvCache;
use super::layer::DecoderLayer;
use super::loader::Loader;
use super::packed::{PackedMatrix, Weights};
use super::pass::{Buffers, Pass, SequenceRows};
use crate::TokenId;
use crate::checkpoint::{Architecture, HeadWeights, TensorName};
use crate::engine::rope::RotaryTable;
use crate::error::RuntimeError;

/// The weights, and what every step needs beside them.
#[derive(Debug)]
pub(super) struct Model {
    architecture: Architecture,
    weights: Weights,
    embedding: PackedMatrix, // (vocab, hidden)
    layers: Vec<DecoderLayer>,
    norm: Vec<f32>, // (hidden)
    /// Where it is not the embedding.
    head: Option<PackedMatrix>, // (vocab, hidden)
    rotary: RotaryTable,
    elementwise: Elementwise,
    buffers: Buffers,
}

/// The tokens of a step, one sequence after another.
pub(super) struct FlatBatch {
    pub(super) tokens: Vec<TokenId>,
    pub(super) sequences: Vec<SequenceRows>,
}

impl FlatBatch {
    /// How many rows logits are wanted of.
    pub(super) fn wanted(&self) -> usize {
        self.sequences.iter().map(|sequence| sequence.wanted).sum()
    }

    /// These rows as a batch of their own.
    fn only_wanted(&self) -> Vec<SequenceRows> {
        let mut row = 0;
        let wanted = self.sequences.iter().filter(|sequence| sequence.wanted > 0).map(|sequence| {
            let only = sequence.only_wanted(row);
            row += only.tokens;
            only
        });
        wanted.collect()
    }
}

impl Model {
    /// Loads every tensor.
    pub(super) fn load(mut loader: Loader<'_>, elementwise: Elementwise) -> Result<Self, RuntimeError> {
        let architecture = loader.checkpoint.architecture().clone();
        let embedding = loader.matrix(TensorName::Embedding)?;
        let head = match architecture.head {
            HeadWeights::Tied => None,
            HeadWeights::Untied => Some(loader.matrix(TensorName::Head)?),
        };
        let layers = (0..architecture.layers).map(|index| DecoderLayer::load(&mut loader, index));
        let layers = layers.collect::<Result<_, _>>()?;
        Ok(Self {
            embedding,
            layers,
            norm: loader.vector(TensorName::OutputNorm)?,
            weights: loader.finish(),
            head,
            rotary: RotaryTable::new(&architecture),
            elementwise,
            buffers: Buffers::default(),
            architecture,
        })
    }

    /// Runs the batch and writes the logits of its wanted rows, `(vocab)` each.
    pub(super) fn forward(&mut self, batch: &FlatBatch, team: &mut Team, cache: &mut KvCache, logits: Vec<&mut [f32]>) {
        let reach = batch.sequences.iter().map(|sequence| sequence.past + sequence.tokens).max().unwrap_or(0);
        self.rotary.reach(reach);
        self.embed(&batch.tokens, team);
        let mut pass = Pass {
            architecture: &self.architecture,
            team,
            weights: &self.weights,
            elementwise: self.elementwise,
            rotary: &self.rotary,
            sequences: &batch.sequences,
        };
        // A checkpoint has layers.
        let Some((last, others)) = self.layers.split_last() else { return };
        for layer in others {
            layer.extend(&mut pass, cache, &mut self.buffers);
            layer.carry(&mut pass, cache, &mut self.buffers);
        }
        last.extend(&mut pass, cache, &mut self.buffers);
        // Of a prompt's other rows, nothing is read but the keys and values of the last layer.
        let wanted = batch.only_wanted();
        if wanted.is_empty() {
            return;
        }
        let rows: Vec<usize> = batch.sequences.iter().flat_map(SequenceRows::wanted_rows).collect();
        self.buffers.keep(&rows, batch.tokens.len(), self.architecture.kv_heads);
        last.carry(&mut Pass { sequences: &wanted, ..pass }, cache, &mut self.buffers);
        self.logits(team, logits);
    }

    /// Embeds the tokens into the residual stream.
    fn embed(&mut self, tokens: &[TokenId], team: &mut Team) {
        let hidden = self.architecture.hidden_size;
        let Buffers { x, queries: rows, .. } = &mut self.buffers;
        // The queries' buffer is free at this time.
        let parts = Chunks::new(rows.room(tokens.len() * hidden), hidden);
        let (embedding, weights) = (&self.embedding, &self.weights);
        team.run(tokens.len(), &|range| {
            range.for_each(|token| embedding.row(weights, tokens[token] as usize, parts.take(token)));
        });
        drop(parts);
        let stride = tile_stride(tokens.len());
        for (group, tile) in x.room(hidden.div_ceil(ROWS) * stride).chunks_exact_mut(stride).enumerate() {
            let len = ROWS.min(hidden - group * ROWS);
            for (to, row) in tile.chunks_exact_mut(ROWS).zip(rows.chunks_exact(hidden)) {
                to[..len].copy_from_slice(&row[group * ROWS..][..len]);
                to[len..].fill(0.0);
            }
        }
    }

    /// Final norm and head of the rows that are left.
    fn logits(&mut self, team: &mut Team, out: Vec<&mut [f32]>) {
        let tokens = out.len();
        let head = self.head.as_ref().unwrap_or(&self.embedding);
        let set = self.elementwise;
        let x = Tiles { values: &self.buffers.x, stride: tile_stride(tokens) };
        let activations: &mut Activations = &mut self.buffers.activations;
        let rows = activations.rows(tokens, self.norm.len(), RowGroup::precision(head.dtype()));
        let norm = Norm { weight: &self.norm, eps: self.architecture.rms_norm_eps as f32 };
        let weights = &self.weights;
        team.run(tokens, &|range| {
            range.for_each(|token| rows.fill(set.0, token, |row| set.normalize(x, token, norm, row)));
        });
        drop(rows);
        let activations = &self.buffers.activations;
        // A row of logits is made of pieces of 16; a thread writes its piece of every row.
        let pieces: Vec<Chunks<'_, f32>> = out.into_iter().map(|row| Chunks::new(row, ROWS)).collect();
        team.run(head.groups(), &|range| {
            // Two groups at least, since two may be multiplied together.
            let at_once = RowGroup::at_once(tokens).max(2).min(range.len());
            let mut products = Lines::zeroed(at_once * tokens * ROWS);
            for first in range.clone().step_by(at_once) {
                let indices = first..range.end.min(first + at_once);
                products.fill(0.0);
                let out = products.chunks_exact_mut(tokens * ROWS);
                let groups = indices.clone().map(|index| head.group(weights, index));
                RowGroup::add_products(set.0, activations, groups.zip(out));
                for (index, product) in indices.zip(products.chunks_exact(tokens * ROWS)) {
                    for (pieces, product) in pieces.iter().zip(product.chunks_exact(ROWS)) {
                        let to = pieces.take(index);
                        to.copy_from_slice(&product[..to.len()]);
                    }
                }
            }
        });
    }
}
