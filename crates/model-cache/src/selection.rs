//! Owns which files of a repository are fetched. Must not know what they mean.

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use crate::{CacheError, checkpoint};

/// Which files of a safetensors repository are fetched; the default is what a runtime needs.
///
/// Patterns are globs, in which a star does not match `/`: `*.json`, `onnx/**`.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    include: Option<GlobSet>,
    exclude: Option<GlobSet>,
}

impl Selection {
    /// Takes globs: files to fetch instead of those that a runtime needs (none: those), and files to leave out.
    ///
    /// # Errors
    ///
    /// [`CacheError::InvalidConfig`] for a pattern that is not a glob.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, CacheError> {
        Ok(Self { include: set(include)?, exclude: set(exclude)? })
    }

    /// Whether a file of a checkpoint is fetched. What needs Python's pickle to be read never is.
    pub(crate) fn wants(&self, file: &str) -> bool {
        let included = self.include.as_ref().map_or_else(|| checkpoint::wants(file), |set| set.is_match(file));
        included && !self.exclude.as_ref().is_some_and(|set| set.is_match(file)) && !is_pickle(file)
    }
}

fn set(patterns: &[String]) -> Result<Option<GlobSet>, CacheError> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(glob(pattern)?);
    }
    set.build().map(Some).map_err(|_| CacheError::InvalidConfig { what: "these globs are too large together" })
}

fn glob(pattern: &str) -> Result<Glob, CacheError> {
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .build()
        .map_err(|_| CacheError::InvalidConfig { what: "a pattern of files must be a glob, such as `*.json`" })
}

/// Formats that run code when they are read.
fn is_pickle(file: &str) -> bool {
    let extension = file.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    matches!(extension.as_deref(), Some("bin" | "pt" | "pth" | "pkl" | "pickle" | "ckpt" | "joblib" | "npy" | "npz"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_runtime_needs_unless_told_otherwise() {
        let default = Selection::default();
        assert!(default.wants("model.safetensors") && !default.wants("README.md"));
        let globs = |globs: &[&str]| globs.iter().map(|&glob| glob.to_owned()).collect::<Vec<_>>();
        let selection = Selection::new(&globs(&["*.md", "*.bin", "onnx/**"]), &globs(&["NOTES.md"])).unwrap();
        assert!(selection.wants("README.md") && selection.wants("onnx/a/model.onnx"));
        assert!(!selection.wants("NOTES.md") && !selection.wants("model.safetensors"));
        assert!(!selection.wants("pytorch_model.bin"), "pickle is never fetched");
        assert!(matches!(Selection::new(&globs(&["["]), &[]), Err(CacheError::InvalidConfig { .. })));
    }
}
