//! A small Hub on loopback that speaks as much of the real one's protocol as a download needs, over real HTTP.
//!
//! It serves weights as the real one does: `resolve` redirects to a second host (here a second port), which must never
//! see the token. It remembers every request.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};

use actix_web::dev::ServerHandle;
use actix_web::http::header::{AUTHORIZATION, ETAG, LOCATION};
use actix_web::web::{Bytes, Data, Path, get, resource};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt};
use futures_util::stream;
use serde_json::json;

/// The only commit of every repository.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Who may read a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anyone.
    Open,
    /// Its existence is public; its files need this token, and any other is refused.
    Gated(&'static str),
}

/// A repository with one commit on `main`.
#[derive(Debug, Clone)]
pub(crate) struct Repo {
    pub(crate) id: &'static str,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) access: Access,
    pub(crate) trouble: Trouble,
}

/// What goes wrong with a repository.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    None,
    /// Questions about it are answered with a web page, as a proxy's login page would.
    WebPage,
    /// This file is announced properly, and then refused.
    Refused(&'static str),
    /// The connection is cut in the middle of the weights.
    Cut,
    /// The weights never end; the Hub says so when it is no longer sending them.
    Endless(mpsc::Sender<()>),
}

/// Lives as long as an answer is being sent.
struct Sending(mpsc::Sender<()>);

impl Drop for Sending {
    fn drop(&mut self) {
        // A test that does not ask has let go of the other end.
        let _ = self.0.send(());
    }
}

/// One request that the Hub has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
}

