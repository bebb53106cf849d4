//! Owns looking a model up on this machine. Must never use the network, and changes nothing on the disk.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use crate::layout::{self, DEFAULT_REVISION, Layout};
use crate::listing::Listing;
use crate::{
    CacheConfig, CacheError, Digest, Fault, LockedModel, ModelFiles, ModelSpec, Problem, RepoId, checkpoint,
    weight_file,
};

/// Up to this length, a locked file is read again each time that it is used, in bytes.
const SMALL: u64 = 16 << 20;

/// Finds `spec`, whole, or says what is wrong.
pub(crate) fn resolve(config: &CacheConfig, spec: &ModelSpec) -> Result<ModelFiles, CacheError> {
    spec.validate()?;
    if let ModelSpec::Hub { repo, .. } = spec
        && !config.allowed.allows(repo)
    {
        return Err(CacheError::NotAllowed { repo: repo.clone() });
    }
    match spec {
        ModelSpec::Directory(path) => directory(path, last_part(path)),
        ModelSpec::Gguf(path) => gguf_file(path, last_part(path.with_extension("").as_path())),
        ModelSpec::Hub { repo, revision, file } => {
            let not_cached =
                || CacheError::NotCached { model: spec.to_string(), dir: config.dir.clone(), network: config.network };
            let locked = locked(config, spec)?;
            let revision_or_lock = locked.map(|locked| locked.commit.as_str()).or(revision.as_deref());
            let cached = snapshot(config, repo, revision_or_lock.unwrap_or(DEFAULT_REVISION), file.as_deref());
            // The Python service's directory says neither which revision it is nor what its files should be.
            let any = revision.is_none() && file.is_none() && locked.is_none();
            match cached {
                Ok(Some(files)) => {
                    locked.map_or(Ok(()), |locked| check_lock(spec, locked, &files))?;
                    Ok(files)
                }
                Err(error @ CacheError::Incomplete { .. }) if any => python_service(config, repo)?.ok_or(error),
                Ok(None) if any => python_service(config, repo)?.ok_or_else(not_cached),
                Ok(None) => Err(not_cached()),
                Err(error) => Err(error),
            }
        }
    }
}

/// Looks for a snapshot in the cache; `None` when nothing of it is there.
fn snapshot(
    config: &CacheConfig,
    repo: &RepoId,
    revision: &str,
    file: Option<&str>,
) -> Result<Option<ModelFiles>, CacheError> {
    let layout = Layout::new(&config.dir, repo);
    let Some(commit) = commit(&layout, revision)? else { return Ok(None) };
    let path = layout.snapshot(&commit);
    if !path.is_dir() {
        return Ok(None);
    }
    let listing = Listing::read(&layout.listing(&commit))?.unwrap_or_default();
    let asked = file.map_or_else(|| listing.checkpoint.iter().map(String::as_str).collect(), |file| vec![file]);
    let faults = unlike_listing(&path, &listing, &asked)?;
    if faults.iter().any(|fault| file.is_none() || fault.problem != Problem::Missing) {
        return Err(CacheError::Incomplete { path, missing: faults });
    }
    let files = match file {
        Some(file) => match weight_file::gguf(&path.join(file))? {
            None => ModelFiles { path: path.join(file), name: format!("{repo}:{file}"), revision: None },
            Some(Problem::Missing) => return Ok(None),
            Some(problem) => return Err(CacheError::Incomplete { path, missing: vec![Fault::new(file, problem)] }),
        },
        None => match directory(&path, repo.to_string()) {
            Err(CacheError::Incomplete { missing, .. }) if checkpoint::is_absent(&missing) => return Ok(None),
            result => result?,
        },
    };
    Ok(Some(ModelFiles { revision: Some(commit), ..files }))
}

/// Files that are not as the Hub listed them. A snapshot that something else than this crate has made has no listing.
fn unlike_listing(snapshot: &Path, listing: &Listing, files: &[&str]) -> Result<Vec<Fault>, CacheError> {
    let mut faults = Vec::new();
    for listed in files.iter().filter_map(|file| listing.file(file)) {
        let path = snapshot.join(&listed.path);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.len() == listed.size => {}
            Ok(metadata) => {
                let problem = Problem::Length { expected: listed.size, actual: metadata.len() };
                faults.push(Fault::new(&listed.path, problem));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                faults.push(Fault::new(&listed.path, Problem::Missing));
            }
            Err(error) => return Err(CacheError::io(&path, error)),
        }
    }
    Ok(faults)
}

