//! Owns starting the program, watching it and sending it signals.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::disk;
use crate::hub::sample::{self, WEIGHTS};
use crate::hub::{Content, Hub, On, Repo, Rule, Trouble};

/// The repository that is fetched.
pub(crate) const MODEL: &str = "acme/large";

/// Forty megabytes: two segments.
pub(crate) static LARGE: LazyLock<Content> = LazyLock::new(|| sample::weights(40_000_000).into());

/// No fetch takes longer, whatever happens to its neighbours.
pub(crate) const BOUND: Duration = Duration::from_secs(120);

/// A Hub with [`MODEL`] that sends 64 KiB of it at a time on each connection, and then pauses.
pub(crate) fn slow_hub(pause: Duration) -> Hub {
    let mut files: std::collections::BTreeMap<String, Content> =
        sample::checkpoint().into_iter().map(|(file, bytes)| (file, bytes.into())).collect();
    files.insert(WEIGHTS.to_owned(), LARGE.clone());
    let pace = Rule::always(On::Bytes, Trouble::Pace(1 << 16, pause)).of(WEIGHTS);
    Hub::troubled(vec![Repo::new(MODEL, files)], vec![pace])
}

/// A running program; it is killed when dropped.
pub(crate) struct Program {
    child: Child,
    /// Reads what it says to standard error, so that it never waits for a reader.
    said: Option<JoinHandle<String>>,
}

impl Program {
    /// Fetches [`MODEL`] into the directory `cache` below `dir`.
    pub(crate) fn fetch(dir: &Path, hub: &Hub) -> Self {
        Self::start(dir, &[MODEL], &[("HF_ENDPOINT", &hub.url())])
    }

    pub(crate) fn start(dir: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fetch-model"));
        command.args(arguments).current_dir(dir).env_clear().env("MODEL_CACHE_DIR", "cache");
        command.envs(variables.iter().copied()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let said = Some(std::thread::spawn(move || std::io::read_to_string(stderr).unwrap()));
        Self { child, said }
    }

    pub(crate) fn id(&mut self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends a signal by its name, such as `STOP`.
    pub(crate) fn signal(&mut self, name: &str) {
        let done = Command::new("kill").args(["-s", name, &self.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// Ends it as a crash would; true when it had not ended before.
    pub(crate) fn kill(&mut self) -> bool {
        let was_running = self.is_running();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        was_running
    }

    /// Waits for its end, which must be a good one.
    pub(crate) fn succeed(mut self) {
        let (status, said) = self.end();
        assert!(status.success(), "{status}: {said}");
    }

    /// Waits for its end, and returns what it has said to standard error.
    pub(crate) fn stderr(mut self) -> String {
        self.end().1
    }

    fn end(&mut self) -> (ExitStatus, String) {
        assert!(eventually(|| !self.is_running()), "it has not ended");
        (self.child.wait().unwrap(), self.said.take().unwrap().join().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails when it has ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

/// Waits until something holds; false when it never does.
pub(crate) fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < BOUND {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// The process that holds the lease on the weights.
pub(crate) fn holder(dir: &Path) -> Option<u32> {
    let etag = sample_etag();
    let place = dir.join("cache/.locks/models--acme--large").join(format!("{etag}.lease"));
    let record: serde_json::Value = serde_json::from_slice(&fs::read(place).ok()?).ok()?;
    record["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())
}

fn sample_etag() -> &'static str {
    static ETAG: LazyLock<String> = LazyLock::new(|| crate::hub::digest_like(&"0".repeat(64), &LARGE));
    &ETAG
}

/// How many bytes of the weights are there, while they are not complete.
pub(crate) fn there(dir: &Path) -> u64 {
    disk::unfinished(&dir.join("cache"), MODEL, &LARGE)
}

/// Fails unless the model is there, and every file is what it should be.
pub(crate) fn assert_whole(dir: &Path) {
    let cache = dir.join("cache");
    disk::assert_sound(&cache);
    let repo = disk::repo(&cache, MODEL);
    assert!(repo.join("blobs").join(sample_etag()).exists());
    let snapshot = repo.join("snapshots").join(crate::hub::COMMIT);
    assert_eq!(disk::names(&snapshot), sample::checkpoint().into_keys().collect());
}
