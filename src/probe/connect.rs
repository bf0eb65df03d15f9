//! One fresh TCP connection, vetted before and classified after.

use std::io;
use std::net::SocketAddr;

use rustix::io::Errno;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::domain::{DownReason, Outcome, UnknownReason, address};

use super::{Failure, Phase, Progress};

/// Connects to `peer`, or says why that was not even tried.
pub(super) async fn tcp(peer: SocketAddr, progress: &mut Progress) -> Result<TcpStream, Failure> {
    if let Some(why) = address::forbidden(peer.ip()) {
        return Err(Failure::unknown(UnknownReason::ForbiddenAddress, why));
    }
    progress.phase = Phase::Connect;
    let begun = Instant::now();
    let stream = open(peer).await.map_err(|e| failure(&e, Phase::Connect))?;
    progress.phases.connect = Some(begun.elapsed());
    Ok(stream)
}

async fn open(peer: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(peer).await?;
    // A closed port of our own machine may be picked as the source port: TCP then connects to itself.
    if stream.local_addr()? == peer {
        return Err(Errno::CONNREFUSED.into());
    }
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What a socket error in `phase` says: about the target, or about us.
pub(super) fn failure(error: &io::Error, phase: Phase) -> Failure {
    let outcome = outcome(error, phase);
    match outcome {
        Outcome::Unknown(_) => Failure { outcome, more: Some(error.to_string()) },
        _ => outcome.into(),
    }
}

fn outcome(error: &io::Error, phase: Phase) -> Outcome {
    let Some(errno) = Errno::from_io_error(error) else {
        return Outcome::Down(match (error.kind(), phase) {
            (io::ErrorKind::TimedOut, _) => return phase.timeout(),
            (io::ErrorKind::UnexpectedEof, Phase::Tls) => DownReason::TlsHandshake,
            _ => DownReason::ClosedEarly,
        });
    };
    match errno {
        Errno::CONNREFUSED => Outcome::Down(DownReason::ConnectRefused),
        Errno::CONNRESET | Errno::CONNABORTED | Errno::PIPE => Outcome::Down(DownReason::ConnectReset),
        Errno::TIMEDOUT => phase.timeout(),
        Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::NETDOWN | Errno::AFNOSUPPORT => {
            Outcome::Unknown(UnknownReason::NoRoute)
        }
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => Outcome::Unknown(UnknownReason::OutOfSockets),
        // EADDRNOTAVAIL, EADDRINUSE, EACCES, EPERM (a local packet filter), and whatever else the
        // kernel may say: an error nobody foresaw is no evidence against a target.
        _ => Outcome::Unknown(UnknownReason::LocalAddress),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errno_blames_the_right_side_of_the_wire() {
        let down = Outcome::Down;
        let unknown = Outcome::Unknown;
        let cases = [
            (Errno::CONNREFUSED, down(DownReason::ConnectRefused)),
            (Errno::CONNRESET, down(DownReason::ConnectReset)),
            (Errno::PIPE, down(DownReason::ConnectReset)),
            (Errno::TIMEDOUT, down(DownReason::ConnectTimeout)),
            (Errno::NETUNREACH, unknown(UnknownReason::NoRoute)),
            (Errno::HOSTUNREACH, unknown(UnknownReason::NoRoute)),
            (Errno::NETDOWN, unknown(UnknownReason::NoRoute)),
            (Errno::MFILE, unknown(UnknownReason::OutOfSockets)),
            (Errno::NFILE, unknown(UnknownReason::OutOfSockets)),
            (Errno::NOBUFS, unknown(UnknownReason::OutOfSockets)),
            (Errno::NOMEM, unknown(UnknownReason::OutOfSockets)),
            (Errno::ADDRNOTAVAIL, unknown(UnknownReason::LocalAddress)),
            (Errno::ADDRINUSE, unknown(UnknownReason::LocalAddress)),
            (Errno::ACCESS, unknown(UnknownReason::LocalAddress)),
            (Errno::PERM, unknown(UnknownReason::LocalAddress)),
        ];
        for (errno, expected) in cases {
            assert_eq!(outcome(&errno.into(), Phase::Connect), expected, "{errno}");
        }
    }
}
