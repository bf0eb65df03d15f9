//! Questions to a name server that nobody here wrote: every shape of answer a real zone gives.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use failoverd::dns::query::{TIMEOUT, ask, resolve_servers};
use failoverd::domain::{RecordName, RecordType};
use failoverd::engine::zone::DnsAnswer;

use crate::real::bind::Bind;

async fn asked(server: SocketAddr, name: &str, rtype: RecordType) -> DnsAnswer {
    ask(server, &RecordName::new(name).unwrap(), rtype, TIMEOUT).await
}

fn addresses(list: &[&str], ttl: u32) -> DnsAnswer {
    let set: BTreeSet<IpAddr> = list.iter().map(|text| text.parse().unwrap()).collect();
    DnsAnswer::Addresses { set, ttl }
}

#[tokio::test]
async fn bind_is_understood_in_every_shape_of_answer() {
    // 90 addresses are 1,440 bytes: more than we take over UDP, so this one goes over TCP.
    let many: Vec<String> = (0..90).map(|n| format!("198.51.100.{n}")).collect();
    let big: String = many.iter().map(|address| format!("big 30 A {address}\n")).collect();
    let records = format!(
        "www 20 A 192.0.2.1\nwww 20 A 192.0.2.2\nwww 40 AAAA 2001:db8::1\nfour A 192.0.2.4\nalias CNAME www\n\
         out CNAME lb.elsewhere.example.\n*.wild 15 A 192.0.2.9\nchild NS ns.child\nns.child A 192.0.2.53\n\
         @ 25 A 192.0.2.80\n{big}"
    );
    let bind = Bind::start("example.test", &records);
    let big: Vec<&str> = many.iter().map(String::as_str).collect();
    let table = [
        ("www.example.test", RecordType::A, addresses(&["192.0.2.1", "192.0.2.2"], 20)),
        ("www.example.test", RecordType::Aaaa, addresses(&["2001:db8::1"], 40)),
        ("example.test", RecordType::A, addresses(&["192.0.2.80"], 25)),
        ("four.example.test", RecordType::Aaaa, DnsAnswer::Nothing),
        ("absent.example.test", RecordType::A, DnsAnswer::Nothing),
        ("alias.example.test", RecordType::A, DnsAnswer::Other("CNAME www.example.test".into())),
        ("out.example.test", RecordType::Aaaa, DnsAnswer::Other("CNAME lb.elsewhere.example".into())),
        ("alias.example.test", RecordType::Cname, DnsAnswer::Name(RecordName::new("www.example.test").unwrap())),
        ("out.example.test", RecordType::Cname, DnsAnswer::Name(RecordName::new("lb.elsewhere.example").unwrap())),
        ("www.example.test", RecordType::Cname, DnsAnswer::Nothing),
        ("absent.example.test", RecordType::Cname, DnsAnswer::Nothing),
        ("www.child.example.test", RecordType::Cname, DnsAnswer::Failed("not authoritative".into())),
        ("*.wild.example.test", RecordType::A, addresses(&["192.0.2.9"], 15)),
        ("big.example.test", RecordType::A, addresses(&big, 30)),
        ("www.child.example.test", RecordType::A, DnsAnswer::Failed("not authoritative".into())),
        ("www.other.test", RecordType::A, DnsAnswer::Failed("REFUSED".into())),
    ];
    let server = resolve_servers(&["localhost".to_owned()], bind.addr.port()).await;
    assert_eq!(server, [bind.addr]);
    for (name, family, expected) in table {
        assert_eq!(asked(bind.addr, name, family).await, expected, "{name} {family}");
    }
}
