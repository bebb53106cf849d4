//! The program among others of its kind: killed, stopped, eight at once, behind a proxy. Each runs as a process of its
//! own against a Hub in this one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../../../crates/model-cache/tests/it/disk.rs"]
mod disk;
#[expect(dead_code, unused_imports, reason = "the cache's own tests use the rest")]
#[path = "../../../../crates/model-cache/tests/hub/mod.rs"]
mod hub;
mod killed;
mod process;
mod progress;
mod proxies;
mod stopped;
mod together;
