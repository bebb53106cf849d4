//! Owns the search for the scales and minimums of Q4_K and Q5_K: 8 sub-blocks of 32 values, each
//! `x ≈ d·scale·q − dmin·min` with 6-bit `scale` and `min` and `q` in `0..=TOP`. Must not know how blocks are packed.
//!
//! The error is the weighted sum of squares. Each sub-block is first fitted alone, with real numbers. Then the
//! integers and the two factors of the super-block take turns: with the factors given, each sub-block tries the
//! integers around its optimum, and with the integers given, the factors are a problem of least squares.

use half::f16;

use super::block::{Part, SUPER_BLOCK, nearest, parts, sums};

/// Values of a sub-block.
pub(super) const SUB_BLOCK: usize = 32;
/// Sub-blocks of a super-block.
pub(super) const SUB_BLOCKS: usize = SUPER_BLOCK / SUB_BLOCK;
/// Largest 6-bit integer.
const TOP_6_BIT: f32 = 63.0;
/// How often integers and factors take turns.
const ROUNDS: usize = 3;
/// Step widths tried for a sub-block: from one level more than `TOP` across its range to `CLIPPED` levels fewer.
const WIDTHS: usize = 14;
const CLIPPED: f32 = 2.0;

/// A super-block in integers and the two factors.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AffineBlock {
    pub(super) d: f16,
    pub(super) dmin: f16,
    pub(super) scales: [u8; SUB_BLOCKS],
    pub(super) mins: [u8; SUB_BLOCKS],
    pub(super) levels: [u8; SUPER_BLOCK],
}

/// `x ≈ scale·q − min`, neither negative.
#[derive(Clone, Copy)]
struct Line {
    scale: f32,
    min: f32,
}

/// The integers of a sub-block and the error that they leave.
#[derive(Clone, Copy)]
struct Choice {
    scale: f32,
    min: f32,
    error: f64,
}

