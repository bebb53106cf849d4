//! What an operator does with a cache: look at it, verify it, make room, keep a version, carry one to a machine without a
//! network. Must not use the network.
//!
//! All functions here block on the disk; on an asynchronous task they belong in `spawn_blocking`.

mod candidate;
mod contents;
mod copy;
mod discard;
mod entries;
mod event;
mod export;
mod gauge;
mod hashing;
mod import;
mod inventory;
mod last_use;
mod leftovers;
mod lock_entry;
mod manifest;
mod pin;
mod plan;
mod prune;
mod repository;
mod source;
mod state;
mod sweep;
mod unfinished;
mod verdict;
mod verify;

pub use event::WorkEvent;
pub use export::Exported;
pub use inventory::{CachedModel, Inventory};
pub use prune::{Kept, KeptBecause, PruneMode, PruneOptions, Pruned, Removed};
pub use state::ModelState;
pub use unfinished::Unfinished;
pub use verdict::Verdict;
pub use verify::{VerifiedFile, VerifyAction, VerifyScope};
