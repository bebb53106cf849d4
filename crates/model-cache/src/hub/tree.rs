//! Owns reading the Hub's list of a commit's files, page by page. What the Hub says is bounded in size, and a page on
//! another host is not asked for: the token would go with the question.

use reqwest::header::LINK;
use reqwest::{Method, Response, Url};
use serde::Deserialize;

use super::refusal::Asked;
use super::{Again, Hub, Trouble};
use crate::{CacheError, RepoId};

/// The longest page that is read, in bytes: some 100,000 files.
const MAX_PAGE: usize = 32 << 20;
/// Pages that are read. The Hub puts 1,000 files on each.
const MAX_PAGES: usize = 100;

/// Files beyond this are not kept in git itself, in bytes: their digest is asked for one by one.
const GIT_LIMIT: u64 = 10_000_000;

/// One file of a commit, as the Hub lists it.
#[derive(Debug)]
pub(crate) struct TreeFile {
    pub(crate) path: String,
    pub(crate) size: u64,
    /// git's own id of the content; of a pointer, where the content is kept elsewhere.
    pub(crate) oid: String,
    pub(crate) kept: Kept,
}

/// Where the Hub keeps the bytes of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// In git: its id is that of the bytes.
    InGit,
    /// In Git LFS or Xet.
    Elsewhere,
}

/// An entry of `GET /api/models/OWNER/NAME/tree/COMMIT?recursive=true`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    oid: String,
    lfs: Option<serde::de::IgnoredAny>,
    xet_hash: Option<serde::de::IgnoredAny>,
}

impl Hub {
    /// The files of a commit, folders' files included.
    pub(crate) async fn tree(&self, repo: &RepoId, commit: &str) -> Result<Vec<TreeFile>, Trouble> {
        let asked = Asked { repo, revision: commit, file: None };
        let mut url = self.url(["api", "models", repo.owner(), repo.name(), "tree", commit])?;
        url.set_query(Some("recursive=true"));
        let mut files = Vec::new();
        for _ in 0..MAX_PAGES {
            let response = self.send(asked, self.ask(self.following(), Method::GET, url)).await.map_err(briefly)?;
            let next = next_page(&response);
            let page: Vec<Entry> = serde_json::from_slice(&self.page(response).await?)
                .map_err(|error| Trouble::new(self.unusable(error), Again::Briefly))?;
            files.extend(page.into_iter().filter(|entry| entry.kind == "file").map(TreeFile::from));
            url = match next {
                None => return Ok(files),
                Some(next) if self.is_at_the_hub(&next) => next,
                Some(_) => return Err(Trouble::never(self.unusable("its list of files goes on at another host"))),
            };
        }
        Err(Trouble::never(self.unusable("its list of files does not end")))
    }

    async fn page(&self, mut response: Response) -> Result<Vec<u8>, Trouble> {
        let mut text = Vec::new();
        loop {
            match tokio::time::timeout(self.patience_for_an_answer(), response.chunk()).await {
                Ok(Ok(Some(bytes))) if text.len() + bytes.len() <= MAX_PAGE => text.extend_from_slice(&bytes),
                Ok(Ok(Some(_))) => {
                    return Err(Trouble::never(self.unusable("a page of its list of files does not end")));
                }
                Ok(Ok(None)) => return Ok(text),
                Ok(Err(error)) => return Err(self.no_answer(error, Again::Briefly)),
                Err(_) => return Err(self.silent(self.patience_for_an_answer())),
            }
        }
    }
}

/// Where nobody answers, nothing has come in yet that would be worth more patience.
fn briefly(trouble: Trouble) -> Trouble {
    match *trouble.error {
        CacheError::Network { .. } => Trouble { again: Again::Briefly, ..trouble },
        _ => trouble,
    }
}

/// `Link: <URL>; rel="next"`.
fn next_page(response: &Response) -> Option<Url> {
    let links = response.headers().get(LINK)?.to_str().ok()?;
    let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
    let address = next.trim().strip_prefix('<')?.split_once('>')?.0;
    response.url().join(address).ok()
}

impl From<Entry> for TreeFile {
    fn from(entry: Entry) -> Self {
        let elsewhere = entry.lfs.is_some() || entry.xet_hash.is_some() || entry.size > GIT_LIMIT;
        let kept = if elsewhere { Kept::Elsewhere } else { Kept::InGit };
        Self { path: entry.path, size: entry.size, oid: entry.oid, kept }
    }
}
