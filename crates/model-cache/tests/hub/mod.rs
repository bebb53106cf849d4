//! A small Hub on loopback that speaks as much of the real one's protocol as a download needs, and misbehaves on demand.
//!
//! It serves weights as the real one does: `resolve` redirects to a second host (here a second port), which must never
//! see the token. It remembers every request, and how many bytes it has sent for each.

mod answer;
mod api;
mod content;
mod files;
pub(crate) mod named;
mod repository;
mod request;
mod routes;
pub(crate) mod sample;
mod trouble;
mod wire;

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

pub(crate) use content::{Content, digest_like};
pub(crate) use repository::{Access, COMMIT, INVALID_TOKEN, Repo};
pub(crate) use request::Seen;
pub(crate) use trouble::{On, Rule, Trouble};

/// The running Hub; it stops when dropped.
pub(crate) struct Hub {
    state: Arc<State>,
    accepting: Vec<JoinHandle<()>>,
}

/// What all connections share.
pub(crate) struct State {
    address: SocketAddr,
    second_host: SocketAddr,
    repos: Mutex<Vec<Repo>>,
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<Vec<Seen>>,
    stopping: AtomicBool,
}

impl Hub {
    pub(crate) fn start(repos: Vec<Repo>) -> Self {
        Self::troubled(repos, vec![])
    }

    /// A Hub that misbehaves.
    pub(crate) fn troubled(repos: Vec<Repo>, rules: Vec<Rule>) -> Self {
        let [main, second] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let state = Arc::new(State {
            address: main.local_addr().unwrap(),
            second_host: second.local_addr().unwrap(),
            repos: Mutex::new(repos),
            rules: Mutex::new(rules),
            seen: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let accepting = [main, second].map(|listener| {
            let state = Arc::clone(&state);
            thread::spawn(move || wire::accept(&listener, &state))
        });
        Self { state, accepting: accepting.into() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.state.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().iter().filter(|seen| !seen.forgotten).cloned().collect()
    }

    /// Forgets the requests so far.
    pub(crate) fn forget(&self) {
        // They keep their places, since answers may still be under way.
        for seen in self.state.seen.lock().unwrap().iter_mut() {
            seen.forgotten = true;
        }
    }

    /// The bytes of files that have been sent for this one, small or large.
    pub(crate) fn sent(&self, file: &str) -> u64 {
        let ending = format!("/{file}");
        let of_the_file = |seen: &&Seen| seen.path.ends_with(&ending) && matches!(seen.status, 200 | 206);
        self.seen().iter().filter(of_the_file).map(|seen| seen.sent).sum()
    }

    /// How many answers are being sent.
    pub(crate) fn under_way(&self) -> usize {
        self.seen().iter().filter(|seen| !seen.ended).count()
    }

    /// Makes it misbehave from now on.
    pub(crate) fn trouble(&self, rule: Rule) {
        self.state.rules.lock().unwrap().push(rule);
    }

    /// Lets it behave from now on.
    pub(crate) fn heal(&self) {
        self.state.rules.lock().unwrap().clear();
    }

    /// Changes a repository.
    pub(crate) fn change(&self, id: &str, change: impl FnOnce(Repo) -> Repo) {
        let mut repos = self.state.repos.lock().unwrap();
        let place = repos.iter_mut().find(|repo| repo.id == id).unwrap();
        *place = change(place.clone());
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.state.stopping.store(true, Ordering::SeqCst);
        for address in [self.state.address, self.state.second_host] {
            // Wakes the thread that waits for a connection.
            drop(std::net::TcpStream::connect(address));
        }
        for thread in self.accepting.drain(..) {
            thread.join().unwrap();
        }
    }
}
