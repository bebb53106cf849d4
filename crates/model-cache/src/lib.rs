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
//! Two questions are all it answers. [`ModelCache::resolve`] says where a model lies, and never touches the network;
//! [`ModelCache::fetch`] does the same, and downloads what is missing. Both only ever return a model that is whole:
//! every file that is needed is there, every JSON file parses, and every safetensors file is exactly as long as its
//! header says. A directory that is merely not empty is not a model.
//!
//! What runs the model is not this crate's business: it hands out plain paths. It reads no environment variable and
//! no configuration file; everything comes in through [`CacheConfig`].
//!
//! # Example
//!
//! ```no_run
//! use model_cache::{CacheConfig, CacheError, FetchEvent, ModelCache, ModelSpec, Network};
//!
//! # async fn example() -> Result<(), CacheError> {
//! let cache = ModelCache::new(CacheConfig {
//!     dir: "./models".into(),
//!     endpoint: None, // the Hub itself
//!     token: None,
//!     network: Network::Online,
//! })?;
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
//! # What hf-hub still reads from the environment
//!
//! Endpoint, token, cache directory and user agent are always set explicitly, so `HF_ENDPOINT`, `HF_TOKEN`,
//! `HF_TOKEN_PATH`, `HF_HOME/token`, `HF_HUB_CACHE` and `HF_HUB_USER_AGENT_ORIGIN` have no effect here. What remains
//! is below hf-hub: the proxy variables (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`), the tuning variables
//! of the Xet transfer library (`HF_XET_*`), and `HF_HOME` or `XDG_CACHE_HOME` as the place of Xet's own scratch
//! files.

mod cache;
mod checkpoint;
mod config;
mod download;
mod error;
mod event;
mod fault;
mod files;
pub mod header;
mod json;
mod layout;
mod repo_id;
mod resolve;
mod spec;
mod tally;
mod token;

pub use cache::ModelCache;
pub use config::{CacheConfig, Network};
pub use error::{CacheError, Denial};
pub use event::FetchEvent;
pub use fault::{Fault, Problem};
pub use files::ModelFiles;
use header::{gguf, safetensors};
pub use repo_id::RepoId;
pub use spec::ModelSpec;
pub use token::AccessToken;
