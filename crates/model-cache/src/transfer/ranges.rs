//! Owns filling a partial file from the Hub: several ranges at once, each resumed where it broke off.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use super::Transfer;
use super::partial::{Partial, Segment};
use crate::CacheError;
use crate::hub::{Again, Body, Patience, Trouble};
use crate::listing::ListedFile;

/// As much as shows that the line is alive, in bytes.
const PROGRESS: u64 = 64 << 10;

/// Whether the host that has the bytes can begin in the middle of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ranges {
    Known,
    Unknown,
}

/// Transfers whatever is missing.
pub(super) async fn fill(
    transfer: &Arc<Transfer>,
    file: &ListedFile,
    partial: &Arc<Partial>,
) -> Result<(), CacheError> {
    transfer.tally.advance(&file.path, partial.done(), file.size);
    let missing = partial.missing();
    let connections = transfer.limits.connections.clamp(1, missing.len().max(1));
    let waiting = Arc::new(Mutex::new(VecDeque::from(missing)));
    let mut workers = JoinSet::new();
    for _ in 0..connections {
        let (transfer, file) = (Arc::clone(transfer), file.clone());
        let (partial, waiting) = (Arc::clone(partial), Arc::clone(&waiting));
        workers.spawn(async move {
            let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            while let Some(segment) = next() {
                if fill_segment(&transfer, &file, &partial, segment).await? == Ranges::Unknown {
                    return Ok(Ranges::Unknown);
                }
            }
            Ok(Ranges::Known)
        });
    }
    // Dropping the set, after the first failure or with this future, stops every worker.
    while let Some(ended) = workers.join_next().await {
        match ended.map_err(|error| CacheError::io(partial.path(), std::io::Error::other(error)))?? {
            Ranges::Known => {}
            Ranges::Unknown => {
                workers.shutdown().await;
                return fill_from_the_start(transfer, file, partial).await;
            }
        }
    }
    Ok(())
}

async fn fill_segment(
    transfer: &Transfer,
    file: &ListedFile,
    partial: &Partial,
    segment: Segment,
) -> Result<Ranges, CacheError> {
    let mut patience = Patience::new(&transfer.limits, &transfer.events);
    loop {
        let start = partial.next(segment);
        if start >= segment.end {
            return Ok(Ranges::Known);
        }
        let whole = start == 0 && segment.end == file.size;
        let range = (!whole).then_some((start, segment.end));
        let trouble = match transfer.hub.bytes(&transfer.repo, &transfer.commit, file, range).await {
            // Bytes from the start of the file are of use to the segment that begins there.
            Ok(body) if body.start != start => return Ok(Ranges::Unknown),
            Ok(body) => match receive(transfer, file, partial, body).await {
                Ok(()) => continue,
                Err(trouble) => trouble,
            },
            Err(trouble) => trouble,
        };
        if partial.next(segment) - start >= PROGRESS {
            patience.progressed();
        }
        patience.after(trouble).await?;
    }
}

/// For a host that does not know ranges: every try begins at the start of the file.
async fn fill_from_the_start(transfer: &Transfer, file: &ListedFile, partial: &Partial) -> Result<(), CacheError> {
    let mut patience = Patience::new(&transfer.limits, &transfer.events);
    while partial.done() < file.size {
        let before = partial.done();
        let trouble = match transfer.hub.bytes(&transfer.repo, &transfer.commit, file, None).await {
            Ok(body) => match receive_all(transfer, file, partial, body).await {
                Ok(()) => continue,
                Err(trouble) => trouble,
            },
            Err(trouble) => trouble,
        };
        if partial.done() - before >= PROGRESS {
            patience.progressed();
        }
        patience.after(trouble).await?;
    }
    Ok(())
}

/// Writes a body to the segment that it begins in, to that one's end.
async fn receive(transfer: &Transfer, file: &ListedFile, partial: &Partial, mut body: Body) -> Result<(), Trouble> {
    let segment = partial.segment_at(body.start);
    while partial.next(segment) < segment.end {
        let Some(bytes) = body.next(&transfer.hub, &file.path).await? else {
            return Err(too_short(transfer, file));
        };
        partial.append(segment, &bytes).map_err(Trouble::never)?;
        transfer.tally.advance(&file.path, partial.done(), file.size);
    }
    Ok(())
}

/// Writes a body that begins at the start of the file, past what is there already.
async fn receive_all(transfer: &Transfer, file: &ListedFile, partial: &Partial, mut body: Body) -> Result<(), Trouble> {
    let mut position = 0;
    while position < file.size {
        let Some(bytes) = body.next(&transfer.hub, &file.path).await? else {
            return Err(too_short(transfer, file));
        };
        let mut rest = &bytes[..];
        while !rest.is_empty() && position < file.size {
            let segment = partial.segment_at(position);
            let (here, beyond) =
                rest.split_at(rest.len().min(usize::try_from(segment.end - position).unwrap_or(usize::MAX)));
            // All of these are there already, or the first of them, or none.
            let known = usize::try_from(partial.next(segment).saturating_sub(position)).unwrap_or(usize::MAX);
            if let Some(new) = here.get(known..) {
                partial.append(segment, new).map_err(Trouble::never)?;
            }
            position += here.len() as u64;
            rest = beyond;
        }
        transfer.tally.advance(&file.path, partial.done(), file.size);
    }
    Ok(())
}

fn too_short(transfer: &Transfer, file: &ListedFile) -> Trouble {
    let error = transfer.hub.unreachable(format!("the connection ended in the middle of {}", file.path));
    Trouble::new(error, Again::Patiently(None))
}
