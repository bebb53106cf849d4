//! The models of this process: whether they are in the cache, whole, and fit into memory; and the cache itself.

use std::fs::{self, OpenOptions};
use std::net::TcpStream;
use std::path::Path;

use model_cache::{CacheError, ModelCache, ModelSpec, ModelState, Network};

use super::finding::{Finding, Needed};
use crate::model_loader::{ModelSource, cache_config};
use crate::models::local_models;
use crate::settings::Settings;
use crate::system_memory::SystemMemory;

/// The cache, then each model.
pub(super) fn findings(settings: &Settings) -> Vec<Finding> {
    const ABOUT: &str = "MODEL_CACHE_DIR";
    let opened = cache_config(&settings.cache)
        .and_then(|config| Ok((config.network, ModelCache::new(config).map_err(anyhow::Error::new)?)));
    let (network, cache) = match opened {
        Ok(opened) => opened,
        Err(error) => return vec![Finding::problem(ABOUT, format!("{error:#}"), "correct the setting")],
    };
    let mut findings = vec![folder(cache.dir()), room(&cache), content(&cache)];
    match local_models(settings) {
        Ok(models) => {
            let runs = TcpStream::connect(settings.admin.address).is_ok();
            if runs {
                findings.push(Finding::note("server", "one runs here; its models take part of the memory"));
            }
            for (mode, source) in models {
                for finding in model(&mode, &source, &cache, network) {
                    // The memory that a running server has for its model is not free.
                    let is_taken = runs && finding.about.starts_with("memory");
                    let needed = if is_taken { Needed::Later } else { Needed::by(settings, &mode) };
                    findings.push(finding.unless_needed(needed));
                }
            }
        }
        Err(error) => findings.push(Finding::problem("MODEL", format!("{error:#}"), "correct the setting")),
    }
    findings
}

fn folder(dir: &Path) -> Finding {
    const ABOUT: &str = "MODEL_CACHE_DIR";
    if !dir.exists() {
        return Finding::note(ABOUT, format!("{} is not there yet; the first download makes it", dir.display()));
    }
    let probe = dir.join(format!(".doctor-{}", std::process::id()));
    match OpenOptions::new().write(true).create_new(true).open(&probe).and_then(|_| fs::remove_file(&probe)) {
        Ok(()) => Finding::ok(ABOUT, format!("{} can be written", dir.display())),
        Err(error) => {
            let found = format!("{} cannot be written ({})", dir.display(), error.kind());
            // A model that is there works from a read-only volume.
            Finding {
                remedy: Some("for downloads, give this user the folder".to_owned()),
                ..Finding::note(ABOUT, found)
            }
        }
    }
}

fn room(cache: &ModelCache) -> Finding {
    match cache.free_space() {
        Ok(bytes) => Finding::ok("disk", format!("{} MiB are free for models", bytes >> 20)),
        Err(error) => Finding::problem("disk", error.with_causes(), "see whether the volume is mounted"),
    }
}

/// What is in the cache, and whether all of it is whole.
fn content(cache: &ModelCache) -> Finding {
    let inventory = match cache.list() {
        Ok(inventory) => inventory,
        Err(error) => {
            return Finding::problem("cached models", error.with_causes(), "see whether the volume is mounted");
        }
    };
    let broken: Vec<String> = inventory
        .models
        .iter()
        .filter(|model| matches!(model.state, ModelState::Incomplete(_)))
        .map(|model| model.repo.to_string())
        .collect();
    let (count, size) = (inventory.models.len(), inventory.size >> 20);
    if broken.is_empty() && inventory.unfinished.is_empty() {
        return Finding::ok("cached models", format!("{count}, all whole, {size} MiB"));
    }
    let found = format!(
        "{count} with {size} MiB; not whole: {}; downloads that did not end: {}",
        if broken.is_empty() { "none".to_owned() } else { broken.join(", ") },
        inventory.unfinished.len()
    );
    Finding {
        remedy: Some("the next start goes on; `fetch-model list` has them all".to_owned()),
        ..Finding::note("cached models", found)
    }
}

/// Whether a model is there, and fits.
fn model(mode: &str, source: &ModelSource, cache: &ModelCache, network: Network) -> Vec<Finding> {
    let about = format!("model {mode}");
    let files = match cache.resolve(source.spec()) {
        Ok(files) => files,
        Err(error) => return vec![missing(&about, source.spec(), &error, network)],
    };
    let whole = Finding::ok(&about, format!("{} is whole, at {}", files.name, files.path.display()));
    let needed = source.checkpoint(&files.path).and_then(|checkpoint| source.memory(&checkpoint));
    let memory_about = format!("memory {mode}");
    let fits = match (needed, SystemMemory::now()) {
        (Err(error), _) => {
            Finding::problem(&about, format!("{:#}", anyhow::Error::new(error)), "see docs/models.md, Troubleshooting")
        }
        (Ok(None), _) => Finding::note(memory_about, "it is that of the GPU, which is not asked"),
        (Ok(Some(needed)), None) => Finding::note(memory_about, format!("needs {} MiB", needed >> 20)),
        (Ok(Some(needed)), Some(memory)) => match memory.require(needed) {
            Ok(()) => Finding::ok(memory_about, format!("needs {} MiB; {memory}", needed >> 20)),
            Err(refusal) => {
                let (found, remedy) = refusal.split_once("; ").unwrap_or((&refusal, "choose a smaller model"));
                Finding::problem(memory_about, found, remedy)
            }
        },
    };
    vec![whole, fits]
}

fn missing(about: &str, spec: &ModelSpec, error: &CacheError, network: Network) -> Finding {
    let can_be_fetched = network == Network::Online && matches!(spec, ModelSpec::Hub { .. });
    match error {
        CacheError::NotCached { .. } | CacheError::Incomplete { .. } if can_be_fetched => {
            let found = format!("{}; it is downloaded when it is loaded", error.with_causes());
            Finding { remedy: Some(format!("before that: fetch-model {spec}")), ..Finding::note(about, found) }
        }
        _ => Finding::problem(about, error.with_causes(), "see docs/models.md, Troubleshooting"),
    }
}
