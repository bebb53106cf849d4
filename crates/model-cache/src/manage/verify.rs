//! Owns verifying: which files are to be looked at, what each turns out to be, and what becomes of broken ones. Must not
//! know how digests are computed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::candidate::{Candidate, judge, plain, plain_file, tasks, unseen};
use super::contents::{Blobs, Bytes, Content};
use super::hashing::digests;
use super::last_use::Unread;
use super::repository::{Repository, python_services, repositories};
use super::verdict::Verdict;
use super::{discard, state};
use crate::layout::{self, DEFAULT_REVISION, Layout};
use crate::listing::Listing;
use crate::{CacheError, ModelCache, ModelSpec, ModelState, Problem, WorkEvent, resolve};

/// What is to be verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyScope {
    /// All that the cache holds.
    Everything,
    /// One model.
    Model(ModelSpec),
}

/// What becomes of broken files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyAction {
    /// They are reported.
    Report,
    /// Those of repositories are removed as well, so that the next fetch brings them again.
    Discard,
}

/// One file that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedFile {
    /// The model: `owner/name`, or a path.
    pub model: String,
    /// Which version; `None` for paths and directories of the Python service.
    pub commit: Option<String>,
    /// The file, relative to the model.
    pub file: String,
    /// Where it stands.
    pub path: PathBuf,
    /// In bytes.
    pub size: u64,
    /// What came of it.
    pub verdict: Verdict,
    /// Whether it was removed.
    pub discarded: bool,
}

impl ModelCache {
    /// Reads every byte of the models and compares: sizes, digests, and whether files are of their kind. Several files
    /// are read at once; bytes that versions share are read once. Blocks, for as long as reading takes.
    ///
    /// # Errors
    ///
    /// [`CacheError::NotCached`] when nothing of the model is there, [`CacheError::InvalidSpec`], and
    /// [`CacheError::Io`]. A broken file is no error: its verdict says so.
    pub fn verify(
        &self,
        scope: &VerifyScope,
        action: VerifyAction,
        progress: &(dyn Fn(WorkEvent) + Sync),
    ) -> Result<Vec<VerifiedFile>, CacheError> {
        let mut candidates = match scope {
            VerifyScope::Everything => self.everything()?,
            VerifyScope::Model(spec) => self.one(spec)?,
        };
        let real: BTreeSet<_> = candidates.iter().filter_map(|candidate| candidate.real.clone()).collect();
        let _unread = Unread::of(real.iter().map(PathBuf::as_path));
        let computed = digests(tasks(&candidates), progress);
        for candidate in &mut candidates {
            candidate.verified.verdict = judge(candidate, &computed)?;
        }
        if action == VerifyAction::Discard {
            discard::discard_broken(
                self.config(),
                candidates.iter_mut().map(|candidate| (&mut candidate.verified, candidate.expected.as_ref())),
            )?;
        }
        Ok(candidates.into_iter().map(|candidate| candidate.verified).collect())
    }

    fn everything(&self) -> Result<Vec<Candidate>, CacheError> {
        let mut found = Vec::new();
        for repository in repositories(&self.config().dir)? {
            let blobs = Blobs::of(&repository)?;
            for commit in repository.commits()? {
                found.extend(self.version(&repository, &blobs, &commit)?);
            }
        }
        for (repo, path) in python_services(&self.config().dir)? {
            found.extend(plain(&path, &repo.to_string())?);
        }
        Ok(found)
    }

    fn one(&self, spec: &ModelSpec) -> Result<Vec<Candidate>, CacheError> {
        spec.validate()?;
        let (repo, revision, file) = match spec {
            ModelSpec::Directory(path) => return self.resolve_path(spec).and_then(|()| plain(path, &spec.to_string())),
            ModelSpec::Gguf(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                return self.resolve_path(spec).map(|()| vec![plain_file(path, &spec.to_string(), &name)]);
            }
            ModelSpec::Hub { repo, revision, file } => (repo, revision, file),
        };
        let dir = &self.config().dir;
        let repository = Repository { repo: repo.clone(), layout: Layout::new(dir, repo) };
        let locked = resolve::locked(self.config(), spec)?.map(|locked| locked.commit.as_str());
        let named = locked.or(revision.as_deref()).unwrap_or(DEFAULT_REVISION);
        let commit = resolve::commit(&repository.layout, named)?;
        let mut found = match commit.filter(|commit| repository.layout.snapshot(commit).is_dir()) {
            Some(commit) => self.version(&repository, &Blobs::of(&repository)?, &commit)?,
            None if revision.is_none() && file.is_none() => {
                let path = layout::python_service(dir, repo);
                if !path.is_dir() {
                    return Err(self.not_cached(spec));
                }
                plain(&path, &repo.to_string())?
            }
            None => Vec::new(),
        };
        if let Some(file) = file {
            found.retain(|candidate| candidate.verified.file == *file);
        }
        if found.is_empty() { Err(self.not_cached(spec)) } else { Ok(found) }
    }

    /// A path that does not exist is an error, and not a model without files.
    fn resolve_path(&self, spec: &ModelSpec) -> Result<(), CacheError> {
        match self.resolve(spec) {
            Ok(_) | Err(CacheError::Incomplete { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn version(&self, repository: &Repository, blobs: &Blobs, commit: &str) -> Result<Vec<Candidate>, CacheError> {
        let snapshot = repository.layout.snapshot(commit);
        let listing = Listing::read(&repository.layout.listing(commit))?.unwrap_or_default();
        let contents = blobs.contents(&snapshot)?;
        let _unread = Unread::of(contents.iter().filter_map(Content::readable));
        let model = repository.repo.to_string();
        let mut found: Vec<_> = contents
            .iter()
            .map(|content| Candidate {
                verified: VerifiedFile {
                    commit: Some(commit.to_owned()),
                    size: content.size(),
                    verdict: if content.bytes == Bytes::Outside { Verdict::Outside } else { Verdict::Missing },
                    ..unseen(&model, &content.name, &content.link)
                },
                real: content.readable().map(Path::to_owned),
                expected: content.digest(&listing),
                listed_size: listing.file(&content.name).map(|listed| listed.size),
            })
            .collect();
        // Files that should stand there and do not are seen only by what they are missing for.
        let state = state::of_snapshot(self.config(), &repository.repo, commit, &contents, &listing)?;
        let faults = if let ModelState::Incomplete(faults) = state { faults } else { Vec::new() };
        for fault in faults.into_iter().filter(|fault| fault.problem == Problem::Missing) {
            if contents.iter().all(|content| content.name != fault.file) {
                let verified = unseen(&model, &fault.file, &snapshot.join(&fault.file));
                let verified = VerifiedFile { commit: Some(commit.to_owned()), ..verified };
                found.push(Candidate { verified, real: None, expected: None, listed_size: None });
            }
        }
        Ok(found)
    }
}
