//! Owns what is fuzzed: model-cache's checks of headers, without the rest of it, whose network takes long to build.

#[path = "../../crates/model-cache/tests/headers/by_serde.rs"]
mod by_serde;
#[expect(dead_code, reason = "the cache uses the rest")]
#[path = "../../crates/model-cache/src/fault.rs"]
mod fault;
#[path = "../../crates/model-cache/src/header/mod.rs"]
mod header;
#[path = "../../crates/model-cache/tests/headers/peak.rs"]
mod peak;
#[path = "../../crates/model-cache/tests/headers/promise.rs"]
mod promise;

pub use fault::Problem;

/// What the check of safetensors says of `file`.
///
/// # Panics
///
/// When the check breaks a promise.
pub fn safetensors(file: &[u8]) -> Option<Problem> {
    promise::safetensors(file)
}

/// What the check of GGUF says of `file`.
///
/// # Panics
///
/// When the check breaks a promise.
pub fn gguf(file: &[u8]) -> Option<Problem> {
    promise::gguf(file)
}
