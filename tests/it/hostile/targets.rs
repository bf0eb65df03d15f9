//! Targets that do everything a server can do wrong. Each is a row: what it does, what a probe of it
//! finds. No probe of one lasts longer than its timeout, reads more than 64 KiB of body, or harms another.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use failoverd::domain::{Check, CheckKind, DownReason as D, Outcome, TlsCheck, UnknownReason as U};
use failoverd::probe::{ProbeReport, Prober};
use futures_util::future::join_all;
use serde_json::Value;
use tokio::time::Instant;

use super::fiend::{Act, Begins, Fiend, gzip_bomb};
use crate::probe::{Authority, NAME, http};
use crate::real::daemon::{failoverd, finish};
use crate::real::own_addresses;
use crate::real::site::{Site, Wish};

const TIMEOUT: Duration = Duration::from_secs(2);
/// Beyond its timeout a probe may take this long on a machine where everything runs at once.
const SLACK: Duration = Duration::from_secs(3);
const TRIES: u64 = 5;
const MAX_BODY: u64 = 64 * 1024;

/// How a row is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Plain,
    /// TLS with a good certificate.
    Tls,
    /// TLS of this kind, or no TLS at all where it is expected.
    Bad(Certificate),
    /// The script begins where a handshake should.
    NoTls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    Expired,
    NotYet,
    WrongName,
    SelfSigned,
    Stranger,
}

pub struct Row {
    pub name: &'static str,
    pub over: Over,
    pub script: Vec<Act>,
    pub outcome: Outcome,
    /// Bytes of body a probe reads at most.
    pub most: u64,
}

