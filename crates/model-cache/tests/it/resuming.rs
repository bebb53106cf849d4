//! Downloads that are given up in the middle and begun again: what is on the disk is not fetched again.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use model_cache::{CacheConfig, CacheError, FetchEvent, FetchLimits, ModelCache};
use tempfile::tempdir;
use tokio::sync::oneshot;

use crate::hub::sample::{self, WEIGHTS};
use crate::hub::{Hub, On, Rule, Trouble};
use crate::troubles_met::{BOUND, LARGE, MODEL, SMALL, hub};
use crate::{cache, config, disk, limits, online, spec};

/// Slow enough that a fetch can be given up at a chosen place.
fn slow() -> Rule {
    Rule::always(On::Bytes, Trouble::Pace(1 << 18, Duration::from_millis(5))).of(WEIGHTS)
}

/// Fetches until so many bytes are there, and drops the future.
async fn give_up_after(cache: &ModelCache, bytes: u64) {
    let (enough, seen) = oneshot::channel();
    let enough = Mutex::new(Some(enough));
    let watch = |event| {
        if let FetchEvent::Progress { done_bytes, .. } = event
            && done_bytes >= bytes
            && let Some(enough) = enough.lock().unwrap().take()
        {
            enough.send(()).unwrap();
        }
    };
    let model = spec(MODEL);
    tokio::select! {
        seen = seen => seen.unwrap(),
        result = cache.fetch(&model, &watch) => panic!("it cannot have ended: {result:?}"),
    }
}

/// What the first event of a fetch says to be there already.
async fn resumed_bytes(cache: &ModelCache) -> u64 {
    let resumed = Mutex::new(None);
    let watch = |event| {
        if let FetchEvent::Started { resumed_bytes, .. } = event {
            *resumed.lock().unwrap() = Some(resumed_bytes);
        }
    };
    tokio::time::timeout(BOUND, cache.fetch(&spec(MODEL), &watch)).await.expect("in bounded time").unwrap();
    resumed.into_inner().unwrap().unwrap()
}

