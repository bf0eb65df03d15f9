//! Name servers that answer with other people's answers, cut, endless, circular or lying packets: to
//! the questions that prove a move, and to those that find a target. None is ever believed.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use failoverd::dns::query::ask;
use failoverd::domain::{Content, Outcome, RecordName, RecordType};
use failoverd::engine::zone::DnsAnswer;
use failoverd::probe::{Prober, Resolver};
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::probe::http;
use crate::servers::Target;

const TIMEOUT: Duration = Duration::from_millis(800);
const SLACK: Duration = Duration::from_secs(1);

type Answers = Arc<dyn Fn(&[u8], bool) -> Vec<Vec<u8>> + Send + Sync>;

/// What comes over TCP: whole packets with this in front of each.
#[derive(Clone, Copy)]
enum Length {
    Right,
    /// Whatever the packet is.
    Says(u16),
    /// No more than the first byte of it.
    Half,
}

/// On UDP and TCP; `spoofed` answers come from another port.
fn start(answers: Answers, length: Length, spoofed: bool) -> SocketAddr {
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            break (udp, tcp);
        }
    };
    let addr = udp.local_addr().unwrap();
    let over_udp = answers.clone();
    std::thread::spawn(move || {
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut buffer = [0; 4096];
        while let Ok((n, from)) = udp.recv_from(&mut buffer) {
            for packet in over_udp(&buffer[..n], false) {
                let _ = if spoofed { &other } else { &udp }.send_to(&packet, from);
            }
        }
    });
    std::thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            let answers = answers.clone();
            std::thread::spawn(move || {
                let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
                let mut head = [0; 2];
                let mut query =
                    vec![0; stream.read_exact(&mut head).map(|()| u16::from_be_bytes(head)).unwrap_or(0).into()];
                if query.is_empty() || stream.read_exact(&mut query).is_err() {
                    return;
                }
                for packet in answers(&query, true) {
                    let right = u16::try_from(packet.len()).unwrap_or(u16::MAX).to_be_bytes();
                    let _ = match length {
                        Length::Right => stream.write_all(&right).and_then(|()| stream.write_all(&packet)),
                        Length::Says(n) => stream.write_all(&n.to_be_bytes()).and_then(|()| stream.write_all(&packet)),
                        Length::Half => stream.write_all(&right[..1]),
                    };
                }
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
            });
        }
    });
    addr
}

const AUTHORITY: u8 = 0b1000_0100;
const CUT: u8 = 0b0000_0010;

/// A reply to `query` with these flags, this many answers told, and these bytes for them.
fn reply(query: &[u8], flags: u8, told: u16, answers: &[u8]) -> Vec<u8> {
    // The question ends four bytes after the root label.
    let end = 12 + query[12..].iter().position(|b| *b == 0).unwrap() + 5;
    let mut packet = vec![query[0], query[1], flags, 0x80, 0, 1];
    packet.extend(told.to_be_bytes());
    packet.extend([0, 0, 0, 0]);
    packet.extend(&query[12..end]);
    packet.extend(answers);
    packet
}

/// `name` (a pointer to the question unless given), type A, TTL 60, `address`.
fn a(name: &[u8], address: [u8; 4]) -> Vec<u8> {
    [name, &[0, 1, 0, 1, 0, 0, 0, 60, 0, 4], &address].concat()
}

