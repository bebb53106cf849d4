//! Owns the file `models.lock`: which commit and which bytes each model must have, so that two deployments a year apart
//! run the same ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{CacheError, Digest, ModelSpec, layout};

/// The only version of the format.
const VERSION: u32 = 1;

/// The contents of a `models.lock`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelsLock {
    version: u32,
    /// By the model's specification, as it is written in a setting.
    models: BTreeMap<String, LockedModel>,
}

/// One model in a lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedModel {
    /// 40 hexadecimal digits.
    pub commit: String,
    /// By path in the repository: every file that is fetched.
    pub files: BTreeMap<String, LockedFile>,
}

/// One file in a lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedFile {
    /// In bytes.
    pub size: u64,
    /// In hexadecimal: a SHA-256 (64 digits), or the id of a git blob (40 digits).
    pub digest: String,
}

impl LockedModel {
    fn is_sound(&self) -> bool {
        layout::is_commit(&self.commit) && self.files.values().all(|file| Digest::parse(&file.digest).is_some())
    }
}

impl Default for ModelsLock {
    /// A lock file without a model.
    fn default() -> Self {
        Self { version: VERSION, models: BTreeMap::new() }
    }
}

impl ModelsLock {
    /// Reads the text of a lock file.
    ///
    /// # Errors
    ///
    /// [`CacheError::InvalidConfig`] when it is not one, or one of a version that is not known here.
    pub fn parse(text: &str) -> Result<Self, CacheError> {
        let invalid = CacheError::InvalidConfig { what: "models.lock is not a lock file of version 1" };
        match serde_json::from_str::<Self>(text) {
            // Commits and digests become parts of paths.
            Ok(lock) if lock.version == VERSION && lock.models.values().all(LockedModel::is_sound) => Ok(lock),
            _ => Err(invalid),
        }
    }

    /// The text of the lock file, the same for the same contents.
    pub fn to_text(&self) -> String {
        // Strings and numbers under keys that are strings always have a text.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// What a model is locked to.
    pub fn get(&self, model: &ModelSpec) -> Option<&LockedModel> {
        self.models.get(&model.to_string())
    }

    /// Whether a model is locked to this commit. Commits are digests, so one of another repository is another one.
    pub(crate) fn holds(&self, commit: &str) -> bool {
        self.models.values().any(|locked| locked.commit == commit)
    }

    /// Locks a model, instead of what it was locked to before.
    pub fn insert(&mut self, model: &ModelSpec, locked: LockedModel) {
        self.models.insert(model.to_string(), locked);
    }
}
