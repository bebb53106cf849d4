//! What an operator does with a cache: list, verify, pin, prune, export, import, lock.

mod carrying;
mod handmade;
mod holding;
mod listing;
mod locking;
mod pruning;
mod verifying;
