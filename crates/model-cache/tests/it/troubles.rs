//! A Hub that misbehaves in every way that has a name, and what must come of each: the right bytes or a named error.

use std::time::Duration;

use model_cache::{CacheError, Denial, FetchEvent};
use proptest::prelude::*;

use crate::hub::sample::{self, WEIGHTS};
use crate::hub::{Content, Hub, On, Repo, Rule, Trouble, named};
use crate::troubles_met::{LARGE, SMALL, meet, meet_rules};

/// Cuts: nothing is fetched twice.
macro_rules! cuts {
    ($($test:ident: $name:literal,)*) => {$(
        #[tokio::test]
        async fn $test() {
            let met = meet($name, &LARGE).await;
            met.cost_nothing();
            met.goes_on_where_it_broke_off();
            assert!(met.waited(), "the interruption was told");
        }
    )*};
}

cuts! {
    cut_0: "cut-0",
    cut_10: "cut-10",
    cut_20: "cut-20",
    cut_30: "cut-30",
    cut_40: "cut-40",
    cut_50: "cut-50",
    cut_60: "cut-60",
    cut_70: "cut-70",
    cut_80: "cut-80",
    cut_90: "cut-90",
}

/// Troubles that pass, or that do not matter: the right bytes, none of them twice.
macro_rules! harmless {
    ($($test:ident: $name:literal,)*) => {$(
        #[tokio::test]
        async fn $test() {
            meet($name, &SMALL).await.cost_nothing();
        }
    )*};
}

harmless! {
    small_digest_once: "small-digest-once",
    listed_size_small: "listed-size-small",
    listed_size_large: "listed-size-large",
    rate_limit_once: "rate-limit-once",
    server_errors: "server-errors",
    info_errors: "info-errors",
    stall_once: "stall-once",
    silence_once: "silence-once",
    slow: "slow",
    hang_up_once: "hang-up-once",
    other_etag: "other-etag",
}

/// Troubles that last: a named error, whose words say what to do, and no file under its final name.
macro_rules! fatal {
    ($($test:ident: $name:literal => $error:pat, $words:expr;)*) => {$(
        #[tokio::test]
        async fn $test() {
            let met = meet($name, &SMALL).await;
            met.failed(|error| matches!(error, $error), &$words).await;
        }
    )*};
}

fatal! {
    small_listed_size: "small-listed-size" => CacheError::Hub { .. }, ["config.json, which has 18"];
    rate_limit_storm: "rate-limit-storm" => CacheError::RateLimited { retry_after: Some(_), .. }, ["try again in 1 s"];
    rate_limit_patience: "rate-limit-patience" => CacheError::RateLimited { retry_after: Some(_), .. }, ["3600 s"];
    server_error_always: "server-error-always" => CacheError::Hub { .. }, ["500", "try again"];
    stall_always: "stall-always" => CacheError::Stalled { .. }, [WEIGHTS, "try again"];
    silence_always: "silence-always" => CacheError::Network { .. }, ["did not answer", "HTTPS_PROXY"];
    drip: "drip" => CacheError::Stalled { .. }, [WEIGHTS, "try again"];
    redirect_loop: "redirect-loop" => CacheError::Hub { .. }, ["redirect"];
    redirect_chain: "redirect-chain" => CacheError::Hub { .. }, ["redirect"];
    redirect_refused: "redirect-refused" => CacheError::Network { .. }, ["HTTPS_PROXY"];
    redirect_https: "redirect-https" => CacheError::Network { .. }, ["HTTPS_PROXY"];
    redirect_nowhere: "redirect-nowhere" => CacheError::Hub { .. }, ["302"];
    info_truncated: "info-truncated" => CacheError::Hub { .. }, ["HF_ENDPOINT"];
    tree_truncated: "tree-truncated" => CacheError::Hub { .. }, ["HF_ENDPOINT"];
    info_web_page: "info-web-page" => CacheError::Hub { .. }, ["HF_ENDPOINT"];
    tree_web_page: "tree-web-page" => CacheError::Hub { .. }, ["HF_ENDPOINT"];
    gated_401: "gated-401" => CacheError::AccessDenied { denial: Denial::TokenNeeded, .. }, ["token", "licence"];
    gated_403: "gated-403" => CacheError::AccessDenied { .. }, ["licence", "authorized list"];
    no_repository: "no-repository" => CacheError::NotFound { revision: None, .. }, ["acme/large", "spelling"];
    no_repository_401: "no-repository-401" => CacheError::NotFound { revision: None, .. }, ["token"];
    no_revision: "no-revision" => CacheError::NotFound { revision: Some(_), .. }, ["main"];
    file_404: "file-404" => CacheError::FileNotFound { .. }, [WEIGHTS];
    file_403: "file-403" => CacheError::Hub { .. }, ["Request has expired"];
    unsatisfiable: "unsatisfiable" => CacheError::Hub { .. }, ["416"];
    hang_up_always: "hang-up-always" => CacheError::Network { .. }, ["HTTPS_PROXY"];
}

#[test]
fn every_name_has_its_rules() {
    for name in named::NAMES {
        assert!(named::rules(name, 1000).is_some(), "{name}");
    }
    assert!(named::rules("no-such-trouble", 1000).is_none());
}

#[tokio::test]
async fn digest_once() {
    let met = meet("digest-once", &SMALL).await;
    met.has_all();
    assert_eq!(met.hub.sent(WEIGHTS), 2 * SMALL.len(), "fetched once more");
    let warned = met.events.iter().position(|event| matches!(event, FetchEvent::Warning { .. })).unwrap();
    let mut done = met.events[warned..].iter().filter_map(|event| match event {
        FetchEvent::Progress { file, file_done_bytes, .. } if file == WEIGHTS => Some(*file_done_bytes),
        _ => None,
    });
    assert_eq!((done.next(), done.next_back()), (Some(0), Some(SMALL.len())), "it starts over");
}

