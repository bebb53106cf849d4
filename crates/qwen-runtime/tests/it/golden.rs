//! Where golden files are: the project's own copies, and a larger set beside the repository.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

/// A file or directory of the project's own copies, which are always there.
pub(crate) fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// A file or directory of the larger set in `../shared`; `None`, with a word, where that is absent.
///
/// With `REQUIRE_SHARED=1` (which `.ci/run` sets where the set exists) absence is a failure.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(name);
    if path.exists() {
        return Some(path);
    }
    let required = std::env::var("REQUIRE_SHARED").is_ok_and(|value| value == "1");
    assert!(!required, "{} is required and not there", path.display());
    eprintln!("skipped: {} is not there", path.display());
    None
}

/// The float32 tensors `logits.<i>` of a safetensors file.
pub(crate) fn logits(path: &Path) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    (0..)
        .map_while(|index| tensors.tensor(&format!("logits.{index}")).ok())
        .map(|tensor| tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect())
        .collect()
}

/// `prompts` and `greedy` of an expected.json.
#[derive(serde::Deserialize)]
pub(crate) struct Expected {
    pub(crate) prompts: Vec<Vec<u32>>,
    #[serde(default)]
    pub(crate) greedy: Vec<Vec<u32>>,
    #[serde(default)]
    pub(crate) text: Vec<String>,
}

pub(crate) fn expected(path: &Path) -> Expected {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
