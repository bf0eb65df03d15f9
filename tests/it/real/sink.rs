//! A webhook receiver that keeps every notice it accepted.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::wait_for;

pub struct Sink {
    pub addr: SocketAddr,
    state: Arc<State>,
}

struct State {
    status: AtomicU16,
    taken: Mutex<Vec<Value>>,
}

impl Sink {
    /// Its thread ends with the test process; it holds no more than one connection at a time.
    pub fn start() -> Sink {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::new(State { status: AtomicU16::new(204), taken: Mutex::default() });
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = take(stream, &shared);
            }
        });
        Sink { addr, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.addr)
    }

    /// From now on; what is not answered with 2xx is not kept.
    pub fn answer_with(&self, status: u16) {
        self.state.status.store(status, Ordering::SeqCst);
    }

    pub fn taken(&self) -> Vec<Value> {
        self.state.taken.lock().unwrap().clone()
    }

    /// The first accepted notice that `wanted` holds for.
    pub fn wait(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_for(
            &format!("a notice: {what}"),
            || self.taken().into_iter().find(&wanted),
            || {
                let told: Vec<String> = self.taken().iter().map(|n| n.to_string()).collect();
                format!("the receiver got:\n{}", told.join("\n"))
            },
        )
    }
}

fn take(stream: TcpStream, state: &State) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    // A witness connects and says nothing.
    if reader.read_line(&mut line)? == 0 {
        return Ok(());
    }
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let status = state.status.load(Ordering::SeqCst);
    if (200..300).contains(&status) {
        let notice = serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
        state.taken.lock().unwrap().push(notice);
    }
    let answer = format!("HTTP/1.1 {status} Answer\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    reader.into_inner().write_all(answer.as_bytes())
}
