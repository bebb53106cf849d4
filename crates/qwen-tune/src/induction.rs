//! [`Induction`]: first weights with which a model can copy.
//!
//! "What followed the last time these tokens came?" is two layers of attention (Olsson et al. 2022,
//! "In-context Learning and Induction Heads", arXiv 2209.11895): heads that fetch the tokens before
//! each token, then heads that look for the place whose tokens before are the ones that end here, and
//! say what stands there. Training finds them by itself after a long time in which nothing else is
//! learnt; here they are written into the weights, and training goes on from them. (First weights with
//! the structure of trained ones: Trockman and Kolter 2023, "Mimetic Initialization", arXiv 2305.09828.)
//!
//! The residual stream begins as five lanes: a token, the one, two and three tokens before it, and the
//! mean of the last dozen, which tells apart the places behind the same three tokens.

use std::ops::Range;

use qwen_runtime::{Architecture, LayerTensor as L, TensorName};
use rand_chacha::ChaCha8Rng;

use crate::error::TuneError;
use crate::parameters::{DEVIATION, normal};

/// A token, three before it, and what was said lately.
const LANES: usize = 5;
/// The lane of what was said lately.
const LATELY: usize = LANES - 1;
/// Spread of a token's numbers in its lane, and of the lanes of those before it.
const TOKEN: f64 = 0.3;
/// What every token has in its first dimension: it lets attention see places and not what stands there.
const CONSTANT: f64 = 1.2;
/// Pairs of a head that turn at least so far from one position to the next (radians) tell places apart.
const FAST: f64 = 0.1;
/// Pairs that turn so far see about the last dozen places.
const NEAR: Range<f64> = 0.004..0.025;
/// How much of a key these pairs have, by its square.
const NEARNESS: f64 = 0.25;
/// A mean of a dozen tokens is smaller than a token by so much.
const MEAN: f64 = 0.25;
/// Pairs that turn less than `STEADY` over `REACH` positions compare tokens at any distance.
const STEADY: f64 = 0.5;
const REACH: f64 = 1024.0;
/// The norms' weights of queries and keys where places, and where tokens are compared: how sharply.
const SHARP: f64 = 3.0;
/// What is compared: a lane where something is to be said, the lane of the place behind which it may
/// stand, and how much that counts.
const COMPARED: [(usize, usize, f64); 4] = [(0, 1, 1.0), (1, 2, 0.9), (2, 3, 0.8), (LATELY, LATELY, 0.35)];
/// How much louder than a token its prediction is.
const LOUD: f64 = 3.0;
/// The last norm's weights: tokens are so large that logits would be too far apart.
const LOGITS: f64 = 0.3;

/// Where the heads go, and what they compare.
pub(crate) struct Induction<'a> {
    architecture: &'a Architecture,
    /// Pairs of a head by how fast they turn.
    fast: Vec<usize>,
    near: Vec<usize>,
    steady: Vec<usize>,
    /// For each head of keys, the directions of lanes that it compares: `(2 · steady, 4 · lane)`.
    compared: Vec<Vec<f64>>,
}

impl<'a> Induction<'a> {
    /// # Errors
    /// [`TuneError::Parameter`] for a model that has no room for these heads.
    pub(crate) fn new(architecture: &'a Architecture, rng: &mut ChaCha8Rng) -> Result<Self, TuneError> {
        let half = architecture.head_dim / 2;
        let turn = |pair: &usize| architecture.rope.theta.powf(-(*pair as f64) / half as f64);
        let fast: Vec<usize> = (0..half).filter(|pair| turn(pair) >= FAST).collect();
        let near: Vec<usize> = (0..half).filter(|pair| NEAR.contains(&turn(pair))).collect();
        let steady: Vec<usize> = (0..half).filter(|pair| turn(pair) * REACH < STEADY).collect();
        let lane = architecture.hidden_size / LANES;
        if architecture.layers < 2 || architecture.heads < LANES - 1 || lane > architecture.head_dim {
            let reason = "induction needs two layers, four heads, and heads of a fifth of hidden_size";
            return Err(TuneError::parameter("initialization", reason));
        }
        if fast.len() < 4 || near.is_empty() || steady.len() < 8 {
            let reason = format!("induction needs a rope_theta with slower pairs: {} are slow enough", steady.len());
            return Err(TuneError::parameter("initialization", reason));
        }
        let len = 2 * steady.len() * COMPARED.len() * lane;
        let compared = (0..architecture.kv_heads).map(|_| normal(rng, len, (lane as f64).sqrt().recip())).collect();
        Ok(Self { architecture, fast, near, steady, compared })
    }

