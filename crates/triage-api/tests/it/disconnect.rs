//! Clients that leave, on raw sockets: their inference stops and nobody else's does.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::app::{App, question, question_with};

/// Longer than any test: a mock that waits so long stays in its prefill.
const FOREVER: Duration = Duration::from_secs(600);

/// Sends a question and returns the open connection.
async fn ask(app: &App, streamed: Streamed) -> TcpStream {
    let body = question_with(&json!({ "stream": streamed == Streamed::Yes })).to_string();
    let mut socket = TcpStream::connect(&app.address).await.unwrap();
    let head = format!(
        "POST /triage HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(body.as_bytes()).await.unwrap();
    socket
}

#[derive(Clone, Copy, PartialEq)]
enum Streamed {
    Yes,
    No,
}

/// Reads until `text` has come.
async fn read_until(socket: &mut TcpStream, text: &str) {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(text) {
        let mut buffer = [0; 1024];
        let count = socket.read(&mut buffer).await.unwrap();
        assert!(count > 0, "the server closed");
        seen.extend_from_slice(&buffer[..count]);
    }
}

#[tokio::test]
async fn a_plain_request_in_prefill_is_given_up() {
    let app = App::slow(FOREVER);
    let socket = ask(&app, Streamed::No).await;
    app.until_running(1).await;
    drop(socket);
    app.until_running(0).await;
    assert_eq!(app.memory.stored()[0].messages.len(), 1, "the question stays");
}

#[tokio::test]
async fn a_stream_in_prefill_is_given_up() {
    let app = App::slow(FOREVER);
    let mut socket = ask(&app, Streamed::Yes).await;
    read_until(&mut socket, "text/event-stream").await;
    app.until_running(1).await;
    drop(socket);
    app.until_running(0).await;
}

#[tokio::test]
async fn a_stream_in_the_middle_of_its_answer_is_given_up() {
    let app = App::slow(Duration::from_millis(50));
    let mut socket = ask(&app, Streamed::Yes).await;
    read_until(&mut socket, "event: answer").await;
    drop(socket);
    let left = Instant::now();
    app.until_running(0).await;
    assert!(left.elapsed() < Duration::from_millis(500), "the answer would have taken a second");
    assert_eq!(app.memory.stored()[0].messages.len(), 1);
}

#[tokio::test]
async fn a_reset_connection_is_a_client_that_left() {
    let app = App::slow(FOREVER);
    let socket = ask(&app, Streamed::No).await;
    app.until_running(1).await;
    socket.set_zero_linger().unwrap();
    drop(socket);
    app.until_running(0).await;
}

#[tokio::test]
async fn a_half_closed_connection_is_a_client_that_left() {
    let app = App::slow(FOREVER);
    let mut socket = ask(&app, Streamed::No).await;
    app.until_running(1).await;
    socket.shutdown().await.unwrap();
    app.until_running(0).await;
    assert_eq!(socket.read(&mut [0; 16]).await.unwrap(), 0, "no answer comes");
}

#[tokio::test]
async fn ten_clients_that_leave_do_not_disturb_one_that_stays() {
    let app = App::slow(Duration::from_millis(40));
    let body = question();
    let staying = app.triage(&body);
    let leaving = async {
        let mut sockets = Vec::new();
        for number in 0..10 {
            sockets.push(ask(&app, if number % 2 == 0 { Streamed::Yes } else { Streamed::No }).await);
        }
        app.until_running(11).await;
        drop(sockets);
        app.until_running(1).await;
    };
    let ((status, body), ()) = tokio::join!(staying, leaving);
    assert_eq!((status, &body["finish_reason"]), (200, &json!("stop")));
    app.until_running(0).await;
}