/// What the lock file says of a model, where there is a lock file; a model that is not in it may not be used.
pub(crate) fn locked<'a>(config: &'a CacheConfig, spec: &ModelSpec) -> Result<Option<&'a LockedModel>, CacheError> {
    let Some(lock) = &config.lock else { return Ok(None) };
    lock.get(spec)
        .map(Some)
        .ok_or_else(|| CacheError::LockMismatch { model: spec.to_string(), what: "it is not in the file".to_owned() })
}

/// Whether a cached model is the locked one. Small files are read and compared; of the weights, the length and the
/// digest that they were verified by when they came in. A file more than the lock file has could change the model.
fn check_lock(spec: &ModelSpec, locked: &LockedModel, files: &ModelFiles) -> Result<(), CacheError> {
    let mismatch = |what| Err(CacheError::LockMismatch { model: spec.to_string(), what });
    for (name, entry) in &locked.files {
        let path = if files.path.is_dir() { files.path.join(name) } else { files.path.clone() };
        let real = fs::canonicalize(&path).map_err(|error| CacheError::io(&path, error))?;
        let file = File::open(&real).map_err(|error| CacheError::io(&real, error))?;
        let length = file.metadata().map_err(|error| CacheError::io(&real, error))?.len();
        let mut is_same = length == entry.size && real.file_name().is_some_and(|name| name == entry.digest.as_str());
        if let Some(digest) = Digest::parse(&entry.digest)
            && is_same
            && length <= SMALL
        {
            is_same = digest.is_of(&file).map_err(|error| CacheError::io(&real, error))?;
        }
        if !is_same {
            return mismatch(format!("{name} differs"));
        }
    }
    if files.path.is_dir() {
        for entry in fs::read_dir(&files.path).map_err(|error| CacheError::io(&files.path, error))? {
            let entry = entry.map_err(|error| CacheError::io(&files.path, error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if checkpoint::wants(&name) && !locked.files.contains_key(&name) {
                return mismatch(format!("{name} is there and not in the file"));
            }
        }
    }
    Ok(())
}

pub(crate) fn commit(layout: &Layout, revision: &str) -> Result<Option<String>, CacheError> {
    if layout::is_commit(revision) {
        return Ok(Some(revision.to_owned()));
    }
    let path = layout.reference(revision);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|commit| layout::is_commit(commit))),
        // `refs/a` is a file, so `refs/a/b` cannot exist: also not there.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) if error.kind() == ErrorKind::IsADirectory => Ok(None),
        Err(error) => Err(CacheError::io(&path, error)),
    }
}

/// The Python service's directory, when it is there and whole. It does not say which revision it holds, so it is used
/// only where none was asked for.
fn python_service(config: &CacheConfig, repo: &RepoId) -> Result<Option<ModelFiles>, CacheError> {
    let path = layout::python_service(&config.dir, repo);
    if !path.is_dir() {
        return Ok(None);
    }
    match directory(&path, repo.to_string()) {
        Ok(files) => Ok(Some(files)),
        Err(error @ CacheError::Incomplete { .. }) => {
            tracing::warn!("{error}; this directory of the Python service is not used");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn directory(path: &Path, name: String) -> Result<ModelFiles, CacheError> {
    if !fs::metadata(path).map_err(|error| CacheError::io(path, error))?.is_dir() {
        return Err(CacheError::io(path, ErrorKind::NotADirectory.into()));
    }
    let missing = checkpoint::faults(path)?;
    if missing.is_empty() {
        Ok(ModelFiles { path: path.to_owned(), name, revision: None })
    } else {
        Err(CacheError::Incomplete { path: path.to_owned(), missing })
    }
}

fn gguf_file(path: &Path, name: String) -> Result<ModelFiles, CacheError> {
    if fs::metadata(path).map_err(|error| CacheError::io(path, error))?.is_dir() {
        return Err(CacheError::io(path, ErrorKind::IsADirectory.into()));
    }
    match weight_file::gguf(path)? {
        None => Ok(ModelFiles { path: path.to_owned(), name, revision: None }),
        Some(problem) => {
            let missing = vec![Fault::new(&last_part(path), problem)];
            Err(CacheError::Incomplete { path: path.to_owned(), missing })
        }
    }
}

/// The name of a local model. `.` and `..` have none of their own, so their real path is asked.
fn last_part(path: &Path) -> String {
    let real = fs::canonicalize(path).ok();
    let named = path.file_name().or_else(|| real.as_deref().and_then(Path::file_name));
    named.unwrap_or(OsStr::new("model")).to_string_lossy().into_owned()
}
