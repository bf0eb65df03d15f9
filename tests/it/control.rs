//! The control socket: who may talk, how much, how long, and what is left behind.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream as Blocking;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use failoverd::control::client::{AskError, ask};
use failoverd::control::protocol::{Answer, Request, socket_path};
use failoverd::control::server::{Control, Handler};
use futures_util::future::BoxFuture;

/// Answers every request with what it understood.
struct Echo;

impl Handler for Echo {
    fn handle(&self, request: Request, by: String) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            match request {
                Request::Ack { reason, .. } if reason == "stall" => std::future::pending().await,
                Request::Ack { policy, reason } => Answer::Accepted { text: format!("{policy} {reason} by {by}") },
                _ => Answer::Pong { instance: "a".into(), pid: 1 },
            }
        })
    }
}

fn line(state: &Path, text: &[u8]) -> String {
    let mut stream = Blocking::connect(socket_path(state)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The other side may hang up before it has read everything.
    let _ = stream.write_all(text);
    let mut answer = String::new();
    let _ = BufReader::new(stream).read_line(&mut answer);
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered_and_the_person_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("failoverd.db");
    assert!(matches!(ask(&state, Request::Ping).await, Err(AskError::NoDaemon(_))));
    let server = tokio::spawn(Control::bind(&socket_path(&state)).unwrap().serve(Arc::new(Echo)));
    assert!(matches!(ask(&state, Request::Ping).await, Ok(Answer::Pong { .. })));

    let said = tokio::task::spawn_blocking({
        let state = state.clone();
        move || {
            line(
                &state,
                b"{\"version\":1,\"by\":\"ada\",\"request\":{\"do\":\"ack\",\"policy\":\"web\",\"reason\":\"ok\"}}\n",
            )
        }
    });
    let said = said.await.unwrap();
    assert!(said.contains("web ok by ada (uid "), "{said}");
    server.abort();
    let _ = server.await;
    assert!(!socket_path(&state).exists(), "the socket goes with its server");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_may_talk_and_a_stale_socket_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("failoverd.db");
    drop(std::os::unix::net::UnixListener::bind(socket_path(&state)).unwrap());
    assert!(socket_path(&state).exists(), "a dead process left it");
    assert!(matches!(ask(&state, Request::Ping).await, Err(AskError::NoDaemon(_))));
    let control = Control::bind(&socket_path(&state)).unwrap();
    let mode = std::fs::metadata(socket_path(&state)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let server = tokio::spawn(control.serve(Arc::new(Echo)));
    assert!(matches!(ask(&state, Request::Ping).await, Ok(Answer::Pong { .. })));
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_and_oversized_requests_get_a_clear_answer() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("failoverd.db");
    let server = tokio::spawn(Control::bind(&socket_path(&state)).unwrap().serve(Arc::new(Echo)));
    let mut huge = vec![b'x'; 200_000];
    huge.push(b'\n');
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"hello\n".to_vec(), "not a request"),
        (b"{\"version\":1,\"request\":{\"do\":\"destroy\"}}\n".to_vec(), "not a request"),
        (b"{\"version\":2,\"request\":{\"do\":\"ping\"}}\n".to_vec(), "speaks version 1, not 2"),
        (huge, "at most 65536 bytes"),
        (b"{\"version\":1,\"request\":{\"do\":\"ping\"}}\n".to_vec(), "pong"),
    ];
    for (text, expected) in cases {
        let state = state.clone();
        let said = tokio::task::spawn_blocking(move || line(&state, &text)).await.unwrap();
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let stalled = Request::Ack { policy: "web".into(), reason: "stall".into() };
    let answer = ask(&state, stalled).await.unwrap();
    assert!(matches!(&answer, Answer::Error { text } if text.contains("no answer in time")), "{answer:?}");
    server.abort();
}
