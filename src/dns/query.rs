//! Questions to authoritative servers, one server at a time, with nobody's cache in between.
//!
//! A server that does not answer with authority has not answered: a forwarder in the way must
//! never prove a move. Nothing here compares an answer with what was hoped for.

mod delegation;

pub use delegation::delegation;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout_at};

use crate::domain::{RecordName, RecordType as Asked, address};
use crate::engine::zone::DnsAnswer;

/// What a caller gives when it has no better idea.
pub const TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes we offer to take over UDP (DNS flag day 2020: never fragmented in practice).
const UDP_SIZE: u16 = 1232;
/// The label asked for in place of `*`.
const WILDCARD_LABEL: &str = "failoverd-probe";
/// Names of a wrong answer that are told; a packet holds thousands.
const OTHERS_TOLD: usize = 3;
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks `server` for the addresses of `name` or for its CNAME, over UDP with one repetition at half of `timeout`,
/// then over TCP when the answer was cut. Never longer than `timeout`; never at an address that nothing is sent to.
pub async fn ask(server: SocketAddr, name: &RecordName, rtype: Asked, timeout: Duration) -> DnsAnswer {
    if let Some(why) = address::forbidden(server.ip()) {
        return DnsAnswer::Failed(format!("nothing is ever sent to this address: {why}"));
    }
    let question = match Question::new(name, rtype) {
        Ok(question) => question,
        Err(why) => return DnsAnswer::Failed(why),
    };
    let start = Instant::now();
    let end = start + timeout;
    match over_udp(server, &question, start + timeout / 2, end).await {
        Ok(Verdict::Answer(answer)) => answer,
        Ok(Verdict::Truncated) => match over_tcp(server, &question, end).await {
            Ok(Verdict::Answer(answer)) => answer,
            Ok(Verdict::Truncated) => DnsAnswer::Failed("truncated over TCP too".into()),
            Ok(Verdict::NotOurs(why)) => DnsAnswer::Failed(format!("over TCP: {why}")),
            Err(e) => DnsAnswer::Failed(format!("over TCP: {}", plain(&e))),
        },
        Ok(Verdict::NotOurs(why)) => DnsAnswer::Failed(why),
        Err(e) => DnsAnswer::Failed(plain(&e)),
    }
}

/// Addresses of name servers, in the order of `hosts`, one for each: IPv4 when there is one, since
/// many networks have no IPv6 route. By the system's resolver; a host without an address that may be
/// asked is left out with a warning.
pub async fn resolve_servers(hosts: &[String], port: u16) -> Vec<SocketAddr> {
    let found = join_all(hosts.iter().map(|host| resolve(host, port))).await;
    let mut list: Vec<SocketAddr> = Vec::new();
    for address in found.into_iter().flatten() {
        if !list.contains(&address) {
            list.push(address);
        }
    }
    list
}

async fn resolve(host: &str, port: u16) -> Option<SocketAddr> {
    let why = match tokio::time::timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(found)) => match address::allowed(found.map(|peer| peer.ip())) {
            Ok(all) => match all.iter().find(|ip| ip.is_ipv4()).or(all.first()) {
                Some(ip) => return Some(SocketAddr::new(*ip, port)),
                None => "no address".to_owned(),
            },
            Err(why) => format!("it leads to an address nothing is sent to: {why}"),
        },
        Ok(Err(e)) => e.to_string(),
        Err(_) => "no answer from the resolver in time".into(),
    };
    tracing::warn!(host, why, "a name server has no address here; it will not be asked");
    None
}

/// What one packet says to the question for `name` with `id`: `None` when it was cut, an error when it answers
/// something else.
#[cfg(feature = "fuzzing")]
pub fn heard(name: &RecordName, rtype: Asked, id: u16, packet: &[u8]) -> Result<Option<DnsAnswer>, String> {
    match (Question { id, ..Question::new(name, rtype)? }).judge(packet) {
        Verdict::Answer(answer) => Ok(Some(answer)),
        Verdict::Truncated => Ok(None),
        Verdict::NotOurs(why) => Err(why),
    }
}

struct Question {
    id: u16,
    name: Name,
    rtype: RecordType,
    bytes: Vec<u8>,
}

enum Verdict {
    Answer(DnsAnswer),
    Truncated,
    /// Not an answer to this question; over UDP somebody else's packet, so the wait goes on.
    NotOurs(String),
}