const SELF: &[u8] = &[0xc0, 12];

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_name_server_is_never_believed_and_costs_no_more_than_the_timeout() {
    let target = Target::start().await;
    let here = [127, 0, 0, 1];
    let is_a = |query: &[u8]| query.windows(4).any(|w| w == [0, 1, 0, 1]);
    let cut = |query: &[u8]| vec![reply(query, AUTHORITY | CUT, 0, &[])];
    type Row = (&'static str, Answers, Length, bool);
    let row = |name, length, answers: Answers| -> Row { (name, answers, length, false) };
    let over_tcp = move |packet: fn(&[u8]) -> Vec<u8>| -> Answers {
        Arc::new(move |q: &[u8], tcp| if tcp { vec![packet(q)] } else { cut(q) })
    };
    let well = move |q: &[u8], _: bool| -> Vec<Vec<u8>> {
        let found = is_a(q);
        vec![reply(q, AUTHORITY, u16::from(found), &if found { a(SELF, here) } else { Vec::new() })]
    };
    let packet = |make: fn(&[u8]) -> Vec<u8>| -> Answers { Arc::new(move |q: &[u8], _| vec![make(q)]) };
    let mut rows: Vec<Row> = vec![
        row(
            "another id",
            Length::Right,
            Arc::new(move |q, t| {
                let mut all = well(q, t);
                all.iter_mut().for_each(|p| p[0] ^= 0x55);
                all
            }),
        ),
        row(
            "every other id",
            Length::Right,
            Arc::new(move |q, t| {
                let one = well(q, t).remove(0);
                let id = u16::from_be_bytes([q[0], q[1]]);
                let ids = (0..2_000).map(|n| id.wrapping_add(n + 1).to_be_bytes());
                ids.map(|id| [id.as_slice(), &one[2..]].concat()).collect()
            }),
        ),
        row(
            "another question",
            Length::Right,
            Arc::new(move |q, t| {
                let mut all = well(q, t);
                all.iter_mut().for_each(|p| p[13] ^= 1);
                all
            }),
        ),
        row(
            "a query for an answer",
            Length::Right,
            Arc::new(move |q, t| {
                let mut all = well(q, t);
                all.iter_mut().for_each(|p| p[2] &= 0x7f);
                all
            }),
        ),
        row(
            "somebody else's address",
            Length::Right,
            packet(|q| reply(q, AUTHORITY, 1, &a(b"\x04evil\x07example\0", [127, 0, 0, 1]))),
        ),
        row(
            "a name that points to itself",
            Length::Right,
            packet(|q| {
                let at = u8::try_from(reply(q, AUTHORITY, 0, &[]).len()).unwrap();
                reply(q, AUTHORITY, 1, &a(&[0xc0, at], [127, 0, 0, 1]))
            }),
        ),
        row(
            "two names that point to each other",
            Length::Right,
            packet(|q| {
                let at = u8::try_from(reply(q, AUTHORITY, 0, &[]).len()).unwrap();
                reply(q, AUTHORITY, 2, &[a(&[0xc0, at + 16], [127, 0, 0, 1]), a(&[0xc0, at], [127, 0, 0, 1])].concat())
            }),
        ),
        row(
            "a name that points behind the packet",
            Length::Right,
            packet(|q| reply(q, AUTHORITY, 1, &a(&[0xff, 0xff], [127, 0, 0, 1]))),
        ),
        row("a label of 255", Length::Right, packet(|q| reply(q, AUTHORITY, 1, &[0xbf; 40]))),
        row(
            "a name without end",
            Length::Right,
            packet(|q| reply(q, AUTHORITY, 1, &[b"\x3f", [b'a'; 63].as_slice()].concat().repeat(20))),
        ),
        row("65,535 answers told, none there", Length::Right, packet(|q| reply(q, AUTHORITY, u16::MAX, &[]))),
        row(
            "data longer than the packet",
            Length::Right,
            packet(|q| reply(q, AUTHORITY, 1, &[SELF, &[0, 1, 0, 1, 0, 0, 0, 60, 0xff, 0xff, 127, 0, 0, 1]].concat())),
        ),
        row(
            "an address of three bytes",
            Length::Right,
            packet(|q| reply(q, AUTHORITY, 1, &[SELF, &[0, 1, 0, 1, 0, 0, 0, 60, 0, 3, 127, 0, 0]].concat())),
        ),
        row("nothing but a header", Length::Right, packet(|q| vec![q[0], q[1], AUTHORITY, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        row("an empty packet", Length::Right, packet(|_| Vec::new())),
        row("zeros", Length::Right, packet(|_| vec![0; 512])),
        row("ones", Length::Right, packet(|_| vec![0xff; 512])),
        row("cut over TCP too", Length::Right, Arc::new(move |q, _| cut(q))),
        row(
            "a length of 65,535 over TCP",
            Length::Says(u16::MAX),
            over_tcp(|q| reply(q, AUTHORITY, 1, &a(SELF, [127, 0, 0, 1]))),
        ),
        row(
            "a length of nothing over TCP",
            Length::Says(0),
            over_tcp(|q| reply(q, AUTHORITY, 1, &a(SELF, [127, 0, 0, 1]))),
        ),
        row(
            "a length of ten over TCP",
            Length::Says(10),
            over_tcp(|q| reply(q, AUTHORITY, 1, &a(SELF, [127, 0, 0, 1]))),
        ),
        row("half a length over TCP", Length::Half, over_tcp(|q| reply(q, AUTHORITY, 1, &a(SELF, [127, 0, 0, 1])))),
        row("ones over TCP", Length::Right, over_tcp(|_| vec![0xff; 60_000])),
    ];
    rows.push(("from another port", Arc::new(well), Length::Right, true));
    let name = RecordName::new("www.example.com").unwrap();
    let content = Content::Host(name.clone());
    let mut check = http(target.port(), |_| {});
    check.timeout = 2 * TIMEOUT;
    let one = |(row, answers, length, spoofed): Row| {
        let (name, content, check) = (&name, &content, &check);
        async move {
            let server = start(answers, length, spoofed);
            let begun = Instant::now();
            let answer = ask(server, name, RecordType::A, TIMEOUT).await;
            assert!(begun.elapsed() < TIMEOUT + SLACK, "{row}: {:?}", begun.elapsed());
            let told = format!("{answer:?}");
            let believed = matches!(answer, DnsAnswer::Addresses { .. } | DnsAnswer::Name(_) | DnsAnswer::Other(_));
            assert!(!believed && told.len() < 500, "{row}: {told}");
            let begun = Instant::now();
            let report = Prober::with_resolver(Resolver::servers(vec![server])).probe_target(check, content).await;
            assert!(begun.elapsed() < check.timeout + SLACK, "{row}: {:?}", begun.elapsed());
            assert_ne!(report.outcome, Outcome::Up, "{row}: {report:?}");
            assert_eq!(report.addresses.len(), 0, "{row}: {report:?}");
        }
    };
    join_all(rows.into_iter().map(one)).await;
    assert_eq!(target.connections(), 0);

    // The twin of all of them.
    let server = start(Arc::new(well), Length::Right, false);
    let set = BTreeSet::from([std::net::IpAddr::from(here)]);
    assert_eq!(ask(server, &name, RecordType::A, TIMEOUT).await, DnsAnswer::Addresses { set, ttl: 60 });
    let report = Prober::with_resolver(Resolver::servers(vec![server])).probe_target(&check, &content).await;
    assert!(!report.addresses.is_empty(), "{report:?}");
    assert_eq!(target.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_giant_answer_is_taken_whole_and_only_eight_of_its_addresses_are_probed() {
    let giant: Answers = Arc::new(|q: &[u8], tcp| {
        let some: Vec<u8> =
            (0..4_000_u16).flat_map(|n| a(SELF, [127, 9, n.to_be_bytes()[0], n.to_be_bytes()[1]])).collect();
        vec![if tcp { reply(q, AUTHORITY, 4_000, &some) } else { reply(q, AUTHORITY | CUT, 0, &[]) }]
    });
    let server = start(giant, Length::Right, false);
    let name = RecordName::new("www.example.com").unwrap();
    let DnsAnswer::Addresses { set, .. } = ask(server, &name, RecordType::A, TIMEOUT).await else { panic!() };
    assert_eq!(set.len(), 4_000);
    let mut check = http(1, |_| {});
    check.timeout = Duration::from_secs(4);
    let report =
        Prober::with_resolver(Resolver::servers(vec![server])).probe_target(&check, &Content::Host(name)).await;
    assert_eq!(report.addresses.len(), 8, "{report:?}");
}
