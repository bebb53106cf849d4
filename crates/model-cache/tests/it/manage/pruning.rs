//! What goes and what stays when room is made.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use model_cache::{CacheConfig, KeptBecause, ModelCache, ModelsLock, PruneMode, PruneOptions, Pruned, Removed};

use super::handmade::{DAY, Handmade, NEW, OLD, age, checkpoint, safetensors, sha256, spec, walk, write};

fn prune(handmade: &Handmade, older_than: Option<Duration>) -> Pruned {
    let report = handmade.cache().prune(&PruneOptions { older_than, mode: PruneMode::Report }).unwrap();
    let before = walk(handmade.path());
    let again = handmade.cache().prune(&PruneOptions { older_than, mode: PruneMode::Report }).unwrap();
    assert_eq!((walk(handmade.path()), &again), (before, &report), "a report changes nothing");
    let pruned = handmade.cache().prune(&PruneOptions { older_than, mode: PruneMode::Remove }).unwrap();
    assert_eq!(pruned, report, "what is done is what was reported");
    pruned
}

fn commits(handmade: &Handmade) -> Vec<String> {
    handmade.cache().list().unwrap().models.into_iter().filter_map(|model| model.commit).collect()
}

fn why(pruned: &Pruned) -> Vec<(&str, KeptBecause)> {
    pruned.kept.iter().map(|kept| (kept.commit.as_str(), kept.because)).collect()
}

#[test]
fn old_versions_go_and_leave_nothing_behind() {
    let handmade = Handmade::with_two_versions();
    let pruned = prune(&handmade, None);
    assert_eq!(commits(&handmade), [NEW]);
    assert_eq!(why(&pruned), [(NEW, KeptBecause::Current)]);
    assert_eq!(pruned.freed, safetensors(100).len() as u64, "what the new version has as well stays");
    assert_eq!(handmade.loose_ends("acme/tiny"), [] as [&Path; 0]);
    handmade.cache().resolve(&spec("acme/tiny")).unwrap();
    assert_eq!(prune(&handmade, None).removed, []);
}

#[test]
fn old_versions_that_share_files_all_go_at_once() {
    let handmade = Handmade::with_two_versions();
    for digit in ["3", "4"] {
        handmade.version("acme/tiny", &digit.repeat(40), &checkpoint(100));
    }
    let pruned = prune(&handmade, None);
    assert_eq!(why(&pruned), [(NEW, KeptBecause::Current)]);
    assert_eq!(commits(&handmade), [NEW]);
}

#[test]
fn what_is_in_the_lock_file_stays() {
    let handmade = Handmade::with_two_versions();
    let old = spec(&format!("acme/tiny@{OLD}"));
    let mut lock = ModelsLock::default();
    lock.insert(&old, handmade.cache().lock_entry(&old).unwrap());
    let locked = ModelCache::new(CacheConfig { lock: Some(lock), ..CacheConfig::new(handmade.path()) }).unwrap();
    let pruned = locked.prune(&PruneOptions { older_than: Some(Duration::ZERO), mode: PruneMode::Remove }).unwrap();
    assert_eq!(why(&pruned), [(OLD, KeptBecause::Locked)]);
    assert_eq!(commits(&handmade), [OLD]);
}

#[test]
fn what_is_pinned_or_in_use_stays() {
    let handmade = Handmade::with_two_versions();
    handmade.cache().pin(&spec(&format!("acme/tiny@{OLD}"))).unwrap();
    assert_eq!(why(&prune(&handmade, None)), [(OLD, KeptBecause::Pinned), (NEW, KeptBecause::Current)]);
    handmade.cache().unpin(&spec(&format!("acme/tiny@{OLD}"))).unwrap();
    let held = handmade.cache().resolve(&spec(&format!("acme/tiny@{OLD}"))).unwrap().hold().unwrap();
    assert_eq!(why(&prune(&handmade, None)), [(OLD, KeptBecause::InUse), (NEW, KeptBecause::Current)]);
    drop(held);
    assert_eq!(why(&prune(&handmade, None)), [(NEW, KeptBecause::Current)]);
}

#[test]
fn current_versions_go_when_nobody_has_used_them_for_long() {
    let handmade = Handmade::with_two_versions();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        age(&handmade.blob("acme/tiny", NEW, file), 31 * DAY);
    }
    assert_eq!(why(&prune(&handmade, Some(32 * DAY))), [(NEW, KeptBecause::Current)]);
    let pruned = prune(&handmade, Some(30 * DAY));
    let version = |removed: &Removed| match removed {
        Removed::Version { references, .. } => Some(references.clone()),
        _ => None,
    };
    assert_eq!(pruned.removed.iter().find_map(version).unwrap(), ["main"]);
    assert!(!handmade.repo("acme/tiny").exists(), "{:?}", walk(&handmade.repo("acme/tiny")));
}

#[test]
fn bytes_that_an_interrupted_prune_left_go_with_the_next() {
    let handmade = Handmade::with_two_versions();
    let snapshots = handmade.repo("acme/tiny").join("snapshots");
    // As if it had been killed between the name and the links, and once between the links and the bytes.
    let aside = snapshots.join(format!("{OLD}.{}.tmp", "0".repeat(32)));
    fs::rename(snapshots.join(OLD), &aside).unwrap();
    let orphan = handmade.repo("acme/tiny").join("blobs").join(sha256(b"orphan"));
    fs::write(&orphan, b"orphan").unwrap();
    let pruned = prune(&handmade, None);
    assert!(pruned.removed.contains(&Removed::Blob { path: orphan, bytes: 6 }), "{pruned:?}");
    assert!(pruned.removed.contains(&Removed::Leftover { path: aside }), "{pruned:?}");
    assert_eq!(handmade.loose_ends("acme/tiny"), [] as [&Path; 0]);
}

