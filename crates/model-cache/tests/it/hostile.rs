//! Answers that no Hub gives: what is asked of whom, and how much of an answer is taken, is up to us.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use model_cache::{CacheConfig, CacheError, FetchLimits, Refresh, Selection};
use tempfile::tempdir;

use crate::hub::{COMMIT, Hub, On, Rule, Trouble, sample};
use crate::{cache, config, disk, limits, offline, online, spec};

/// A server that says whatever `answer` writes, to a question's path; it remembers the paths, and who showed a token.
struct Liar {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<(String, bool)>>>,
}

impl Liar {
    fn start(answer: impl Fn(&str, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let answer = Arc::new(answer);
        // Ends with the program.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                thread::spawn(move || {
                    let mut stream = stream;
                    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                    let head: Vec<_> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                    let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
                    let token = head.iter().any(|line| line.to_ascii_lowercase().starts_with("authorization:"));
                    seen.lock().unwrap().push((path.clone(), token));
                    // Whoever asked may have had enough.
                    let _ = answer(&path, &mut stream);
                });
            }
        });
        Self { address, asked }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn json(stream: &mut TcpStream, headers: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}")
}

fn info(stream: &mut TcpStream) -> std::io::Result<()> {
    json(stream, "", &format!(r#"{{"id": "acme/x", "sha": "{COMMIT}"}}"#))
}

/// Fetches from a Hub whose list of files is `tree`; it must end with a named error in bounded time.
async fn refused(tree: impl Fn(&str, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> String {
    let hub = Liar::start(move |path, stream| if path.contains("/tree/") { tree(path, stream) } else { info(stream) });
    let dir = tempdir().unwrap();
    let config = CacheConfig { token: Some("hf_secret".parse().unwrap()), ..config(dir.path(), &hub.url()) };
    let (cache, model) = (cache(config), spec("acme/x"));
    let fetched = tokio::time::timeout(Duration::from_secs(60), cache.fetch(&model, &|_| ()));
    let error = fetched.await.expect("it ends in bounded time").unwrap_err();
    assert!(matches!(error, CacheError::Hub { .. }), "{error:?}");
    error.with_causes()
}

#[tokio::test]
async fn a_list_that_goes_on_at_another_host_does_not_take_the_token_there() {
    let other = Liar::start(|_, stream| json(stream, "", "[]"));
    let elsewhere = other.url();
    let said = refused(move |_, stream| {
        json(stream, &format!("Link: <{elsewhere}/api/models/acme/x/tree/main?cursor=2>; rel=\"next\"\r\n"), "[]")
    });
    assert!(said.await.contains("another host"));
    assert_eq!(*other.asked.lock().unwrap(), [] as [(String, bool); 0]);
}

#[tokio::test]
async fn a_list_without_end_is_given_up() {
    let said = refused(|path, stream| json(stream, &format!("Link: <{path}>; rel=\"next\"\r\n"), "[]"));
    assert!(said.await.contains("does not end"));
}

#[tokio::test]
async fn a_page_without_end_is_given_up() {
    let said = refused(|_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[")?;
        loop {
            stream.write_all(&[b' '; 1 << 16])?;
        }
    });
    assert!(said.await.contains("does not end"));
}

#[tokio::test]
async fn sizes_beyond_any_disk_are_no_sizes() {
    let said = refused(|_, stream| {
        let file = |name: &str| {
            format!(r#"{{"type": "file", "oid": "{COMMIT}", "size": 9223372036854775808, "path": "{name}"}}"#)
        };
        json(stream, "", &format!("[{}, {}]", file("config.json"), file("tokenizer.json")))
    });
    // Files of that size are asked for one by one, and the answer to that is none.
    assert!(!said.await.is_empty());
}

#[tokio::test]
async fn a_lease_that_leads_nowhere_keeps_to_the_time_limit() {
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let dir = tempdir().unwrap();
    online(dir.path(), &hub).fetch(&spec("acme/tiny"), &|_| ()).await.unwrap();
    let blobs = dir.path().join("models--acme--tiny/blobs");
    let locks = dir.path().join(".locks/models--acme--tiny");
    for blob in std::fs::read_dir(&blobs).unwrap().flatten() {
        let lease = locks.join(format!("{}.lease", blob.file_name().to_string_lossy()));
        symlink("/nonexistent/lease", lease).unwrap();
        std::fs::remove_file(blob.path()).unwrap();
    }
    let limits = FetchLimits { file: Duration::from_secs(1), ..limits() };
    let hurried = cache(CacheConfig { limits, ..config(dir.path(), &hub.url()) });
    let error = hurried.fetch(&spec("acme/tiny"), &|_| ()).await.unwrap_err();
    assert!(matches!(error, CacheError::TimedOut { .. }), "{error:?}");
}

#[tokio::test]
async fn a_wrong_size_in_the_list_does_not_touch_what_is_cached() {
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let dir = tempdir().unwrap();
    online(dir.path(), &hub).fetch(&spec("acme/tiny"), &|_| ()).await.unwrap();
    hub.trouble(Rule::always(On::Tree, Trouble::ListedSizeOff(1)).of("config.json"));
    let always = cache(CacheConfig { refresh: Refresh::Always, ..config(dir.path(), &hub.url()) });
    always.fetch(&spec("acme/tiny"), &|_| ()).await.expect("the cached one is used");
    offline(dir.path()).resolve(&spec("acme/tiny")).expect("it is still whole");
    disk::assert_sound(dir.path());
}

#[tokio::test]
async fn more_files_that_do_not_come_leave_a_whole_model_whole() {
    let mut files = sample::checkpoint();
    files.insert("README.md".to_owned(), b"read me".to_vec());
    let hub = Hub::start(vec![crate::hub::Repo::new("acme/tiny", files)]);
    let dir = tempdir().unwrap();
    online(dir.path(), &hub).fetch(&spec("acme/tiny"), &|_| ()).await.unwrap();
    hub.trouble(Rule::always(On::Bytes, Trouble::Refusal(404, "EntryNotFound", "Entry not found")).of("README.md"));
    let selection = Selection::new(&["*".to_owned()], &[]).unwrap();
    let all = cache(CacheConfig { refresh: Refresh::Always, selection, ..config(dir.path(), &hub.url()) });
    all.fetch(&spec("acme/tiny"), &|_| ()).await.expect("the cached one is used");
    offline(dir.path()).resolve(&spec("acme/tiny")).expect("it is still whole");
}

#[tokio::test]
async fn patterns_that_leave_the_model_out_are_named_before_anything_comes_in() {
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let dir = tempdir().unwrap();
    let selection = Selection::new(&[], &["config.json".to_owned()]).unwrap();
    let partly = cache(CacheConfig { selection, ..config(dir.path(), &hub.url()) });
    let error = partly.fetch(&spec("acme/tiny"), &|_| ()).await.unwrap_err();
    assert!(matches!(error, CacheError::InvalidConfig { .. }), "{error:?}");
    assert_eq!(hub.sent(sample::WEIGHTS), 0);
}