/// Nobody writes any more: the thread of a dropped future ends when it notices.
fn quiet(dir: &Path, hub: &Hub) {
    assert!(crate::eventually(|| hub.under_way() == 0), "the Hub has noticed that nobody reads any more");
    let there = || disk::unfinished(dir, MODEL, &LARGE);
    assert!(crate::eventually(|| {
        let before = there();
        std::thread::sleep(Duration::from_millis(50));
        before == there()
    }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_was_given_up_goes_on_where_it_was() {
    let len = LARGE.len();
    for percent in [5, 50, 95] {
        let (hub, dir) = (hub(&LARGE, vec![slow()]), tempdir().unwrap());
        let cache = online(dir.path(), &hub);
        give_up_after(&cache, len * percent / 100).await;
        quiet(dir.path(), &hub);
        disk::assert_sound(dir.path());
        assert!(cache.resolve(&spec(MODEL)).is_err(), "half of a model is none");
        let there = disk::unfinished(dir.path(), MODEL, &LARGE);
        assert!(there + len / 100 >= len * percent / 100, "{there} bytes are there after {percent} %");
        hub.heal();
        hub.forget();
        let resumed = resumed_bytes(&cache).await;
        let sent = hub.sent(WEIGHTS);
        assert!(resumed + len / 100 >= there, "{resumed} of {there} bytes are used");
        assert!(sent + there <= len + len / 100, "{there} of {len} bytes were there, and {sent} were fetched");
        disk::assert_sound(dir.path());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_up_again_and_again() {
    let (hub, dir) = (hub(&LARGE, vec![slow()]), tempdir().unwrap());
    let cache = online(dir.path(), &hub);
    for percent in [10, 25, 40, 60, 80] {
        give_up_after(&cache, LARGE.len() * percent / 100).await;
        quiet(dir.path(), &hub);
    }
    let there = disk::unfinished(dir.path(), MODEL, &LARGE);
    hub.forget();
    resumed_bytes(&cache).await;
    assert!(hub.sent(WEIGHTS) + there <= LARGE.len() * 101 / 100);
    disk::assert_sound(dir.path());
    let left = disk::names(&disk::repo(dir.path(), MODEL).join("partial"));
    assert!(left.is_empty(), "nothing unfinished is left: {left:?}");
}

/// One that is killed when a file has its name, and before the record of it is gone, leaves that record behind.
#[tokio::test]
async fn the_record_of_a_file_that_is_whole_is_cleared() {
    let (hub, dir) = (hub(&SMALL, vec![]), tempdir().unwrap());
    let cache = online(dir.path(), &hub);
    cache.fetch(&spec(MODEL), &|_| ()).await.unwrap();
    let repo = disk::repo(dir.path(), MODEL);
    std::fs::remove_dir_all(repo.join("snapshots")).unwrap();
    for blob in disk::names(&repo.join("blobs")) {
        let folder = repo.join("partial").join(format!("{blob}.0f1e2d3c"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("ranges"), [0; 8]).unwrap();
    }
    hub.forget();
    assert_eq!(resumed_bytes(&cache).await, 0, "what is whole needs no bytes");
    assert_eq!(hub.sent(WEIGHTS), 0);
    let left = disk::names(&repo.join("partial"));
    assert!(left.is_empty(), "nothing unfinished is left: {left:?}");
}

/// A time limit is an interruption like the others.
#[tokio::test]
async fn a_time_limit_ends_it_and_the_next_fetch_goes_on() {
    let short = Duration::from_millis(300);
    for limits in [FetchLimits { total: short, ..limits() }, FetchLimits { file: short, ..limits() }] {
        let slowly = Rule::always(On::Bytes, Trouble::Pace(1 << 16, Duration::from_millis(5))).of(WEIGHTS);
        let (hub, dir) = (hub(&LARGE, vec![slowly]), tempdir().unwrap());
        let cache = cache(CacheConfig { limits, ..config(dir.path(), &hub.url()) });
        let error = cache.fetch(&spec(MODEL), &|_| ()).await.unwrap_err();
        assert!(matches!(error, CacheError::TimedOut { limit, .. } if limit == short), "{error:?}");
        assert!(error.to_string().contains("try again"), "{error}");
        quiet(dir.path(), &hub);
        disk::assert_sound(dir.path());
        let there = disk::unfinished(dir.path(), MODEL, &LARGE);
        hub.heal();
        hub.forget();
        resumed_bytes(&online(dir.path(), &hub)).await;
        assert!(hub.sent(WEIGHTS) + there <= LARGE.len() * 101 / 100);
    }
}

/// Bytes that were damaged while they waited are found out, and fetched anew.
#[tokio::test]
async fn a_damaged_part_is_found_out() {
    let stall = Rule::always(On::Bytes, Trouble::Stall(SMALL.len() / 2)).of(WEIGHTS);
    let (hub, dir) = (hub(&SMALL, vec![stall]), tempdir().unwrap());
    let cache = online(dir.path(), &hub);
    assert!(cache.fetch(&spec(MODEL), &|_| ()).await.is_err());
    let mut damaged = 0;
    for folder in disk::names(&disk::repo(dir.path(), MODEL).join("partial")) {
        let path = disk::repo(dir.path(), MODEL).join("partial").join(folder);
        let bytes = [path.join("bytes"), path].into_iter().find(|path| path.is_file()).unwrap();
        let mut there = std::fs::read(&bytes).unwrap();
        if there.len() > 100_000 {
            there[50_000] ^= 1;
            damaged += 1;
            std::fs::write(&bytes, there).unwrap();
        }
    }
    assert_eq!(damaged, 1);
    hub.heal();
    assert!(cache.fetch(&spec(MODEL), &|_| ()).await.is_ok());
    disk::assert_sound(dir.path());
}

/// Other files of the same model, complete when it was given up, are not fetched again.
#[tokio::test]
async fn complete_files_stay() {
    let (hub, dir) = (hub(&SMALL, vec![Rule::always(On::Bytes, Trouble::Status(500)).of(WEIGHTS)]), tempdir().unwrap());
    let cache = online(dir.path(), &hub);
    assert!(cache.fetch(&spec(MODEL), &|_| ()).await.is_err());
    hub.heal();
    hub.forget();
    cache.fetch(&spec(MODEL), &|_| ()).await.unwrap();
    for file in sample::checkpoint().keys().filter(|file| *file != WEIGHTS) {
        assert_eq!(hub.sent(file), 0, "{file}");
    }
}
