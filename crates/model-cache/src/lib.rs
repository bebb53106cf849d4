//! Which bytes are the model, and are they whole?
//!
//! A [`ModelCache`] is a directory that holds checkpoints from the Hugging Face Hub in the layout that Python's
//! `huggingface_hub` calls its `cache_dir`, so that both can share one volume:
//!
//! ```text
//! DIR/models--owner--name/refs/main                     the commit that the branch pointed to
//! DIR/models--owner--name/blobs/<etag>                  the bytes
//! DIR/models--owner--name/snapshots/<commit>/<file>     links to the bytes, under their names
//! ```
//!
//! [`ModelCache::resolve`] says where a model lies, and never touches the network; [`ModelCache::fetch`] does the same,
//! and downloads what is missing: by ranges, resumed after any interruption, by one process of all that share the
//! volume, verified before a file has its name. Both only ever return a model that is whole: every file that is needed is
//! there in the size that the Hub stated, every JSON file parses, and every header of weights is sound. A directory that
//! is merely not empty is not a model.
//!
//! What runs the model is not this crate's business: it hands out plain paths. It reads no environment variable and
//! no configuration file; everything comes in through [`CacheConfig`].
//!
//! # Example
//!
//! ```no_run
//! use model_cache::{CacheConfig, CacheError, FetchEvent, ModelCache, ModelSpec};
//!
//! # async fn example() -> Result<(), CacheError> {
//! let cache = ModelCache::new(CacheConfig::new("./models"))?;
//! let spec: ModelSpec = "Qwen/Qwen3-4B-Thinking-2507".parse()?;
//! let model = cache
//!     .fetch(&spec, &|event| {
//!         if let FetchEvent::Progress { done_bytes, total_bytes, .. } = event {
//!             println!("{done_bytes} of {total_bytes} bytes");
//!         }
//!     })
//!     .await?;
//! println!("{} lies in {}", model.name, model.path.display());
//! # Ok(())
//! # }
//! ```
//!
//! # What is still read from the environment
//!
//! Endpoint, token, cache directory and user agent are always set explicitly, so `HF_ENDPOINT`, `HF_TOKEN`,
//! `HF_TOKEN_PATH`, `HF_HOME`, `HF_HUB_CACHE` and `HF_HUB_USER_AGENT_ORIGIN` have no effect here. What remains is below
//! the HTTP client: the proxy variables (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`).
//!
//! Files that the Hub keeps in Xet come in over its HTTP bridge, like any other.

mod allow_list;
mod byte_size;
mod cache;
mod checkpoint;
mod config;
mod digest;
mod error;
mod event;
mod fault;
mod fetch;
mod files;
pub mod header;
mod hub;
mod in_use;
mod json;
mod layout;
mod lease;
mod limits;
mod listing;
mod manage;
mod models_lock;
mod process;
mod regular_file;
mod repo_id;
mod resolve;
mod selection;
mod snapshot;
mod space;
mod spec;
mod tally;
mod token;
mod transfer;
mod weight_file;
mod write;

pub use allow_list::AllowList;
pub use byte_size::ByteSize;
pub use cache::ModelCache;
pub use config::{CacheConfig, Network, Refresh};
pub use digest::Digest;
pub use error::{CacheError, Denial};
pub use event::FetchEvent;
pub use fault::{Fault, Problem};
pub use files::ModelFiles;
pub use in_use::ModelInUse;
pub use limits::FetchLimits;
pub use manage::{
    CachedModel, Exported, Inventory, Kept, KeptBecause, ModelState, PruneMode, PruneOptions, Pruned, Removed,
    Unfinished, Verdict, VerifiedFile, VerifyAction, VerifyScope, WorkEvent,
};
pub use models_lock::{LockedFile, LockedModel, ModelsLock};
pub use repo_id::RepoId;
pub use selection::Selection;
pub use spec::ModelSpec;
pub use token::AccessToken;
