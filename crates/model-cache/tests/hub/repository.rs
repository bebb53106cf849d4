//! Owns what a repository is: commits with files, branches that name commits, and who may read. Knows nothing of HTTP.

use std::collections::BTreeMap;

use super::content::{Blob, Content};

/// The commit of a repository that has only one.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The token that the Hub takes for no token at all: made up, or withdrawn.
pub(crate) const INVALID_TOKEN: &str = "hf_invalid";

/// Who may read a repository's files. That it exists, and what it consists of, is public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anyone.
    Open,
    /// The owner of this token, who has accepted the licence; the owners of other tokens have not.
    Gated(&'static str),
}

/// The Hub's objection to a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Objection {
    NoToken,
    InvalidToken,
    NoLicence,
}

/// One repository.
#[derive(Debug, Clone)]
pub(crate) struct Repo {
    pub(crate) id: String,
    pub(crate) access: Access,
    /// How many entries one page of the listing has.
    page: usize,
    commits: BTreeMap<String, BTreeMap<String, Blob>>,
    branches: BTreeMap<String, String>,
}

impl Repo {
    /// A repository whose `main` is [`COMMIT`].
    pub(crate) fn new<C: Into<Content>>(id: &str, files: BTreeMap<String, C>) -> Self {
        let empty = Self {
            id: id.to_owned(),
            access: Access::Open,
            page: 1000,
            commits: BTreeMap::new(),
            branches: BTreeMap::new(),
        };
        empty.commit(COMMIT, files).branch("main", COMMIT)
    }

    /// With one more commit, or another content of that commit.
    pub(crate) fn commit<C: Into<Content>>(mut self, commit: &str, files: BTreeMap<String, C>) -> Self {
        let blobs = files.into_iter().map(|(name, content)| {
            let blob = Blob::new(&name, content.into());
            (name, blob)
        });
        self.commits.insert(commit.to_owned(), blobs.collect());
        self
    }

    /// With a branch that points to a commit.
    pub(crate) fn branch(mut self, branch: &str, commit: &str) -> Self {
        self.branches.insert(branch.to_owned(), commit.to_owned());
        self
    }

    /// Readable with this token only.
    pub(crate) fn gated(self, token: &'static str) -> Self {
        Self { access: Access::Gated(token), ..self }
    }

    /// With so many entries on each page of its listing.
    pub(crate) fn in_pages_of(self, page: usize) -> Self {
        Self { page, ..self }
    }

    /// How many entries one page of its listing has.
    pub(crate) fn page(&self) -> usize {
        self.page
    }

    /// Without one file, in every commit.
    pub(crate) fn without(mut self, file: &str) -> Self {
        for files in self.commits.values_mut() {
            files.remove(file);
        }
        self
    }

    /// The commit that a branch or a commit names, with its files.
    pub(crate) fn at(&self, revision: &str) -> Option<(&str, &BTreeMap<String, Blob>)> {
        let commit = self.branches.get(revision).map_or(revision, String::as_str);
        self.commits.get_key_value(commit).map(|(commit, files)| (commit.as_str(), files))
    }

    /// The name of a file of `main` under `blobs/`.
    pub(crate) fn etag(&self, file: &str) -> String {
        self.at("main").unwrap().1[file].etag().to_owned()
    }

    /// Whether the bearer of a token may read the files.
    pub(crate) fn judge(&self, authorization: Option<&str>) -> Option<Objection> {
        let token = authorization.map(|value| value.strip_prefix("Bearer ").unwrap_or(value));
        match (&self.access, token) {
            (_, Some(INVALID_TOKEN)) => Some(Objection::InvalidToken),
            (Access::Open, _) => None,
            (Access::Gated(_), None) => Some(Objection::NoToken),
            (Access::Gated(right), Some(token)) => (*right != token).then_some(Objection::NoLicence),
        }
    }
}
