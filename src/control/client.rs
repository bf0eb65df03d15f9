//! The asking half, for the commands. Blocking would do; it is async because its callers are.

use std::io::ErrorKind;
use std::path::Path;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::protocol::{Answer, Answered, Asked, PATIENCE, Request, VERSION, socket_path};

/// An answer above this many bytes is not read: some thousand reports fit.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No daemon listens for this state file.
    #[error("no daemon is running for {0}")]
    NoDaemon(String),
    #[error("the daemon's control socket {0} belongs to another user")]
    NotAllowed(String),
    #[error("the daemon did not answer within {} s", 2 * PATIENCE.as_secs())]
    Timeout,
    #[error("talking to the daemon failed: {0}")]
    Broken(String),
}

/// Asks the daemon that owns `state`.
pub async fn ask(state: &Path, request: Request) -> Result<Answer, AskError> {
    let path = socket_path(state);
    let stream = timeout(PATIENCE, UnixStream::connect(&path)).await.map_err(|_| AskError::Timeout)?;
    let stream = stream.map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => AskError::NoDaemon(state.display().to_string()),
        ErrorKind::PermissionDenied => AskError::NotAllowed(path.display().to_string()),
        _ => AskError::Broken(error.to_string()),
    })?;
    timeout(PATIENCE * 2, exchange(stream, request)).await.map_err(|_| AskError::Timeout)?
}

async fn exchange(stream: UnixStream, request: Request) -> Result<Answer, AskError> {
    let broken = |error: std::io::Error| AskError::Broken(error.to_string());
    let by = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).ok();
    let mut line = serde_json::to_vec(&Asked { version: VERSION, request, by }).map_err(|e| broken(e.into()))?;
    line.push(b'\n');
    let (read, mut write) = stream.into_split();
    write.write_all(&line).await.map_err(broken)?;
    let mut text = Vec::new();
    BufReader::new(read.take(MAX_ANSWER)).read_until(b'\n', &mut text).await.map_err(broken)?;
    if text.is_empty() {
        return Err(AskError::Broken("the daemon hung up".into()));
    }
    let answered: Answered = serde_json::from_slice(&text).map_err(|e| broken(e.into()))?;
    Ok(answered.answer)
}

/// Whoever runs this process, for the audit trail: login name, else user id.
pub fn person() -> String {
    let name = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_default();
    super::server::person(Some(name), Some(rustix::process::getuid().as_raw()))
}