    /// Writes its part into a tensor that is otherwise random: `(out, in)` row by row.
    pub(crate) fn write(&self, name: TensorName, values: &mut [f64]) {
        match name {
            TensorName::Embedding => self.embed(values),
            TensorName::Layer(0, L::Query) => {
                (1..LATELY).for_each(|back| self.place(values, back - 1, back));
                self.neighbourhood(values, LATELY - 1, 1.0);
            }
            TensorName::Layer(0, L::Key) => (0..self.architecture.kv_heads).for_each(|kv| {
                let odds = NEARNESS / (1.0 - NEARNESS) * self.fast.len() as f64 / self.near.len() as f64;
                self.place(values, kv, 0);
                self.neighbourhood(values, kv, odds.sqrt());
            }),
            TensorName::OutputNorm => values.fill(LOGITS),
            TensorName::Layer(layer @ (0 | 1), L::Value) => {
                (0..self.architecture.kv_heads).for_each(|kv| self.hear(values, kv, self.gain(layer)));
            }
            TensorName::Layer(0, L::Output) => {
                quieten(values);
                (1..LATELY).for_each(|lane| self.say(values, lane - 1, lane, self.gain(0)));
                self.say(values, LATELY - 1, LATELY, self.gain(0) / MEAN);
            }
            TensorName::Layer(1, L::Query) => {
                let lanes = COMPARED.map(|(here, _, weight)| (here, weight));
                self.firsts().for_each(|(kv, head)| self.compare(values, head, kv, lanes));
                // By chance the constant would make near places more or less alike than far ones.
                self.firsts().for_each(|(_, head)| self.neighbourhood(values, head, 0.0));
            }
            TensorName::Layer(1, L::Key) => {
                let lanes = COMPARED.map(|(_, there, weight)| (there, weight));
                (0..self.architecture.kv_heads).for_each(|kv| self.compare(values, kv, kv, lanes));
                (0..self.architecture.kv_heads).for_each(|kv| self.neighbourhood(values, kv, 0.0));
            }
            TensorName::Layer(1, L::Output) => {
                quieten(values);
                self.firsts().for_each(|(_, head)| self.say(values, head, 0, self.gain(1)));
            }
            TensorName::Layer(0 | 1, L::QueryNorm | L::KeyNorm) => values.fill(SHARP),
            _ => {}
        }
    }

    fn lane(&self) -> usize {
        self.architecture.hidden_size / LANES
    }

    /// What the norm before a layer divides by when so many lanes are full.
    fn size(&self, lanes: usize) -> f64 {
        let squares = (lanes * (self.lane() - 1)) as f64 * TOKEN.powi(2) + CONSTANT.powi(2);
        (squares / self.architecture.hidden_size as f64).sqrt()
    }

    /// What values, and then outputs, are multiplied by, so that a lane gets what is wanted.
    fn gain(&self, layer: usize) -> f64 {
        let both = match layer {
            0 => self.size(1),
            _ => self.size(LANES) * LOUD / self.architecture.kv_heads as f64,
        };
        both.sqrt()
    }

    /// Heads of keys, each with the first head of queries that uses it.
    fn firsts(&self) -> impl Iterator<Item = (usize, usize)> {
        let group = self.architecture.heads / self.architecture.kv_heads;
        (0..self.architecture.kv_heads).map(move |kv| (kv, kv * group))
    }

    /// Tokens live in the first lane.
    fn embed(&self, values: &mut [f64]) {
        for row in values.chunks_mut(self.architecture.hidden_size) {
            let (token, others) = row.split_at_mut(self.lane());
            token.iter_mut().for_each(|value| *value *= TOKEN / DEVIATION);
            quieten(others);
            token[0] = CONSTANT;
        }
    }

    /// Queries that see the place `back` tokens before: the constant, turned back so far.
    fn place(&self, values: &mut [f64], head: usize, back: usize) {
        let Architecture { hidden_size, head_dim, rope, .. } = self.architecture;
        let half = head_dim / 2;
        for &pair in &self.fast {
            let angle = -(back as f64) * rope.theta.powf(-(pair as f64) / half as f64);
            for (row, value) in [(pair, angle.cos()), (pair + half, angle.sin())] {
                values[(head * head_dim + row) * hidden_size] = value;
            }
        }
    }

    /// Queries and keys that see the last places alike: the constant, not turned back.
    fn neighbourhood(&self, values: &mut [f64], head: usize, size: f64) {
        let Architecture { hidden_size, head_dim, .. } = *self.architecture;
        self.near.iter().for_each(|pair| values[(head * head_dim + pair) * hidden_size] = size);
    }

    /// Queries or keys of these lanes, each by its weight, in the directions of a head of keys.
    fn compare(&self, values: &mut [f64], head: usize, kv: usize, lanes: [(usize, f64); COMPARED.len()]) {
        let Architecture { hidden_size, head_dim, .. } = *self.architecture;
        let (half, lane) = (head_dim / 2, self.lane());
        let rows = self.steady.iter().flat_map(|&pair| [pair, pair + half]);
        for (row, directions) in rows.zip(self.compared[kv].chunks(COMPARED.len() * lane)) {
            let to = &mut values[(head * head_dim + row) * hidden_size..][..hidden_size];
            for (direction, (at, weight)) in directions.chunks(lane).zip(lanes) {
                let to = &mut to[at * lane..][..lane];
                // The constant is not compared.
                to.iter_mut().zip(direction).skip(1).for_each(|(to, direction)| *to = direction * weight);
            }
        }
    }

    /// Values are the tokens themselves.
    fn hear(&self, values: &mut [f64], kv: usize, gain: f64) {
        let Architecture { hidden_size, head_dim, .. } = *self.architecture;
        (1..self.lane()).for_each(|place| values[(kv * head_dim + place) * hidden_size + place] = gain);
    }

    /// Writes what a head heard into a lane.
    fn say(&self, values: &mut [f64], head: usize, lane: usize, gain: f64) {
        let Architecture { head_dim, heads, .. } = *self.architecture;
        let place = |place| (lane * self.lane() + place) * (heads * head_dim) + head * head_dim + place;
        (1..self.lane()).for_each(|at| values[place(at)] = gain);
    }
}

/// Leaves enough chance to begin from, and little noise.
fn quieten(values: &mut [f64]) {
    values.iter_mut().for_each(|value| *value *= 0.1);
}