/// All rows.
pub fn rows() -> Vec<Row> {
    use Act::{Drip, Flood, HalfClose, Hold, Reset, Say};
    use Over::{Bad, NoTls, Plain, Tls};
    let say = |text: &str| Say(text.replace('\n', "\r\n").into_bytes());
    let flood = |text: &str| Flood(text.replace('\n', "\r\n").into_bytes());
    let ok = || say("HTTP/1.1 200 OK\n");
    let down = Outcome::Down;
    let mut rows = Vec::new();
    let mut row = |name, over, script: Vec<Act>, outcome, most| rows.push(Row { name, over, script, outcome, most });
    let (slow_head, slow_body) = (down(D::FirstByteTimeout), down(D::BodyTimeout));
    let (early, reset, not_http) = (down(D::ClosedEarly), down(D::ConnectReset), down(D::NotHttp));

    row("well", Plain, vec![say("HTTP/1.1 200 OK\ncontent-length: 2\n\nok")], Outcome::Up, 2);
    row("says nothing", Plain, vec![Hold], slow_head, 0);
    row("drips its head", Plain, vec![ok(), say("x: "), Drip("x")], slow_head, 0);
    row("drips its body", Plain, vec![ok(), say("\n"), Drip("x")], slow_body, MAX_BODY);
    row("drips chunks", Plain, vec![ok(), say("transfer-encoding: chunked\n\n"), Drip("0")], slow_body, 0);
    row("floods with a body", Plain, vec![ok(), say("\n"), flood("x")], Outcome::Up, MAX_BODY);
    row("floods after its length", Plain, vec![ok(), say("content-length: 5\n\nhello"), flood("x")], Outcome::Up, 5);
    row("floods with nothing", Plain, vec![Flood(vec![0])], not_http, 0);
    row("floods with line ends", Plain, vec![flood("\n")], not_http, 0);
    row("headers without end", Plain, vec![ok(), flood("x-y: zzzzzzzz\n")], not_http, 0);
    row("a header without end", Plain, vec![ok(), say("x: "), flood("y")], not_http, 0);
    row("a header name without end", Plain, vec![ok(), flood("y")], not_http, 0);
    row("a status line without end", Plain, vec![say("HTTP/1.1 200 "), flood("O")], not_http, 0);
    let many: String = (0..101).map(|n| format!("x-{n}: y\n")).collect();
    row("101 headers", Plain, vec![ok(), say(&many), say("content-length: 0\n\n")], not_http, 0);
    row("continues without end", Plain, vec![flood("HTTP/1.1 100 Continue\n\n")], not_http, 0);
    row("hints without end", Plain, vec![flood("HTTP/1.1 103 Early Hints\nlink: x\n\n")], not_http, 0);
    row(
        "switches protocols",
        Plain,
        vec![say("HTTP/1.1 101 X\nconnection: upgrade\nupgrade: x\n\n"), flood("x")],
        down(D::Status(101)),
        0,
    );
    let bomb = gzip_bomb(60);
    let head = format!("content-encoding: gzip\ncontent-length: {}\n\n", bomb.len());
    row("a gzip bomb", Plain, vec![ok(), say(&head), Say(bomb)], Outcome::Up, MAX_BODY);
    row(
        "a gzip bomb without end",
        Plain,
        vec![ok(), say("content-encoding: gzip\n\n"), Flood(gzip_bomb(4))],
        Outcome::Up,
        MAX_BODY,
    );
    for (name, length, outcome) in [
        ("a length above what comes", "10\n\nfour", early),
        ("a length of ten gigabytes", "10000000000\n\nfour", early),
        ("a length of 2^64", "18446744073709551616\n\nx", not_http),
        ("a negative length", "-1\n\nx", not_http),
        ("a length that is no number", "ten\n\nx", not_http),
        ("two lengths", "1\ncontent-length: 2\n\nxy", not_http),
    ] {
        row(name, Plain, vec![ok(), say(&format!("content-length: {length}"))], outcome, 4);
    }
    row("waits within its length", Plain, vec![ok(), say("content-length: 10\n\nfour"), Hold], slow_body, 4);
    let chunked = || say("transfer-encoding: chunked\n\n");
    row(
        "a chunk of 2^64 - 1",
        Plain,
        vec![ok(), chunked(), say("ffffffffffffffff\n"), flood("x")],
        Outcome::Up,
        MAX_BODY,
    );
    row("a chunk of 2^68", Plain, vec![ok(), chunked(), say("fffffffffffffffff\n"), flood("x")], not_http, 0);
    row("a chunk that is no chunk", Plain, vec![ok(), chunked(), say("zz\n")], not_http, 0);
    row("chunk extensions without end", Plain, vec![ok(), chunked(), say("1;"), flood("x")], not_http, 0);
    row("chunks of nothing but extensions", Plain, vec![ok(), chunked(), flood("1;xxxxxxxx\nx\n")], not_http, MAX_BODY);
    row("trailers without end", Plain, vec![ok(), chunked(), say("0\n"), flood("x: y\n")], not_http, 0);
    row("both lengths", Plain, vec![ok(), say("content-length: 3\n"), chunked(), say("1\nx\n0\n\n")], Outcome::Up, 1);

    row("closes", Plain, vec![], early, 0);
    row("half-closes", Plain, vec![HalfClose], early, 0);
    row("half-closes in its head", Plain, vec![ok(), say("x: y\n"), HalfClose], early, 0);
    row("half-closes in its body", Plain, vec![ok(), say("content-length: 9\n\nx"), HalfClose], early, 1);
    row("half-closes in a chunk", Plain, vec![ok(), chunked(), say("9\nx"), HalfClose], early, 1);
    row("half-closes after its body", Plain, vec![ok(), say("\nx"), HalfClose], Outcome::Up, 1);
    row("resets", Plain, vec![Reset], reset, 0);
    row("resets in its head", Plain, vec![ok(), Reset], reset, 0);

    let to = |to: &str| say(&format!("HTTP/1.1 302 X\nlocation: {to}\ncontent-length: 0\n\n"));
    let redirect = down(D::Redirect);
    row("leads in a circle", Plain, vec![to("/again")], redirect, 0);
    row("leads to metadata", Plain, vec![to("http://169.254.169.254/latest/meta-data/")], redirect, 0);
    row("leads to another host", Plain, vec![to("http://evil.example/")], redirect, 0);
    row("leads to a file", Plain, vec![to("file:///etc/passwd")], redirect, 0);
    row("leads far", Plain, vec![to(&format!("/{}", "x".repeat(60_000)))], redirect, 0);
    row("leads nowhere", Plain, vec![say("HTTP/1.1 302 X\n\n")], redirect, 0);
    row("another protocol", Plain, vec![say("SSH-2.0-OpenSSH_9.2\n")], not_http, 0);
    row("a version nobody knows", Plain, vec![say("HTTP/9.9 200 OK\n\n")], not_http, 0);
    row("HTTP/2", Plain, vec![Say(b"\0\0\x12\x04\0\0\0\0\0".to_vec()), Hold], not_http, 0);

    row("well over TLS", Tls, vec![say("HTTP/1.1 200 OK\ncontent-length: 2\n\nok")], Outcome::Up, 2);
    row("drips over TLS", Tls, vec![ok(), say("\n"), Drip("x")], slow_body, MAX_BODY);
    row("floods over TLS", Tls, vec![ok(), say("\n"), flood("x")], Outcome::Up, MAX_BODY);
    row("headers without end over TLS", Tls, vec![ok(), flood("x-y: zzzzzzzz\n")], not_http, 0);
    row("leads back to plain HTTP", Tls, vec![to(&format!("http://{NAME}/"))], redirect, 0);
    row("resets over TLS", Tls, vec![Reset], reset, 0);
    row("expired", Bad(Certificate::Expired), vec![ok(), say("\n")], down(D::CertificateExpired), 0);
    row("not yet valid", Bad(Certificate::NotYet), vec![ok(), say("\n")], down(D::CertificateExpired), 0);
    row("wrong name", Bad(Certificate::WrongName), vec![ok(), say("\n")], down(D::CertificateName), 0);
    row("self-signed", Bad(Certificate::SelfSigned), vec![ok(), say("\n")], down(D::CertificateUntrusted), 0);
    row("a stranger's", Bad(Certificate::Stranger), vec![ok(), say("\n")], down(D::CertificateUntrusted), 0);
    let no_tls = down(D::TlsHandshake);
    row("no handshake", NoTls, vec![Hold], down(D::TlsTimeout), 0);
    row(
        "drips a handshake",
        NoTls,
        vec![Say(b"\x16\x03\x03\x40\x00\x02".to_vec()), Drip("\0")],
        down(D::TlsTimeout),
        0,
    );
    row("plain HTTP for TLS", NoTls, vec![ok(), say("\nok")], no_tls, 0);
    row("floods for TLS", NoTls, vec![flood("x")], no_tls, 0);
    row("an alert", NoTls, vec![Say(b"\x15\x03\x03\x00\x02\x02\x28".to_vec())], no_tls, 0);
    row("half-closes for TLS", NoTls, vec![HalfClose], no_tls, 0);
    rows
}

