//! Owns the conversation with the Hub: what there is, and the bytes of it. Must not know where anything lies on the
//! disk.

mod http;
mod listing;
mod patience;
mod refusal;

pub(crate) use http::{Body, Hub};
pub(crate) use listing::{Kept, TreeFile};
pub(crate) use patience::{Again, Patience, Trouble};