/// Quantizes a super-block to levels `0..=TOP`.
pub(super) fn quantize<const TOP: u8>(x: &[f32; SUPER_BLOCK], w: &[f32; SUPER_BLOCK]) -> AffineBlock {
    let parts: [Part<'_, SUB_BLOCK>; SUB_BLOCKS] = parts(x, w);
    let lines = parts.map(|part| part.fit::<TOP>());
    let largest = |value: fn(&Line) -> f32| lines.iter().map(value).fold(0.0, f32::max);
    let mut factors = Line { scale: largest(|line| line.scale), min: largest(|line| line.min) };
    factors = representable(factors.scale / TOP_6_BIT, factors.min / TOP_6_BIT);
    let start = |value: f32, factor: f32| {
        if factor > 0.0 { nearest(value / factor, 0.0, TOP_6_BIT) } else { 0.0 }
    };
    let mut choices: [Choice; SUB_BLOCKS] = std::array::from_fn(|j| Choice {
        scale: start(lines[j].scale, factors.scale),
        min: start(lines[j].min, factors.min),
        error: f64::INFINITY,
    });
    let mut best: Option<(f64, Line, [Choice; SUB_BLOCKS])> = None;
    for round in 0..ROUNDS {
        for (part, choice) in parts.iter().zip(&mut choices) {
            *choice = part.choose::<TOP>(factors, *choice, round == 0);
        }
        let error = choices.iter().map(|choice| choice.error).sum::<f64>();
        if best.as_ref().is_some_and(|(least, ..)| error >= *least) {
            break;
        }
        best = Some((error, factors, choices));
        let refined = refine::<TOP>(&parts, &choices, factors);
        if (refined.scale, refined.min) == (factors.scale, factors.min) {
            break;
        }
        factors = refined;
    }
    let (factors, choices) = best.map_or((factors, choices), |(_, factors, choices)| (factors, choices));
    let mut levels = [0; SUPER_BLOCK];
    for (j, out) in levels.as_chunks_mut::<SUB_BLOCK>().0.iter_mut().enumerate() {
        let line = choices[j].line(factors);
        let inverse = inverse(line.scale);
        *out = parts[j].x.map(|x| nearest((x + line.min) * inverse, 0.0, f32::from(TOP)) as u8);
    }
    AffineBlock {
        d: f16::from_f32(factors.scale),
        dmin: f16::from_f32(factors.min),
        scales: choices.map(|choice| choice.scale as u8),
        mins: choices.map(|choice| choice.min as u8),
        levels,
    }
}

/// The factors as the file holds them, in half precision.
fn representable(scale: f32, min: f32) -> Line {
    Line { scale: f16::from_f32(scale).to_f32(), min: f16::from_f32(min).to_f32() }
}

fn inverse(scale: f32) -> f32 {
    if scale > 0.0 { scale.recip() } else { 0.0 }
}

impl Choice {
    fn line(&self, factors: Line) -> Line {
        Line { scale: factors.scale * self.scale, min: factors.min * self.min }
    }
}

impl Part<'_, SUB_BLOCK> {
    /// The best line through the sub-block alone, of several step widths.
    fn fit<const TOP: u8>(self) -> Line {
        let top = f32::from(TOP);
        let low = self.x.iter().copied().fold(0.0, f32::min);
        let high = self.x.iter().copied().fold(low, f32::max);
        if high <= low {
            // Every value is the same, and not above zero.
            return Line { scale: 0.0, min: -low };
        }
        let mut best = (f64::INFINITY, Line { scale: (high - low) / top, min: -low });
        for step in 0..WIDTHS {
            let levels = top + 1.0 - (1.0 + CLIPPED) * step as f32 / (WIDTHS - 1) as f32;
            let line = Line { scale: (high - low) / levels, min: -low };
            let (error, line) = self.least_squares::<TOP>(line);
            if error < best.0 {
                best = (error, line);
            }
        }
        // Values go to the nearest level of the new line, and a line is fitted to those, which cannot make it worse.
        for _ in 0..2 {
            let (error, line) = self.least_squares::<TOP>(best.1);
            if error >= best.0 {
                break;
            }
            best = (error, line);
        }
        best.1
    }

    /// The best line for the levels that `line` gives the values, and its error.
    fn least_squares<const TOP: u8>(self, line: Line) -> (f64, Line) {
        let (top, inverse) = (f32::from(TOP), inverse(line.scale));
        let [sw, swx, swxx, swq, swqq, swqx] = sums::<SUB_BLOCK, 6>(|i| {
            let (x, w) = (self.x[i], self.w[i]);
            let q = nearest((x + line.min) * inverse, 0.0, top);
            let (wx, wq) = (w * x, w * q);
            [w, wx, wx * x, wq, wq * q, wq * x]
        });
        let determinant = sw * swqq - swq * swq;
        if determinant <= 0.0 {
            return (f64::INFINITY, line);
        }
        let scale = (sw * swqx - swx * swq) / determinant;
        let offset = (swqq * swx - swq * swqx) / determinant;
        if offset <= 0.0 && scale >= 0.0 {
            return (swxx - scale * swqx - offset * swx, Line { scale: scale as f32, min: -offset as f32 });
        }
        // The format has no negative minimum: the best line through zero.
        let scale = swqx / swqq;
        (swxx - scale * swqx, Line { scale: scale.max(0.0) as f32, min: 0.0 })
    }

    /// The best integers around `from`.
    fn choose<const TOP: u8>(self, factors: Line, from: Choice, corners: bool) -> Choice {
        let mut best = self.judged::<TOP>(factors, from.scale, from.min);
        for (ds, dm) in
            [(-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0), (-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)]
        {
            let (scale, min) = (from.scale + ds, from.min + dm);
            let diagonal = ds != 0.0 && dm != 0.0;
            if (diagonal && !corners) || scale.max(min) > TOP_6_BIT || scale.min(min) < 0.0 {
                continue;
            }
            let other = self.judged::<TOP>(factors, scale, min);
            if other.error < best.error {
                best = other;
            }
        }
        best
    }

    fn judged<const TOP: u8>(self, factors: Line, scale: f32, min: f32) -> Choice {
        let line = Line { scale: factors.scale * scale, min: factors.min * min };
        let (top, inverse) = (f32::from(TOP), inverse(line.scale));
        let [error] = sums::<SUB_BLOCK, 1>(|i| {
            let q = nearest((self.x[i] + line.min) * inverse, 0.0, top);
            let difference = line.scale * q - line.min - self.x[i];
            [self.w[i] * difference * difference]
        });
        Choice { scale, min, error }
    }
}

/// The best factors for the integers that `choices` and `factors` give.
fn refine<const TOP: u8>(
    parts: &[Part<'_, SUB_BLOCK>; SUB_BLOCKS],
    choices: &[Choice; SUB_BLOCKS],
    factors: Line,
) -> Line {
    // x ≈ d·a − dmin·b with a = scale·q and b = min.
    let [mut aa, mut ab, mut bb, mut ax, mut bx] = [0.0_f64; 5];
    for (part, choice) in parts.iter().zip(choices) {
        let line = choice.line(factors);
        let (top, inverse) = (f32::from(TOP), inverse(line.scale));
        let [sw, swx, swq, swqq, swqx] = sums::<SUB_BLOCK, 5>(|i| {
            let (x, w) = (part.x[i], part.w[i]);
            let q = nearest((x + line.min) * inverse, 0.0, top);
            [w, w * x, w * q, w * q * q, w * q * x]
        });
        let (scale, min) = (f64::from(choice.scale), f64::from(choice.min));
        aa += scale * scale * swqq;
        ab += scale * min * swq;
        bb += min * min * sw;
        ax += scale * swqx;
        bx += min * swx;
    }
    let determinant = aa * bb - ab * ab;
    let (d, dmin) = if determinant > 1e-9 * aa * bb {
        ((ax * bb - bx * ab) / determinant, (ax * ab - bx * aa) / determinant)
    } else if aa > 0.0 {
        ((ax + f64::from(factors.min) * ab) / aa, f64::from(factors.min))
    } else {
        return factors;
    };
    if d > 0.0 && dmin >= 0.0 { representable(d as f32, dmin as f32) } else { factors }
}
