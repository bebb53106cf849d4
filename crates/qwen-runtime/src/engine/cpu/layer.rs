//! One decoder layer of Qwen3: attention with normed heads, and a gated feed-forward part.

use super::attention::attend;
use super::kernels::{BLOCK_LEN, Chunks, Lines, Norm, Precision, ROWS, RowGroup, Tiles, tile_stride};
use super::kv_cache::KvCache;
use super::loader::{Linear, Loader};
use super::pass::{Buffers, Pass};
use crate::checkpoint::{Architecture, LayerTensor as L, TensorName};
use crate::error::RuntimeError;

/// The weights of a layer.
#[derive(Debug)]
pub(super) struct DecoderLayer {
    attention_norm: Vec<f32>,    // (hidden)
    projections: [Linear; 3],    // query: hidden -> heads * head_dim; key, value: hidden -> kv_heads * head_dim
    output: Linear,              // heads * head_dim -> hidden
    query_norm: Vec<f32>,        // (head_dim)
    key_norm: Vec<f32>,          // (head_dim)
    feed_forward_norm: Vec<f32>, // (hidden)
    gate: Linear,                // hidden -> intermediate
    up: Linear,                  // hidden -> intermediate
    down: Linear,                // intermediate -> hidden
    /// Its number, which is that of its keys and values in the cache.
    index: usize,
}

impl DecoderLayer {
    pub(super) fn load(loader: &mut Loader<'_>, index: usize) -> Result<Self, RuntimeError> {
        let norm = |loader: &Loader<'_>, tensor: L| loader.vector(TensorName::Layer(index, tensor));
        Ok(Self {
            attention_norm: norm(loader, L::AttentionNorm)?,
            projections: [
                loader.linear(index, L::Query, Some(L::QueryBias))?,
                loader.linear(index, L::Key, Some(L::KeyBias))?,
                loader.linear(index, L::Value, Some(L::ValueBias))?,
            ],
            output: loader.linear(index, L::Output, Some(L::OutputBias))?,
            query_norm: norm(loader, L::QueryNorm)?,
            key_norm: norm(loader, L::KeyNorm)?,
            feed_forward_norm: norm(loader, L::FeedForwardNorm)?,
            gate: loader.linear(index, L::Gate, None)?,
            up: loader.linear(index, L::Up, None)?,
            down: loader.linear(index, L::Down, None)?,
            index,
        })
    }

    /// Writes the keys and values of all rows to the cache, and their queries to the buffers.
    pub(super) fn extend(&self, pass: &mut Pass<'_>, cache: &mut KvCache, buffers: &mut Buffers) {
        let precision = self.projections.iter().map(Linear::precision).fold(Precision::default(), Precision::and);
        pass.normalize(buffers, &self.attention_norm, precision);
        self.project(pass, buffers);
        self.append(pass, cache, buffers);
    }

    /// Carries `buffers.x` through the rest of the layer: attention, and the feed-forward part.
    pub(super) fn carry(&self, pass: &mut Pass<'_>, cache: &KvCache, buffers: &mut Buffers) {
        attend(pass, (self.index, cache), buffers, self.output.input());
        Self::add_product(pass, &self.output, buffers);
        pass.normalize(buffers, &self.feed_forward_norm, self.gate.precision().and(self.up.precision()));
        self.feed(pass, buffers);
        Self::add_product(pass, &self.down, buffers);
    }

    /// Query, key and value of all tokens, one kv head after another, so that a thread mostly has the heads that it
    /// appends and attends to later.
    fn project(&self, pass: &mut Pass<'_>, buffers: &mut Buffers) {
        let Architecture { heads, kv_heads, head_dim, .. } = *pass.architecture;
        let (set, tokens, weights) = (pass.elementwise, pass.tokens(), pass.weights);
        // Of each kv head.
        let groups = [heads / kv_heads, 1, 1].map(|heads| heads * head_dim / ROWS);
        let total: usize = groups.iter().sum();
        let stride = tile_stride(tokens);
        let out = Chunks::new(buffers.projected.room(kv_heads * total * stride), stride);
        let activations = &buffers.activations;
        pass.team.run(kv_heads * total, &|range| {
            let products = range.map(|task| {
                let (head, mut index) = (task / total, task % total);
                let mut which = 0;
                while index >= groups[which] {
                    index -= groups[which];
                    which += 1;
                }
                let (linear, index) = (&self.projections[which], head * groups[which] + index);
                let out = &mut out.take(task)[..tokens * ROWS];
                linear.start(index, out);
                (linear.weight.group(weights, index), out)
            });
            RowGroup::add_products(set.0, activations, products);
        });
    }

