//! A switchable HTTP target on loopback: plain or hostile, with or without TLS.
//!
//! `Target::start().await`, then `.set(Mode::…).await`: the new mode is in force when `set` returns.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_rustls::TlsAcceptor;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 200 with the body `ok`.
    Ok,
    Status(u16),
    /// Reads the request, never answers.
    Hang,
    /// The listening socket is really closed; the port stays reserved and is reopened by the next `set`.
    Refuse,
    /// RST after the request was read.
    Reset,
    /// Head at once, then one byte of body every 20 ms, without end.
    Drip,
    /// One byte of head every 20 ms, without end.
    DripHead,
    /// A body without end, as fast as it is taken.
    Flood,
    /// Header lines without end.
    EndlessHeaders,
    /// 200 with this body.
    Body(String),
    /// 302 with this `Location`.
    Redirect(String),
    /// Closes after the request, without an answer.
    Close,
    /// These bytes as they are, then closes.
    Raw(Vec<u8>),
    /// These bytes without waiting for a request, then closes; not over TLS.
    Greet(Vec<u8>),
    /// These bytes once anything was said to it; not over TLS.
    Reply(Vec<u8>, Then),
    /// Does not even start a TLS handshake; on plain HTTP the same as `Hang`.
    Silent,
}

/// What comes after a [`Mode::Reply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Close,
    Stay,
}

/// Stops with its value; its tasks end with the runtime of the test.
pub struct Target {
    addr: SocketAddr,
    mode: watch::Sender<Mode>,
    switch: mpsc::Sender<(bool, oneshot::Sender<()>)>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicU64,
    requests: AtomicU64,
    heads: Mutex<Vec<String>>,
}

impl Target {
    /// Plain HTTP on 127.0.0.1 and an ephemeral port, `Mode::Ok`.
    pub async fn start() -> Target {
        Target::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
    }

    /// Plain HTTP at `addr`: several targets may share one port on 127.0.0.1, 127.0.0.2, …
    pub async fn start_at(addr: SocketAddr) -> Target {
        Target::launch(addr, None).await
    }

