//! Owns bringing a model that lies on this machine into the cache, as if it had been fetched.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use sha1::{Digest as _, Sha1};
use uuid::Uuid;

use super::copy::{copy, mismatch};
use super::gauge::Gauge;
use super::source::{Expected, Source, SourceFile};
use super::state;
use crate::layout::{DEFAULT_REVISION, Layout};
use crate::listing::{ListedFile, Listing};
use crate::{
    CacheError, Fault, ModelCache, ModelFiles, ModelSpec, Problem, RepoId, WorkEvent, resolve, snapshot, space, write,
};

impl ModelCache {
    /// Copies a model into the cache as `repo`: a directory that [`export`](ModelCache::export) made, whose digests are
    /// checked and whose commit is kept; any other directory with a whole checkpoint; or a `.gguf` file. Where no commit
    /// is known, one is made up from the names and digests of the files, so that the same files are the same version.
    /// Nothing that is not whole is imported. Blocks.
    ///
    /// The branch that the model was exported by is set to it; else `main`, unless `main` is there already and the
    /// model has a commit of its own.
    ///
    /// # Errors
    ///
    /// [`CacheError::NotAllowed`], [`CacheError::Incomplete`] when files are missing or broken or their bytes are not
    /// those of their digest, [`CacheError::NoSpace`], and [`CacheError::Io`].
    pub fn import(
        &self,
        source: &Path,
        repo: &RepoId,
        progress: &(dyn Fn(WorkEvent) + Sync),
    ) -> Result<ModelFiles, CacheError> {
        let config = self.config();
        if !config.allowed.allows(repo) {
            return Err(CacheError::NotAllowed { repo: repo.clone() });
        }
        let model = Source::open(source)?;
        let layout = Layout::new(&config.dir, repo);
        let needed = model.files.iter().map(|file| file.size).fold(0, u64::saturating_add);
        let free = space::available(layout.root()).map_err(|error| CacheError::io(layout.root(), error))?;
        let available = free.saturating_sub(config.limits.keep_free);
        if needed > available {
            return Err(CacheError::NoSpace { path: layout.root().to_owned(), needed: Some(needed), available });
        }
        let folder = layout.partials().join(format!("import.{}", Uuid::new_v4().simple()));
        let gauge = Gauge::start(model.files.len(), needed, progress);
        let brought = bring(&folder, source, &model, &gauge).and_then(|files| publish(&layout, &model, &files));
        let _ = fs::remove_dir_all(folder);
        let commit = brought?;
        let checkpoint = model.files.iter().any(|file| file.name == "config.json");
        let gguf = model.files.iter().map(|file| &file.name).find(|name| state::is_gguf(name));
        let file = gguf.filter(|_| !checkpoint).cloned();
        self.resolve(&ModelSpec::Hub { repo: repo.clone(), revision: Some(commit), file })
    }
}

/// A file that has been copied, under a name that means nothing yet.
struct Brought {
    listed: ListedFile,
    temporary: PathBuf,
}

fn bring(folder: &Path, from: &Path, model: &Source, gauge: &Gauge<'_>) -> Result<Vec<Brought>, CacheError> {
    let mut brought = Vec::new();
    for (index, SourceFile { name, path, digest, .. }) in model.files.iter().enumerate() {
        let temporary = folder.join(index.to_string());
        let (Expected::Stated(like) | Expected::Unknown(like)) = digest;
        let (actual, size) = copy(path, &temporary, name, like, gauge)?;
        match digest {
            Expected::Stated(expected) if *expected != actual => return Err(mismatch(from, name, expected, &actual)),
            _ => brought.push(Brought { listed: ListedFile { path: name.clone(), size, digest: actual }, temporary }),
        }
    }
    Ok(brought)
}

/// Gives the copies their names, in the order of a fetch: what there will be, the bytes, the version, the branch.
fn publish(layout: &Layout, model: &Source, brought: &[Brought]) -> Result<String, CacheError> {
    let files: Vec<_> = brought.iter().map(|brought| brought.listed.clone()).collect();
    let commit = model.commit.clone().unwrap_or_else(|| made_up(&files));
    let path = layout.listing(&commit);
    let mut listing = Listing::read(&path)?.unwrap_or_default();
    for file in &files {
        if let Some(known) = listing.file(&file.path).filter(|known| known.digest != file.digest) {
            // One of the two is not what it says that it is, and nobody here can tell which.
            let problem = Problem::Malformed(format!("the cache has {} for this commit", known.digest));
            let missing = vec![Fault::new(&file.path, problem)];
            return Err(CacheError::Incomplete { path: layout.snapshot(&commit), missing });
        }
    }
    let has_checkpoint = files.iter().any(|file| file.path == "config.json");
    let names = files.iter().map(|file| file.path.clone()).filter(|name| has_checkpoint && !state::is_gguf(name));
    listing.merge(Listing { checkpoint: names.collect(), files: files.clone() });
    listing.write(&path)?;
    for Brought { listed, temporary } in brought {
        let blob = layout.blob(&listed.digest);
        if is_sound(&blob, listed) {
            // Somebody may be using it, under a lock that stays with this very file.
            continue;
        }
        write::directory_of(&blob)?;
        fs::rename(temporary, &blob).map_err(|error| CacheError::io(&blob, error))?;
    }
    snapshot::publish(layout, &commit, &files)?;
    let no_main = resolve::commit(layout, DEFAULT_REVISION)?.is_none();
    let main = || (model.commit.is_none() || no_main).then(|| DEFAULT_REVISION.to_owned());
    if let Some(revision) = model.revision.clone().or_else(main) {
        snapshot::refer(layout, &revision, &commit)?;
    }
    Ok(commit)
}

/// Whether the cache has these bytes already.
fn is_sound(blob: &Path, listed: &ListedFile) -> bool {
    let Ok(file) = File::open(blob) else { return false };
    listed.digest.is_of(&file).unwrap_or(false)
}

/// A name for files that have no commit: 40 digits over their names and digests.
fn made_up(files: &[ListedFile]) -> String {
    let mut files: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.digest.hex())).collect();
    files.sort_unstable();
    let mut hasher = Sha1::new();
    for (path, digest) in files {
        hasher.update(format!("{path}\0{digest}\n"));
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
