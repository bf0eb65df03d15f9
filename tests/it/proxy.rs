//! A TCP proxy before a provider's API that loses, holds or swallows requests, so that faults
//! never need an "if test" in the product nor the provider's help.
//!
//! Every request gets connections of its own, so one fault hits one request:
//! `let proxy = Proxy::start(api).await; proxy.writes(Fault::DropReply);` and point a client at `proxy.url()`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Pass,
    /// Forwards the whole request, waits for the whole reply and drops it: applied, but untold.
    DropReply,
    /// Keeps the request for `release` and closes the connection: untold and not applied *yet*.
    Hold,
    /// Closes the connection and forgets the request: untold and never applied.
    DropRequest,
    /// Swallows the request and stays silent, as a network that drops packets does.
    Silence,
}

/// Stops taking connections when dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    upstream: SocketAddr,
    /// Change batches, and everything else.
    faults: Mutex<(Fault, Fault)>,
    held: Mutex<Vec<Vec<u8>>>,
    /// Method and path of every request, in order of arrival.
    seen: watch::Sender<Vec<String>>,
}

impl Proxy {
    pub async fn start(upstream: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream,
            faults: Mutex::new((Fault::Pass, Fault::Pass)),
            held: Mutex::default(),
            seen: watch::Sender::default(),
        });
        let serving = shared.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, serving.clone()));
            }
        });
        Proxy { address, shared, accepting }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What happens to change batches from now on.
    pub fn writes(&self, fault: Fault) {
        self.shared.faults.lock().unwrap().0 = fault;
    }

    /// What happens to every other request from now on.
    pub fn reads(&self, fault: Fault) {
        self.shared.faults.lock().unwrap().1 = fault;
    }

    /// Method and path of every request so far, e.g. `POST /2013-04-01/hostedzone/Z1/rrset/`.
    pub fn seen(&self) -> Vec<String> {
        self.shared.seen.borrow().clone()
    }

    /// Waits until `n` requests have arrived in all.
    pub async fn arrived(&self, n: usize) {
        let mut seen = self.shared.seen.subscribe();
        let all = seen.wait_for(|seen| seen.len() >= n);
        tokio::time::timeout(Duration::from_secs(20), all).await.expect("the requests never came").unwrap();
    }

    /// Forwards what was held, oldest first; gives the status of each reply.
    pub async fn release(&self) -> Vec<u16> {
        let held = std::mem::take(&mut *self.shared.held.lock().unwrap());
        let mut statuses = Vec::new();
        for request in held {
            let reply = forward(self.shared.upstream, &request).await.unwrap();
            statuses.push(status_of(&reply));
        }
        statuses
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut client: TcpStream, shared: Arc<Shared>) {
    let Some(request) = read_request(&mut client).await else { return };
    let line = String::from_utf8_lossy(request.split(|b| *b == b'\r').next().unwrap_or_default()).into_owned();
    let what = line.rsplit_once(' ').map_or(line.as_str(), |(what, _)| what).to_owned();
    let is_write = what.starts_with("POST ") && what.contains("/rrset");
    let fault = {
        let faults = shared.faults.lock().unwrap();
        if is_write { faults.0 } else { faults.1 }
    };
    if fault == Fault::Hold {
        shared.held.lock().unwrap().push(request.clone());
    }
    shared.seen.send_modify(|seen| seen.push(what));
    match fault {
        Fault::Hold | Fault::DropRequest => {}
        Fault::Silence => {
            // Until the client gives up.
            let _ = client.read(&mut [0; 1]).await;
        }
        Fault::Pass | Fault::DropReply => {
            if let Ok(reply) = forward(shared.upstream, &request).await
                && fault == Fault::Pass
            {
                let _ = client.write_all(&reply).await;
            }
        }
    }
}

/// One request with its body, marked so that the server closes after it.
pub async fn read_request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    let head = loop {
        if let Some(at) = data.windows(4).position(|w| w == b"\r\n\r\n") {
            break at;
        }
        fill(stream, &mut data).await?;
    };
    let text = String::from_utf8_lossy(data.get(..head)?).into_owned();
    let mut lines: Vec<&str> = text.split("\r\n").collect();
    let length = lines.iter().find_map(|l| header(l, "content-length")).map_or(0, |v| v.parse().unwrap());
    assert!(!lines.iter().any(|l| header(l, "transfer-encoding").is_some()), "the proxy reads no chunked requests");
    while data.len() < head + 4 + length {
        fill(stream, &mut data).await?;
    }
    lines.retain(|l| header(l, "connection").is_none());
    lines.push("connection: close");
    let mut request = lines.join("\r\n").into_bytes();
    request.extend_from_slice(b"\r\n\r\n");
    request.extend_from_slice(data.get(head + 4..head + 4 + length)?);
    Some(request)
}

async fn fill(stream: &mut TcpStream, data: &mut Vec<u8>) -> Option<()> {
    match stream.read_buf(data).await {
        Ok(n) if n > 0 => Some(()),
        _ => None,
    }
}

fn header<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (key, value) = line.split_once(':')?;
    key.eq_ignore_ascii_case(name).then_some(value.trim())
}

/// The whole reply to one request of [`read_request`].
pub async fn forward(upstream: SocketAddr, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(upstream).await?;
    server.write_all(request).await?;
    let mut reply = Vec::new();
    server.read_to_end(&mut reply).await?;
    Ok(reply)
}

fn status_of(reply: &[u8]) -> u16 {
    String::from_utf8_lossy(reply).split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}
