//! Who may fetch when several want to: fetches in one process, and leases that others have left. Several processes are
//! tested with the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use model_cache::CacheError;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::hub::sample::WEIGHTS;
use crate::hub::{Hub, On, Rule, Trouble};
use crate::troubles_met::{BOUND, LARGE, MODEL, SMALL, hub};
use crate::{disk, online, spec};

/// As long as nobody would wait for a living owner.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn eight_fetches_at_once_fetch_once() {
    let (hub, dir) = (hub(&LARGE, vec![]), tempdir().unwrap());
    let cache = online(dir.path(), &hub);
    let fetches = (0..8).map(|_| {
        let cache = cache.clone();
        async move { cache.fetch(&spec(MODEL), &|_| ()).await }
    });
    let results = tokio::time::timeout(BOUND, join_all(fetches)).await.expect("in bounded time");
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    disk::assert_sound(dir.path());
    assert_eq!(hub.sent(WEIGHTS), LARGE.len());
    assert_eq!(leases(dir.path()), [] as [PathBuf; 0], "they are given back");
}

/// One of several is given up while it fetches: another one goes on with what it left.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_in_line_goes_on() {
    let (hub, dir) = (slow_hub(), tempdir().unwrap());
    let cache = online(dir.path(), &hub);
    let first = tokio::spawn({
        let cache = cache.clone();
        async move { cache.fetch(&spec(MODEL), &|_| ()).await }
    });
    let there = || disk::unfinished(dir.path(), MODEL, &LARGE);
    assert!(crate::eventually(|| there() > LARGE.len() / 10));
    let others = join_all((0..3).map(|_| {
        let cache = cache.clone();
        tokio::spawn(async move { cache.fetch(&spec(MODEL), &|_| ()).await })
    }));
    first.abort();
    let results = tokio::time::timeout(BOUND, others).await.expect("in bounded time");
    assert!(results.iter().all(|result| result.as_ref().unwrap().is_ok()), "{results:?}");
    disk::assert_sound(dir.path());
    // What was on the way to the one that was given up comes twice.
    assert!(hub.sent(WEIGHTS) <= LARGE.len() + LARGE.len() / 20, "{} bytes", hub.sent(WEIGHTS));
}

fn slow_hub() -> Hub {
    let pace = Trouble::Pace(1 << 17, Duration::from_millis(5));
    hub(&LARGE, vec![Rule::always(On::Bytes, pace).of(WEIGHTS)])
}

fn leases(dir: &Path) -> Vec<PathBuf> {
    let folder = dir.join(".locks").join(format!("models--{}", MODEL.replace('/', "--")));
    let names = disk::names(&folder).into_iter().filter(|name| name.ends_with(".lease"));
    names.map(|name| folder.join(name)).collect()
}

/// A lease on the weights as it stands while they are fetched, with its place.
async fn taken() -> (TempDir, Hub, PathBuf, Value) {
    let stall = Rule::always(On::Bytes, Trouble::Stall(SMALL.len() / 2)).of(WEIGHTS);
    let (hub, dir) = (hub(&SMALL, vec![stall]), tempdir().unwrap());
    let cache = online(dir.path(), &hub);
    let fetch = tokio::spawn(async move { cache.fetch(&spec(MODEL), &|_| ()).await });
    let mut found = None;
    assert!(crate::eventually(|| disk::unfinished(dir.path(), MODEL, &SMALL) > 0));
    for lease in leases(dir.path()) {
        found = Some((lease.clone(), serde_json::from_slice(&fs::read(&lease).unwrap()).unwrap()));
    }
    fetch.abort();
    assert!(crate::eventually(|| leases(dir.path()).is_empty()), "who gives up gives the lease back");
    hub.heal();
    let (place, record) = found.unwrap();
    (dir, hub, place, record)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_says_whose_it_is_and_a_dead_ones_blocks_nobody() {
    let (dir, hub, place, mut record) = taken().await;
    assert_eq!(record["pid"], std::process::id());
    for word in ["host", "nonce", "beat"] {
        assert!(!record[word].is_null(), "{word} in {record}");
    }
    // The same machine and number, but the process that has it now began at another time.
    record["started"] = "1".into();
    fs::write(&place, record.to_string()).unwrap();
    let cache = online(dir.path(), &hub);
    let fetched = tokio::time::timeout(SOON, cache.fetch(&spec(MODEL), &|_| ())).await;
    assert!(fetched.expect("a dead one's lease is not waited for").is_ok());
    disk::assert_sound(dir.path());
}

/// A lease of another machine, and one that says nothing at all, are waited for, and in the end taken over.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_lease_is_taken_over() {
    let attempts = ["another machine's", "an empty one", "one that is no lease"].map(|what| async move {
        let (dir, hub, place, mut record) = taken().await;
        record["host"] = "elsewhere".into();
        let text = match what {
            "an empty one" => String::new(),
            "one that is no lease" => "{]".to_owned(),
            _ => record.to_string(),
        };
        fs::write(&place, text).unwrap();
        let cache = online(dir.path(), &hub);
        let early = tokio::time::timeout(Duration::from_secs(3), cache.fetch(&spec(MODEL), &|_| ())).await;
        assert!(early.is_err(), "{what}: its owner may be alive: {early:?}");
        let fetched = tokio::time::timeout(BOUND, cache.fetch(&spec(MODEL), &|_| ())).await;
        fetched.unwrap_or_else(|_| panic!("{what} is waited for without end")).unwrap();
        disk::assert_sound(dir.path());
    });
    join_all(attempts).await;
}

/// Another one's name in the lease: the first owner publishes nothing under its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_was_lost_is_noticed() {
    let (_, _, _, mut record) = taken().await;
    record["host"] = "elsewhere".into();
    record["nonce"] = "another".into();
    let (hub, dir) = (slow_hub(), tempdir().unwrap());
    let cache = online(dir.path(), &hub);
    let fetch = tokio::spawn(async move { cache.fetch(&spec(MODEL), &|_| ()).await });
    assert!(crate::eventually(|| disk::unfinished(dir.path(), MODEL, &LARGE) > LARGE.len() / 10));
    let [place] = &leases(dir.path())[..] else { panic!("one lease") };
    let aside = place.with_extension("test");
    fs::write(&aside, record.to_string()).unwrap();
    fs::rename(&aside, place).unwrap();
    hub.heal();
    let blobs = disk::repo(dir.path(), MODEL).join("blobs");
    let before = disk::names(&blobs);
    // Longer than the bytes take, and shorter than a silent owner is waited for.
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(disk::names(&blobs), before, "nothing is published without the lease");
    let fetched: Result<_, CacheError> = tokio::time::timeout(BOUND, fetch).await.expect("in bounded time").unwrap();
    fetched.unwrap();
    disk::assert_sound(dir.path());
}
