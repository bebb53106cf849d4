//! Owns the order of things: look, download, look again, and throw away what turns out broken. Must not know the Hub's
//! protocol.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::fetch::Fetch;
use crate::layout::{self, DEFAULT_REVISION, Layout};
use crate::resolve::{locked, resolve};
use crate::{
    CacheConfig, CacheError, Digest, Fault, FetchEvent, ModelFiles, ModelSpec, Network, Problem, Refresh, RepoId,
    snapshot, space, write,
};

/// A directory of models. Cheap to clone; holds no lock and no open file.
#[derive(Debug, Clone)]
pub struct ModelCache {
    config: Arc<CacheConfig>,
}

impl ModelCache {
    /// Takes the configuration. The directory need not exist.
    ///
    /// # Errors
    ///
    /// [`CacheError::InvalidConfig`] when the endpoint is not an `http://` or `https://` URL, or has a
    /// user name in it.
    pub fn new(config: CacheConfig) -> Result<Self, CacheError> {
        let is_url = |url: &str| {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            rest.is_some_and(|rest| !rest.split('/').next().unwrap_or_default().contains('@'))
        };
        if config.endpoint.as_deref().is_some_and(|url| !is_url(url)) {
            // A password in it would stand in every error that names the endpoint.
            let what = "the endpoint must be an http:// or https:// URL without user name and password";
            return Err(CacheError::InvalidConfig { what });
        }
        Ok(Self { config: Arc::new(config) })
    }

    /// Finds a model on this machine. Never uses the network and changes nothing, so it works on a read-only volume.
    ///
    /// A repository is looked for in its snapshot of the revision. Where no revision is named, a whole directory
    /// `owner--name` of CarePath's Python service is accepted as well. Reads the JSON files and the headers of the
    /// weights, so on an asynchronous task it belongs in `spawn_blocking` (`fetch` does that).
    ///
    /// # Errors
    ///
    /// [`CacheError::NotCached`] when the revision is not there, [`CacheError::Incomplete`] when files of it are
    /// missing or broken, [`CacheError::InvalidSpec`] for a revision or file name that no repository can have, and
    /// [`CacheError::Io`].
    pub fn resolve(&self, spec: &ModelSpec) -> Result<ModelFiles, CacheError> {
        resolve(&self.config, spec)
    }

