//! Owns how a model is named: by a repository on the Hub or by a path. Must not know where the cache keeps anything.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::{CacheError, RepoId};

/// A model, as a person or a setting names it.
///
/// The text form is `owner/name[@revision][:file.gguf]`, a directory, or a `.gguf` file. Text is taken for a path when
/// it begins with `.`, `~` or `/`, when it ends in `.gguf` and has no `:`, or when it exists on this machine as a
/// directory or as a `.gguf` file; everything else names a repository. [`Display`](fmt::Display) gives the text back.
/// `~` is not expanded: that is a shell's work.
///
/// ```
/// use model_cache::ModelSpec;
///
/// let spec: ModelSpec = "Qwen/Qwen3-4B-GGUF@main:Qwen3-4B-Q4_K_M.gguf".parse()?;
/// assert!(matches!(&spec, ModelSpec::Hub { revision: Some(branch), .. } if branch == "main"));
/// assert_eq!(spec.to_string(), "Qwen/Qwen3-4B-GGUF@main:Qwen3-4B-Q4_K_M.gguf");
/// assert_eq!("./my-model".parse::<ModelSpec>()?, ModelSpec::Directory("./my-model".into()));
/// # Ok::<(), model_cache::CacheError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ModelSpec {
    /// A repository on the Hub.
    Hub {
        /// Which repository.
        repo: RepoId,
        /// A branch, a tag or a 40-digit commit; `None` is `main`.
        revision: Option<String>,
        /// One `.gguf` file of the repository; `None` is its safetensors checkpoint.
        file: Option<String>,
    },
    /// A directory with `config.json`, `tokenizer.json` and safetensors files.
    Directory(PathBuf),
    /// One `.gguf` file.
    Gguf(PathBuf),
}

impl ModelSpec {
    /// Refuses a revision or a file name that is unsafe in a path; the fields are public, so parsing alone proves
    /// nothing.
    pub(crate) fn validate(&self) -> Result<(), CacheError> {
        let Self::Hub { revision, file, .. } = self else { return Ok(()) };
        let invalid = |reason| Err(CacheError::InvalidSpec { spec: self.to_string(), reason });
        if revision.as_deref().is_some_and(|revision| !is_revision(revision)) {
            return invalid("a revision is a branch, a tag or a commit");
        }
        if file.as_deref().is_some_and(|file| !is_gguf_in_repo(file)) {
            return invalid("the file after `:` must be a .gguf file of the repository");
        }
        Ok(())
    }
}

impl FromStr for ModelSpec {
    type Err = CacheError;

    /// Parses the text form; looks at the disk to tell a path from a repository.
    ///
    /// # Errors
    ///
    /// [`CacheError::InvalidSpec`] when the text is neither.
    fn from_str(text: &str) -> Result<Self, CacheError> {
        if let Some(local) = parse_path(text) {
            return Ok(local);
        }
        let (rest, file) = split(text, ':');
        let (repo, revision) = split(rest, '@');
        let repo = repo.parse().map_err(|error| match error {
            CacheError::InvalidSpec { reason, .. } => CacheError::InvalidSpec { spec: text.to_owned(), reason },
            other => other,
        })?;
        let spec = Self::Hub { repo, revision: revision.map(str::to_owned), file: file.map(str::to_owned) };
        spec.validate()?;
        Ok(spec)
    }
}

fn parse_path(text: &str) -> Option<ModelSpec> {
    let path = Path::new(text);
    let gguf = has_gguf_extension(text);
    let written_as_path = text.starts_with(['.', '~', '/']) || (gguf && !text.contains(':'));
    if path.is_dir() {
        Some(ModelSpec::Directory(path.to_owned()))
    } else if gguf && (written_as_path || path.is_file()) {
        Some(ModelSpec::Gguf(path.to_owned()))
    } else if written_as_path {
        Some(ModelSpec::Directory(path.to_owned()))
    } else {
        None
    }
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn has_gguf_extension(text: &str) -> bool {
    Path::new(text).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

/// Whether a revision is one that git allows and that stays inside `refs/` and `snapshots/`.
pub(crate) fn is_revision(revision: &str) -> bool {
    revision.split('/').all(|part| {
        !part.is_empty() && !part.starts_with(['.', '-']) && !part.contains("..") && part.bytes().all(is_name_byte)
    })
}

/// Whether a file name stays inside its repository and means only itself as a glob.
fn is_gguf_in_repo(file: &str) -> bool {
    has_gguf_extension(file)
        && file.split('/').all(|part| {
            !part.is_empty()
                && !matches!(part, "." | "..")
                && part.bytes().all(|byte| byte == b' ' || is_name_byte(byte))
        })
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte)
}

impl fmt::Display for ModelSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub { repo, revision, file } => {
                write!(out, "{repo}")?;
                if let Some(revision) = revision {
                    write!(out, "@{revision}")?;
                }
                if let Some(file) = file {
                    write!(out, ":{file}")?;
                }
                Ok(())
            }
            Self::Directory(path) | Self::Gguf(path) => write!(out, "{}", path.display()),
        }
    }
}