impl Question {
    fn new(name: &RecordName, asked: Asked) -> Result<Question, String> {
        let text = match name.as_str().strip_prefix("*.") {
            Some(rest) => format!("{WILDCARD_LABEL}.{rest}."),
            None => format!("{name}."),
        };
        let name = Name::from_ascii(&text).map_err(|e| format!("`{text}` cannot be asked: {e}"))?;
        let rtype = match asked {
            Asked::A => RecordType::A,
            Asked::Aaaa => RecordType::AAAA,
            Asked::Cname => RecordType::CNAME,
        };
        let mut random = [0; 2];
        getrandom::fill(&mut random).map_err(|e| format!("no random number: {e}"))?;
        let id = u16::from_ne_bytes(random);
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = false;
        message.add_query(Query::query(name.clone(), rtype));
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_SIZE);
        message.set_edns(edns);
        let bytes = message.to_vec().map_err(|e| format!("`{text}` cannot be asked: {e}"))?;
        Ok(Question { id, name, rtype, bytes })
    }

    fn judge(&self, packet: &[u8]) -> Verdict {
        let message = match Message::from_vec(packet) {
            Ok(message) => message,
            Err(_) => return Verdict::NotOurs("the answer is not DNS".into()),
        };
        let meta = &message.metadata;
        let asked = match message.queries.as_slice() {
            [q] => *q.name() == self.name && q.query_type() == self.rtype && q.query_class() == DNSClass::IN,
            // A server that cannot read the question may leave it out of its error.
            [] => !matches!(meta.response_code, ResponseCode::NoError | ResponseCode::NXDomain),
            _ => false,
        };
        if meta.message_type != MessageType::Response || meta.id != self.id || !asked {
            return Verdict::NotOurs("only an answer to another question".into());
        }
        if meta.truncation {
            return Verdict::Truncated;
        }
        Verdict::Answer(self.read(&message))
    }

    fn read(&self, message: &Message) -> DnsAnswer {
        let code = message.metadata.response_code;
        match code {
            ResponseCode::NoError | ResponseCode::NXDomain => {}
            ResponseCode::Refused => return DnsAnswer::Failed("REFUSED".into()),
            ResponseCode::ServFail => return DnsAnswer::Failed("SERVFAIL".into()),
            _ => return DnsAnswer::Failed(code.to_string()),
        }
        if !message.metadata.authoritative {
            return DnsAnswer::Failed("not authoritative".into());
        }
        let mut set: BTreeSet<IpAddr> = BTreeSet::new();
        let mut ttl = u32::MAX;
        let mut others: Vec<&Name> = Vec::new();
        for record in message.answers.iter().filter(|r| r.name == self.name) {
            match &record.data {
                RData::A(a) if self.rtype == RecordType::A => set.insert(a.0.into()),
                RData::AAAA(a) if self.rtype == RecordType::AAAA => set.insert(a.0.into()),
                RData::CNAME(to) => {
                    others.push(&to.0);
                    continue;
                }
                _ => continue,
            };
            ttl = ttl.min(record.ttl);
        }
        match (set.is_empty(), others.as_slice()) {
            (false, []) => DnsAnswer::Addresses { set, ttl },
            (true, []) => DnsAnswer::Nothing,
            (_, [to]) if self.rtype == RecordType::CNAME => {
                host(to).map_or_else(|| DnsAnswer::Other(spelt(to)), DnsAnswer::Name)
            }
            (_, several) => {
                let named = several.iter().take(OTHERS_TOLD).map(|to| spelt(to)).collect::<Vec<_>>().join(", ");
                let more = several.len().saturating_sub(OTHERS_TOLD);
                DnsAnswer::Other(if more > 0 { format!("{named} and {more} more") } else { named })
            }
        }
    }
}

/// A host name in our spelling; `None` for one that no record name can hold. By its bytes, since
/// the text of a name has escapes of its own.
fn host(name: &Name) -> Option<RecordName> {
    let labels: Option<Vec<&str>> = name.iter().map(|label| std::str::from_utf8(label).ok()).collect();
    let text = labels?.join(".");
    if text.contains('\\') { None } else { RecordName::new(&text).ok() }
}

fn spelt(to: &Name) -> String {
    format!("CNAME {}", to.to_ascii().trim_end_matches('.'))
}

async fn over_udp(server: SocketAddr, question: &Question, again: Instant, end: Instant) -> io::Result<Verdict> {
    let local: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(local).await?;
    // A connected socket takes packets of this server only, and hears of a closed port.
    socket.connect(server).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    let mut heard: Option<String> = None;
    for until in [again, end] {
        if let Err(e) = socket.send(&question.bytes).await
            && until == end
        {
            return Err(e);
        }
        loop {
            let length = match timeout_at(until, socket.recv(&mut buffer)).await {
                Err(_) => break,
                Ok(Ok(length)) => length,
                Ok(Err(e)) if until == end => return Err(e),
                Ok(Err(_)) => {
                    // A server that restarts refuses for a moment: the second question waits its turn.
                    tokio::time::sleep_until(until).await;
                    break;
                }
            };
            match question.judge(buffer.get(..length).unwrap_or_default()) {
                Verdict::NotOurs(why) => heard = Some(why),
                verdict => return Ok(verdict),
            }
        }
    }
    match heard {
        Some(why) => Ok(Verdict::NotOurs(why)),
        None => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn over_tcp(server: SocketAddr, question: &Question, end: Instant) -> io::Result<Verdict> {
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        let length = u16::try_from(question.bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend_from_slice(&question.bytes);
        stream.write_all(&framed).await?;
        let length = stream.read_u16().await?;
        let mut packet = vec![0; usize::from(length)];
        stream.read_exact(&mut packet).await?;
        Ok(question.judge(&packet))
    };
    timeout_at(end, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn plain(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::TimedOut => "no answer in time".into(),
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::UnexpectedEof => "connection closed early".into(),
        _ => e.to_string(),
    }
}

#[cfg(test)]
mod tests;