#[tokio::test]
async fn digest_always() {
    let met = meet("digest-always", &SMALL).await;
    assert_eq!(met.hub.sent(WEIGHTS), 2 * SMALL.len(), "fetched once more, and no more");
    met.failed(|error| matches!(error, CacheError::DigestMismatch { file, .. } if file == WEIGHTS), &["proxy"]).await;
}

/// A host without ranges sends the file from its start each time, of which only what is missing is kept.
#[tokio::test]
async fn no_range() {
    for (weights, name) in [(&*SMALL, "one segment"), (&*LARGE, "two segments")] {
        let met = meet("no-range", weights).await;
        met.has_all();
        assert!(met.hub.sent(WEIGHTS) <= 3 * weights.len(), "{name}");
    }
}

#[tokio::test]
async fn no_range_and_a_cut() {
    let mut rules = named::rules("no-range", 0).unwrap();
    rules.push(Rule::first(1, On::Bytes, Trouble::Cut(LARGE.len() / 2)).of(WEIGHTS).after(2));
    meet_rules(rules, &LARGE).await.has_all();
}

/// Where another range comes than was asked for, its bytes are not put where those belong.
#[tokio::test]
async fn wrong_range() {
    let met = meet("wrong-range", &LARGE).await;
    met.failed(|error| matches!(error, CacheError::Hub { .. }), &["another part"]).await;
}

/// More than the file is not read.
#[tokio::test]
async fn endless() {
    for weights in [&*SMALL, &*LARGE] {
        let met = meet("endless", weights).await;
        met.has_all();
        let over = || met.hub.under_way() == 0;
        assert!(crate::eventually(over), "the Hub has noticed that nobody reads any more");
    }
}

#[tokio::test]
async fn file_web_page() {
    for weights in [&*SMALL, &*LARGE] {
        let met = meet("file-web-page", weights).await;
        met.failed(|error| matches!(error, CacheError::Hub { .. }), &[WEIGHTS, "sent 19 bytes"]).await;
    }
}

/// An answer that is not as long as the file is none, and another one is asked for.
#[tokio::test]
async fn length_short_and_length_long() {
    for name in ["length-short", "length-long"] {
        for weights in [&*SMALL, &*LARGE] {
            let met = meet(name, weights).await;
            met.has_all();
            assert!(met.waited() || weights.len() == LARGE.len(), "{name}");
        }
    }
}

/// With a whole file a wrong length is an error; of a part, what comes in is used.
#[tokio::test]
async fn lengths_that_are_always_wrong() {
    for off in [-1000, 1000] {
        let met = meet_rules(vec![Rule::always(On::Bytes, Trouble::LengthOff(off)).of(WEIGHTS)], &SMALL).await;
        met.failed(|error| matches!(error, CacheError::Hub { .. }), &["bytes for model.safetensors, which has"]).await;
    }
}

/// The Hub says when to come again, and that is when the next try comes.
#[tokio::test]
async fn retry_after_is_honoured() {
    for status in [429, 503] {
        let met =
            meet_rules(vec![Rule::first(1, On::Resolve, Trouble::RetryAfter(status, 1)).of(WEIGHTS)], &SMALL).await;
        met.cost_nothing();
        let second = Duration::from_secs(1);
        let waits = |event: &FetchEvent| matches!(event, FetchEvent::Waiting { delay, .. } if *delay >= second);
        assert!(met.events.iter().any(waits), "{status}: {:?}", met.events);
    }
}

/// A tokenizer is large enough to lie where the weights do.
#[tokio::test]
async fn large_files_that_are_no_weights() {
    let mut files = sample::checkpoint();
    files.insert("tokenizer.json".to_owned(), format!("{{\"a\": \"{}\"}}", "x".repeat(11_000_000)).into_bytes());
    let (hub, dir) = (Hub::start(vec![Repo::new("acme/words", files)]), tempfile::tempdir().unwrap());
    hub.trouble(Rule::first(1, On::Bytes, Trouble::Cut(5_000_000)).of("tokenizer.json"));
    crate::online(dir.path(), &hub).fetch(&crate::spec("acme/words"), &|_| ()).await.unwrap();
    crate::disk::assert_sound(dir.path());
    assert_eq!(hub.sent("tokenizer.json"), 11_000_009);
    assert!(hub.seen().iter().any(|seen| seen.path.starts_with("/cdn/") && seen.path.ends_with("tokenizer.json")));
}

#[tokio::test]
async fn several_troubles_at_once() {
    let rules = [30, 60, 90]
        .map(|percent| Rule::first(1, On::Bytes, Trouble::Cut(LARGE.len() * percent / 100)).of(WEIGHTS))
        .into_iter()
        .chain(named::rules("server-errors", 0).unwrap())
        .chain(named::rules("stall-once", LARGE.len()).unwrap())
        .chain([Rule::first(1, On::Bytes, Trouble::RetryAfter(429, 1)).of(WEIGHTS).after(3)])
        .collect();
    meet_rules(rules, &LARGE).await.cost_nothing();
}

/// A little more than a segment, so that cuts fall into both.
fn two_segments() -> Content {
    sample::weights(36_000_000).into()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cuts_anywhere(places in prop::collection::vec(0.0..1.0, 1..5)) {
        let weights = two_segments();
        let cut = |place: f64| {
            let place = (weights.len() as f64 * place) as u64;
            Rule::first(1, On::Bytes, Trouble::Cut(place)).of(WEIGHTS)
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(meet_rules(places.into_iter().map(cut).collect(), &weights)).cost_nothing();
    }
}