/// Every row as a server on an address of its own.
pub struct Zoo {
    pub fiends: Vec<(Row, Fiend)>,
    pub ca: String,
}

impl Zoo {
    pub fn open() -> Zoo {
        let (authority, stranger) = (Authority::new(), Authority::new());
        let mut ips = std::iter::repeat_with(own_addresses).flatten();
        let config = |over: Over| match over {
            Over::Bad(Certificate::Expired) => authority.server(NAME, -30, -2),
            Over::Bad(Certificate::NotYet) => authority.server(NAME, 2, 30),
            Over::Bad(Certificate::WrongName) => authority.server("other.example.com", -1, 90),
            Over::Bad(Certificate::SelfSigned) => Authority::self_signed(NAME),
            Over::Bad(Certificate::Stranger) => stranger.server(NAME, -1, 90),
            _ => authority.server(NAME, -1, 90),
        };
        let fiends = rows().into_iter().map(|row| {
            let begins = match row.over {
                Over::Plain => Begins::Asked,
                Over::NoTls => Begins::AtOnce,
                over => Begins::AskedOverTls(config(over)),
            };
            let fiend = Fiend::start(ips.next().unwrap().into(), begins, row.script.clone());
            (row, fiend)
        });
        Zoo { fiends: fiends.collect(), ca: authority.pem.clone() }
    }

