//! [`Attention`]: what a token does not see is not computed.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp3, Device, Layout, Result, Shape, Tensor};

use super::real::{Real, dot, numbers, read, with_real};
use crate::packing::PackedRow;

/// Queries that are computed together: enough for fast products, few enough to see about the same.
const QUERIES: usize = 64;

/// What the tokens of a row see, in parts.
pub(super) struct Sight(Vec<Part>);

/// Neighbouring queries, and all that any of them sees.
struct Part {
    queries: Range<usize>,
    /// Places of keys, in order.
    keys: Vec<usize>,
    /// Whether the query sees the key, `(queries, keys)`.
    seen: Vec<bool>,
}

impl Sight {
    pub(super) fn of(row: &PackedRow) -> Self {
        let len = row.tokens.len();
        let visible = row.visible();
        let part = |first: usize| {
            let queries = first..len.min(first + QUERIES);
            let rows = &visible[queries.start * len..queries.end * len];
            let keys: Vec<usize> = (0..queries.end).filter(|key| rows.chunks(len).any(|row| row[*key])).collect();
            let seen = rows.chunks(len).flat_map(|row| keys.iter().map(|&key| row[key])).collect();
            Part { queries, keys, seen }
        };
        Self((0..len).step_by(QUERIES).map(part).collect())
    }
}

/// Attention of the tokens of a row to those that they see: queries `(heads, len, head_dim)` and keys
/// `(kv, len, head_dim)`, values `(len, kv · head_dim)`, to `(len, heads · head_dim)`.
pub(super) struct Attention {
    pub(super) sight: Arc<Sight>,
    pub(super) kv_heads: usize,
}

/// The numbers of a row's attention.
struct Row<'a, T> {
    query: &'a [T],
    key: &'a [T],
    value: &'a [T],
    shape: Dimensions,
}

#[derive(Clone, Copy)]
struct Dimensions {
    len: usize,
    heads: usize,
    kv: usize,
    dim: usize,
}

impl Dimensions {
    fn group(self) -> usize {
        self.heads / self.kv
    }
}

impl<T: Real> Row<'_, T> {
    /// The queries of a part for one key head, `(group · queries, head_dim)`.
    fn queries(&self, part: &Part, kv: usize) -> Result<Tensor> {
        let Dimensions { len, dim, .. } = self.shape;
        let group = self.shape.group();
        let mut rows = Vec::with_capacity(group * part.queries.len() * dim);
        for head in kv * group..(kv + 1) * group {
            rows.extend_from_slice(
                &self.query[(head * len + part.queries.start) * dim..(head * len + part.queries.end) * dim],
            );
        }
        Tensor::from_vec(rows, (group * part.queries.len(), dim), &Device::Cpu)
    }

    /// The keys that a part sees, `(keys, head_dim)`.
    fn keys(&self, part: &Part, kv: usize) -> Result<Tensor> {
        let Dimensions { len, dim, .. } = self.shape;
        let mut rows = Vec::with_capacity(part.keys.len() * dim);
        part.keys.iter().for_each(|key| rows.extend_from_slice(&self.key[(kv * len + key) * dim..][..dim]));
        Tensor::from_vec(rows, (part.keys.len(), dim), &Device::Cpu)
    }

    /// Their values, `(keys, head_dim)`.
    fn values(&self, part: &Part, kv: usize) -> Result<Tensor> {
        let Dimensions { dim, kv: kv_heads, .. } = self.shape;
        let mut rows = Vec::with_capacity(part.keys.len() * dim);
        part.keys.iter().for_each(|key| rows.extend_from_slice(&self.value[(key * kv_heads + kv) * dim..][..dim]));
        Tensor::from_vec(rows, (part.keys.len(), dim), &Device::Cpu)
    }

    fn scale(&self) -> T {
        T::from_f64(1.0 / (self.shape.dim as f64).sqrt())
    }

    /// How much of each value a query takes, `(group · queries, keys)`.
    fn weights(&self, part: &Part, queries: &Tensor, keys: &Tensor) -> Result<Vec<T>> {
        let mut weights = queries.matmul(&keys.t()?)?.flatten_all()?.to_vec1::<T>()?;
        let (count, scale) = (part.keys.len(), self.scale());
        let seen = part.seen.chunks(count).cycle();
        for (weights, seen) in weights.chunks_mut(count).zip(seen) {
            softmax(weights, seen, scale);
        }
        Ok(weights)
    }
}