    /// HTTPS on 127.0.0.1 and an ephemeral port.
    pub async fn start_tls(config: Arc<rustls::ServerConfig>) -> Target {
        Target::start_tls_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), config).await
    }

    pub async fn start_tls_at(addr: SocketAddr, config: Arc<rustls::ServerConfig>) -> Target {
        Target::launch(addr, Some(config.into())).await
    }

    async fn launch(addr: SocketAddr, tls: Option<TlsAcceptor>) -> Target {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (mode, mode_rx) = watch::channel(Mode::Ok);
        let (switch, switch_rx) = mpsc::channel(8);
        let seen = Arc::new(Seen::default());
        tokio::spawn(serve(listener, tls, mode_rx, switch_rx, seen.clone()));
        Target { addr, mode, switch, seen }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn ip(&self) -> IpAddr {
        self.addr.ip()
    }

    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// In force when this returns; connections in service keep the mode they began with,
    /// except that `Refuse` cuts them.
    pub async fn set(&self, mode: Mode) {
        let open = mode != Mode::Refuse;
        self.mode.send_replace(mode);
        let (done, wait) = oneshot::channel();
        self.switch.send((open, done)).await.unwrap();
        wait.await.unwrap();
    }

    /// Requests whose head was read so far.
    pub fn requests(&self) -> u64 {
        self.seen.requests.load(Ordering::SeqCst)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Head of the last request as it came, empty before the first.
    pub fn last_head(&self) -> String {
        self.seen.heads.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    mode: watch::Receiver<Mode>,
    mut switch: mpsc::Receiver<(bool, oneshot::Sender<()>)>,
    seen: Arc<Seen>,
) {
    let addr = listener.local_addr().unwrap();
    let mut listener = Some(listener);
    let mut reserved: Option<TcpSocket> = None;
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = accept(listener.as_ref()) => {
                seen.connections.fetch_add(1, Ordering::SeqCst);
                let (tls, mode, seen) = (tls.clone(), mode.borrow().clone(), seen.clone());
                connections.spawn(connection(accepted, tls, mode, seen));
            }
            asked = switch.recv() => {
                let Some((open, done)) = asked else { return };
                match open {
                    true if listener.is_none() => {
                        let socket = match reserved.take() { Some(socket) => socket, None => reserve(addr).await };
                        listener = Some(socket.listen(1024).unwrap());
                    }
                    false if listener.is_some() => {
                        listener = None;
                        connections.shutdown().await;
                        reserved = Some(reserve(addr).await);
                    }
                    _ => {}
                }
                let _ = done.send(());
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    loop {
        match listener {
            Some(listener) => {
                if let Ok((stream, _)) = listener.accept().await {
                    return stream;
                }
            }
            None => std::future::pending().await,
        }
    }
}

/// A bound socket that does not listen: the kernel refuses connections and nobody takes the port.
async fn reserve(addr: SocketAddr) -> TcpSocket {
    for _ in 0..100 {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
        socket.set_reuseaddr(true).unwrap();
        if socket.bind(addr).is_ok() {
            return socket;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the port of {addr} was taken");
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, mode: Mode, seen: Arc<Seen>) {
    let _ = stream.set_nodelay(true);
    match (tls, &mode) {
        (_, Mode::Silent) => std::future::pending().await,
        (_, Mode::Greet(bytes)) => {
            let mut stream = stream;
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
            // Read on: closing with unread bytes would be a reset.
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        }
        (_, Mode::Reply(bytes, then)) => {
            let mut stream = stream;
            let mut said = [0; 1024];
            let length = stream.read(&mut said).await.unwrap_or(0);
            seen.heads.lock().unwrap().push(String::from_utf8_lossy(&said[..length]).into_owned());
            let _ = stream.write_all(bytes).await;
            if *then == Then::Stay {
                std::future::pending::<()>().await;
            }
            let _ = stream.shutdown().await;
        }
        (Some(tls), _) => {
            if let Ok(mut stream) = tls.accept(stream).await {
                if answer(&mut stream, &mode, &seen).await {
                    let _ = stream.shutdown().await;
                }
                abort_if_reset(&mode, stream.get_ref().0);
            }
        }
        (None, _) => {
            let mut stream = stream;
            if answer(&mut stream, &mode, &seen).await {
                let _ = stream.shutdown().await;
            }
            abort_if_reset(&mode, &stream);
        }
    }
}

fn abort_if_reset(mode: &Mode, stream: &TcpStream) {
    if *mode == Mode::Reset {
        let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
    }
}

/// Answers one request; `true` when the connection should be closed in an orderly way.
async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), mode: &Mode, seen: &Seen) -> bool {
    let mut head = Vec::new();
    let mut chunk = [0_u8; 1024];
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read(&mut chunk).await {
            Ok(n) if n > 0 && head.len() < 65_536 => head.extend_from_slice(&chunk[..n]),
            _ => return false,
        }
    }
    seen.heads.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
    seen.requests.fetch_add(1, Ordering::SeqCst);
    let whole = |status: u16, headers: &str, body: &str| {
        format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    };
    let whole = match mode {
        Mode::Ok => whole(200, "", "ok"),
        Mode::Status(code) => whole(*code, "", ""),
        Mode::Body(body) => whole(200, "", body),
        Mode::Redirect(to) => whole(302, &format!("location: {to}\r\n"), ""),
        Mode::Close => return true,
        Mode::Reset => return false,
        Mode::Raw(bytes) => {
            let _ = stream.write_all(bytes).await;
            return true;
        }
        Mode::Hang | Mode::Silent | Mode::Refuse | Mode::Greet(_) | Mode::Reply(..) => std::future::pending().await,
        Mode::Drip => return endless(stream, "HTTP/1.1 200 X\r\n\r\n", "x", 20).await,
        Mode::DripHead => return endless(stream, "HTTP/1.1 200 X\r\nx: ", "x", 20).await,
        Mode::Flood => return endless(stream, "HTTP/1.1 200 X\r\n\r\n", &"x".repeat(16 * 1024), 0).await,
        Mode::EndlessHeaders => {
            return endless(stream, "HTTP/1.1 200 X\r\n", &"x-y: zzzzzzzz\r\n".repeat(100), 0).await;
        }
    };
    let _ = stream.write_all(whole.as_bytes()).await;
    true
}

async fn endless(stream: &mut (impl AsyncWrite + Unpin), first: &str, then: &str, pause_ms: u64) -> bool {
    let mut next = first;
    while stream.write_all(next.as_bytes()).await.is_ok() && stream.flush().await.is_ok() {
        next = then;
        if pause_ms > 0 {
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
    }
    false
}

#[tokio::test]
async fn a_refused_port_is_refused_and_comes_back() {
    let target = Target::start().await;
    for _ in 0..3 {
        target.set(Mode::Refuse).await;
        let error = TcpStream::connect(target.addr()).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        target.set(Mode::Ok).await;
        TcpStream::connect(target.addr()).await.unwrap();
    }
}