    /// Names of the policies they are the targets of, and which: no policy has more than 32.
    pub fn policies(&self) -> Vec<(String, Vec<usize>)> {
        let of = |plain: bool| -> Vec<usize> {
            let rows = self.fiends.iter().enumerate();
            rows.filter(|(_, (row, _))| (row.over == Over::Plain) == plain).map(|(i, _)| i).collect()
        };
        let named = |name: &'static str, rows: Vec<usize>| -> Vec<(String, Vec<usize>)> {
            rows.chunks(30).enumerate().map(|(n, some)| (format!("{name}{n}"), some.to_vec())).collect()
        };
        [named("plain", of(true)), named("tls", of(false))].concat()
    }

    /// Writes the files of the policies; all targets are in `region`.
    pub fn write(&self, dir: &Path, region: &str) {
        std::fs::write(dir.join("ca.pem"), &self.ca).unwrap();
        for (policy, targets) in self.policies() {
            let plain = policy.starts_with("plain");
            let more = if plain { "type = \"http\"\n" } else { "type = \"https\"\nca_file = \"../ca.pem\"\n" };
            let mut text = format!(
                "zone = \"example.com\"\nrecords = [\"{policy}.example.com\"]\nttl = 30\n[check]\npath = \"/\"\n\
                 host = \"{NAME}\"\ninterval = \"1s\"\nfast_interval = \"1s\"\ntimeout = \"800ms\"\nconfirm = \"0s\"\n\
                 redirects = 3\n{more}",
            );
            for i in targets {
                let at = self.fiends[i].1.addr;
                text += &format!(
                    "[[target]]\nname = \"t{i}\"\nregion = \"{region}\"\naddresses = [\"{}\"]\npriority = {}\n\
                     check = {{ port = {} }}\n",
                    at.ip(),
                    i + 1,
                    at.port()
                );
            }
            std::fs::write(dir.join(format!("policies/{policy}.toml")), text).unwrap();
        }
    }
}

/// The first report that is about the target and not about this machine, which is busy with other tests.
async fn judged(prober: &Prober, check: &Check, address: IpAddr) -> ProbeReport {
    let mut report = prober.probe(check, address).await;
    for _ in 1..TRIES {
        if report.outcome != Outcome::Unknown(U::Overloaded) {
            break;
        }
        report = prober.probe(check, address).await;
    }
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hostile_target_is_one_outcome_in_bounded_time_and_bytes() {
    let zoo = Zoo::open();
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, &zoo.ca).unwrap();
    let prober = Prober::new();
    let checked = |row: &Row, fiend: &Fiend| {
        let mut check: Check = http(fiend.addr.port(), |c| {
            c.redirects = 3;
            let verified =
                TlsCheck { sni: NAME.into(), verify: true, ca_file: Some(ca_file.clone()), min_cert_days: None };
            c.tls = (row.over != Over::Plain).then_some(verified);
        });
        check.timeout = TIMEOUT;
        let CheckKind::Http(inner) = &check.kind else { panic!() };
        assert_eq!(inner.max_body, MAX_BODY);
        (check, fiend.addr.ip())
    };
    // All at once, twice: what one does shows at no other.
    for round in 1..=2 {
        let probes = zoo.fiends.iter().map(|(row, fiend)| {
            let ((check, address), prober) = (checked(row, fiend), prober.clone());
            tokio::spawn(async move { judged(&prober, &check, address).await })
        });
        let found: Vec<ProbeReport> =
            join_all(probes.collect::<Vec<_>>()).await.into_iter().map(Result::unwrap).collect();
        for ((row, fiend), report) in zoo.fiends.iter().zip(&found) {
            let class = std::mem::discriminant;
            assert_eq!(class(&report.outcome), class(&row.outcome), "{}: {report:?}", row.name);
            assert!(report.body_bytes <= row.most, "{}: {report:?}", row.name);
            assert!(report.phases.total < TIMEOUT + SLACK, "{}: {report:?}", row.name);
            assert!(report.detail.chars().count() < 400 && !report.detail.contains('\n'), "{}", report.detail);
            assert!(fiend.connections() <= 4 * TRIES * round, "{}: at most three redirects a probe", row.name);
        }
    }
    assert!(zoo.fiends.len() >= 60, "{}", zoo.fiends.len());
}

