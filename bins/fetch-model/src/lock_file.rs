//! Owns the file `models.lock` on the disk. Must not know what a model is locked to.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::Context;
use model_cache::{LockedModel, ModelSpec, ModelsLock};

/// The place of a lock file.
#[derive(Debug)]
pub(crate) struct LockFile {
    path: PathBuf,
}

impl LockFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Reads it; there must be one.
    pub(crate) fn read_existing(&self) -> anyhow::Result<ModelsLock> {
        let path = self.path.display();
        let text = fs::read_to_string(&self.path)
            .with_context(|| format!("cannot read the lock file {path}; fetch-model --lock writes it"))?;
        ModelsLock::parse(&text).with_context(|| format!("cannot use {path}"))
    }

    /// Locks one model; the others stay as they are.
    pub(crate) fn update(&self, model: &ModelSpec, locked: LockedModel) -> anyhow::Result<()> {
        let mut lock = match fs::exists(&self.path) {
            Ok(false) => ModelsLock::default(),
            _ => self.read_existing()?,
        };
        lock.insert(model, locked);
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = self.path.with_file_name(name);
        // Renamed when it is complete, so that nobody ever deploys half of it.
        let written = fs::write(&temporary, lock.to_text()).and_then(|()| fs::rename(&temporary, &self.path));
        if written.as_ref().is_err_and(|error| error.kind() != ErrorKind::NotFound) {
            let _ = fs::remove_file(&temporary);
        }
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_other_models() {
        let dir = tempfile::tempdir().unwrap();
        let file = LockFile::new(dir.path().join("models.lock"));
        assert!(file.read_existing().unwrap_err().to_string().contains("--lock"));
        let locked = |digit: &str| LockedModel { commit: digit.repeat(40), files: [].into() };
        let [one, two] = ["a/one", "a/two@main"].map(|spec| spec.parse::<ModelSpec>().unwrap());
        file.update(&one, locked("1")).unwrap();
        file.update(&two, locked("2")).unwrap();
        file.update(&one, locked("3")).unwrap();
        let lock = file.read_existing().unwrap();
        assert_eq!((lock.get(&one), lock.get(&two)), (Some(&locked("3")), Some(&locked("2"))));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        fs::write(dir.path().join("models.lock"), "{").unwrap();
        assert!(file.update(&one, locked("1")).is_err(), "what cannot be read is not written over");
    }
}
