//! Owns the order of things: look, download, look again, and throw away what turns out broken. Must not know the Hub's
//! protocol.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use crate::download::{Download, Snapshot};
use crate::layout::{DEFAULT_REVISION, Layout};
use crate::resolve::resolve;
use crate::{CacheConfig, CacheError, Fault, FetchEvent, ModelFiles, ModelSpec, Network, Problem, RepoId};

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

    /// Finds a model and downloads it if it is not there; a model that is there causes no request at all.
    ///
    /// Only the files that a runtime needs are transferred. Broken files of the cache are thrown away and transferred
    /// again. `progress` is called on this task, between its polls, and should return soon. Dropping the future stops
    /// the download; files that are complete stay. Must run on a tokio runtime.
    ///
    /// # Errors
    ///
    /// Those of [`ModelCache::resolve`] for local paths and when the network is [`Network::Offline`]; else
    /// [`CacheError::NotFound`], [`CacheError::FileNotFound`], [`CacheError::AccessDenied`],
    /// [`CacheError::RateLimited`], [`CacheError::Busy`], [`CacheError::Network`], [`CacheError::Hub`],
    /// [`CacheError::Io`], and [`CacheError::Incomplete`] when what came in is not a whole model.
    pub async fn fetch(
        &self,
        spec: &ModelSpec,
        progress: &(dyn Fn(FetchEvent) + Send + Sync),
    ) -> Result<ModelFiles, CacheError> {
        let lookup = self.off_task(spec, look).await;
        let (
            ModelSpec::Hub { repo, revision, file },
            Err(CacheError::NotCached { .. } | CacheError::Incomplete { .. }),
        ) = (spec, &lookup)
        else {
            return lookup;
        };
        if self.config.network == Network::Offline {
            return lookup;
        }
        let downloaded = Download {
            dir: self.config.dir.clone(),
            endpoint: self.config.endpoint.clone(),
            token: self.config.token.clone(),
            repo: repo.clone(),
            revision: revision.clone().unwrap_or_else(|| DEFAULT_REVISION.to_owned()),
            file: file.clone(),
        }
        .run(progress)
        .await?;
        let files = self.off_task(spec, move |config, spec| accept(config, spec, &downloaded)).await?;
        progress(FetchEvent::Finished { path: files.path.clone() });
        Ok(files)
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

/// Looks a model up before a download; what is broken goes, since hf-hub takes any file that exists for whole.
fn look(config: &CacheConfig, spec: &ModelSpec) -> Result<ModelFiles, CacheError> {
    let lookup = resolve(config, spec);
    if let (ModelSpec::Hub { repo, .. }, Err(CacheError::Incomplete { path, missing }), Network::Online) =
        (spec, &lookup, config.network)
    {
        discard(config, repo, path, missing)?;
    }
    lookup
}

/// Judges a download: it is accepted when the model is whole and every file has the size that the Hub lists.
fn accept(config: &CacheConfig, spec: &ModelSpec, downloaded: &Snapshot) -> Result<ModelFiles, CacheError> {
    let ModelSpec::Hub { repo, revision, file } = spec else { return resolve(config, spec) };
    let mut faults = wrong_sizes(downloaded)?;
    let lookup = match resolve(config, spec) {
        Err(CacheError::Incomplete { missing, .. }) => {
            faults.extend(missing);
            None
        }
        // The Hub has nothing of what was asked for.
        Err(CacheError::NotCached { .. }) => {
            faults.push(Fault::new(file.as_deref().unwrap_or("config.json"), Problem::Missing));
            None
        }
        other => Some(other?),
    };
    if let (Some(files), []) = (lookup, faults.as_slice()) {
        return Ok(files);
    }
    discard(config, repo, &downloaded.path, &faults)?;
    // All that the Hub has came in as it should, so what is missing is missing there.
    if let Some(absent) = faults.iter().find(|fault| fault.problem == Problem::Missing)
        && faults.iter().all(|fault| fault.problem == Problem::Missing)
    {
        let revision = revision.as_deref().unwrap_or(DEFAULT_REVISION).to_owned();
        return Err(CacheError::FileNotFound { repo: repo.clone(), revision, file: absent.file.clone() });
    }
    Err(CacheError::Incomplete { path: downloaded.path.clone(), missing: faults })
}

fn wrong_sizes(downloaded: &Snapshot) -> Result<Vec<Fault>, CacheError> {
    let mut faults = Vec::new();
    for (file, expected) in &downloaded.files {
        let path = downloaded.path.join(file);
        let actual = fs::metadata(&path).map_err(|error| CacheError::io(&path, error))?.len();
        if actual != *expected {
            faults.push(Fault::new(file, Problem::Length { expected: *expected, actual }));
        }
    }
    Ok(faults)
}

/// Removes broken files from a snapshot, with the bytes that they link to.
fn discard(config: &CacheConfig, repo: &RepoId, snapshot: &Path, faults: &[Fault]) -> Result<(), CacheError> {
    let blobs = Layout::new(&config.dir, repo).blobs().canonicalize().ok();
    for fault in faults.iter().filter(|fault| fault.problem != Problem::Missing) {
        let link = snapshot.join(&fault.file);
        tracing::warn!(path = %link.display(), "{fault}; the file is removed from the cache");
        // Only bytes of this repository's own folder are removed, wherever a link may lead.
        if let (Some(blobs), Ok(blob)) = (&blobs, link.canonicalize())
            && blob.starts_with(blobs)
        {
            remove(&blob)?;
        }
        remove(&link)?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), CacheError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(CacheError::io(path, error)),
        _ => Ok(()),
    }
}
