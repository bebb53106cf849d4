//! Branches that move, and what is used when the Hub cannot be asked.

use std::fs::{self, File};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use model_cache::{CacheConfig, CacheError, FetchEvent, ModelCache, ModelFiles, Network, Refresh};
use tempfile::tempdir;

use crate::hub::{COMMIT, Hub, On, Repo, Rule, Trouble, named, sample};
use crate::{cache, config, disk, spec};

const NEXT: &str = "89abcdef0123456789abcdef0123456789abcdef";

/// A repository whose branch moves on: other settings, the same weights.
fn moved(repo: Repo) -> Repo {
    let mut files = sample::checkpoint();
    files.insert("config.json".to_owned(), br#"{"model_type": "qwen3", "moved": true}"#.to_vec());
    repo.commit(NEXT, files).branch("main", NEXT)
}

fn refreshing(dir: &std::path::Path, hub: &Hub, refresh: Refresh) -> ModelCache {
    cache(CacheConfig { refresh, ..config(dir, &hub.url()) })
}

async fn commit(cache: &ModelCache, model: &str) -> Option<String> {
    cache.fetch(&spec(model), &|_| ()).await.unwrap().revision
}

#[tokio::test]
async fn a_branch_that_moves_is_followed_when_asked() {
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let dir = tempdir().unwrap();
    let once = refreshing(dir.path(), &hub, Refresh::Never);
    let always = refreshing(dir.path(), &hub, Refresh::Always);
    assert_eq!(commit(&once, "acme/tiny").await.as_deref(), Some(COMMIT));
    hub.change("acme/tiny", moved);
    hub.forget();
    assert_eq!(commit(&once, "acme/tiny").await.as_deref(), Some(COMMIT));
    assert_eq!(commit(&always, &format!("acme/tiny@{COMMIT}")).await.as_deref(), Some(COMMIT), "a commit stays");
    assert_eq!(hub.seen(), []);
    assert_eq!(commit(&always, "acme/tiny").await.as_deref(), Some(NEXT));
    assert_eq!(hub.sent(sample::WEIGHTS), 0, "what both commits have is there already");
    assert!(hub.sent("config.json") > 0);
    assert_eq!(commit(&once, "acme/tiny").await.as_deref(), Some(NEXT));
    disk::assert_sound(dir.path());
    // The old commit is still there, side by side.
    assert_eq!(commit(&once, &format!("acme/tiny@{COMMIT}")).await.as_deref(), Some(COMMIT));
}

#[tokio::test]
async fn a_branch_is_asked_for_again_when_its_time_has_passed() {
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let dir = tempdir().unwrap();
    let hourly = refreshing(dir.path(), &hub, Refresh::After(Duration::from_secs(3600)));
    assert_eq!(commit(&hourly, "acme/tiny").await.as_deref(), Some(COMMIT));
    hub.change("acme/tiny", moved);
    hub.forget();
    assert_eq!(commit(&hourly, "acme/tiny").await.as_deref(), Some(COMMIT));
    assert_eq!(hub.seen(), [], "the hour is not over");
    age(dir.path());
    assert_eq!(commit(&hourly, "acme/tiny").await.as_deref(), Some(NEXT));
    hub.forget();
    assert_eq!(commit(&hourly, "acme/tiny").await.as_deref(), Some(NEXT));
    assert_eq!(hub.seen(), [], "the next hour has begun");
}

/// An answer that nothing has changed counts as an answer.
#[tokio::test]
async fn an_unchanged_branch_starts_the_next_hour() {
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let dir = tempdir().unwrap();
    let hourly = refreshing(dir.path(), &hub, Refresh::After(Duration::from_secs(3600)));
    commit(&hourly, "acme/tiny").await;
    age(dir.path());
    hub.forget();
    commit(&hourly, "acme/tiny").await;
    assert!(!hub.seen().is_empty());
    hub.forget();
    commit(&hourly, "acme/tiny").await;
    assert_eq!(hub.seen(), []);
}

/// Makes the last answer two hours old.
fn age(dir: &std::path::Path) {
    let path = disk::repo(dir, "acme/tiny").join("refs/main");
    let then = SystemTime::now() - Duration::from_secs(7200);
    File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

/// Fetches a model that is in the cache, and returns what was said about it.
async fn with_warnings(cache: &ModelCache) -> (Result<ModelFiles, CacheError>, Vec<String>) {
    let warnings = Mutex::new(Vec::new());
    let note = |event| {
        if let FetchEvent::Warning { message } = event {
            warnings.lock().unwrap().push(message);
        }
    };
    let result = cache.fetch(&spec("acme/tiny"), &note).await;
    (result, warnings.into_inner().unwrap())
}

#[tokio::test]
async fn what_is_cached_is_used_with_a_warning_when_the_hub_cannot_be_asked() {
    let dir = tempdir().unwrap();
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let always = refreshing(dir.path(), &hub, Refresh::Always);
    let first = always.fetch(&spec("acme/tiny"), &|_| ()).await.unwrap();
    for name in [
        "rate-limit-patience",
        "hang-up-always",
        "info-web-page",
        "info-truncated",
        "tree-truncated",
        "rate-limit-storm",
    ] {
        hub.heal();
        named::rules(name, 0).unwrap().into_iter().for_each(|rule| hub.trouble(rule));
        let (result, warnings) = with_warnings(&always).await;
        if name == "tree-truncated" {
            // Whether an unchanged commit is listed again is not laid down.
            assert_eq!(result.unwrap(), first, "{name}");
            continue;
        }
        assert_eq!(result.unwrap(), first, "{name}");
        assert_eq!(warnings.len(), 1, "{name}: {warnings:?}");
    }
    hub.heal();
    hub.trouble(Rule::always(On::Any, Trouble::Status(500)));
    assert_eq!(with_warnings(&always).await.1.len(), 1);
    let gone = hub.url();
    drop(hub);
    let always = cache(CacheConfig { refresh: Refresh::Always, ..config(dir.path(), &gone) });
    let (result, warnings) = with_warnings(&always).await;
    assert_eq!(result.unwrap(), first);
    assert!(warnings.iter().any(|warning| warning.contains(&gone)), "{warnings:?}");
    let offline =
        cache(CacheConfig { refresh: Refresh::Always, network: Network::Offline, ..config(dir.path(), &gone) });
    let (result, warnings) = with_warnings(&offline).await;
    assert_eq!((result.unwrap(), warnings), (first, vec![]), "who is offline by choice needs no warning");
}

/// A new commit of which not everything comes in leaves the old one in use.
#[tokio::test]
async fn a_new_commit_that_does_not_come_in_leaves_the_old_one() {
    let dir = tempdir().unwrap();
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let always = refreshing(dir.path(), &hub, Refresh::Always);
    let first = always.fetch(&spec("acme/tiny"), &|_| ()).await.unwrap();
    hub.change("acme/tiny", moved);
    hub.trouble(Rule::always(On::Bytes, Trouble::Status(500)).of("config.json"));
    let (result, warnings) = with_warnings(&always).await;
    assert_eq!(result.unwrap(), first);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(crate::offline(dir.path()).resolve(&spec("acme/tiny")).unwrap(), first);
    disk::assert_sound(dir.path());
    hub.heal();
    assert_eq!(commit(&always, "acme/tiny").await.as_deref(), Some(NEXT));
}

/// A new commit that is no model, as when somebody has uploaded half of one, leaves the old one in use.
#[tokio::test]
async fn a_new_commit_that_is_no_model_leaves_the_old_one() {
    let dir = tempdir().unwrap();
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let always = refreshing(dir.path(), &hub, Refresh::Always);
    let first = always.fetch(&spec("acme/tiny"), &|_| ()).await.unwrap();
    hub.change("acme/tiny", |repo| {
        let mut files = sample::checkpoint();
        files.remove("tokenizer.json");
        repo.commit(NEXT, files).branch("main", NEXT)
    });
    let (result, warnings) = with_warnings(&always).await;
    assert_eq!(result.unwrap(), first);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(crate::offline(dir.path()).resolve(&spec("acme/tiny")).unwrap(), first);
}

/// The commit that was asked for first is the one that comes in, whole.
#[tokio::test]
async fn a_branch_that_moves_meanwhile_does_not_mix_commits() {
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let dir = tempdir().unwrap();
    let model = spec("acme/tiny");
    let moves = |event| {
        if let FetchEvent::Started { .. } = event {
            hub.change("acme/tiny", moved);
        }
    };
    let cache = refreshing(dir.path(), &hub, Refresh::Never);
    let files = cache.fetch(&model, &moves).await.unwrap();
    assert_eq!(files.revision.as_deref(), Some(COMMIT));
    assert_eq!(fs::read(files.path.join("config.json")).unwrap(), sample::checkpoint()["config.json"]);
    disk::assert_sound(dir.path());
}
