//! Hand-made packets: what counts as an answer. Real servers answer in `tests/it/authority.rs`.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::Record;
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use tokio::net::TcpListener;

use super::*;

const SHORT: Duration = Duration::from_millis(400);

pub(super) fn name(text: &str) -> RecordName {
    RecordName::new(text).unwrap()
}

/// An authoritative reply to `query` with nothing in it.
pub(super) fn reply(query: &Message) -> Message {
    let mut message = Message::response(query.metadata.id, OpCode::Query);
    message.metadata.authoritative = true;
    message.queries = query.queries.clone();
    message
}

fn a(query: &Message, ttl: u32, last: u8) -> Record {
    let owner = query.queries[0].name().clone();
    Record::from_rdata(owner, ttl, RData::A(A(Ipv4Addr::new(192, 0, 2, last))))
}

/// A UDP and a TCP server on one port; each query is answered with the packets `script` makes of it.
pub(super) async fn scripted(script: impl Fn(&Message, bool) -> Vec<Vec<u8>> + Send + Sync + 'static) -> SocketAddr {
    let script = std::sync::Arc::new(script);
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            break (udp, tcp);
        }
    };
    let address = udp.local_addr().unwrap();
    let over_udp = script.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = udp.recv_from(&mut buffer).await {
            let query = Message::from_vec(&buffer[..length]).unwrap();
            for packet in over_udp(&query, false) {
                udp.send_to(&packet, from).await.unwrap();
            }
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let length = stream.read_u16().await.unwrap();
            let mut packet = vec![0; usize::from(length)];
            stream.read_exact(&mut packet).await.unwrap();
            for packet in script(&Message::from_vec(&packet).unwrap(), true) {
                stream.write_u16(u16::try_from(packet.len()).unwrap()).await.unwrap();
                stream.write_all(&packet).await.unwrap();
            }
        }
    });
    address
}

fn addresses(list: &[IpAddr], ttl: u32) -> DnsAnswer {
    DnsAnswer::Addresses { set: list.iter().copied().collect(), ttl }
}

