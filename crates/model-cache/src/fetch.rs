//! Owns the order of a download: which commit, which files, is there room, bring them, give them their names. Must not
//! know the Hub's protocol, nor how one file comes in.
//!
//! Bytes are written to the disk with blocking calls, so a download runs on a thread and a runtime of its own and never
//! holds up its caller's tasks. Dropping the future stops it.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::{io, thread};

use tokio::sync::oneshot;

use crate::event::Events;
use crate::hub::{Hub, Kept, Patience, TreeFile, Trouble};
use crate::layout::{self, Layout};
use crate::listing::{ListedFile, Listing};
use crate::tally::Tally;
use crate::transfer::{self, Transfer};
use crate::{CacheConfig, CacheError, Digest, FetchEvent, LockedModel, RepoId, checkpoint, snapshot, space};

/// More than any file has, in bytes.
const LARGEST: u64 = 16 << 40;
/// The longest name that file systems take, in bytes; a temporary name needs some of it.
const LONGEST_NAME: usize = 200;

/// What to transfer.
#[derive(Debug)]
pub(crate) struct Fetch {
    pub(crate) config: Arc<CacheConfig>,
    pub(crate) repo: RepoId,
    pub(crate) revision: String,
    /// One file, or with `None` a safetensors checkpoint.
    pub(crate) file: Option<String>,
    /// What it must turn out to be.
    pub(crate) locked: Option<LockedModel>,
}

impl Fetch {
    /// Transfers, calling `progress` on the caller's task; returns the commit.
    pub(crate) async fn run(self, progress: &(dyn Fn(FetchEvent) + Send + Sync)) -> Result<String, CacheError> {
        let (events, mut received) = Events::new();
        let (answer, outcome) = oneshot::channel();
        let dir = self.config.dir.clone();
        let io_error = |error| CacheError::io(&dir, error);
        thread::Builder::new()
            .name("model-download".to_owned())
            .spawn(move || self.run_here(events, answer))
            .map_err(io_error)?;
        let mut outcome = pin!(outcome);
        loop {
            tokio::select! {
                biased;
                Some(event) = received.recv() => progress(event),
                result = &mut outcome => {
                    while let Ok(event) = received.try_recv() {
                        progress(event);
                    }
                    return result.unwrap_or_else(|_| Err(io_error(io::Error::other("the download thread ended"))));
                }
            }
        }
    }

