//! A server that does what its script says to whoever connects, over TCP or TLS. On threads of its
//! own, so that no runtime of a test holds it up.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One act after the other; at the end of the script the connection is closed.
#[derive(Clone, Debug)]
pub enum Act {
    Say(Vec<u8>),
    /// The same again and again, as fast as it is taken.
    Flood(Vec<u8>),
    /// One byte every 20 ms, without end.
    Drip(&'static str),
    /// Says no more, but does not close.
    HalfClose,
    Reset,
    /// Nothing, until the other side goes.
    Hold,
}

/// When the script begins.
#[derive(Clone)]
pub enum Begins {
    /// As soon as somebody connects.
    AtOnce,
    /// When the head of a request was read.
    Asked,
    /// The same behind TLS.
    AskedOverTls(Arc<rustls::ServerConfig>),
}

pub struct Fiend {
    pub addr: SocketAddr,
    connections: Arc<AtomicU64>,
}

impl Fiend {
    /// Its threads end with the test process.
    pub fn start(ip: IpAddr, begins: Begins, script: Vec<Act>) -> Fiend {
        Fiend::in_turn(ip, begins, vec![script])
    }

    /// Each connection is served the next of `scripts`, over and over.
    pub fn in_turn(ip: IpAddr, begins: Begins, scripts: Vec<Vec<Act>>) -> Fiend {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicU64::new(0));
        let counted = connections.clone();
        let scripts: Vec<Arc<Vec<Act>>> = scripts.into_iter().map(Arc::new).collect();
        std::thread::spawn(move || {
            for (stream, script) in listener.incoming().flatten().zip(scripts.into_iter().cycle()) {
                counted.fetch_add(1, Ordering::SeqCst);
                let begins = begins.clone();
                std::thread::spawn(move || serve(stream, begins, &script));
            }
        });
        Fiend { addr, connections }
    }

    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, begins: Begins, script: &[Act]) -> Option<()> {
    // Whoever is gone for so long has died with its sockets.
    stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    stream.set_write_timeout(Some(Duration::from_secs(60))).ok()?;
    stream.set_nodelay(true).ok()?;
    let raw = stream.try_clone().ok()?;
    match begins {
        Begins::AtOnce => play(stream, &raw, script),
        Begins::Asked => {
            let mut stream = stream;
            listen(&mut stream)?;
            play(stream, &raw, script)
        }
        Begins::AskedOverTls(config) => {
            let mut stream = rustls::StreamOwned::new(rustls::ServerConnection::new(config).ok()?, stream);
            listen(&mut stream)?;
            play(&mut stream, &raw, script)?;
            stream.conn.send_close_notify();
            stream.flush().ok()
        }
    }
}

fn listen(stream: &mut impl Read) -> Option<()> {
    let mut head = Vec::new();
    let mut chunk = [0; 4096];
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        let n = stream.read(&mut chunk).ok().filter(|n| *n > 0 && head.len() < 65_536)?;
        head.extend_from_slice(&chunk[..n]);
    }
    Some(())
}

/// `None` when nothing more is to be said on this connection.
fn play(mut stream: impl Read + Write, raw: &TcpStream, script: &[Act]) -> Option<()> {
    for act in script {
        match act {
            Act::Say(bytes) => {
                stream.write_all(bytes).ok()?;
                stream.flush().ok()?;
            }
            Act::Flood(bytes) => {
                let many = bytes.repeat(65_536 / bytes.len().max(1) + 1);
                while stream.write_all(&many).is_ok() {}
                return None;
            }
            Act::Drip(byte) => {
                while stream.write_all(byte.as_bytes()).and_then(|()| stream.flush()).is_ok() {
                    std::thread::park_timeout(Duration::from_millis(20));
                }
                return None;
            }
            Act::HalfClose => {
                raw.shutdown(Shutdown::Write).ok()?;
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
                return None;
            }
            Act::Reset => {
                let _ = socket2::SockRef::from(raw).set_linger(Some(Duration::ZERO));
                return None;
            }
            Act::Hold => {
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
                return None;
            }
        }
    }
    Some(())
}

/// A gzip file of `kib` KiB that unpacks to about 150 times as much: one literal, then copies of 258 bytes.
pub fn gzip_bomb(kib: usize) -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let (mut held, mut count) = (0_u32, 0);
    let mut put = |bytes: &mut Vec<u8>, code: u32, length: u32| {
        // Codes go in from their most significant bit, RFC 1951 section 3.1.1.
        for bit in (0..length).rev() {
            held |= (code >> bit & 1) << count;
            count += 1;
            if count == 8 {
                bytes.push(u8::try_from(held).unwrap());
                (held, count) = (0, 0);
            }
        }
    };
    // Last block, fixed codes: bits 1, then 01 with its low bit first.
    put(&mut bytes, 0b110, 3);
    put(&mut bytes, 0b0011_0000 + u32::from(b'x'), 8);
    while bytes.len() < kib * 1024 {
        // Length 258 is code 285, distance 1 is code 0.
        put(&mut bytes, 0b1100_0101, 8);
        put(&mut bytes, 0, 5);
    }
    put(&mut bytes, 0, 7);
    put(&mut bytes, 0, 7);
    bytes.extend([0; 8]);
    bytes
}

#[test]
fn the_bomb_is_gzip_and_grows_by_more_than_a_hundred() {
    use std::process::{Command, Stdio};
    let bomb = gzip_bomb(60);
    let mut unpack = Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut to = unpack.stdin.take().unwrap();
    let length = bomb.len();
    std::thread::spawn(move || to.write_all(&bomb));
    let mut from = unpack.stdout.take().unwrap();
    let mut unpacked = Vec::new();
    from.read_to_end(&mut unpacked).unwrap();
    unpack.wait().unwrap();
    assert!(unpacked.len() > 100 * length, "{} of {length}", unpacked.len());
    assert!(unpacked.iter().all(|b| *b == b'x'));
}
