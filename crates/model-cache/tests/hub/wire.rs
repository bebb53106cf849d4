//! Owns the connections: one thread for each, one request after the other. Must not know what is asked and answered.

use std::io::{BufReader, ErrorKind, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use super::State;
use super::answer::Outcome;
use super::request::Request;

/// How often a connection that is left open looks whether it is still needed.
const LOOK: Duration = Duration::from_millis(50);

/// Takes connections until the Hub stops, and then ends them.
pub(crate) fn accept(listener: &TcpListener, state: &Arc<State>) {
    let mut connections: Vec<(Weak<TcpStream>, thread::JoinHandle<()>)> = Vec::new();
    for connection in listener.incoming() {
        if state.stopping.load(Ordering::SeqCst) {
            break;
        }
        let Ok(connection) = connection else { continue };
        let connection = Arc::new(connection);
        let weak = Arc::downgrade(&connection);
        let state = Arc::clone(state);
        connections.push((weak, thread::spawn(move || serve(&connection, &state))));
    }
    for (connection, _) in &connections {
        if let Some(connection) = connection.upgrade() {
            // Fails when the other side was faster.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
    for (_, thread) in connections {
        thread.join().unwrap();
    }
}

/// Answers the requests of one connection.
fn serve(connection: &TcpStream, state: &State) {
    connection.set_nodelay(true).unwrap();
    let mut incoming = BufReader::new(connection);
    // An error is the other side's end, as when a process is killed.
    while let Ok(Some(request)) = Request::read(&mut incoming) {
        let number = state.see(&request);
        let answer = state.answer(&request);
        if !answer.delivery.silent && !answer.delivery.hang_up {
            state.note(number, |seen| seen.status = answer.status);
        }
        let head_only = request.method == "HEAD";
        let mut wire = connection;
        let outcome = answer.send(&mut wire, head_only, &mut |sent| state.note(number, |seen| seen.sent += sent));
        if matches!(outcome, Ok(Outcome::Hold)) {
            hold(connection, state);
        }
        state.note(number, |seen| seen.ended = true);
        if !matches!(outcome, Ok(Outcome::Complete)) {
            break;
        }
    }
    // Fails when the other side was faster.
    let _ = connection.shutdown(Shutdown::Both);
}

/// Keeps a connection open without a word, until the other side or the Hub gives up.
fn hold(mut connection: &TcpStream, state: &State) {
    connection.set_read_timeout(Some(LOOK)).unwrap();
    while !state.stopping.load(Ordering::SeqCst) {
        match connection.read(&mut [0]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
}
