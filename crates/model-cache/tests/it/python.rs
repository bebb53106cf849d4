//! The same directory for Python's `huggingface_hub`: what one has fetched, the other finds. Skipped where it is not
//! installed, unless `REQUIRE_PYTHON=1`.

use std::path::Path;
use std::process::Command;

use model_cache::ModelCache;
use tempfile::tempdir;

use crate::hub::{COMMIT, Hub, sample};
use crate::{disk, offline, online, spec};

/// Runs a program in Python, and returns what it prints. `None` where there is no `huggingface_hub`.
fn python(hub: Option<&Hub>, dir: &Path, program: &str) -> Option<String> {
    let interpreter = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let there = Command::new(&interpreter).args(["-c", "import huggingface_hub"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var("REQUIRE_PYTHON").is_err(), "{interpreter} with huggingface_hub is required");
        println!("skipped: {interpreter} has no huggingface_hub");
        return None;
    }
    let output = Command::new(&interpreter)
        .args(["-c", program])
        .env("HF_ENDPOINT", hub.map_or("http://127.0.0.1:1".to_owned(), Hub::url))
        .env("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        .env("HF_HUB_DISABLE_TELEMETRY", "1")
        .env("HF_HOME", dir.join("home"))
        .env("CACHE", dir)
        .env_remove("HF_TOKEN")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
}

const FIND: &str = "
import os
from huggingface_hub import snapshot_download, try_to_load_from_cache
for revision in (None, 'main', '0123456789abcdef0123456789abcdef01234567'):
    path = snapshot_download('acme/tiny', revision=revision, cache_dir=os.environ['CACHE'], local_files_only=True)
assert try_to_load_from_cache('acme/tiny', 'config.json', cache_dir=os.environ['CACHE'])
print(path)
";

const DOWNLOAD: &str = "
import os
from huggingface_hub import snapshot_download
print(snapshot_download('acme/tiny', cache_dir=os.environ['CACHE']))
";

const SCAN: &str = "
import os
from huggingface_hub import scan_cache_dir
info = scan_cache_dir(os.environ['CACHE'])
assert not info.warnings, info.warnings
print(*sorted(file.file_name for repo in info.repos for revision in repo.revisions for file in revision.files))
";

async fn fetched(cache: &ModelCache) -> std::path::PathBuf {
    cache.fetch(&spec("acme/tiny"), &|_| ()).await.unwrap().path
}

#[tokio::test]
async fn python_finds_what_we_fetched() {
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let dir = tempdir().unwrap();
    let ours = fetched(&online(dir.path(), &hub)).await;
    let Some(theirs) = python(None, dir.path(), FIND) else { return };
    assert_eq!(Path::new(&theirs), ours);
    let scanned = python(None, dir.path(), SCAN).unwrap();
    assert_eq!(scanned, "chat_template.jinja config.json model.safetensors tokenizer.json");
}

#[tokio::test]
async fn we_find_what_python_fetched() {
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let dir = tempdir().unwrap();
    let Some(theirs) = python(Some(&hub), dir.path(), DOWNLOAD) else { return };
    disk::assert_sound(dir.path());
    let files = offline(dir.path()).resolve(&spec("acme/tiny")).unwrap();
    assert_eq!((files.path.as_path(), files.revision.as_deref()), (Path::new(&theirs), Some(COMMIT)));
    hub.forget();
    assert_eq!(fetched(&online(dir.path(), &hub)).await, Path::new(&theirs));
    assert_eq!(hub.seen(), [], "nothing is asked for");
}

/// Python adds the files that nobody here needs to what we fetched, and finds the rest there.
#[tokio::test]
async fn python_goes_on_where_we_stopped() {
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let dir = tempdir().unwrap();
    fetched(&online(dir.path(), &hub)).await;
    hub.forget();
    let Some(_) = python(Some(&hub), dir.path(), DOWNLOAD) else { return };
    disk::assert_sound(dir.path());
    assert_eq!(hub.sent("tokenizer.json"), 0, "it is there already");
    assert!(hub.sent("README.md") > 0);
    assert!(offline(dir.path()).resolve(&spec("acme/tiny")).is_ok());
}
