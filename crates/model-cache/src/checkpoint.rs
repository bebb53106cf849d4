//! Owns what a safetensors checkpoint consists of, and whether a directory holds one that is whole. Must not know where
//! the directory came from.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::{CacheError, Fault, Problem, json, weight_file};

const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The files of a repository that the runtime can use, as globs. Nothing that needs Python's pickle is among them.
pub(crate) const WANTED: [&str; 7] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "*.safetensors",
    "*.safetensors.index.json",
];

/// Whether a file of a repository is one of [`WANTED`]. Folders never are: they hold other formats of the same weights.
pub(crate) fn wants(file: &str) -> bool {
    let matches = |glob: &&str| match glob.strip_prefix('*') {
        Some(ending) => file.ends_with(ending),
        None => file == *glob,
    };
    !file.contains('/') && WANTED.iter().any(matches)
}

/// Files without which nothing runs; they must parse.
pub(crate) const REQUIRED: [&str; 2] = ["config.json", "tokenizer.json"];

/// Files that may be absent; where they are there, they must parse.
const OPTIONAL: [&str; 2] = ["generation_config.json", "tokenizer_config.json"];

#[derive(Deserialize)]
struct Index {
    /// Tensor name to file name.
    weight_map: HashMap<String, String>,
}

/// Everything that keeps `dir` from being a whole checkpoint; empty when it is one.
///
/// Reads the JSON files and the headers of the weights, not the weights.
pub(crate) fn faults(dir: &Path) -> Result<Vec<Fault>, CacheError> {
    let mut faults = Vec::new();
    for file in REQUIRED {
        if let Err(problem) = json::read::<Object>(&dir.join(file))? {
            faults.push(Fault::new(file, problem));
        }
    }
    for file in OPTIONAL {
        match json::read::<Object>(&dir.join(file))? {
            Ok(_) | Err(Problem::Missing) => {}
            Err(problem) => faults.push(Fault::new(file, problem)),
        }
    }
    faults.extend(weight_faults(dir)?);
    Ok(faults)
}

/// Whether these faults say that nothing of a checkpoint is there, rather than that it is incomplete.
pub(crate) fn is_absent(faults: &[Fault]) -> bool {
    REQUIRED.into_iter().chain([WEIGHTS]).all(|file| faults.contains(&Fault::new(file, Problem::Missing)))
}

type Object = HashMap<String, IgnoredAny>;

fn weight_faults(dir: &Path) -> Result<Vec<Fault>, CacheError> {
    // The order in which transformers looks: one file wins over an index.
    let single = weight_file::safetensors(&dir.join(WEIGHTS))?;
    if single != Some(Problem::Missing) {
        return Ok(single.map(|problem| Fault::new(WEIGHTS, problem)).into_iter().collect());
    }
    let index: Index = match json::read(&dir.join(INDEX))? {
        Ok(index) => index,
        Err(Problem::Missing) => return Ok(vec![Fault::new(WEIGHTS, Problem::Missing)]),
        Err(problem) => return Ok(vec![Fault::new(INDEX, problem)]),
    };
    let shards: BTreeSet<&str> = index.weight_map.values().map(String::as_str).collect();
    if shards.is_empty() {
        return Ok(vec![Fault::new(INDEX, Problem::Malformed("it names no file".to_owned()))]);
    }
    let mut faults = Vec::new();
    for shard in shards {
        // An index is foreign text; a name that leads out of the directory is not followed.
        if shard.contains(['/', '\\']) || !shard.ends_with(".safetensors") {
            return Ok(vec![Fault::new(INDEX, Problem::Malformed(format!("`{shard}` is not a file beside it")))]);
        }
        if let Some(problem) = weight_file::safetensors(&dir.join(shard))? {
            faults.push(Fault::new(shard, problem));
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wants_what_the_runtime_reads_and_no_pickle() {
        for file in ["config.json", "chat_template.jinja", "model.safetensors", "model.safetensors.index.json"] {
            assert!(wants(file), "{file}");
        }
        for file in ["pytorch_model.bin", "model.pt", "README.md", "onnx/model.safetensors", "../config.json", "x.json"]
        {
            assert!(!wants(file), "{file}");
        }
    }
}
