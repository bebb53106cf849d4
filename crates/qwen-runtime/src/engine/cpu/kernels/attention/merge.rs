//! Sums over spans of positions, merged and finished.

use super::super::elementwise::{exp, sum};
use super::super::set::Detected;
use super::Mark;

/// Adds the values of a later span to those of the spans before it.
pub(crate) fn merge(set: Detected, to: (&mut [f32], &mut Mark), (values, mark): (&[f32], Mark)) {
    let largest = if mark.largest > to.1.largest { mark.largest } else { to.1.largest };
    let (before, after) = (exp(to.1.largest - largest), exp(mark.largest - largest));
    // SAFETY: the set was detected; slices check themselves.
    unsafe { add(set, to.0, before, values, after) };
    for (total, part) in to.1.total.iter_mut().zip(mark.total) {
        *total = part.mul_add(after, *total * before);
    }
    to.1.largest = largest;
}

/// Makes the result of what was gathered and merged.
pub(crate) fn finish(set: Detected, values: &mut [f32], mark: Mark) {
    // SAFETY: the set was detected; slices check themselves.
    unsafe { multiply(set, values, 1.0 / sum(&mark.total)) }
}

kernel! {
    unsafe fn add<S>(to: &mut [f32], before: f32, values: &[f32], after: f32) {
        for (to, value) in to.iter_mut().zip(values) {
            *to = value.mul_add(after, *to * before);
        }
    }
}

kernel! {
    unsafe fn multiply<S>(values: &mut [f32], factor: f32) {
        values.iter_mut().for_each(|value| *value *= factor);
    }
}
