//! The listening half: a few short conversations at one time, one request each.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Oversight;
use super::pages::router;
use super::token::Door;
use crate::secret::Secret;

/// Conversations at one time; more wait for a turn.
pub const MOST_AT_ONCE: usize = 32;
/// A caller has this long to send its request.
pub const HEAD_PATIENCE: Duration = Duration::from_secs(5);
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
        let mut conversations = JoinSet::new();
        let mut failing = false;
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if conversations.len() < MOST_AT_ONCE => match accepted {
                    Ok((stream, _)) => {
                        failing = false;
                        conversations.spawn(converse(stream, router.clone()));
                    }
                    Err(error) => {
                        if !failing {
                            tracing::warn!(%error, "metrics and health checks cannot be served; tried again");
                        }
                        failing = true;
                        sleep(Duration::from_millis(200)).await;
                    }
                },
                Some(_) = conversations.join_next() => {}
            }
        }
    }
}

async fn converse(stream: TcpStream, router: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MOST_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match timeout(CONVERSATION, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a conversation about metrics or health ended"),
        Err(_) => tracing::debug!("a conversation about metrics or health was cut off"),
    }
}