    /// Norms and rotates keys and queries; keys and values go to the cache, queries into rows
    /// `[kv head][token][query head of it][head_dim]`.
    fn append(&self, pass: &mut Pass<'_>, cache: &mut KvCache, buffers: &mut Buffers) {
        let Architecture { heads, kv_heads, head_dim, .. } = *pass.architecture;
        let (set, eps, tokens, group) = (pass.elementwise, pass.eps(), pass.tokens(), heads / kv_heads);
        let scale = 1.0 / (head_dim as f32).sqrt();
        let (projected, stride) = (&buffers.projected, tile_stride(tokens));
        let head_len = head_dim / ROWS * stride;
        // Of each kv head its queries, its key and its value follow each other.
        let tiles = |head: usize, index: usize| {
            let place = head * (group + 2) + index;
            Tiles { values: &projected[place * head_len..][..head_len], stride }
        };
        let rows = Chunks::new(buffers.queries.room(heads * head_dim * tokens), group * head_dim * tokens);
        let blocks = cache.heads_mut(self.index);
        let (rotary, sequences) = (pass.rotary, pass.sequences);
        pass.team.run(kv_heads, &|range| {
            let (mut key, mut value) = (Lines::zeroed(head_dim), Lines::zeroed(head_dim));
            for head in range {
                let rows = rows.take(head);
                blocks.write(set.0, head, |write| {
                    for (sequence, token) in sequences.iter().flat_map(|s| (0..s.tokens).map(move |token| (s, token))) {
                        let (position, row) = (sequence.past + token, sequence.row + token);
                        let turn = rotary.at(position);
                        set.gather(tiles(head, group), row, &mut key);
                        set.rotate(&mut key, Norm { weight: &self.key_norm, eps }, turn, 1.0);
                        set.gather(tiles(head, group + 1), row, &mut value);
                        write(sequence.table[position / BLOCK_LEN] as usize, position % BLOCK_LEN, &key, &value);
                        let queries = rows[row * group * head_dim..].chunks_exact_mut(head_dim).take(group);
                        for (index, query) in queries.enumerate() {
                            set.gather(tiles(head, index), row, query);
                            set.rotate(query, Norm { weight: &self.query_norm, eps }, turn, scale);
                        }
                    }
                });
            }
        });
    }

    /// `silu(gate) · up` of the activations, as activations of the projection down.
    fn feed(&self, pass: &mut Pass<'_>, buffers: &mut Buffers) {
        let (set, tokens, weights) = (pass.elementwise, pass.tokens(), pass.weights);
        let groups = self.gate.weight.groups();
        let stride = tile_stride(tokens);
        let activations = &buffers.activations;
        let out = Chunks::new(buffers.gated.room(groups * stride), stride);
        pass.team.run(groups, &|range| {
            let (at_once, len) = (RowGroup::at_once(tokens).min(range.len()), tokens * ROWS);
            let mut ups = Lines::zeroed(at_once * len);
            for first in range.clone().step_by(at_once) {
                let indices = first..range.end.min(first + at_once);
                let gates = out.take_run(first, indices.len());
                // First those of gates, then those of ups, so that each matrix is read on from where it was left.
                let mut products = Vec::with_capacity(2 * at_once);
                for (index, gate) in indices.clone().zip(gates.chunks_exact_mut(stride)) {
                    self.gate.start(index, &mut gate[..len]);
                    products.push((self.gate.weight.group(weights, index), &mut gate[..len]));
                }
                for (index, up) in indices.zip(ups.chunks_exact_mut(len)) {
                    self.up.start(index, up);
                    products.push((self.up.weight.group(weights, index), up));
                }
                RowGroup::add_products(set.0, activations, products);
                for (gate, up) in gates.chunks_exact_mut(stride).zip(ups.chunks_exact(len)) {
                    set.gate(&mut gate[..len], up);
                }
            }
        });
        drop(out);
        let gated = Tiles { values: &buffers.gated, stride };
        let linear = &self.down;
        pass.fill(&mut buffers.activations, linear.input(), &|token, first, values| {
            set.gather(gated.from(first), token, values);
        });
    }

    /// Adds a product of the activations to the residual stream.
    fn add_product(pass: &mut Pass<'_>, linear: &Linear, buffers: &mut Buffers) {
        let (set, tokens, weights) = (pass.elementwise, pass.tokens(), pass.weights);
        let activations = &buffers.activations;
        let x = Chunks::new(&mut buffers.x, tile_stride(tokens));
        pass.team.run(linear.weight.groups(), &|range| {
            let products = range.map(|index| {
                let x = &mut x.take(index)[..tokens * ROWS];
                linear.add_bias(index, x);
                (linear.weight.group(weights, index), x)
            });
            RowGroup::add_products(set.0, activations, products);
        });
    }
}
