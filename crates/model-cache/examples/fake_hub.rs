//! Owns a Hub to try programs against: serves a made-up model, or a directory, on loopback, and misbehaves when told to.
//!
//! ```text
//! cargo run --release -p model-cache --example fake_hub -- --size 4000000000
//! curl -L http://127.0.0.1:PORT/acme/large/resolve/main/model.safetensors | sha256sum
//! HF_ENDPOINT=http://127.0.0.1:PORT hf download acme/large
//! ```
#![expect(clippy::unwrap_used, reason = "a program for experiments: what cannot go on ends")]

#[expect(dead_code, unused_imports, reason = "the tests use more of it")]
#[path = "../tests/hub/mod.rs"]
mod hub;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use hub::{Content, Hub, Repo, named, sample};

/// A Hub on loopback. Prints its URL and runs until it is killed. To each line on standard input it answers with the
/// bytes of weights that it has sent since the last one.
#[derive(Debug, Parser)]
struct Arguments {
    /// Bytes of the weights of `acme/large`.
    #[arg(long, default_value_t = 50_000_000)]
    size: u64,
    /// What goes wrong with the weights.
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(named::NAMES))]
    trouble: Option<String>,
    /// A directory with `owner/name/files` to serve as well.
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn main() {
    let arguments = Arguments::parse();
    let mut large: BTreeMap<String, Content> =
        sample::checkpoint().into_iter().map(|(file, bytes)| (file, bytes.into())).collect();
    let weights = sample::endless_weights(arguments.size);
    let len = weights.len();
    large.insert(sample::WEIGHTS.to_owned(), weights);
    let mut repos = vec![Repo::new("acme/large", large), sample::repo("acme/tiny"), gated()];
    if let Some(dir) = &arguments.dir {
        for owner in folders(dir) {
            for repo in folders(&dir.join(&owner)) {
                let mut files = BTreeMap::new();
                add(&dir.join(&owner).join(&repo), "", &mut files);
                repos.push(Repo::new(&format!("{owner}/{repo}"), files));
            }
        }
    }
    let rules = arguments.trouble.map(|name| named::rules(&name, len).unwrap()).unwrap_or_default();
    let hub = Hub::troubled(repos, rules);
    println!("{}", hub.url());
    for line in std::io::stdin().lines() {
        drop(line.unwrap());
        println!("{}", hub.sent(sample::WEIGHTS));
        hub.forget();
    }
    loop {
        std::thread::park();
    }
}

/// A repository for the bearer of `hf_good`.
fn gated() -> Repo {
    sample::repo("acme/gated").gated("hf_good")
}

fn folders(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir());
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// Every file below a directory, by its name from there.
fn add(dir: &Path, prefix: &str, files: &mut BTreeMap<String, Content>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            add(&entry.path(), &format!("{name}/"), files);
        } else {
            files.insert(name, Content::open(&entry.path()));
        }
    }
}
