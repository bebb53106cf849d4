//! Volumes that are full, become full, or cannot be written to.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use model_cache::{CacheConfig, CacheError, FetchLimits, ModelCache, Refresh};
use tempfile::{TempDir, tempdir};

use crate::hub::sample::WEIGHTS;
use crate::hub::{Hub, On, Rule, Trouble};
use crate::troubles_met::{LARGE, MODEL, hub};
use crate::{cache, config, disk, limits, spec};

fn keeping_free(dir: &Path, hub: &Hub, keep_free: u64) -> ModelCache {
    cache(CacheConfig { limits: FetchLimits { keep_free, ..limits() }, ..config(dir, &hub.url()) })
}

#[tokio::test]
async fn too_little_room_is_told_before_a_byte_is_fetched() {
    let (hub, dir) = (hub(&LARGE, vec![]), tempdir().unwrap());
    let error = keeping_free(dir.path(), &hub, u64::MAX / 2).fetch(&spec(MODEL), &|_| ()).await.unwrap_err();
    let text = error.with_causes();
    assert!(matches!(error, CacheError::NoSpace { needed: Some(needed), .. } if needed >= LARGE.len()), "{error:?}");
    assert!(text.contains("48 MiB") && text.contains("lacking"), "{text}");
    assert!(hub.seen().iter().all(|seen| seen.method == "HEAD" || seen.path.starts_with("/api/")));
    disk::assert_sound(dir.path());
}

/// A small volume of its own; it goes when dropped.
struct Volume(TempDir);

impl Volume {
    /// `None` where this user may not make one.
    fn of(mib: u32) -> Option<Self> {
        let dir = tempdir().unwrap();
        let size = format!("size={mib}m");
        let made = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output();
        if made.is_ok_and(|output| output.status.success()) {
            return Some(Self(dir));
        }
        println!("skipped: this user may not mount a volume");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn remount_read_only(&self) {
        // It is busy for as long as a thread that is ending has a file open.
        let done = || Command::new("mount").args(["-o", "remount,ro"]).arg(self.path()).status().unwrap().success();
        assert!(crate::eventually(done));
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: a thread that was given up may still have a file open.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_becomes_full_is_told_and_the_next_fetch_goes_on() {
    let Some(volume) = Volume::of(64) else { return };
    let pace = Trouble::Pace(1 << 18, Duration::from_millis(10));
    let hub = hub(&LARGE, vec![Rule::always(On::Bytes, pace).of(WEIGHTS)]);
    let cache = keeping_free(volume.path(), &hub, 0);
    let fetch = tokio::spawn({
        let cache = cache.clone();
        async move { cache.fetch(&spec(MODEL), &|_| ()).await }
    });
    let there = || disk::unfinished(volume.path(), MODEL, &LARGE);
    assert!(crate::eventually(|| there() > LARGE.len() / 10));
    let others = volume.path().join("others");
    // As much as goes in.
    assert!(fs::write(&others, vec![1; 64 << 20]).is_err());
    let error = fetch.await.unwrap().unwrap_err();
    assert!(matches!(error, CacheError::NoSpace { .. }), "{error:?}");
    disk::assert_sound(volume.path());
    let there = there();
    assert!(there > LARGE.len() / 10, "what came in is kept: {there}");
    fs::remove_file(others).unwrap();
    hub.heal();
    hub.forget();
    cache.fetch(&spec(MODEL), &|_| ()).await.unwrap();
    disk::assert_sound(volume.path());
    let (sent, len) = (hub.sent(WEIGHTS), LARGE.len());
    assert!(sent + there <= len + len / 100, "{there} of {len} bytes were there, and {sent} were fetched");
}

#[tokio::test]
async fn a_volume_that_cannot_be_written_to_is_good_for_what_it_holds() {
    let Some(volume) = Volume::of(64) else { return };
    let hub = hub(&LARGE, vec![]);
    let first = keeping_free(volume.path(), &hub, 0).fetch(&spec(MODEL), &|_| ()).await.unwrap();
    volume.remount_read_only();
    hub.forget();
    let cache = keeping_free(volume.path(), &hub, 0);
    assert_eq!(cache.resolve(&spec(MODEL)).unwrap(), first);
    assert_eq!(cache.fetch(&spec(MODEL), &|_| ()).await.unwrap(), first);
    assert_eq!(hub.seen(), []);
    // Asking whether the branch has moved writes nothing that would be missed.
    let always = CacheConfig { refresh: Refresh::Always, ..config(volume.path(), &hub.url()) };
    assert_eq!(self::cache(always).fetch(&spec(MODEL), &|_| ()).await.unwrap(), first);
    let error = cache.fetch(&spec("acme/absent"), &|_| ()).await.unwrap_err();
    assert!(matches!(error, CacheError::NotFound { .. }), "{error:?}");
}
