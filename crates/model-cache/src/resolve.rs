//! Owns looking a model up on this machine. Must never use the network, and changes nothing on the disk.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::layout::{self, DEFAULT_REVISION, Layout};
use crate::{CacheConfig, CacheError, Fault, ModelFiles, ModelSpec, Problem, RepoId, checkpoint, gguf};

/// Finds `spec`, whole, or says what is wrong.
pub(crate) fn resolve(config: &CacheConfig, spec: &ModelSpec) -> Result<ModelFiles, CacheError> {
    spec.validate()?;
    match spec {
        ModelSpec::Directory(path) => directory(path, last_part(path)),
        ModelSpec::Gguf(path) => gguf_file(path, last_part(path.with_extension("").as_path())),
        ModelSpec::Hub { repo, revision, file } => {
            let not_cached =
                || CacheError::NotCached { model: spec.to_string(), dir: config.dir.clone(), network: config.network };
            let cached = snapshot(config, repo, revision.as_deref().unwrap_or(DEFAULT_REVISION), file.as_deref());
            match cached {
                Ok(Some(files)) => Ok(files),
                Err(error @ CacheError::Incomplete { .. }) if revision.is_none() && file.is_none() => {
                    python_service(config, repo)?.ok_or(error)
                }
                Ok(None) if revision.is_none() && file.is_none() => {
                    python_service(config, repo)?.ok_or_else(not_cached)
                }
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
    let files = match file {
        Some(file) => match gguf::problem(&path.join(file))? {
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

fn commit(layout: &Layout, revision: &str) -> Result<Option<String>, CacheError> {
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
    match gguf::problem(path)? {
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
