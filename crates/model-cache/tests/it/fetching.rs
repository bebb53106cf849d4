//! What a download leaves on the disk, and which requests it takes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use model_cache::{AccessToken, CacheConfig, FetchEvent, ModelCache, Selection};
use tempfile::tempdir;

use crate::disk::{assert_sound, names};
use crate::hub::{COMMIT, Hub, Repo, sample};
use crate::{cache, config, offline, online, spec};

const FETCHED: [&str; 4] = ["chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json"];

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[tokio::test]
async fn lays_a_checkpoint_out_as_huggingface_hub_does() {
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let dir = tempdir().unwrap();
    let files = online(dir.path(), &hub).fetch(&spec("acme/tiny"), &|_| ()).await.unwrap();

    let repo = dir.path().join("models--acme--tiny");
    let snapshot = repo.join("snapshots").join(COMMIT);
    assert_eq!(files.path, snapshot);
    assert_eq!(files.name, "acme/tiny");
    assert_eq!(files.revision.as_deref(), Some(COMMIT));
    assert_eq!(names(&snapshot), set(FETCHED));
    for folder in ["blobs", "refs", "snapshots"] {
        assert!(names(&repo).contains(folder), "{folder}");
    }
    assert_eq!(fs::read_to_string(repo.join("refs/main")).unwrap(), COMMIT);
    let at_the_hub = sample::repo("acme/tiny");
    let etags = FETCHED.map(|file| at_the_hub.etag(file));
    assert_eq!(names(&repo.join("blobs")), etags.into(), "no pickle, no folder, nothing unfinished");
    assert_eq!(names(&repo.join("partial")), BTreeSet::new());
    assert_sound(dir.path());
    for (file, bytes) in sample::checkpoint() {
        assert_eq!(fs::read(snapshot.join(&file)).unwrap(), bytes, "{file}");
        let link = fs::read_link(snapshot.join(&file)).unwrap();
        assert_eq!(link, Path::new("../../blobs").join(at_the_hub.etag(&file)));
    }
}

#[tokio::test]
async fn a_model_that_is_there_takes_no_request() {
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let dir = tempdir().unwrap();
    let cache = online(dir.path(), &hub);
    let first = cache.fetch(&spec("acme/tiny"), &|_| ()).await.unwrap();
    assert!(!hub.seen().is_empty());
    hub.forget();
    let second = cache.fetch(&spec("acme/tiny"), &|event| panic!("{event:?}")).await.unwrap();
    let pinned = cache.fetch(&spec(&format!("acme/tiny@{COMMIT}")), &|_| ()).await.unwrap();
    assert_eq!(hub.seen(), []);
    assert_eq!((&second, &pinned), (&first, &first));
    assert_eq!(offline(dir.path()).resolve(&spec("acme/tiny")).unwrap(), first);
    assert_eq!(offline(dir.path()).fetch(&spec("acme/tiny@main"), &|_| ()).await.unwrap(), first);
}

#[tokio::test]
async fn a_pinned_commit_needs_no_branch() {
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let dir = tempdir().unwrap();
    let pinned = spec(&format!("acme/tiny@{COMMIT}"));
    let files = online(dir.path(), &hub).fetch(&pinned, &|_| ()).await.unwrap();
    assert_eq!(files.revision.as_deref(), Some(COMMIT));
    assert!(!dir.path().join("models--acme--tiny/refs/main").exists());
    assert!(offline(dir.path()).resolve(&pinned).is_ok());
}

#[tokio::test]
async fn fetches_one_gguf_file() {
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let dir = tempdir().unwrap();
    let gguf = spec("acme/tiny:tiny-Q8_0.gguf");
    let cache = online(dir.path(), &hub);
    let files = cache.fetch(&gguf, &|_| ()).await.unwrap();
    assert_eq!(files.name, "acme/tiny:tiny-Q8_0.gguf");
    assert_eq!(files.revision.as_deref(), Some(COMMIT));
    assert_eq!(fs::read(&files.path).unwrap(), sample::gguf());
    assert_eq!(names(files.path.parent().unwrap()), set(["tiny-Q8_0.gguf"]));
    assert_eq!(cache.resolve(&gguf).unwrap(), files);

    // The checkpoint of the same commit is not there yet, and comes in beside it.
    assert!(cache.resolve(&spec("acme/tiny")).is_err());
    assert!(cache.fetch(&spec("acme/tiny"), &|_| ()).await.is_ok());
    assert!(cache.resolve(&gguf).is_ok());
}

#[tokio::test]
async fn fetches_shards() {
    let hub = Hub::start(vec![Repo::new("acme/sharded", sample::sharded())]);
    let dir = tempdir().unwrap();
    let files = online(dir.path(), &hub).fetch(&spec("acme/sharded"), &|_| ()).await.unwrap();
    assert_eq!(names(&files.path), sample::sharded().into_keys().collect());
}