    /// Finds a model and downloads it if it is not there; a model that is there causes no request at all, unless it is a
    /// branch whose time to be compared with the Hub's has come ([`CacheConfig::refresh`]).
    ///
    /// Only the files that a runtime needs are transferred, or those that [`CacheConfig::selection`] names. Bytes that an
    /// earlier download left are not transferred again, whatever ended it. Several processes, also of several machines on
    /// one volume, fetch a file once. Size and digest of each file are those that the Hub states before it has its name.
    /// Where a branch is cached and cannot be compared, the cached commit is the answer, with a warning.
    ///
    /// `progress` is called on this task, between its polls, and should return soon. Dropping the future stops the
    /// download. Must run on a tokio runtime.
    ///
    /// # Errors
    ///
    /// Those of [`ModelCache::resolve`] for local paths and when the network is [`Network::Offline`]; else any of
    /// [`CacheError`].
    pub async fn fetch(
        &self,
        spec: &ModelSpec,
        progress: &(dyn Fn(FetchEvent) + Send + Sync),
    ) -> Result<ModelFiles, CacheError> {
        let lookup = self.off_task(spec, look).await;
        let ModelSpec::Hub { repo, revision, file } = spec else { return lookup };
        let wanted = match &lookup {
            Ok(_) => is_due(&self.config, repo, revision.as_deref()),
            Err(CacheError::NotCached { .. } | CacheError::Incomplete { .. }) => true,
            Err(_) => false,
        };
        if !wanted || self.config.network == Network::Offline {
            return lookup;
        }
        let fetch = Fetch {
            config: Arc::clone(&self.config),
            repo: repo.clone(),
            revision: revision.clone().unwrap_or_else(|| DEFAULT_REVISION.to_owned()),
            file: file.clone(),
            locked: locked(&self.config, spec)?.cloned(),
        };
        let brought = match fetch.run(progress).await {
            Ok(commit) => self.off_task(spec, move |config, spec| accept(config, spec, &commit)).await,
            Err(error) => Err(error),
        };
        match (brought, lookup) {
            (Ok(files), _) => {
                progress(FetchEvent::Finished { path: files.path.clone() });
                Ok(files)
            }
            (Err(error), Ok(_)) => {
                // What was tried may have found it damaged.
                let cached = self.off_task(spec, resolve).await?;
                let message = format!("{}; the cached {spec} is used", error.with_causes());
                progress(FetchEvent::Warning { message });
                Ok(cached)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.config.dir
    }

    /// Bytes that can still be written on its volume.
    ///
    /// # Errors
    ///
    /// [`CacheError::Io`].
    pub fn free_space(&self) -> Result<u64, CacheError> {
        space::available(self.dir()).map_err(|error| CacheError::io(self.dir(), error))
    }

    pub(crate) fn config(&self) -> &CacheConfig {
        &self.config
    }

    /// Runs file work where it holds up no other task.
    async fn off_task(
        &self,
        spec: &ModelSpec,
        work: impl FnOnce(&CacheConfig, &ModelSpec) -> Result<ModelFiles, CacheError> + Send + 'static,
    ) -> Result<ModelFiles, CacheError> {
        let (config, spec) = (Arc::clone(&self.config), spec.clone());
        let dir = self.config.dir.clone();
        tokio::task::spawn_blocking(move || work(&config, &spec))
            .await
            .unwrap_or_else(|error| Err(CacheError::io(&dir, io::Error::other(error))))
    }
}

/// Whether a cached branch is to be compared with the Hub's: its reference is written each time that it is.
fn is_due(config: &CacheConfig, repo: &RepoId, revision: Option<&str>) -> bool {
    let revision = revision.unwrap_or(DEFAULT_REVISION);
    let limit = match config.refresh {
        // The lock file says which commit it is.
        _ if layout::is_commit(revision) || config.lock.is_some() => return false,
        Refresh::Never => return false,
        Refresh::Always => return true,
        Refresh::After(limit) => limit,
    };
    let reference = Layout::new(&config.dir, repo).reference(revision);
    let compared = fs::metadata(reference).and_then(|metadata| metadata.modified()).ok();
    // A time in the future is a clock that went wrong, and says nothing.
    compared.and_then(|compared| compared.elapsed().ok()).is_none_or(|age| age >= limit)
}

/// Looks a model up before a download; what is broken goes, so that it is fetched again.
fn look(config: &CacheConfig, spec: &ModelSpec) -> Result<ModelFiles, CacheError> {
    let lookup = resolve(config, spec);
    if let (ModelSpec::Hub { repo, .. }, Err(CacheError::Incomplete { path, missing }), Network::Online) =
        (spec, &lookup, config.network)
    {
        discard(config, repo, path, missing)?;
    }
    lookup
}

/// Judges a download, and says that the branch is at its commit when that is a model: one that is not must not take the
/// place of one that is. Its files are those of the Hub, so what is wrong with it is wrong there.
fn accept(config: &CacheConfig, spec: &ModelSpec, commit: &str) -> Result<ModelFiles, CacheError> {
    let ModelSpec::Hub { repo, revision, file } = spec else { return resolve(config, spec) };
    let revision = revision.as_deref().unwrap_or(DEFAULT_REVISION);
    let not_found = |file: &str| {
        let revision = revision.to_owned();
        Err(CacheError::FileNotFound { repo: repo.clone(), revision, file: file.to_owned() })
    };
    let brought = match config.lock {
        // The lock file knows the model by its own name, and the commit.
        Some(_) => spec.clone(),
        None => ModelSpec::Hub { repo: repo.clone(), revision: Some(commit.to_owned()), file: file.clone() },
    };
    let files = match resolve(config, &brought) {
        Err(CacheError::NotCached { .. }) => not_found(file.as_deref().unwrap_or("config.json")),
        Err(CacheError::Incomplete { path, missing }) => {
            match missing.iter().find(|fault| fault.problem == Problem::Missing) {
                Some(absent) if missing.iter().all(|fault| fault.problem == Problem::Missing) => {
                    not_found(&absent.file)
                }
                _ => Err(CacheError::Incomplete { path, missing }),
            }
        }
        other => other,
    }?;
    if !layout::is_commit(revision) {
        snapshot::refer(&Layout::new(&config.dir, repo), revision, commit)?;
    }
    Ok(files)
}

/// Removes broken files from a snapshot, with the bytes that they link to.
fn discard(config: &CacheConfig, repo: &RepoId, snapshot: &Path, faults: &[Fault]) -> Result<(), CacheError> {
    let blobs = Layout::new(&config.dir, repo).blobs().canonicalize().ok();
    for fault in faults.iter().filter(|fault| fault.problem != Problem::Missing) {
        let link = snapshot.join(&fault.file);
        // Only bytes of this repository's own folder are removed, wherever a link may lead.
        let blob = link.canonicalize().ok().filter(|blob| blobs.as_ref().is_some_and(|blobs| blob.starts_with(blobs)));
        if blob.as_deref().is_some_and(is_as_stated) {
            // It is what the Hub has, and to fetch it again would bring the same.
            continue;
        }
        tracing::warn!(path = %link.display(), "{fault}; the file is removed from the cache");
        blob.map_or(Ok(()), |blob| write::remove(&blob))?;
        write::remove(&link)?;
    }
    Ok(())
}

/// Whether the bytes of a blob add up to its name.
fn is_as_stated(blob: &Path) -> bool {
    let name = blob.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (Some(digest), Ok(file)) = (Digest::parse(&name), File::open(blob)) else { return false };
    digest.is_of(&file).unwrap_or(false)
}
