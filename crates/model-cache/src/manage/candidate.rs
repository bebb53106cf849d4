//! Owns what is known of a file before its bytes are read, and what they then prove. Must not know which files there are.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::entries::walk;
use super::hashing::Task;
use super::verdict::{Verdict, form};
use super::verify::VerifiedFile;
use crate::{CacheError, Digest, Problem};

/// A file, before it was looked at.
pub(super) struct Candidate {
    pub(super) verified: VerifiedFile,
    /// The file to read, if there is one.
    pub(super) real: Option<PathBuf>,
    pub(super) expected: Option<Digest>,
    pub(super) listed_size: Option<u64>,
}

/// A plain directory: nobody has said what its bytes should add up to.
pub(super) fn plain(folder: &Path, model: &str) -> Result<Vec<Candidate>, CacheError> {
    let files = walk(folder)?.into_iter();
    Ok(files.map(|(path, name)| plain_file(&path, model, &name)).collect())
}

pub(super) fn plain_file(path: &Path, model: &str, name: &str) -> Candidate {
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file);
    let size = metadata.as_ref().map_or(0, fs::Metadata::len);
    let verified = VerifiedFile { size, ..unseen(model, name, path) };
    Candidate { verified, real: metadata.map(|_| path.to_owned()), expected: None, listed_size: None }
}

pub(super) fn unseen(model: &str, file: &str, path: &Path) -> VerifiedFile {
    VerifiedFile {
        model: model.to_owned(),
        commit: None,
        file: file.to_owned(),
        path: path.to_owned(),
        size: 0,
        verdict: Verdict::Missing,
        discarded: false,
    }
}

/// Each file whose bytes are to be added up, once.
pub(super) fn tasks(candidates: &[Candidate]) -> Vec<Task> {
    let mut known = BTreeSet::new();
    let tasks = candidates.iter().filter_map(|Candidate { verified, real, expected, .. }| {
        let (path, like) = (real.clone()?, expected.clone()?);
        known.insert(path.clone()).then(|| Task { path, name: verified.file.clone(), size: verified.size, like })
    });
    tasks.collect()
}

pub(super) fn judge(
    candidate: &Candidate,
    computed: &HashMap<PathBuf, io::Result<Digest>>,
) -> Result<Verdict, CacheError> {
    let verified = &candidate.verified;
    let Some(real) = &candidate.real else { return Ok(verified.verdict.clone()) };
    if let Some(expected) = candidate.listed_size.filter(|size| *size != verified.size) {
        return Ok(Verdict::Broken(Problem::Length { expected, actual: verified.size }));
    }
    match (computed.get(real), &candidate.expected) {
        (Some(Err(error)), _) => return Ok(Verdict::Unreadable(error.to_string())),
        (Some(Ok(actual)), Some(expected)) if actual != expected => {
            return Ok(Verdict::WrongDigest { expected: expected.clone(), actual: actual.clone() });
        }
        _ => {}
    }
    Ok(match form(&verified.file, real) {
        Ok(Some(problem)) => Verdict::Broken(problem),
        Ok(None) if candidate.expected.is_some() => Verdict::Sound,
        Ok(None) => Verdict::Unproven,
        Err(error) => Verdict::Unreadable(error.with_causes()),
    })
}
