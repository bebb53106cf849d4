//! What the cache says when the Hub refuses, answers badly or is not there.

use std::fs;
use std::sync::Mutex;
use std::time::Duration;

use model_cache::{CacheConfig, CacheError, Denial, FetchEvent, ModelCache, Network};
use tempfile::tempdir;

use crate::hub::{COMMIT, Hub, INVALID_TOKEN, On, Rule, Trouble, sample};
use crate::{cache, config, disk, offline, online, spec};

async fn failure(cache: &ModelCache, model: &str) -> CacheError {
    cache.fetch(&spec(model), &|_| ()).await.unwrap_err()
}

#[tokio::test]
async fn missing_repositories_and_revisions_are_not_found() {
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let dir = tempdir().unwrap();
    let cache = online(dir.path(), &hub);
    let no_commit = "f".repeat(40);
    for (model, expected) in [
        ("acme/absent".to_owned(), None),
        (format!("acme/absent@{COMMIT}"), None),
        ("acme/tiny@absent".to_owned(), Some("absent")),
        (format!("acme/tiny@{no_commit}"), Some(no_commit.as_str())),
    ] {
        let error = failure(&cache, &model).await;
        assert!(error.to_string().contains("not found"), "{error}");
        assert!(
            matches!(&error, CacheError::NotFound { revision, .. } if revision.as_deref() == expected),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_repository_without_what_is_needed_names_the_file() {
    let hub = Hub::start(vec![sample::repo("acme/pickled").without("model.safetensors")]);
    let dir = tempdir().unwrap();
    let cache = online(dir.path(), &hub);
    for (model, expected) in [("acme/pickled", "model.safetensors"), ("acme/pickled:absent.gguf", "absent.gguf")] {
        let error = failure(&cache, model).await;
        assert!(error.to_string().contains("not found"), "{error}");
        assert!(matches!(&error, CacheError::FileNotFound { file, .. } if file == expected), "{error:?}");
    }
}

#[tokio::test]
async fn a_gated_repository_says_what_is_lacking() {
    let hub = Hub::start(vec![sample::repo("acme/gated").gated("hf_good")]);
    let dir = tempdir().unwrap();
    let anonymous = config(dir.path(), &hub.url());
    let with = |token: &str| CacheConfig { token: Some(token.parse().unwrap()), ..anonymous.clone() };
    for (config, expected, words) in [
        (anonymous.clone(), Denial::TokenNeeded, ["licence", "is restricted"]),
        (with("hf_other"), Denial::NotPermitted, ["licence", "is restricted"]),
        (with(INVALID_TOKEN), Denial::TokenRejected, ["not valid", "Invalid credentials"]),
    ] {
        let error = failure(&cache(config), "acme/gated").await;
        let text = error.to_string();
        assert!(text.contains("token") && words.iter().all(|word| text.contains(word)), "{text}");
        assert!(matches!(error, CacheError::AccessDenied { denial, .. } if denial == expected), "{text}");
    }
}

#[tokio::test]
async fn an_error_page_is_never_taken_for_a_file() {
    for refused in ["chat_template.jinja", "config.json", "tokenizer.json"] {
        let hub = Hub::troubled(
            vec![sample::repo("acme/tiny")],
            vec![Rule::always(On::Resolve, Trouble::WebPage).of(refused)],
        );
        let dir = tempdir().unwrap();
        let cache = online(dir.path(), &hub);
        let error = failure(&cache, "acme/tiny").await;
        let text = error.with_causes();
        assert!(text.contains(refused), "{text}");
        disk::assert_sound(dir.path());
        let blobs = disk::names(&disk::repo(dir.path(), "acme/tiny").join("blobs"));
        assert!(!blobs.contains(&sample::repo("acme/tiny").etag(refused)), "{refused}");
        assert!(matches!(cache.resolve(&spec("acme/tiny")), Err(CacheError::NotCached { .. })));
    }
}

#[tokio::test]
async fn a_hub_that_is_not_one_or_not_there_is_named() {
    let dir = tempdir().unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = failure(&cache(config(dir.path(), &format!("http://{closed}"))), "acme/tiny").await;
    assert!(matches!(&error, CacheError::Network { endpoint, .. } if endpoint.contains("127.0.0.1")), "{error:?}");

    let hub = Hub::start(vec![]);
    let elsewhere = format!("{}/no/hub/here", hub.url());
    let error = failure(&cache(config(dir.path(), &elsewhere)), "acme/tiny").await;
    assert!(matches!(error, CacheError::NotFound { .. }), "{error:?}");

    let no_url = CacheConfig { endpoint: Some("huggingface.co".to_owned()), ..config(dir.path(), "") };
    assert!(matches!(ModelCache::new(no_url), Err(CacheError::InvalidConfig { .. })));
}

#[tokio::test]
async fn offline_says_so() {
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let dir = tempdir().unwrap();
    let offline_but_connected = cache(CacheConfig { network: Network::Offline, ..config(dir.path(), &hub.url()) });
    for error in [
        failure(&offline_but_connected, "acme/tiny").await,
        offline(dir.path()).resolve(&spec("acme/tiny")).unwrap_err(),
    ] {
        assert!(matches!(error, CacheError::NotCached { network: Network::Offline, .. }), "{error:?}");
        assert!(error.to_string().contains("offline"), "{error}");
    }
    assert_eq!(hub.seen(), []);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is written");
}

#[tokio::test]
async fn dropping_the_future_stops_the_download() {
    let slowly = Trouble::Pace(1, Duration::from_millis(20));
    let hub =
        Hub::troubled(vec![sample::repo("acme/tiny")], vec![Rule::always(On::Bytes, slowly).of("model.safetensors")]);
    let dir = tempdir().unwrap();
    let cache = online(dir.path(), &hub);
    let (started, seen_start) = tokio::sync::oneshot::channel();
    let started = Mutex::new(Some(started));
    let signal = |event| {
        if let FetchEvent::Progress { file, .. } = event
            && file == "model.safetensors"
            && let Some(started) = started.lock().unwrap().take()
        {
            started.send(()).unwrap();
        }
    };
    let model = spec("acme/tiny");
    tokio::select! {
        _ = seen_start => {}
        result = cache.fetch(&model, &signal) => panic!("it cannot end: {result:?}"),
    }
    assert!(crate::eventually(|| hub.under_way() == 0), "the Hub has noticed that nobody reads any more");
}

#[tokio::test]
async fn what_is_not_allowed_is_not_even_asked_for() {
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let dir = tempdir().unwrap();
    let allowed = "Qwen/*, acme/other".parse().unwrap();
    let error = failure(&cache(CacheConfig { allowed, ..config(dir.path(), &hub.url()) }), "acme/tiny").await;
    assert!(matches!(&error, CacheError::NotAllowed { repo } if repo.name() == "tiny"), "{error:?}");
    assert_eq!(hub.seen(), []);
}