/// The softmax of what is seen; the rest becomes 0.
#[inline(always)]
fn softmax<T: Real>(scores: &mut [T], seen: &[bool], scale: T) {
    let hidden = T::from_f64(-1e30);
    let mut largest = [hidden; 16];
    for (scores, seen) in scores.chunks_mut(16).zip(seen.chunks(16)) {
        for ((score, &seen), largest) in scores.iter_mut().zip(seen).zip(&mut largest) {
            *score = if seen { *score * scale } else { hidden };
            *largest = largest.larger(*score);
        }
    }
    let largest = largest.into_iter().fold(hidden, Real::larger);
    let mut sums = [T::zero(); 16];
    for scores in scores.chunks_mut(16) {
        for (score, sum) in scores.iter_mut().zip(&mut sums) {
            *score = (*score - largest).exp();
            *sum += *score;
        }
    }
    let inverse = T::one() / sums.into_iter().sum::<T>();
    scores.iter_mut().for_each(|score| *score *= inverse);
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        query: &CpuStorage,
        query_layout: &Layout,
        key: &CpuStorage,
        key_layout: &Layout,
        value: &CpuStorage,
        value_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (heads, len, dim) = query_layout.shape().dims3()?;
        let shape = Dimensions { len, heads, kv: self.kv_heads, dim };
        let (group, width) = (shape.group(), heads * dim);
        let dtype = candle_core::backend::BackendStorage::dtype(query);
        let storage = with_real!(dtype, T => {
            let row = Row::<T> {
                query: numbers(query, query_layout)?,
                key: numbers(key, key_layout)?,
                value: numbers(value, value_layout)?,
                shape,
            };
            let mut out = vec![T::default(); len * width];
            for part in &self.sight.0 {
                for kv in 0..shape.kv {
                    let weights = row.weights(part, &row.queries(part, kv)?, &row.keys(part, kv)?)?;
                    let weights = Tensor::from_vec(weights, (group * part.queries.len(), part.keys.len()), &Device::Cpu)?;
                    let taken = weights.matmul(&row.values(part, kv)?)?.flatten_all()?.to_vec1::<T>()?;
                    for (taken, (head, place)) in taken.chunks(dim).zip(places(part, shape, kv)) {
                        out[place * width + head * dim..][..dim].copy_from_slice(taken);
                    }
                }
            }
            candle_core::WithDType::to_cpu_storage_owned(out)
        });
        Ok((storage, Shape::from((len, width))))
    }

    fn bwd(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        result: &Tensor,
        of_result: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (heads, len, dim) = query.dims3()?;
        let shape = Dimensions { len, heads, kv: self.kv_heads, dim };
        with_real!(query.dtype(), T => {
            let mut to = Gradients::<T> {
                query: vec![T::default(); query.elem_count()],
                key: vec![T::default(); key.elem_count()],
                value: vec![T::default(); value.elem_count()],
            };
            read(query, |query| read(key, |key| read(value, |value| {
                let row = Row::<T> { query, key, value, shape };
                read(result, |result| read(of_result, |of_result| {
                    for part in &self.sight.0 {
                        (0..shape.kv).try_for_each(|kv| to.add(&row, part, kv, [result, of_result]))?;
                    }
                    Ok(())
                }))
            })))?;
            let device = query.device();
            Ok((
                Some(Tensor::from_vec(to.query, query.shape(), device)?),
                Some(Tensor::from_vec(to.key, key.shape(), device)?),
                Some(Tensor::from_vec(to.value, value.shape(), device)?),
            ))
        })
    }
}

/// Head and place of the rows that a part has for one key head.
fn places(part: &Part, shape: Dimensions, kv: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
    let heads = kv * shape.group()..(kv + 1) * shape.group();
    heads.flat_map(|head| part.queries.clone().map(move |place| (head, place)))
}

/// Where gradients are added up.
struct Gradients<T> {
    query: Vec<T>,
    key: Vec<T>,
    value: Vec<T>,
}

impl<T: Real> Gradients<T> {
    /// Adds what comes from one part and key head (the backward pass of FlashAttention,
    /// arXiv 2205.14135, algorithm 4).
    fn add(&mut self, row: &Row<'_, T>, part: &Part, kv: usize, [result, of_result]: [&[T]; 2]) -> Result<()> {
        let Dimensions { len, heads, kv: kv_heads, dim } = row.shape;
        let (width, count) = (heads * dim, part.keys.len());
        let rows = row.shape.group() * part.queries.len();
        let (queries, keys, values) = (row.queries(part, kv)?, row.keys(part, kv)?, row.values(part, kv)?);
        let weights = row.weights(part, &queries, &keys)?;
        let (mut of_taken, mut pulls) = (Vec::with_capacity(rows * dim), Vec::with_capacity(rows));
        for (head, place) in places(part, row.shape, kv) {
            let at = place * width + head * dim..place * width + (head + 1) * dim;
            of_taken.extend_from_slice(&of_result[at.clone()]);
            pulls.push(dot(&of_result[at.clone()], &result[at]));
        }
        let of_taken = Tensor::from_vec(of_taken, (rows, dim), &Device::Cpu)?;
        let mut of_scores = of_taken.matmul(&values.t()?)?.flatten_all()?.to_vec1::<T>()?; // (rows, keys)
        let scale = row.scale();
        for ((of_scores, weights), &pull) in of_scores.chunks_mut(count).zip(weights.chunks(count)).zip(&pulls) {
            of_scores.iter_mut().zip(weights).for_each(|(to, &weight)| *to = (*to - pull) * weight * scale);
        }
        let weights = Tensor::from_vec(weights, (rows, count), &Device::Cpu)?;
        let of_scores = Tensor::from_vec(of_scores, (rows, count), &Device::Cpu)?;
        let of_values = weights.t()?.matmul(&of_taken)?.flatten_all()?.to_vec1::<T>()?;
        let of_keys = of_scores.t()?.matmul(&queries)?.flatten_all()?.to_vec1::<T>()?;
        let of_queries = of_scores.matmul(&keys)?.flatten_all()?.to_vec1::<T>()?;
        for (key, (of_key, of_value)) in part.keys.iter().zip(of_keys.chunks(dim).zip(of_values.chunks(dim))) {
            add(&mut self.key[(kv * len + key) * dim..][..dim], of_key);
            add(&mut self.value[(key * kv_heads + kv) * dim..][..dim], of_value);
        }
        for ((head, place), of_query) in places(part, row.shape, kv).zip(of_queries.chunks(dim)) {
            add(&mut self.query[(head * len + place) * dim..][..dim], of_query);
        }
        Ok(())
    }
}

fn add<T: Real>(to: &mut [T], more: &[T]) {
    to.iter_mut().zip(more).for_each(|(to, &more)| *to += more);
}
