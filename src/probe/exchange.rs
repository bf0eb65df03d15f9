//! A word sent and a word that must come back, over a connection just made.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use crate::domain::{DownReason, Exchange};

use super::{Failure, Phase, Progress, connect};

/// Bytes read of an answer at most, whatever a check says.
const ANSWER_MAX: usize = 1024;

/// `Ok` once the answer begins with `receive`; ends as soon as it cannot any more. Never reads
/// beyond the length of `receive`.
pub(super) async fn speak(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    exchange: &Exchange,
    progress: &mut Progress,
) -> Result<(), Failure> {
    progress.phase = Phase::FirstByte;
    let mut begun = Instant::now();
    let wanted = exchange.receive.as_bytes();
    stream.write_all(exchange.send.as_bytes()).await.map_err(|e| connect::failure(&e, Phase::FirstByte))?;
    stream.flush().await.map_err(|e| connect::failure(&e, Phase::FirstByte))?;
    let mut room = [0; ANSWER_MAX];
    let mut got = 0;
    while got < wanted.len() {
        let Some(free) = room.get_mut(got..wanted.len()) else {
            return Err(Failure::unknown(crate::domain::UnknownReason::InvalidCheck, "`receive` is too long"));
        };
        let read = stream.read(free).await.map_err(|e| connect::failure(&e, progress.phase))?;
        if got == 0 && read > 0 {
            progress.phases.first_byte = Some(begun.elapsed());
            progress.phase = Phase::Body;
            begun = Instant::now();
        }
        got += read;
        progress.body_bytes = got as u64;
        let answer = room.get(..got).unwrap_or_default();
        if !wanted.starts_with(answer) {
            let told = format!("`{}`, not `{}`", String::from_utf8_lossy(answer), exchange.receive);
            return Err(Failure::down(DownReason::WrongAnswer, told));
        }
        if read == 0 {
            return Err(Failure::down(DownReason::ClosedEarly, format_args!("{got} of {} bytes", wanted.len())));
        }
    }
    progress.phases.body = Some(begun.elapsed());
    Ok(())
}