fn v4(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

#[tokio::test]
async fn only_an_authoritative_answer_to_our_question_counts() {
    type Script = fn(&Message, bool) -> Vec<Vec<u8>>;
    let table: Vec<(&str, Script, DnsAnswer)> = vec![
        (
            "two addresses, the lower TTL",
            |q, _| {
                let mut m = reply(q);
                m.add_answer(a(q, 30, 1)).add_answer(a(q, 20, 2));
                vec![m.to_vec().unwrap()]
            },
            addresses(&[v4(1), v4(2)], 20),
        ),
        ("an empty answer", |q, _| vec![reply(q).to_vec().unwrap()], DnsAnswer::Nothing),
        (
            "NXDOMAIN",
            |q, _| {
                let mut m = reply(q);
                m.metadata.response_code = ResponseCode::NXDomain;
                vec![m.to_vec().unwrap()]
            },
            DnsAnswer::Nothing,
        ),
        (
            "a CNAME, even with the address it leads to",
            |q, _| {
                let mut m = reply(q);
                let to = Name::from_ascii("lb.example.net.").unwrap();
                m.add_answer(Record::from_rdata(q.queries[0].name().clone(), 60, RData::CNAME(CNAME(to.clone()))));
                m.add_answer(Record::from_rdata(to, 60, RData::A(A(Ipv4Addr::new(192, 0, 2, 1)))));
                vec![m.to_vec().unwrap()]
            },
            DnsAnswer::Other("CNAME lb.example.net".into()),
        ),
        (
            "a cache's answer",
            |q, _| {
                let mut m = reply(q);
                m.metadata.authoritative = false;
                m.metadata.recursion_available = true;
                m.add_answer(a(q, 30, 1));
                vec![m.to_vec().unwrap()]
            },
            DnsAnswer::Failed("not authoritative".into()),
        ),
        (
            "REFUSED",
            |q, _| {
                let mut m = reply(q);
                m.metadata.authoritative = false;
                m.metadata.response_code = ResponseCode::Refused;
                vec![m.to_vec().unwrap()]
            },
            DnsAnswer::Failed("REFUSED".into()),
        ),
        (
            "SERVFAIL without the question",
            |q, _| {
                let mut m = reply(q);
                m.queries.clear();
                m.metadata.response_code = ResponseCode::ServFail;
                vec![m.to_vec().unwrap()]
            },
            DnsAnswer::Failed("SERVFAIL".into()),
        ),
        (
            "a wrong id alone",
            |q, _| {
                let mut m = reply(q);
                m.metadata.id = q.metadata.id.wrapping_add(1);
                m.add_answer(a(q, 30, 66));
                vec![m.to_vec().unwrap()]
            },
            DnsAnswer::Failed("only an answer to another question".into()),
        ),
        (
            "a wrong id, another question, a query and garbage, then the answer",
            |q, _| {
                let mut wrong = reply(q);
                wrong.metadata.id = q.metadata.id.wrapping_add(1);
                wrong.add_answer(a(q, 30, 66));
                let mut other = reply(q);
                other.queries[0].set_name(Name::from_ascii("evil.example.com.").unwrap());
                other.add_answer(a(q, 30, 66));
                let mut family = reply(q);
                family.queries[0].set_query_type(RecordType::AAAA);
                let mut right = reply(q);
                right.add_answer(a(q, 30, 1));
                let mut packets: Vec<Vec<u8>> = [&wrong, &other, &family, q].map(|m| m.to_vec().unwrap()).into();
                packets.push(b"garbage".to_vec());
                packets.push(Vec::new());
                packets.push(right.to_vec().unwrap());
                packets
            },
            addresses(&[v4(1)], 30),
        ),
        ("garbage alone", |_, _| vec![vec![0xff; 40]], DnsAnswer::Failed("the answer is not DNS".into())),
        ("silence", |_, _| Vec::new(), DnsAnswer::Failed("no answer in time".into())),
        (
            "cut, then whole over TCP",
            |q, tcp| {
                let mut m = reply(q);
                m.metadata.truncation = !tcp;
                m.add_answer(a(q, 30, if tcp { 1 } else { 66 }));
                vec![m.to_vec().unwrap()]
            },
            addresses(&[v4(1)], 30),
        ),
        (
            "cut over TCP too",
            |q, _| {
                let mut m = reply(q);
                m.metadata.truncation = true;
                vec![m.to_vec().unwrap()]
            },
            DnsAnswer::Failed("truncated over TCP too".into()),
        ),
        (
            "cut, then a wrong id over TCP",
            |q, tcp| {
                let mut m = reply(q);
                m.metadata.truncation = !tcp;
                m.metadata.id = q.metadata.id.wrapping_add(u16::from(tcp));
                vec![m.to_vec().unwrap()]
            },
            DnsAnswer::Failed("over TCP: only an answer to another question".into()),
        ),
    ];
    for (case, script, expected) in table {
        let server = scripted(script).await;
        assert_eq!(ask(server, &name("www.example.com"), Asked::A, SHORT).await, expected, "{case}");
    }
}

#[tokio::test]
async fn a_cname_is_a_name_only_when_it_is_the_one_asked_for() {
    type Script = fn(&Message) -> Message;
    fn cname(m: &mut Message, owner: &Name, to: Name) {
        m.add_answer(Record::from_rdata(owner.clone(), 60, RData::CNAME(CNAME(to))));
    }
    fn host(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }
    let table: [(&str, Script, DnsAnswer); 9] = [
        (
            "one host, in any spelling",
            |q| {
                let mut m = reply(q);
                cname(&mut m, q.queries[0].name(), host("LB-1.Example.net."));
                m
            },
            DnsAnswer::Name(name("lb-1.example.net")),
        ),
        (
            "the asked name in another case",
            |q| {
                let mut m = reply(q);
                cname(&mut m, &host("WWW.Example.COM."), host("lb.example.net."));
                m
            },
            DnsAnswer::Name(name("lb.example.net")),
        ),
        (
            "the chain behind it does not count",
            |q| {
                let mut m = reply(q);
                cname(&mut m, q.queries[0].name(), host("lb.example.net."));
                cname(&mut m, &host("lb.example.net."), host("next.example.net."));
                m
            },
            DnsAnswer::Name(name("lb.example.net")),
        ),
        (
            "another name's",
            |q| {
                let mut m = reply(q);
                cname(&mut m, &host("other.example.com."), host("lb.example.net."));
                m
            },
            DnsAnswer::Nothing,
        ),
        (
            "an address in place of it",
            |q| {
                let mut m = reply(q);
                m.add_answer(a(q, 30, 1));
                m
            },
            DnsAnswer::Nothing,
        ),
        ("an empty answer", reply, DnsAnswer::Nothing),
        (
            "NXDOMAIN",
            |q| {
                let mut m = reply(q);
                m.metadata.response_code = ResponseCode::NXDomain;
                m
            },
            DnsAnswer::Nothing,
        ),
        (
            "two hosts",
            |q| {
                let mut m = reply(q);
                cname(&mut m, q.queries[0].name(), host("a.example.net."));
                cname(&mut m, q.queries[0].name(), host("b.example.net."));
                m
            },
            DnsAnswer::Other("CNAME a.example.net, CNAME b.example.net".into()),
        ),
        (
            "a host that no record name can hold",
            |q| {
                let mut m = reply(q);
                let odd = Name::from_labels([b"a b".as_slice(), b"example", b"net"]).unwrap();
                cname(&mut m, q.queries[0].name(), odd);
                m
            },
            DnsAnswer::Other("CNAME a\\040b.example.net".into()),
        ),
    ];
    for (case, script, expected) in table {
        let server = scripted(move |q, _| vec![script(q).to_vec().unwrap()]).await;
        assert_eq!(ask(server, &name("www.example.com"), Asked::Cname, SHORT).await, expected, "{case}");
    }
    let refusing = scripted(|q, _| {
        let mut m = reply(q);
        m.metadata.authoritative = false;
        cname(&mut m, q.queries[0].name(), host("lb.example.net."));
        vec![m.to_vec().unwrap()]
    })
    .await;
    let answer = ask(refusing, &name("www.example.com"), Asked::Cname, SHORT).await;
    assert_eq!(answer, DnsAnswer::Failed("not authoritative".into()));
}

#[tokio::test]
async fn a_lost_question_is_asked_once_more() {
    let count = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = count.clone();
    let server = scripted(move |q, _| {
        if counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
            return Vec::new();
        }
        let mut m = reply(q);
        m.add_answer(a(q, 30, 1));
        vec![m.to_vec().unwrap()]
    })
    .await;
    assert_eq!(ask(server, &name("www.example.com"), Asked::A, SHORT).await, addresses(&[v4(1)], 30));
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_wildcard_is_asked_with_a_label_and_nothing_asks_for_recursion() {
    let server = scripted(|q, _| {
        let mut m = reply(q);
        let query = &q.queries[0];
        let right = query.name().to_ascii() == "failoverd-probe.example.com."
            && query.query_type() == RecordType::AAAA
            && !q.metadata.recursion_desired;
        if right {
            let address = AAAA(Ipv6Addr::LOCALHOST);
            m.add_answer(Record::from_rdata(query.name().clone(), 30, RData::AAAA(address)));
        }
        vec![m.to_vec().unwrap()]
    })
    .await;
    let answer = ask(server, &name("*.example.com"), Asked::Aaaa, SHORT).await;
    assert_eq!(answer, addresses(&[Ipv6Addr::LOCALHOST.into()], 30));
}

#[tokio::test]
async fn a_closed_port_is_told_as_refused_within_the_timeout() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let closed = socket.local_addr().unwrap();
    drop(socket);
    let start = Instant::now();
    let answer = ask(closed, &name("www.example.com"), Asked::A, SHORT).await;
    assert_eq!(answer, DnsAnswer::Failed("connection refused".into()));
    assert!(start.elapsed() <= SHORT + Duration::from_millis(200));
}

#[tokio::test]
async fn servers_are_addresses_without_doubles_and_without_the_unknown() {
    let hosts: Vec<String> =
        ["127.0.0.2", "::1", "localhost", "no-such-host.invalid", "127.0.0.2"].map(String::from).into();
    let list = resolve_servers(&hosts, 5353).await;
    let text: Vec<String> = list.iter().map(ToString::to_string).collect();
    assert_eq!(text, ["127.0.0.2:5353", "[::1]:5353", "127.0.0.1:5353"]);
}