#[test]
fn what_is_being_fetched_stays() {
    let handmade = Handmade::with_two_versions();
    let repo = handmade.repo("acme/tiny");
    let digest = "a".repeat(64);
    let partial = repo.join("partial").join(format!("{digest}.nonce"));
    write(&partial, &vec![("bytes", vec![1; 100]), ("ranges", vec![0; 8])]);
    let lease = handmade.path().join(".locks/models--acme--tiny").join(format!("{digest}.lease"));
    fs::create_dir_all(lease.parent().unwrap()).unwrap();
    fs::write(&lease, "{}").unwrap();
    let pruned = prune(&handmade, Some(Duration::ZERO));
    assert_eq!(why(&pruned), [(OLD, KeptBecause::Fetching), (NEW, KeptBecause::Fetching)]);
    assert!(pruned.removed.is_empty() && partial.exists());
    // Its owner has fallen silent, but only just: the next fetch may go on with what it left.
    age(&lease, Duration::from_secs(120));
    prune(&handmade, None);
    assert!(partial.exists() && lease.exists());
    for path in [&lease, &partial.join("bytes"), &partial.join("ranges"), &partial] {
        age(path, 2 * DAY);
    }
    let pruned = prune(&handmade, None);
    assert!(pruned.freed >= 100 && !partial.exists() && !lease.exists(), "{pruned:?}");
}

#[test]
fn bytes_that_an_interrupted_download_has_brought_stay_for_a_day() {
    let handmade = Handmade::with_two_versions();
    let repo = handmade.repo("acme/tiny");
    let bytes = safetensors(300);
    let (digest, listing) = (sha256(&bytes), repo.join("listings").join(format!("{}.json", "3".repeat(40))));
    fs::write(repo.join("blobs").join(&digest), &bytes).unwrap();
    fs::create_dir_all(listing.parent().unwrap()).unwrap();
    let text = format!(
        r#"{{"files": [{{"path": "model.safetensors", "size": {}, "digest": "{digest}"}}], "checkpoint": []}}"#,
        bytes.len()
    );
    fs::write(&listing, text).unwrap();
    prune(&handmade, None);
    assert!(repo.join("blobs").join(&digest).exists());
    age(&listing, 2 * DAY);
    prune(&handmade, None);
    assert!(!repo.join("blobs").join(&digest).exists() && !listing.exists());
}

#[test]
fn temporary_names_go_after_a_day_and_other_programs_files_stay() {
    let handmade = Handmade::with_two_versions();
    let repo = handmade.repo("acme/tiny");
    let temporary = repo.join(format!("refs/main.{}.tmp", "0".repeat(32)));
    fs::write(&temporary, "half").unwrap();
    let incomplete = repo.join("blobs/abc.incomplete");
    fs::write(&incomplete, "half").unwrap();
    let lock = handmade.path().join(".locks/models--acme--tiny/abc.lock");
    write(lock.parent().unwrap(), &vec![("abc.lock", Vec::new())]);
    let python = handmade.path().join("acme--python");
    write(&python, &checkpoint(1));
    prune(&handmade, None);
    assert!(temporary.exists() && incomplete.exists());
    age(&temporary, 2 * DAY);
    age(&incomplete, 2 * DAY);
    let locked = File::open(&lock).unwrap();
    locked.lock().unwrap();
    prune(&handmade, None);
    assert!(!temporary.exists() && incomplete.exists(), "huggingface_hub is at work on it");
    drop(locked);
    prune(&handmade, Some(Duration::ZERO));
    assert!(!incomplete.exists() && lock.exists() && python.join("config.json").exists());
}

#[test]
fn links_out_of_the_repository_are_not_followed() {
    let handmade = Handmade::with_two_versions();
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), &checkpoint(5));
    let old = handmade.snapshot("acme/tiny", OLD);
    symlink(outside.path(), old.join("folder")).unwrap();
    symlink(outside.path().join("config.json"), old.join("stolen.json")).unwrap();
    symlink("stolen.json", old.join("again.json")).unwrap();
    symlink("loop", old.join("loop")).unwrap();
    symlink(outside.path(), handmade.repo("acme/tiny").join("snapshots").join("3".repeat(40))).unwrap();
    prune(&handmade, Some(Duration::ZERO));
    assert_eq!(walk(outside.path()).len(), 3);
    assert!(!old.exists());

    let linked = Handmade::with_two_versions();
    let blobs = linked.repo("acme/tiny").join("blobs");
    fs::rename(&blobs, outside.path().join("blobs")).unwrap();
    symlink(outside.path().join("blobs"), &blobs).unwrap();
    assert_eq!(why(&prune(&linked, None)), [(OLD, KeptBecause::Linked), (NEW, KeptBecause::Linked)]);
}

#[test]
fn snapshots_without_links_go_too() {
    let handmade = Handmade::new();
    write(&handmade.snapshot("acme/tiny", OLD), &checkpoint(100));
    let pruned = prune(&handmade, None);
    assert_eq!(pruned.freed, checkpoint(100).iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>());
    assert!(!handmade.repo("acme/tiny").exists());
}
