//! Owns the conversation with the Hub: what there is, and the bytes of it. Must not know where anything lies on the
//! disk.

mod http;
mod patience;
mod refusal;
mod revision;
mod tree;

pub(crate) use http::{Body, Hub};
pub(crate) use patience::{Again, Patience, Trouble};
pub(crate) use tree::{Kept, TreeFile};
