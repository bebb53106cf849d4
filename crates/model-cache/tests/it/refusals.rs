//! What the cache says when the Hub refuses, answers badly or is not there.

use std::fs;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use model_cache::{CacheConfig, CacheError, Denial, FetchEvent, ModelCache, Network, Problem};
use tempfile::tempdir;

use crate::hub::{Access, COMMIT, Hub, Repo, Trouble, etag};
use crate::{cache, config, offline, online, sample, spec};

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
    let mut pickled = sample::repo("acme/pickled");
    pickled.files.remove("model.safetensors");
    let hub = Hub::start(vec![pickled]);
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
    let hub = Hub::start(vec![Repo { access: Access::Gated("hf_good"), ..sample::repo("acme/gated") }]);
    let dir = tempdir().unwrap();
    let anonymous = config(dir.path(), &hub.url());
    let stranger = CacheConfig { token: Some("hf_other".parse().unwrap()), ..anonymous.clone() };
    for (config, expected) in [(anonymous, Denial::TokenNeeded), (stranger, Denial::NotPermitted)] {
        let error = failure(&cache(config), "acme/gated").await;
        let text = error.to_string();
        assert!(text.contains("token") && text.contains("licence") && text.contains("is restricted"), "{text}");
        assert!(matches!(error, CacheError::AccessDenied { denial, .. } if denial == expected), "{text}");
    }
}

#[tokio::test]
async fn an_error_page_is_never_taken_for_a_file() {
    for refused in ["chat_template.jinja", "config.json", "tokenizer.json"] {
        let hub = Hub::start(vec![Repo { trouble: Trouble::Refused(refused), ..sample::repo("acme/tiny") }]);
        let dir = tempdir().unwrap();
        let cache = online(dir.path(), &hub);
        let error = failure(&cache, "acme/tiny").await;
        let CacheError::Incomplete { path, missing } = &error else { panic!("{error:?}") };
        assert!(missing.iter().all(|fault| fault.file == refused), "{error}");
        assert!(missing.iter().any(|fault| matches!(fault.problem, Problem::Length { actual: 20, .. })), "{error}");
        assert!(!path.join(refused).exists(), "{refused} is gone, with its bytes");
        assert!(!path.join("../../blobs").join(etag(refused)).exists());
        assert!(path.join("model.safetensors").exists(), "what is whole stays");
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
async fn a_web_page_is_no_usable_answer() {
    let hub = Hub::start(vec![Repo { trouble: Trouble::WebPage, ..sample::repo("acme/tiny") }]);
    let dir = tempdir().unwrap();
    let error = failure(&online(dir.path(), &hub), "acme/tiny").await;
    assert!(matches!(error, CacheError::Hub { .. }), "{error:?}");
}

#[tokio::test]
async fn a_cut_connection_leaves_no_file() {
    let hub = Hub::start(vec![Repo { trouble: Trouble::Cut, ..sample::repo("acme/tiny") }]);
    let dir = tempdir().unwrap();
    let cache = online(dir.path(), &hub);
    let error = failure(&cache, "acme/tiny").await;
    assert!(matches!(error, CacheError::Network { .. }), "{error:?}");
    let repo = dir.path().join("models--acme--tiny");
    assert!(!repo.join("blobs").join(etag("model.safetensors")).exists());
    assert!(matches!(cache.resolve(&spec("acme/tiny")), Err(CacheError::NotCached { .. })));
}

#[tokio::test]
async fn dropping_the_future_stops_the_download() {
    let (ended, seen_end) = mpsc::channel();
    let hub = Hub::start(vec![Repo { trouble: Trouble::Endless(ended), ..sample::repo("acme/tiny") }]);
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
    let seen_end = tokio::task::spawn_blocking(move || seen_end.recv_timeout(Duration::from_secs(30)));
    assert_eq!(seen_end.await.unwrap(), Ok(()), "the Hub has noticed that nobody reads any more");
    drop(hub);
}
