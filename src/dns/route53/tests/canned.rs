//! A server that answers what it is told to, and keeps what it was asked.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::Connection;
use super::connection_to;

/// What the canned server does with one request.
#[derive(Clone)]
pub(super) enum Reply {
    Http(u16, String),
    /// Reads the request, answers nothing, closes.
    Close,
    /// Sends the head of an answer and half its body.
    Cut,
    /// Reads the request and never answers.
    Silence,
    /// A body of 64 MiB.
    Flood,
}

pub(super) struct Canned {
    pub(super) url: String,
    /// Request line and body of each request.
    pub(super) seen: Arc<Mutex<Vec<(String, String)>>>,
    /// The headers of each request.
    pub(super) heads: Arc<Mutex<Vec<String>>>,
}

impl Canned {
    /// Replies in order, the last one for ever.
    pub(super) async fn start(replies: Vec<Reply>) -> Canned {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (log, log_heads) = (seen.clone(), heads.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, replies.clone(), log.clone(), log_heads.clone()));
            }
        });
        Canned { url, seen, heads }
    }

    pub(super) async fn connection(&self) -> Connection {
        connection_to(&self.url).await
    }

    pub(super) fn requests(&self) -> Vec<(String, String)> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    replies: Vec<Reply>,
    log: Arc<Mutex<Vec<(String, String)>>>,
    heads: Arc<Mutex<Vec<String>>>,
) {
    let mut data = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let head = loop {
            if let Some(at) = data.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            match stream.read(&mut chunk).await {
                Ok(n) if n > 0 => data.extend_from_slice(&chunk[..n]),
                _ => return,
            }
        };
        let text = String::from_utf8_lossy(&data[..head]).into_owned();
        let length: usize = text
            .lines()
            .find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length:").map(|v| v.trim().parse().unwrap()))
            .unwrap_or(0);
        while data.len() < head + length {
            match stream.read(&mut chunk).await {
                Ok(n) if n > 0 => data.extend_from_slice(&chunk[..n]),
                _ => return,
            }
        }
        let body = String::from_utf8_lossy(&data[head..head + length]).into_owned();
        data.drain(..head + length);
        heads.lock().unwrap().push(text.clone());
        let nth = {
            let mut log = log.lock().unwrap();
            log.push((text.lines().next().unwrap().to_owned(), body));
            log.len() - 1
        };
        match replies.get(nth).or(replies.last()).unwrap() {
            Reply::Http(status, body) => {
                let answer = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: text/xml\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            Reply::Close => return,
            Reply::Cut => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n<Change").await.unwrap();
                return;
            }
            Reply::Silence => std::future::pending().await,
            Reply::Flood => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
                let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
                for _ in 0..1024 {
                    if stream.write_all(chunk.as_bytes()).await.is_err() {
                        return;
                    }
                }
                heads.lock().unwrap().push("the flood was taken whole".into());
                stream.write_all(b"0\r\n\r\n").await.unwrap();
            }
        }
    }
}