    fn run_here(self, events: Events, mut answer: oneshot::Sender<Result<String, CacheError>>) {
        let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = answer.send(Err(CacheError::io(&self.config.dir, error)));
                return;
            }
        };
        runtime.block_on(async {
            let limit = self.config.limits.total;
            let result = tokio::select! {
                result = tokio::time::timeout(limit, self.transfer(events)) => result.unwrap_or_else(|_| {
                    let what = self.repo.to_string();
                    Err(CacheError::TimedOut { what, limit })
                }),
                () = answer.closed() => return,
            };
            let _ = answer.send(result);
        });
        // A digest that is being computed is not waited for.
        runtime.shutdown_background();
    }

    async fn transfer(&self, events: Events) -> Result<String, CacheError> {
        let hub = Hub::new(&self.config)?;
        let layout = Layout::new(&self.config.dir, &self.repo);
        let mut patience = Patience::new(&self.config.limits, &events);
        let commit = self.commit(&hub, &mut patience).await?;
        let files = self.listed(&hub, &commit, &mut patience).await?;
        self.check_lock(&commit, &files)?;
        let kind = if self.file.is_none() { Kind::Checkpoint } else { Kind::File };
        announce(&layout, &commit, &files, kind)?;

        let missing: Vec<_> = files.iter().filter(|file| !transfer::is_there(&layout, file)).cloned().collect();
        // Each is at most `LARGEST`, so that together they are no more than a number holds.
        let total_bytes = missing.iter().map(|file| file.size).sum();
        let resumed_bytes = missing.iter().map(|file| transfer::resumable(&layout, file)).sum();
        self.check_space(&layout, total_bytes, resumed_bytes)?;
        events.send(FetchEvent::Started { files: files.len(), total_bytes, resumed_bytes });
        let transfer = Arc::new(Transfer {
            hub,
            layout,
            repo: self.repo.clone(),
            commit: commit.clone(),
            limits: self.config.limits.clone(),
            tally: Tally::new(total_bytes, events.clone()),
            events,
        });
        for file in &missing {
            transfer.bring(file).await?;
        }
        for file in &files {
            transfer::clear_unfinished(&transfer.layout, file);
        }
        confirm(&transfer.layout, &commit, &files, kind)?;
        snapshot::publish(&transfer.layout, &commit, &files)?;
        Ok(commit)
    }

    async fn commit(&self, hub: &Hub, patience: &mut Patience<'_>) -> Result<String, CacheError> {
        let known = self.locked.as_ref().map(|locked| locked.commit.as_str());
        let known = known.or_else(|| Some(self.revision.as_str()).filter(|revision| layout::is_commit(revision)));
        match known {
            Some(commit) => Ok(commit.to_owned()),
            None => persist(patience, || hub.commit(&self.repo, &self.revision)).await,
        }
    }

    /// The files that are wanted of a commit, small ones first: what is refused is refused before gigabytes came in.
    async fn listed(
        &self,
        hub: &Hub,
        commit: &str,
        patience: &mut Patience<'_>,
    ) -> Result<Vec<ListedFile>, CacheError> {
        let tree = persist(patience, || hub.tree(&self.repo, commit)).await?;
        if self.file.is_none() {
            let left_out =
                |name: &&str| tree.iter().any(|file| file.path == **name) && !self.config.selection.wants(name);
            if checkpoint::REQUIRED.iter().any(left_out) {
                let what =
                    "the patterns of files leave out config.json or tokenizer.json, and without them there is no model";
                return Err(CacheError::InvalidConfig { what });
            }
        }
        let mut files: Vec<ListedFile> = Vec::new();
        for TreeFile { path, size, oid, kept } in tree.into_iter().filter(|file| self.wants(&file.path)) {
            let (size, digest) = match (kept, Digest::parse(&oid)) {
                (Kept::InGit, Some(digest)) => (size, digest),
                _ => persist(patience, || hub.facts(&self.repo, commit, &path)).await?,
            };
            if size > LARGEST {
                return Err(hub.unusable(format!("it states {size} bytes for {path}")));
            }
            if files.iter().all(|known| known.path != path) {
                files.push(ListedFile { path, size, digest });
            }
        }
        files.sort_by_key(|file| file.size);
        // Everything else that may be missing is found when the model is looked at; without these there is none.
        if files.is_empty() {
            let file = self.file.as_deref().unwrap_or("config.json").to_owned();
            return Err(CacheError::FileNotFound { repo: self.repo.clone(), revision: self.revision.clone(), file });
        }
        Ok(files)
    }

    fn wants(&self, listed: &str) -> bool {
        // A name is used as a path below the snapshot.
        let safe = listed.split('/').all(|part| !matches!(part, "" | "." | "..") && part.len() <= LONGEST_NAME)
            && !listed.contains(char::is_control);
        safe && self.file.as_deref().map_or_else(|| self.config.selection.wants(listed), |file| file == listed)
    }

    fn check_lock(&self, commit: &str, files: &[ListedFile]) -> Result<(), CacheError> {
        let Some(locked) = &self.locked else { return Ok(()) };
        let mismatch = |what: String| Err(CacheError::LockMismatch { model: self.repo.to_string(), what });
        for file in files {
            match locked.files.get(&file.path) {
                Some(entry) if entry.digest == file.digest.hex() && entry.size == file.size => {}
                Some(entry) => {
                    let (expected, actual) = (&entry.digest, file.digest.hex());
                    return mismatch(format!("{} is {actual} at the Hub, not {expected}", file.path));
                }
                None => return mismatch(format!("{} is in commit {commit} and not in the lock file", file.path)),
            }
        }
        let listed: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
        match locked.files.keys().find(|path| !listed.contains(path.as_str())) {
            Some(path) => mismatch(format!("{path} is not in commit {commit}")),
            None => Ok(()),
        }
    }

    fn check_space(&self, layout: &Layout, total: u64, resumed: u64) -> Result<(), CacheError> {
        let path = layout.root();
        let needed = total.saturating_sub(resumed);
        let available = space::available(path).map_err(|error| CacheError::io(path, error))?;
        let usable = available.saturating_sub(self.config.limits.keep_free);
        if needed > usable {
            return Err(CacheError::NoSpace { path: path.to_owned(), needed: Some(needed), available: usable });
        }
        Ok(())
    }
}

/// Tries until there is an answer, or until the patience is at its end.
async fn persist<T, F>(patience: &mut Patience<'_>, ask: impl Fn() -> F) -> Result<T, CacheError>
where
    F: Future<Output = Result<T, Trouble>>,
{
    loop {
        match ask().await {
            Ok(answer) => {
                patience.progressed();
                return Ok(answer);
            }
            Err(trouble) => patience.after(trouble).await?,
        }
    }
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Checkpoint,
    File,
}

/// Notes what the Hub says before the first byte comes in, so that a snapshot that is half there is known to be. What is
/// known of one that is whole stays: the Hub may be wrong today, and more files may be asked for than it has.
fn announce(layout: &Layout, commit: &str, files: &[ListedFile], kind: Kind) -> Result<(), CacheError> {
    let path = layout.listing(commit);
    let mut listing = Listing::read(&path)?.unwrap_or_default();
    let is_whole = !listing.checkpoint.is_empty()
        && listing
            .checkpoint
            .iter()
            .all(|name| listing.file(name).is_some_and(|file| transfer::is_there(layout, file)));
    let new = files.iter().filter(|file| listing.file(&file.path).is_none()).cloned().collect();
    listing.merge(Listing { files: new, checkpoint: BTreeSet::new() });
    if kind == Kind::Checkpoint && !is_whole {
        listing.checkpoint = files.iter().map(|file| file.path.clone()).collect();
    }
    // Written even if nothing is new: its time is that of the last try, and until a day later nothing of it is pruned.
    listing.write(&path)
}

/// Notes what has come in, and with it, what the snapshot consists of.
fn confirm(layout: &Layout, commit: &str, files: &[ListedFile], kind: Kind) -> Result<(), CacheError> {
    let path = layout.listing(commit);
    let mut listing = Listing::read(&path)?.unwrap_or_default();
    listing.merge(Listing { files: files.to_vec(), checkpoint: BTreeSet::new() });
    if kind == Kind::Checkpoint {
        listing.checkpoint = files.iter().map(|file| file.path.clone()).collect();
    }
    listing.write(&path)
}