#[test]
fn the_command_tells_every_hostile_target_apart() {
    let zoo = Zoo::open();
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("policies")).unwrap();
    std::fs::write(dir.path().join("failoverd.toml"), "policies = \"policies/*.toml\"\n").unwrap();
    zoo.write(dir.path(), "wild");
    for (policy, targets) in zoo.policies() {
        let begun = Instant::now();
        let said = finish(failoverd(dir.path()).args(["probe", &policy, "-o", "json"]));
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        let told: Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"));
        let probes = told["probes"].as_array().unwrap();
        assert_eq!(probes.len(), targets.len());
        for i in targets {
            let row = &zoo.fiends[i].0;
            let probe = probes.iter().find(|p| p["target"] == format!("t{i}")).unwrap();
            let busy = probe["reason"] == "overloaded";
            let right = probe["outcome"] == if row.outcome == Outcome::Up { "up" } else { "down" };
            assert!(right || busy, "{}: {probe:#}", row.name);
            assert!(probe["body_bytes"].as_u64().unwrap() <= row.most, "{}: {probe:#}", row.name);
        }
    }
}

/// Kilobytes of memory in use.
pub fn resident(pid: rustix::process::Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_daemon_among_hostile_targets_lives_decides_rightly_and_stays_small() {
    let mut site = Site::with(Wish { one_region: true, ..Wish::default() });
    let zoo = Zoo::open();
    let mut daemon = site.run("a");
    let quiet = resident(daemon.pid());
    zoo.write(site.dir.path(), "here");
    daemon.signal(rustix::process::Signal::HUP);
    let names: Vec<String> = zoo.policies().into_iter().map(|(name, _)| name).collect();
    let healths = |status: &Value, policy: &str| -> Option<BTreeMap<String, String>> {
        let report = status["reports"].as_array()?.iter().find(|r| r["policy"] == policy)?.clone();
        let of = |t: &Value| Some((t["name"].as_str()?.to_owned(), t["health"].as_str()?.to_owned()));
        report["targets"].as_array()?.iter().map(of).collect()
    };
    let whole = |status: &Value| {
        let all: Vec<_> = names.iter().map(|policy| healths(status, policy).unwrap_or_default()).collect();
        let wrong = zoo.fiends.iter().enumerate().filter(|(i, (row, _))| {
            let wanted = if row.outcome == Outcome::Up { "up" } else { "down" };
            let found = all.iter().find_map(|p| p.get(&format!("t{i}")));
            found.map(String::as_str) != Some(wanted)
        });
        wrong.map(|(i, (row, _))| format!("t{i} {}", row.name)).collect::<Vec<_>>()
    };
    let status = site.wait_status("every hostile target is judged", |s| whole(s).is_empty());
    assert!(daemon.alive(), "{status:#}");

    // Among them a real failure is seen and answered, and nothing else is written.
    site.use1.stop();
    site.wait_answer(&site.euw1, &daemon);
    let moves = site.sandbox.moves();
    let before: Vec<u64> = zoo.fiends.iter().map(|(_, f)| f.connections()).collect();
    crate::real::wait_until("every one was probed ten times more", || {
        zoo.fiends.iter().zip(&before).all(|((_, f), before)| f.connections() >= before + 10)
    });
    let busy = resident(daemon.pid());
    assert!(busy < quiet + 96 * 1024, "{quiet} kB before them, {busy} kB among them");
    assert!(daemon.alive());
    assert_eq!(whole(&site.status()), Vec::<String>::new());
    assert_eq!(site.sandbox.moves(), moves, "one move and no more");
    assert_eq!(daemon.terminate(), Some(0));
    for line in daemon.err().lines() {
        assert!(line.len() < 4096, "a line of {} bytes", line.len());
    }
}
