//! The listening half: bounded lines in, one answer each.
//!
//! The file is 0600 and belongs to whoever holds the state lock, so one found in its place is stale.
//! Whoever connects and says nothing makes room for the next: a person's `freeze` does not queue.

use std::collections::VecDeque;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::protocol::{Answer, Answered, Asked, MAX_REQUEST, PATIENCE, Request, VERSION};

/// Conversations at one time; one more drops the oldest that asks nothing now, or waits for its turn.
const MOST_AT_ONCE: usize = 32;
/// One that asks nothing has at least this long, however many others want its place.
const GRACE: Duration = Duration::from_millis(50);

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

    /// Serves until dropped; whoever has asked by then is still answered.
    pub async fn serve(self, handler: Arc<dyn Handler>) {
        let mut conversations = Conversations::default();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        conversations.make_room().await;
                        conversations.begin(stream, handler.clone());
                    }
                    Err(error) => {
                        tracing::warn!(%error, "control socket cannot accept");
                        sleep(Duration::from_millis(200)).await;
                    }
                },
                Some(_) = conversations.tasks.join_next() => {}
            }
        }
    }
}

/// Those under way.
#[derive(Default)]
struct Conversations {
    tasks: JoinSet<()>,
    /// Oldest first; some may have ended.
    open: VecDeque<Conversation>,
}

struct Conversation {
    task: AbortHandle,
    /// A whole request was read and is not answered yet.
    asks: Arc<AtomicBool>,
    since: Instant,
}

impl Drop for Conversations {
    fn drop(&mut self) {
        self.tasks.detach_all();
    }
}

impl Conversations {
    /// Returns when there is a place for one more.
    async fn make_room(&mut self) {
        while self.tasks.len() >= MOST_AT_ONCE {
            self.open.retain(|c| !c.task.is_finished());
            let silent = self.open.iter().find(|c| !c.asks.load(Ordering::Relaxed));
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

    fn begin(&mut self, stream: UnixStream, handler: Arc<dyn Handler>) {
        let asks = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&asks);
        let task = self.tasks.spawn(async move {
            if let Err(error) = converse(stream, handler, &noted).await {
                tracing::debug!(%error, "control conversation ended");
            }
        });
        self.open.retain(|c| !c.task.is_finished());
        self.open.push_back(Conversation { task, asks, since: Instant::now() });
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn converse(stream: UnixStream, handler: Arc<dyn Handler>, asks: &AtomicBool) -> std::io::Result<()> {
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
        asks.store(true, Ordering::Relaxed);
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
        asks.store(false, Ordering::Relaxed);
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
