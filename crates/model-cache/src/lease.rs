//! Owns who may fetch a file: one process at a time, on any number of machines that share the volume.
//!
//! A lease is a file that its owner writes to every five seconds. Who waits watches it by their own clock, since those
//! of two machines differ: when it has not changed for thirty seconds its owner is taken for dead, and the lease for
//! free. An owner that lives on after that (it was stopped, or cut off from the volume) finds another one's name in it.
//! Only `create_new` and `rename` are relied on, which network file systems carry out atomically.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::event::Events;
use crate::process::Process;
use crate::{CacheError, FetchEvent, space, write};

/// How often an owner shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long a lease may stay as it is before it is taken over.
const SILENCE: Duration = Duration::from_secs(30);
/// How often somebody who waits looks.
const LOOK: Duration = Duration::from_millis(300);
/// A record on the disk is padded to this, so that one write replaces another as a whole, in bytes.
const RECORD: usize = 512;

/// What stands in a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    owner: Process,
    /// Names this lease and no other, also after the same process takes it again.
    nonce: String,
    /// Counts the heartbeats.
    beat: u64,
}

/// What became of the owner before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Predecessor {
    /// There is none that could still be at work.
    Gone,
    /// It fell silent; it may only have been stopped, and go on with what it was doing.
    Silent,
}

/// The right to fetch one file. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Lease {
    path: PathBuf,
    nonce: String,
    predecessor: Predecessor,
    lost: watch::Receiver<bool>,
    heartbeat: AbortHandle,
}

/// What came of asking for a lease.
#[derive(Debug)]
pub(crate) enum Acquired {
    Lease(Lease),
    /// The file is there: somebody else has brought it.
    Needless,
}

impl Lease {
    /// Waits until the lease is free, or until `is_there` says that nobody needs it any more.
    pub(crate) async fn acquire(
        path: &Path,
        what: &str,
        events: &Events,
        is_there: &(dyn Fn() -> bool + Send + Sync),
    ) -> Result<Acquired, CacheError> {
        write::directory_of(path)?;
        let mut predecessor = Predecessor::Gone;
        let mut watched: Option<(Vec<u8>, Instant)> = None;
        let mut unreadable_since = None;
        loop {
            if is_there() {
                return Ok(Acquired::Needless);
            }
            if let Some(lease) = Self::create(path, predecessor)? {
                return Ok(Acquired::Lease(lease));
            }
            // Whoever is seen here may be stopped, and its lease be removed by another who waits, too.
            predecessor = Predecessor::Silent;
            let Some(seen) = read(path)? else {
                // It went in between; or it can be made no more than read, as a link to nowhere.
                if unreadable_since.get_or_insert_with(Instant::now).elapsed() >= SILENCE {
                    return Err(CacheError::io(path, ErrorKind::AlreadyExists.into()));
                }
                tokio::time::sleep(LOOK).await;
                continue;
            };
            unreadable_since = None;
            let record = parse(&seen);
            let dead = record.as_ref().is_some_and(|record| record.owner.is_gone());
            match &watched {
                Some((before, since)) if *before == seen => {
                    if dead || since.elapsed() >= SILENCE {
                        if remove_stale(path, &seen)? && dead {
                            predecessor = Predecessor::Gone;
                        }
                        if let Some(lease) = Self::create(path, predecessor)? {
                            return Ok(Acquired::Lease(lease));
                        }
                        continue;
                    }
                }
                Some(_) => watched = Some((seen, Instant::now())),
                None => {
                    let owner = record.map_or_else(|| "another process".to_owned(), |record| record.owner.to_string());
                    let reason = format!("{owner} is fetching {what}");
                    events.send(FetchEvent::Waiting { reason, delay: LOOK });
                    watched = Some((seen, Instant::now()));
                    // A dead one's lease blocks nobody: look again at once.
                    if dead {
                        continue;
                    }
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A name that no other owner has.
    pub(crate) fn nonce(&self) -> &str {
        &self.nonce
    }

    pub(crate) fn predecessor(&self) -> Predecessor {
        self.predecessor
    }

    /// Ends when the lease has become somebody else's.
    pub(crate) async fn lost(&self) {
        // The heart stops beating only when the lease is lost or dropped.
        let _ = self.lost.clone().wait_for(|lost| *lost).await;
    }

    /// Looks whether the lease is still this one.
    pub(crate) fn is_held(&self) -> Result<bool, CacheError> {
        is_of(&self.path, &self.nonce)
    }

    fn create(path: &Path, predecessor: Predecessor) -> Result<Option<Self>, CacheError> {
        let mut file = match File::create_new(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
            Err(error) => return Err(CacheError::io(path, error)),
        };
        let nonce = Uuid::new_v4().simple().to_string();
        let mut record = Record { owner: Process::this(), nonce: nonce.clone(), beat: 0 };
        file.write_all(&bytes(&record)).map_err(|error| {
            // An empty lease would make others wait for somebody who is not there.
            let _ = fs::remove_file(path);
            space::failed(path, error)
        })?;
        let (tell, lost) = watch::channel(false);
        let place: Arc<Path> = path.into();
        let mine = nonce.clone();
        let heartbeat = tokio::spawn(async move {
            loop {
                tokio::time::sleep(HEARTBEAT).await;
                record.beat += 1;
                // The file that was opened when the lease was taken, so that nobody else's is ever written to.
                let alive = file.write_all_at(&bytes(&record), 0).is_ok() && is_of(&place, &mine).unwrap_or(false);
                if !alive {
                    break;
                }
            }
            tell.send_replace(true);
        })
        .abort_handle();
        Ok(Some(Self { path: path.to_owned(), nonce, predecessor, lost, heartbeat }))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.heartbeat.abort();
        if self.is_held().unwrap_or(false) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether somebody who is not known to be gone is fetching under this lease.
pub(crate) fn is_live(path: &Path) -> Result<bool, CacheError> {
    let Some(seen) = read(path)? else { return Ok(false) };
    let silent = fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .ok()
        .and_then(|written| written.elapsed().ok())
        .is_some_and(|silence| silence >= SILENCE * 2);
    Ok(!silent && !parse(&seen).is_some_and(|record| record.owner.is_gone()))
}

fn bytes(record: &Record) -> Vec<u8> {
    let mut text = serde_json::to_vec(record).unwrap_or_default();
    text.resize(text.len().max(RECORD), b' ');
    text
}

fn parse(seen: &[u8]) -> Option<Record> {
    serde_json::from_slice(seen).ok()
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, CacheError> {
    match fs::read(path) {
        Ok(seen) => Ok(Some(seen)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CacheError::io(path, error)),
    }
}

fn is_of(path: &Path, nonce: &str) -> Result<bool, CacheError> {
    Ok(read(path)?.is_some_and(|seen| parse(&seen).is_some_and(|record| record.nonce == nonce)))
}

/// Takes a stale lease away; false when somebody else was faster.
///
/// Between the last look and the renaming, the stale lease may have been replaced by a live one. Then that is put back,
/// and should a third one be there already, its owner finds out at its next heartbeat.
fn remove_stale(path: &Path, seen: &[u8]) -> Result<bool, CacheError> {
    let aside = path.with_extension(format!("{}.stale", Uuid::new_v4().simple()));
    match fs::rename(path, &aside) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        other => other.map_err(|error| CacheError::io(path, error))?,
    }
    let is_it = read(&aside)?.is_some_and(|moved| moved == seen);
    if !is_it {
        ignore_existing(fs::hard_link(&aside, path)).map_err(|error| CacheError::io(path, error))?;
    }
    write::remove(&aside)?;
    Ok(is_it)
}

fn ignore_existing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}
