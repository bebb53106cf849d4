//! Finds a model in the cache, or downloads it, and says where it lies.
//!
//! ```text
//! cargo run --release -p examples --example fetch_model -- Qwen/Qwen3-0.6B
//! ```

use model_cache::{CacheConfig, FetchEvent, ModelCache, ModelSpec};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "Qwen/Qwen3-0.6B".to_owned());
    let spec: ModelSpec = name.parse()?;
    let cache = ModelCache::new(CacheConfig::new("./models"))?;
    let files = cache
        .fetch(&spec, &|event| {
            if let FetchEvent::Progress { done_bytes, total_bytes, .. } = event {
                eprint!("\r{done_bytes} of {total_bytes} bytes");
            }
        })
        .await?;
    println!("{} lies in {}", files.name, files.path.display());
    Ok(())
}
