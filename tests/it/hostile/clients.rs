//! Whoever connects to `[api]` and to the control socket only to hold it up: probes, decisions and
//! people's commands go on.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use failoverd::control::protocol::socket_path;
use tokio::time::Instant;

use crate::real::daemon::{Process, failoverd, finish};
use crate::real::http;
use crate::real::site::{Site, Wish};

const API: &str = "[api]\nlisten = \"127.0.0.1:0\"\n";
/// Sockets that are held open against each listener.
const SLOW: usize = 2_000;

fn api_of(daemon: &mut Process) -> SocketAddr {
    let line = daemon.wait_log("serving metrics and health checks");
    let at = line.split("address=").nth(1).unwrap_or_else(|| panic!("{line}"));
    at.split_whitespace().next().unwrap().parse().unwrap()
}

fn socket(site: &Site) -> PathBuf {
    socket_path(&site.dir.path().join("a.db"))
}

/// Sends `text`, says no more, and gives what comes back; the end is a close or ten seconds.
fn say(path: &Path, text: &[u8], half_close: bool) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    let _ = stream.write_all(text);
    if half_close {
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    // A line is a whole answer; the other side may keep the socket open for the next.
    while !answer.contains(&b'\n') {
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => answer.extend_from_slice(&chunk[..n]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn two_thousand_slow_sockets_hold_up_no_probe_no_page_and_no_command() {
    let mut site = Site::with(Wish { main: Some(API), ..Wish::default() });
    let mut daemon = site.run("a");
    let (api, control) = (api_of(&mut daemon), socket(&site));
    // The test itself may open this many files.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let slow = SLOW.min(usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(500) / 2);
    assert!(slow >= 200, "only {limit} open files are allowed here");
    let (mut callers, mut askers): (Vec<TcpStream>, Vec<UnixStream>) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    for i in 0..slow {
        if let Ok(mut stream) = TcpStream::connect_timeout(&api, Duration::from_secs(1)) {
            // Some say nothing, some begin and never end.
            let _ = if i % 2 == 0 { Ok(()) } else { stream.write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ") };
            callers.push(stream);
        }
        if let Ok(mut stream) = at_once(&control) {
            let _ = if i % 2 == 0 { Ok(()) } else { stream.write_all(b"{\"version\":1,") };
            askers.push(stream);
        }
    }
    assert!(callers.len() + askers.len() >= slow, "{} and {}", callers.len(), askers.len());

    assert_eq!(http::get(api, "/healthz").0, 200, "{:?}", begun.elapsed());
    let asked = Instant::now();
    let said = site.command(&["freeze", "web", "--reason", "under attack"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert_eq!(site.command(&["unfreeze", "web", "--reason", "it is over"]).code, Some(0));
    site.wait_status("not frozen", |s| s["reports"][0]["state"] == "steady");

    // What matters most: a failure is seen and answered meanwhile.
    site.use1.stop();
    site.wait_answer(&site.euw1, &daemon);
    assert!(daemon.alive());
    drop((callers, askers));
    assert_eq!(http::get(api, "/readyz").0, 200);
    assert_eq!(daemon.terminate(), Some(0));
}

/// A connection that is not waited for when the queue is full.
fn at_once(path: &Path) -> std::io::Result<UnixStream> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&socket2::SockAddr::unix(path)?)?;
    Ok(UnixStream::from(std::os::fd::OwnedFd::from(socket)))
}

#[test]
fn whatever_is_said_to_the_control_socket_is_answered_in_one_line_or_dropped() {
    let site = Site::with(Wish { main: Some(API), ..Wish::default() });
    let mut daemon = site.run("a");
    let path = socket(&site);
    let ask = |request: &str| format!("{{\"version\":1,\"request\":{request}}}\n").into_bytes();
    let nested = |open: &str, close: &str| [open.repeat(20_000), close.repeat(20_000)].concat();
    let wrong = "not a request";
    let cases: Vec<(&str, Vec<u8>, bool, &str)> = vec![
        ("well", ask("{\"do\":\"ping\"}"), false, "pong"),
        ("well and half-closed", ask("{\"do\":\"ping\"}"), true, "pong"),
        (
            "well without a line end, half-closed",
            b"{\"version\":1,\"request\":{\"do\":\"ping\"}}".to_vec(),
            true,
            "pong",
        ),
        ("an array 20,000 deep", [nested("[", "]").as_bytes(), b"\n"].concat(), false, wrong),
        ("an object deep in the request", ask(&nested("{\"a\":", "}")), false, ""),
        (
            "names nested deep",
            ask(&format!("{{\"do\":\"switch\",\"policy\":\"web\",\"to\":{}}}", nested("[", "]"))),
            false,
            wrong,
        ),
        ("one byte over the limit", [vec![b' '; 64 * 1024], b"\n".to_vec()].concat(), false, "at most 65536 bytes"),
        ("ten megabytes in one line", vec![b'x'; 10 << 20], false, "at most 65536 bytes"),
        ("not UTF-8", b"\xff\xfe\xfd\n".to_vec(), false, wrong),
        ("a surrogate alone", ask("{\"do\":\"freeze\",\"reason\":\"\\ud800\"}"), false, wrong),
        ("nulls", [vec![0; 1000], b"\n".to_vec()].concat(), false, wrong),
        ("a number too large", b"{\"version\":1e999,\"request\":{\"do\":\"ping\"}}\n".to_vec(), false, wrong),
        ("a version too large", b"{\"version\":4294967296,\"request\":{\"do\":\"ping\"}}\n".to_vec(), false, wrong),
        ("twice the same key", ask("{\"do\":\"ping\",\"do\":\"ping\"}"), false, wrong),
        ("nothing, half-closed", Vec::new(), true, ""),
    ];
    for (name, text, half_close, expected) in cases {
        let begun = Instant::now();
        let answer = say(&path, &text, half_close);
        assert!(answer.contains(expected), "{name}: {answer:.300}");
        assert!(answer.len() < 1 << 20 && begun.elapsed() < Duration::from_secs(9), "{name}: {:?}", begun.elapsed());
    }
    assert!(daemon.alive());
    assert_eq!(daemon.terminate(), Some(0));
}

#[test]
fn an_answer_that_lies_on_the_control_socket_ends_the_command_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("failoverd.toml");
    std::fs::write(&main, "state = \"x.db\"\npolicies = \"web.toml\"\n").unwrap();
    let policy = "zone = \"example.com\"\nrecords = [\"www.example.com\"]\nttl = 30\n[check]\ntype = \"tcp\"\nport = 1\n\
        [[target]]\nname = \"a\"\naddresses = [\"127.0.0.1\"]\npriority = 1\n\
        [[target]]\nname = \"b\"\naddresses = [\"127.0.0.2\"]\npriority = 2\n";
    std::fs::write(dir.path().join("web.toml"), policy).unwrap();
    let path = socket_path(&dir.path().join("x.db"));
    let (say, answers) = std::sync::mpsc::channel::<Vec<u8>>();
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&answer);
        }
    });
    let deep = [b"[".repeat(200_000), b"\n".to_vec()].concat();
    for answer in [b"".to_vec(), b"\n".to_vec(), b"{}\n".to_vec(), b"\xff\n".to_vec(), deep, vec![b'x'; 5 << 20]] {
        say.send(answer).unwrap();
        let said = finish(failoverd(dir.path()).args(["-c", "failoverd.toml", "status", "-o", "json"]));
        assert!(said.code.is_some_and(|code| code != 0), "{said:?}");
        assert!(said.err.contains("error: ") && !said.err.contains("panicked"), "{said:?}");
        assert!(said.err.len() < 4096, "{} bytes", said.err.len());
    }
}
