//! The listening half: bounded lines in, one answer each.
//!
//! The file is 0600 and belongs to whoever holds the state lock, so one found in its place is stale.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::protocol::{Answer, Answered, Asked, MAX_REQUEST, PATIENCE, Request, VERSION};

/// Conversations at one time; more have to wait for their turn.
const MOST_AT_ONCE: usize = 32;

/// What answers requests. `by` names the person for the audit trail.
pub trait Handler: Send + Sync + 'static {
    fn handle(&self, request: Request, by: String) -> BoxFuture<'_, Answer>;
}

#[derive(Debug, thiserror::Error)]
#[error("control socket {path}: {source}")]
pub struct SocketError {
    pub path: PathBuf,
    pub source: std::io::Error,
}

/// A bound socket; its file is removed when this is dropped.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Binds `path`, in place of what a dead process left there. Call only with the state lock held.
    pub fn bind(path: &Path) -> Result<Control, SocketError> {
        let fail = |source| SocketError { path: path.to_owned(), source };
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fail(error)),
            _ => {}
        }
        let listener = UnixListener::bind(path).map_err(fail)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(fail)?;
        Ok(Control { listener, path: path.to_owned() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Serves until dropped.
    pub async fn serve(self, handler: Arc<dyn Handler>) {
        let turns = Arc::new(Semaphore::new(MOST_AT_ONCE));
        loop {
            let Ok(turn) = turns.clone().acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let handler = handler.clone();
                    tokio::spawn(async move {
                        if let Err(error) = converse(stream, handler).await {
                            tracing::debug!(%error, "control conversation ended");
                        }
                        drop(turn);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "control socket cannot accept");
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                }
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn converse(stream: UnixStream, handler: Arc<dyn Handler>) -> std::io::Result<()> {
    let uid = stream.peer_cred().map(|cred| cred.uid()).ok();
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let most = u64::try_from(MAX_REQUEST).unwrap_or(u64::MAX) + 1;
        let mut bounded = (&mut read).take(most);
        match timeout(PATIENCE, bounded.read_until(b'\n', &mut line)).await {
            Ok(Ok(0)) | Err(_) => return Ok(()),
            Ok(result) => result?,
        };
        let whole = line.len() <= MAX_REQUEST;
        let answer = match serde_json::from_slice::<Asked>(&line) {
            _ if !whole => Answer::error(format!("a request has at most {MAX_REQUEST} bytes")),
            Err(error) => Answer::error(format!("not a request: {error}")),
            Ok(asked) if asked.version != VERSION => Answer::error(format!(
                "this daemon speaks version {VERSION}, not {}; use the failoverd of the same release",
                asked.version
            )),
            Ok(asked) => {
                let by = person(asked.by, uid);
                timeout(PATIENCE, handler.handle(asked.request, by))
                    .await
                    .unwrap_or_else(|_| Answer::error("no answer in time; the daemon is busy, try again"))
            }
        };
        let mut text = serde_json::to_vec(&Answered { version: VERSION, answer })?;
        text.push(b'\n');
        timeout(PATIENCE, write.write_all(&text)).await.map_err(|_| std::io::ErrorKind::TimedOut)??;
        if !whole {
            return Ok(());
        }
    }
}

/// Who asked: the name they give, and the user id the kernel vouches for.
pub(super) fn person(by: Option<String>, uid: Option<u32>) -> String {
    let name: String = by.unwrap_or_default().chars().filter(|c| !c.is_control()).take(64).collect();
    match (name.is_empty(), uid) {
        (false, Some(uid)) => format!("{name} (uid {uid})"),
        (false, None) => name,
        (true, Some(uid)) => format!("uid {uid}"),
        (true, None) => "unknown".to_owned(),
    }
}
