//! What the benchmarks share.

pub mod random_model;
