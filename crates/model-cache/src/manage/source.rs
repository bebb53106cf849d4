//! Owns what can be imported: an exported directory, any directory with a whole checkpoint, or a GGUF file. Must not
//! know where it goes.

use std::path::{Path, PathBuf};

use super::entries::walk;
use super::manifest::Manifest;
use super::state;
use crate::{CacheError, Digest, Fault, Problem, checkpoint, weight_file};

/// From this size on, the Hub keeps a file outside git, in bytes.
const LARGE: u64 = 10 << 20;

/// A model that is to be imported.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) files: Vec<SourceFile>,
    pub(super) commit: Option<String>,
    pub(super) revision: Option<String>,
}

/// One file of it.
#[derive(Debug)]
pub(super) struct SourceFile {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) size: u64,
    pub(super) digest: Expected,
}

/// What the bytes of a file must add up to.
#[derive(Debug)]
pub(super) enum Expected {
    /// This.
    Stated(Digest),
    /// Nobody has said; the digest is to be of this kind.
    Unknown(Digest),
}

impl Source {
    /// Looks at what lies there; refuses what is not whole.
    pub(super) fn open(path: &Path) -> Result<Self, CacheError> {
        let metadata = path.metadata().map_err(|error| CacheError::io(path, error))?;
        if metadata.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let problem = if state::is_gguf(&name) {
                weight_file::gguf(path)?
            } else {
                Some(Problem::Malformed("a model is a directory or a .gguf file".to_owned()))
            };
            refuse(path, problem.map(|problem| Fault::new(&name, problem)).into_iter().collect())?;
            return Ok(Self { files: vec![unknown(path.to_owned(), name)?], commit: None, revision: None });
        }
        let Some(manifest) = Manifest::read(path)? else {
            refuse(path, checkpoint::faults(path)?)?;
            let wanted = walk(path)?.into_iter().filter(|(_, name)| checkpoint::wants(name));
            let files = wanted.map(|(path, name)| unknown(path, name)).collect::<Result<_, _>>()?;
            return Ok(Self { files, commit: None, revision: None });
        };
        let mut files = Vec::new();
        let mut faults = Vec::new();
        for listed in manifest.listed() {
            let file = path.join(&listed.path);
            match file.metadata() {
                Ok(metadata) if metadata.is_file() && metadata.len() == listed.size => {}
                Ok(metadata) => {
                    let problem = Problem::Length { expected: listed.size, actual: metadata.len() };
                    faults.push(Fault::new(&listed.path, problem));
                }
                Err(_) => faults.push(Fault::new(&listed.path, Problem::Missing)),
            }
            let digest = Expected::Stated(listed.digest);
            files.push(SourceFile { name: listed.path, path: file, size: listed.size, digest });
        }
        let has_checkpoint = files.iter().any(|file| file.name == "config.json");
        let ggufs: Vec<_> = files.iter().filter(|file| state::is_gguf(&file.name)).collect();
        for gguf in &ggufs {
            faults.extend(weight_file::gguf(&gguf.path)?.map(|problem| Fault::new(&gguf.name, problem)));
        }
        if has_checkpoint || ggufs.is_empty() {
            faults.extend(checkpoint::faults(path)?);
        }
        refuse(path, faults)?;
        Ok(Self { files, commit: manifest.commit, revision: manifest.revision })
    }
}

/// The kind of digest that the Hub gives to a file of this name and size, so that what is imported here and what is
/// fetched later share their bytes. The digits mean nothing.
pub(super) fn like_the_hub(name: &str, size: u64) -> Digest {
    let outside_git = name.ends_with(".safetensors") || state::is_gguf(name) || size >= LARGE;
    if outside_git { Digest::Sha256(String::new()) } else { Digest::GitSha1(String::new()) }
}

fn unknown(path: PathBuf, name: String) -> Result<SourceFile, CacheError> {
    let size = path.metadata().map_err(|error| CacheError::io(&path, error))?.len();
    Ok(SourceFile { digest: Expected::Unknown(like_the_hub(&name, size)), name, path, size })
}

fn refuse(path: &Path, missing: Vec<Fault>) -> Result<(), CacheError> {
    if missing.is_empty() { Ok(()) } else { Err(CacheError::Incomplete { path: path.to_owned(), missing }) }
}