/// The running Hub; it stops when dropped.
pub(crate) struct Hub {
    address: SocketAddr,
    state: Arc<State>,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

struct State {
    repos: Vec<Repo>,
    seen: Mutex<Vec<Seen>>,
    second_host: SocketAddr,
}

impl Hub {
    pub(crate) fn start(repos: Vec<Repo>) -> Self {
        let (send, receive) = mpsc::channel();
        let thread = thread::spawn(move || {
            rt::System::new().block_on(async move {
                let (main, second) = (listener(), listener());
                let (address, second_host) = (main.local_addr().unwrap(), second.local_addr().unwrap());
                let state = Arc::new(State { repos, seen: Mutex::default(), second_host });
                let shared = Data::from(Arc::clone(&state));
                let server = HttpServer::new(move || {
                    App::new()
                        .app_data(shared.clone())
                        .route("/api/models/{owner}/{name}/revision/{revision}", get().to(revision))
                        .route("/api/models/{owner}/{name}/tree/{revision}", get().to(tree))
                        .route("/second/{owner}/{name}/{file:.*}", get().to(second_host_file))
                        .service(
                            resource("/{owner}/{name}/resolve/{revision}/{file:.*}")
                                .route(get().to(resolve))
                                .route(actix_web::web::head().to(resolve)),
                        )
                })
                .workers(1)
                .disable_signals()
                .listen(main)
                .unwrap()
                .listen(second)
                .unwrap()
                .run();
                send.send((address, state, server.handle())).unwrap();
                server.await.unwrap();
            });
        });
        let (address, state, handle) = receive.recv().unwrap();
        Self { address, state, handle, thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    pub(crate) fn forget(&self) {
        self.state.seen.lock().unwrap().clear();
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // Sends the order at once; the future only waits for it to be done, which the thread's end shows.
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn listener() -> std::net::TcpListener {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap()
}

impl State {
    fn see(&self, request: &HttpRequest) -> Option<String> {
        let authorization =
            request.headers().get(AUTHORIZATION).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        self.seen.lock().unwrap().push(Seen {
            method: request.method().to_string(),
            path: request.path().to_owned(),
            authorization: authorization.clone(),
        });
        authorization
    }

    /// The repository at a revision, or the Hub's refusal.
    fn find(&self, owner: &str, name: &str, revision: &str) -> Result<&Repo, Box<HttpResponse>> {
        let id = format!("{owner}/{name}");
        let Some(repo) = self.repos.iter().find(|repo| repo.id == id) else {
            return Err(Box::new(refusal(HttpResponse::NotFound(), "RepoNotFound", "Repository not found")));
        };
        if revision != "main" && revision != COMMIT {
            let message = format!("Invalid rev id: {revision}");
            return Err(Box::new(refusal(HttpResponse::NotFound(), "RevisionNotFound", &message)));
        }
        Ok(repo)
    }
}

fn refusal(mut response: actix_web::HttpResponseBuilder, code: &str, message: &str) -> HttpResponse {
    response
        .insert_header(("X-Error-Code", code))
        .insert_header(("X-Error-Message", message))
        .json(json!({"error": message}))
}

type Revision = Path<(String, String, String)>;

async fn revision(request: HttpRequest, state: Data<State>, path: Revision) -> HttpResponse {
    state.see(&request);
    let (owner, name, revision) = path.into_inner();
    match state.find(&owner, &name, &revision) {
        Ok(Repo { trouble: Trouble::WebPage, .. }) => HttpResponse::Ok().body("<html>log in</html>"),
        Ok(repo) => HttpResponse::Ok().json(json!({"id": repo.id, "sha": COMMIT, "siblings": []})),
        Err(refused) => *refused,
    }
}

async fn tree(request: HttpRequest, state: Data<State>, path: Revision) -> HttpResponse {
    state.see(&request);
    let (owner, name, revision) = path.into_inner();
    match state.find(&owner, &name, &revision) {
        Ok(repo) => HttpResponse::Ok().json(
            repo.files
                .iter()
                .map(|(file, bytes)| json!({"type": "file", "oid": etag(file), "size": bytes.len(), "path": file}))
                .collect::<Vec<_>>(),
        ),
        Err(refused) => *refused,
    }
}

async fn resolve(
    request: HttpRequest,
    state: Data<State>,
    path: Path<(String, String, String, String)>,
) -> HttpResponse {
    let authorization = state.see(&request);
    let (owner, name, revision, file) = path.into_inner();
    let repo = match state.find(&owner, &name, &revision) {
        Ok(repo) => repo,
        Err(refused) => return *refused,
    };
    if let Access::Gated(token) = repo.access {
        let message = format!("Access to model {} is restricted.", repo.id);
        match authorization {
            None => return refusal(HttpResponse::Unauthorized(), "GatedRepo", &message),
            Some(sent) if sent != format!("Bearer {token}") => {
                return refusal(HttpResponse::Forbidden(), "GatedRepo", &message);
            }
            Some(_) => {}
        }
    }
    let Some(bytes) = repo.files.get(&file) else {
        return refusal(HttpResponse::NotFound(), "EntryNotFound", "Entry not found");
    };
    if matches!(repo.trouble, Trouble::Refused(refused) if refused == file) && request.method() == "GET" {
        return HttpResponse::Forbidden().body("<html>expired</html>");
    }
    if file.ends_with(".safetensors") || file.ends_with(".gguf") {
        let place = format!("http://{}/second/{owner}/{name}/{file}", state.second_host);
        return HttpResponse::Found()
            .insert_header((LOCATION, place))
            .insert_header(("X-Repo-Commit", COMMIT))
            .insert_header(("X-Linked-Size", bytes.len().to_string()))
            .insert_header(("X-Linked-ETag", format!("\"{}\"", etag(&file))))
            .finish();
    }
    HttpResponse::Ok()
        .insert_header((ETAG, format!("\"{}\"", etag(&file))))
        .insert_header(("X-Repo-Commit", COMMIT))
        .body(bytes.clone())
}

async fn second_host_file(request: HttpRequest, state: Data<State>, path: Revision) -> HttpResponse {
    state.see(&request);
    let (owner, name, file) = path.into_inner();
    let repo = state.find(&owner, &name, COMMIT).unwrap();
    let bytes = &repo.files[&file];
    let body = Bytes::copy_from_slice(&bytes[..bytes.len() / 2]);
    match &repo.trouble {
        Trouble::Cut => {
            let half = stream::iter([Ok::<_, Infallible>(body)]);
            HttpResponse::Ok().no_chunking(bytes.len() as u64).streaming(half)
        }
        Trouble::Endless(ended) => {
            let sending = Sending(ended.clone());
            HttpResponse::Ok().streaming(stream::repeat_with(move || {
                let _ = &sending;
                Ok::<_, Infallible>(body.clone())
            }))
        }
        _ => HttpResponse::Ok().body(bytes.clone()),
    }
}

/// Stands in for the digest that the real Hub uses: one tag for one content.
pub(crate) fn etag(file: &str) -> String {
    format!("tag-of-{}", file.replace('/', "-"))
}
