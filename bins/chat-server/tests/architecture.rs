//! The invariants of ARCHITECTURE.md, checked against the sources.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs;
use std::path::{Path, PathBuf};

/// The kernels of the engine for processors.
const KERNELS: &str = "crates/qwen-runtime/src/engine/cpu/kernels/";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every Rust source of the workspace outside tests, with its path from the root.
fn sources() -> Vec<(String, String)> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("tests") && !path.ends_with("target") {
                    walk(&path, found);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = root();
    let mut paths = Vec::new();
    for part in ["crates", "bins", "models/triage-mini", "examples", "benches"] {
        walk(&root.join(part), &mut paths);
    }
    assert!(paths.len() > 80, "the sources were not found");
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    paths.into_iter().map(read).collect()
}

/// The lines that run: without comments, and without the tests at the end of a file.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().take_while(|line| line.trim() != "#[cfg(test)]").filter(|line| !line.trim_start().starts_with("//"))
}

fn files_that_name(word: &str) -> Vec<String> {
    let names = |text: &str| code(text).any(|line| line.contains(word));
    sources().into_iter().filter(|(_, text)| names(text)).map(|(name, _)| name).collect()
}

#[track_caller]
fn only_in(word: &str, places: &[&str]) {
    let allowed = |name: &String| places.iter().any(|place| name.starts_with(place));
    let strays: Vec<_> = files_that_name(word).into_iter().filter(|name| !allowed(name)).collect();
    assert!(strays.is_empty(), "{word} is named outside {places:?}: {strays:?}");
}

#[test]
fn dependency_arrows_between_crates_never_turn_back() {
    let ours = [
        "model-cache",
        "qwen-runtime",
        "qwen-tune",
        "llm-client",
        "triage-api",
        "chat-server",
        "fetch-model",
        "qwen-bench",
        "tune-model",
        "triage-mini",
    ];
    for (package, allowed) in [
        ("crates/model-cache", &[][..]),
        ("crates/qwen-runtime", &[]),
        ("crates/qwen-tune", &["qwen-runtime"]),
        ("crates/llm-client", &["qwen-runtime"]),
        ("crates/triage-api", &["llm-client"]),
        ("bins/fetch-model", &["model-cache", "qwen-runtime"]),
        ("bins/qwen-bench", &["qwen-runtime"]),
        ("bins/tune-model", &["qwen-runtime", "qwen-tune", "llm-client", "triage-api"]),
    ] {
        let manifest = fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap();
        let own_name = package.rsplit('/').next().unwrap();
        let section = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
        let used: Vec<_> = ours
            .into_iter()
            .filter(|name| *name != own_name)
            .filter(|name| {
                section
                    .lines()
                    .any(|line| line.starts_with(&format!("{name}.")) || line.starts_with(&format!("{name} ")))
            })
            .collect();
        assert_eq!(used, allowed, "{package}");
    }
}

#[test]
fn each_library_is_named_in_its_place_only() {
    only_in(
        "candle_",
        &["crates/qwen-runtime/src/engine/candle/", "crates/qwen-tune/src/", "benches/compare/candle.rs"],
    );
    only_in("hf_hub::", &["crates/model-cache/src/hub/revision.rs"]);
    only_in("actix_web::", &["crates/triage-api/src/http/", "bins/chat-server/src/application.rs"]);
    only_in(
        "reqwest::",
        &[
            "crates/llm-client/src/backend/",
            "crates/triage-api/src/remote/",
            "crates/model-cache/src/hub/",
            "bins/chat-server/src/ctl.rs",
            "bins/chat-server/src/doctor/services.rs",
        ],
    );
    only_in(
        "sqlx::",
        &[
            "crates/triage-api/src/sqlite/",
            "crates/triage-api/src/postgres/",
            "crates/triage-api/src/sql_failure.rs",
            "crates/triage-api/src/sql_migrations.rs",
        ],
    );
    only_in("tokenizers::", &["crates/qwen-runtime/src/tokenizer/", "crates/qwen-tune/src/vocabulary.rs"]);
}

/// In `source`, each of `modules` names only those of its siblings that stand beside it.
#[track_caller]
fn modules_look_one_way(source: &str, modules: &[(&str, &[&str])]) {
    for (module, allowed) in modules {
        for (other, _) in modules {
            if other == module || allowed.contains(other) {
                continue;
            }
            let inside = |name: &String| {
                name.starts_with(&format!("{source}{module}/")) || *name == format!("{source}{module}.rs")
            };
            let strays: Vec<_> = files_that_name(&format!("crate::{other}")).into_iter().filter(inside).collect();
            assert!(strays.is_empty(), "{module} must not know {other}: {strays:?}");
        }
    }
}

#[test]
fn modules_of_the_runtime_look_one_way() {
    modules_look_one_way(
        "crates/qwen-runtime/src/",
        &[
            ("sampling", &[]),
            ("checkpoint", &["sampling"]),
            ("tokenizer", &["checkpoint", "sampling"]),
            ("quantize", &["checkpoint", "tokenizer"]),
            ("chat", &["checkpoint", "tokenizer"]),
            ("generation", &["chat", "sampling", "tokenizer"]),
            ("engine", &["checkpoint", "quantize"]),
            ("runtime", &["sampling", "checkpoint", "tokenizer", "chat", "generation", "engine"]),
        ],
    );
}

#[test]
fn modules_of_the_cache_look_one_way() {
    modules_look_one_way(
        "crates/model-cache/src/",
        &[
            ("layout", &[]),
            ("listing", &[]),
            ("lease", &[]),
            ("hub", &["layout", "listing"]),
            ("transfer", &["hub", "layout", "lease", "listing"]),
            ("snapshot", &["layout", "listing"]),
            ("fetch", &["hub", "layout", "listing", "transfer", "snapshot"]),
            ("resolve", &["layout", "listing"]),
            ("manage", &["layout", "listing", "lease", "snapshot", "resolve"]),
            ("cache", &["fetch", "layout", "resolve", "listing"]),
        ],
    );
}

#[test]
fn only_binaries_read_the_environment_and_only_the_mapping_and_the_kernels_are_unsafe() {
    only_in("std::env", &["bins/", "examples/"]);
    only_in("unsafe ", &["crates/qwen-runtime/src/checkpoint/mapped_file.rs", KERNELS]);
}

#[test]
fn only_the_http_module_makes_statuses_of_errors() {
    only_in("ResponseError for", &["crates/triage-api/src/http/error.rs"]);
}

#[test]
fn files_say_what_they_are_and_stay_small() {
    let mut lengths = Vec::new();
    for (name, text) in sources() {
        assert!(text.starts_with("//!"), "{name} does not start by saying what it owns");
        let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").count();
        // A kernel is easier to judge beside its variants.
        assert!(lines <= 500 || name.starts_with(KERNELS), "{name} has {lines} lines");
        lengths.push(lines);
        for vague in ["util", "common", "helper", "manager"] {
            assert!(!name.rsplit('/').next().unwrap().contains(vague), "{name} is named {vague}");
        }
    }
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median < 150, "the median file has {median} lines");
}
