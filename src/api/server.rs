//! The listening half: a few short conversations at one time, one request each. Whoever connects and
//! says nothing makes room for the next.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Oversight;
use super::pages::router;
use super::token::Door;
use crate::secret::Secret;

/// Conversations at one time; one more drops the oldest that has not asked yet, or waits for a turn.
pub const MOST_AT_ONCE: usize = 32;
/// A caller has this long to send its request.
pub const HEAD_PATIENCE: Duration = Duration::from_secs(2);
/// It has at least this long, however many others want its place.
const GRACE: Duration = Duration::from_millis(10);
/// A conversation is cut off after this, whoever is slow.
const CONVERSATION: Duration = Duration::from_secs(20);
/// Most bytes of a request's head. Its body is never read.
const MOST_HEAD: usize = 16 * 1024;

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("[api] cannot listen on {address}: {source}")]
pub struct ListenError {
    pub address: SocketAddr,
    pub source: io::Error,
}

impl ListenError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self.source.kind() {
            io::ErrorKind::AddrInUse => "`ss -ltnp` shows who listens there; stop that, or choose another port",
            io::ErrorKind::AddrNotAvailable => "`ip address` shows the addresses of this machine; choose one of them",
            io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; choose a higher one",
            _ => "choose another `listen`",
        }
    }
}

/// A bound address.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    door: Door,
}

impl Server {
    /// With a token `/metrics` is for those who send it.
    pub async fn bind(listen: SocketAddr, token: Option<&Secret>) -> Result<Server, ListenError> {
        let fail = |source| ListenError { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        Ok(Server { listener, address, door: Door::new(token) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// For a token that changes while pages are served.
    pub fn door(&self) -> Door {
        self.door.clone()
    }

    /// Serves until dropped, which also ends every conversation.
    pub async fn serve(self, oversight: Arc<dyn Oversight>) {
        let router = router(oversight, self.door);
        let mut conversations = Conversations::default();
        let mut failing = false;
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        failing = false;
                        conversations.make_room().await;
                        conversations.begin(stream, router.clone());
                    }
                    Err(error) => {
                        if !failing {
                            tracing::warn!(%error, "metrics and health checks cannot be served; tried again");
                        }
                        failing = true;
                        sleep(Duration::from_millis(200)).await;
                    }
                },
                Some(_) = conversations.tasks.join_next() => {}
            }
        }
    }
}

/// Those under way; dropping them ends them.
#[derive(Default)]
struct Conversations {
    tasks: JoinSet<()>,
    /// Oldest first; some may have ended.
    open: VecDeque<Conversation>,
}

struct Conversation {
    task: AbortHandle,
    /// The whole head was read.
    asked: Arc<AtomicBool>,
    since: Instant,
}

impl Conversations {
    /// Returns when there is a place for one more.
    async fn make_room(&mut self) {
        while self.tasks.len() >= MOST_AT_ONCE {
            self.open.retain(|c| !c.task.is_finished());
            let silent = self.open.iter().find(|c| !c.asked.load(Ordering::Relaxed));
            let until = silent.map(|c| c.since + GRACE);
            match silent.filter(|c| c.since.elapsed() >= GRACE) {
                Some(oldest) => {
                    oldest.task.abort();
                    self.tasks.join_next().await;
                }
                None => {
                    tokio::select! {
                        _ = self.tasks.join_next() => {}
                        () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
                    }
                }
            }
        }
    }

    fn begin(&mut self, stream: TcpStream, router: Router) {
        let asked = Arc::new(AtomicBool::new(false));
        let task = self.tasks.spawn(converse(stream, router, Arc::clone(&asked)));
        self.open.retain(|c| !c.task.is_finished());
        self.open.push_back(Conversation { task, asked, since: Instant::now() });
    }
}

async fn converse(stream: TcpStream, router: Router, asked: Arc<AtomicBool>) {
    let pages = TowerToHyperService::new(router);
    let noted = service_fn(move |request| {
        asked.store(true, Ordering::Relaxed);
        pages.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MOST_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), noted);
    match timeout(CONVERSATION, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a conversation about metrics or health ended"),
        Err(_) => tracing::debug!("a conversation about metrics or health was cut off"),
    }
}