#[tokio::test]
async fn reports_progress_from_start_to_finish() {
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let dir = tempdir().unwrap();
    let events = Mutex::new(Vec::new());
    let files =
        online(dir.path(), &hub).fetch(&spec("acme/tiny"), &|event| events.lock().unwrap().push(event)).await.unwrap();
    let events = events.into_inner().unwrap();
    let total = FETCHED.map(|file| fs::metadata(files.path.join(file)).unwrap().len()).iter().sum();
    assert_eq!(events.first(), Some(&FetchEvent::Started { files: 4, total_bytes: total, resumed_bytes: 0 }));
    assert_eq!(events.last(), Some(&FetchEvent::Finished { path: files.path }));
    let done: Vec<u64> = events
        .iter()
        .filter_map(|event| match event {
            FetchEvent::Progress { done_bytes, .. } => Some(*done_bytes),
            _ => None,
        })
        .collect();
    assert!(done.is_sorted(), "{done:?}");
    assert_eq!(done.last(), Some(&total));
    let verified = |event: &&FetchEvent| matches!(event, FetchEvent::Verified { .. });
    assert_eq!(events.iter().filter(verified).count(), FETCHED.len());
}

fn with_token(dir: &Path, hub: &Hub, token: &str) -> ModelCache {
    cache(CacheConfig { token: Some(token.parse().unwrap()), ..config(dir, &hub.url()) })
}

#[tokio::test]
async fn sends_the_token_to_the_hub_and_nowhere_else() {
    let hub = Hub::start(vec![sample::repo("acme/gated").gated("hf_secret")]);
    let dir = tempdir().unwrap();
    with_token(dir.path(), &hub, "hf_secret\n").fetch(&spec("acme/gated"), &|_| ()).await.unwrap();
    let (elsewhere, at_the_hub): (Vec<_>, Vec<_>) =
        hub.seen().into_iter().partition(|request| request.path.starts_with("/cdn/"));
    assert!(!elsewhere.is_empty() && elsewhere.iter().all(|request| request.authorization.is_none()), "{elsewhere:?}");
    assert!(at_the_hub.iter().all(|request| request.authorization.as_deref() == Some("Bearer hf_secret")));
}

#[test]
fn a_token_is_not_shown() {
    let dir = tempdir().unwrap();
    let token: AccessToken = "hf_secret".parse().unwrap();
    let shown = format!("{token:?} {:?}", CacheConfig { token: Some(token.clone()), ..config(dir.path(), "http://h") });
    assert!(!shown.contains("secret"), "{shown}");
    let refused = "hf secret".parse::<AccessToken>().unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains("secret"));
    assert!(" \n".parse::<AccessToken>().is_err());
}

#[tokio::test]
async fn a_broken_file_of_the_cache_is_fetched_again() {
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let dir = tempdir().unwrap();
    let cache = online(dir.path(), &hub);
    let whole = cache.fetch(&spec("acme/tiny"), &|_| ()).await.unwrap();
    let weights = whole.path.join("model.safetensors");
    let blob = weights.canonicalize().unwrap();
    fs::write(&blob, &sample::safetensors(1000)[..2000]).unwrap();
    assert!(cache.resolve(&spec("acme/tiny")).is_err());
    hub.forget();
    assert_eq!(cache.fetch(&spec("acme/tiny"), &|_| ()).await.unwrap(), whole);
    assert_eq!(fs::read(&weights).unwrap(), sample::safetensors(1000));
    let got: Vec<String> = hub.seen().into_iter().filter(|seen| seen.method == "GET").map(|seen| seen.path).collect();
    assert!(got.iter().all(|path| !path.ends_with("config.json")), "what is whole stays: {got:?}");
}

/// A listing that comes in pages is read to its end.
#[tokio::test]
async fn reads_every_page_of_a_listing() {
    for page in [1, 2, 3] {
        let hub = Hub::start(vec![sample::repo("acme/tiny").in_pages_of(page)]);
        let dir = tempdir().unwrap();
        let files = online(dir.path(), &hub).fetch(&spec("acme/tiny"), &|_| ()).await.unwrap();
        assert_eq!(names(&files.path), set(FETCHED));
        assert!(hub.seen().iter().filter(|seen| seen.path.contains("/tree/")).count() > 1);
    }
}

/// Two files with the same bytes are one blob, fetched once.
#[tokio::test]
async fn the_same_bytes_are_fetched_once() {
    let mut files = sample::sharded();
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let bytes = files[shards[0]].clone();
    files.insert(shards[1].to_owned(), bytes.clone());
    let hub = Hub::start(vec![Repo::new("acme/same", files)]);
    let dir = tempdir().unwrap();
    online(dir.path(), &hub).fetch(&spec("acme/same"), &|_| ()).await.unwrap();
    assert_sound(dir.path());
    let sent: u64 = shards.iter().map(|shard| hub.sent(shard)).sum();
    assert_eq!(sent, bytes.len() as u64);
}

#[tokio::test]
async fn fetches_what_was_selected_and_never_pickle() {
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let dir = tempdir().unwrap();
    let globs = |globs: &[&str]| globs.iter().map(|&glob| glob.to_owned()).collect::<Vec<_>>();
    let include = globs(&["*.json", "*.safetensors", "*.md", "onnx/*", "*.bin", "*.jinja"]);
    let selection = Selection::new(&include, &globs(&["*.jinja"])).unwrap();
    let cache = cache(CacheConfig { selection, ..config(dir.path(), &hub.url()) });
    let files = cache.fetch(&spec("acme/tiny"), &|_| ()).await.unwrap();
    let expected = ["README.md", "config.json", "model.safetensors", "onnx", "tokenizer.json"];
    assert_eq!(names(&files.path), set(expected));
    assert_eq!(names(&files.path.join("onnx")), set(["model.safetensors"]));
    assert_sound(dir.path());
    assert_eq!(hub.sent("pytorch_model.bin"), 0);
}
