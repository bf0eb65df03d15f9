//! Probes against real sockets: each condition gives exactly one outcome, within its time.

mod hosts;
pub mod name_server;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use failoverd::domain::{
    AddressSet, BodyMatch, Cadence, Check, CheckKind, Content, DownReason as D, Exchange, HttpCheck, JsonScalar,
    Outcome, PolicyIdx, RecordName, StatusRange, TargetIdx, TcpCheck, TlsCheck, UnixMs, UnknownReason as U,
    WitnessKind,
};
use failoverd::probe::schedule::{self, Item};
use failoverd::probe::{ProbeReport, Prober};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{PrivateKeyDer, UnixTime};
use tokio::time::Instant;

use crate::servers::{Mode, Target, Then};

const TIMEOUT: Duration = Duration::from_millis(1000);
pub const NAME: &str = "www.example.com";
pub const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub fn check(kind: CheckKind) -> Check {
    Check {
        kind,
        cadence: Cadence::Every(Duration::from_secs(5)),
        fast_interval: Duration::from_secs(1),
        timeout: TIMEOUT,
        fall: 3,
        rise: 2,
        settle: 1,
        confirm: Duration::from_secs(8),
    }
}

pub fn http(port: u16, change: impl FnOnce(&mut HttpCheck)) -> Check {
    let mut kind = CheckKind::http(port, &RecordName::new(NAME).unwrap(), "/healthz?full=1");
    if let CheckKind::Http(http) = &mut kind {
        change(http);
    }
    check(kind)
}

/// One probe; it must end within its timeout + 200 ms, whatever the other side does.
async fn probe(check: &Check, address: IpAddr) -> ProbeReport {
    let begun = Instant::now();
    let report = Prober::new().probe(check, address).await;
    assert!(begun.elapsed() < check.timeout + Duration::from_millis(200), "{report:?}");
    report
}

#[tokio::test]
async fn each_answer_of_a_target_is_one_outcome() {
    let raw = |text: &str| Mode::Raw(text.into());
    let cases = [
        (Mode::Ok, Outcome::Up),
        (Mode::Status(204), Outcome::Up),
        (Mode::Status(404), Outcome::Down(D::Status(404))),
        (Mode::Status(503), Outcome::Down(D::Status(503))),
        (Mode::Redirect("/elsewhere".into()), Outcome::Down(D::Status(302))),
        (Mode::Refuse, Outcome::Down(D::ConnectRefused)),
        (Mode::Reset, Outcome::Down(D::ConnectReset)),
        (Mode::Close, Outcome::Down(D::ClosedEarly)),
        (Mode::Hang, Outcome::Down(D::FirstByteTimeout)),
        (Mode::DripHead, Outcome::Down(D::FirstByteTimeout)),
        (Mode::Drip, Outcome::Down(D::BodyTimeout)),
        // More than `max_body`, and nothing is expected of it.
        (Mode::Flood, Outcome::Up),
        (Mode::EndlessHeaders, Outcome::Down(D::NotHttp)),
        (raw("SSH-2.0-OpenSSH_9.2\r\n"), Outcome::Down(D::NotHttp)),
        (raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour"), Outcome::Down(D::ClosedEarly)),
        (raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), Outcome::Down(D::NotHttp)),
        (raw("HTTP/1.1 200 OK\r\nx: y\r\n"), Outcome::Down(D::ClosedEarly)),
        (raw("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\nuntil the end"), Outcome::Up),
    ];
    let target = Target::start().await;
    let check = http(target.port(), |c| c.max_body = 100_000);
    for (mode, expected) in cases {
        target.set(mode.clone()).await;
        let report = probe(&check, HERE).await;
        assert_eq!(report.outcome, expected, "{mode:?}: {report:?}");
        assert!(report.body_bytes <= 100_000);
        assert_eq!(report.phases.connect.is_some(), mode != Mode::Refuse, "{mode:?}");
        assert_eq!(report.phases.body.is_some(), expected == Outcome::Up, "{mode:?}");
    }
}

#[tokio::test]
async fn a_connection_that_is_never_established_is_a_connect_timeout() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((HERE, 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let addr = listener.local_addr().unwrap();
    // Nobody accepts: once the queue is full the kernel drops what arrives.
    let mut queue = Vec::new();
    let patience = Duration::from_millis(200);
    while let Ok(stream) = tokio::time::timeout(patience, tokio::net::TcpStream::connect(addr)).await {
        queue.push(stream.unwrap());
        assert!(queue.len() < 100);
    }
    for check in [http(addr.port(), |_| {}), check(CheckKind::Tcp(TcpCheck { port: addr.port(), exchange: None }))] {
        let report = probe(&check, HERE).await;
        assert_eq!(report.outcome, Outcome::Down(D::ConnectTimeout), "{report:?}");
        assert!(report.phases.total >= check.timeout);
    }
}

#[tokio::test]
async fn a_probe_sends_the_checks_host_path_and_headers() {
    let target = Target::start().await;
    let check = http(target.port(), |c| {
        c.method = "HEAD".into();
        c.headers.insert("x-token".into(), "abc".into());
    });
    assert_eq!(probe(&check, HERE).await.outcome, Outcome::Up);
    let head = target.last_head();
    for line in ["HEAD /healthz?full=1 HTTP/1.1\r\n", "host: www.example.com\r\n", "x-token: abc\r\n"] {
        assert!(head.contains(line), "{line:?} in {head:?}");
    }
    assert!(!head.contains("accept-encoding"), "{head}");
}

#[tokio::test]
async fn the_answer_must_be_what_the_check_expects() {
    type Change = fn(&mut HttpCheck);
    let cases: &[(&str, Change, Outcome)] = &[
        ("ready", |c| c.expect.body = Some(BodyMatch::Contains("ready".into())), Outcome::Up),
        ("busy", |c| c.expect.body = Some(BodyMatch::Contains("ready".into())), Outcome::Down(D::BodyMismatch)),
        ("v12", |c| c.expect.body = Some(BodyMatch::Regex("^v[0-9]+$".into())), Outcome::Up),
        ("v", |c| c.expect.body = Some(BodyMatch::Regex("^v[0-9]+$".into())), Outcome::Down(D::BodyMismatch)),
        (r#"{"db":{"ok":true}}"#, |c| _ = c.expect.json.insert("db.ok".into(), JsonScalar::Bool(true)), Outcome::Up),
        (
            r#"{"db":{"ok":false}}"#,
            |c| _ = c.expect.json.insert("db.ok".into(), JsonScalar::Bool(true)),
            Outcome::Down(D::JsonMismatch),
        ),
        (
            "0123456789ready",
            |c| {
                c.max_body = 10;
                c.expect.body = Some(BodyMatch::Contains("ready".into()));
            },
            Outcome::Down(D::BodyMismatch),
        ),
        ("", |c| c.expect.status = vec![StatusRange { from: 300, to: 399 }], Outcome::Down(D::Status(200))),
    ];
    let target = Target::start().await;
    for (body, change, expected) in cases {
        target.set(Mode::Body((*body).into())).await;
        let report = probe(&http(target.port(), change), HERE).await;
        assert_eq!(report.outcome, *expected, "{body}: {report:?}");
    }
}

#[tokio::test]
async fn redirects_are_followed_only_when_asked_and_only_home() {
    let target = Target::start().await;
    let other = Target::start().await;
    let cases = [
        (0, "/next".to_owned(), Outcome::Down(D::Status(302)), 1),
        (2, "/next".to_owned(), Outcome::Down(D::Redirect), 3),
        (3, format!("http://{NAME}:{}/next", target.port()), Outcome::Down(D::Redirect), 4),
        // The host is ours, but the port leads elsewhere on the same address: that answers.
        (1, format!("http://{NAME}:{}/next", other.port()), Outcome::Up, 1),
        (1, "http://169.254.169.254/latest/meta-data".to_owned(), Outcome::Down(D::Redirect), 1),
        (1, format!("http://127.0.0.1:{}/", other.port()), Outcome::Down(D::Redirect), 1),
    ];
    for (redirects, to, expected, requests) in cases {
        let before = target.requests();
        target.set(Mode::Redirect(to.clone())).await;
        let report = probe(&http(target.port(), |c| c.redirects = redirects), HERE).await;
        assert_eq!((report.outcome, target.requests() - before), (expected, requests), "{to}: {report:?}");
    }
    assert_eq!(other.requests(), 1);
    assert!(other.last_head().contains(&format!("host: {NAME}:{}\r\n", other.port())));
}

#[tokio::test]
async fn forbidden_addresses_are_never_dialled() {
    let target = Target::start().await;
    for address in ["169.254.169.254", "fe80::1", "0.0.0.0", "::", "::ffff:169.254.169.254", "ff02::1"] {
        let address = address.parse().unwrap();
        for check in
            [http(target.port(), |_| {}), check(CheckKind::Tcp(TcpCheck { port: target.port(), exchange: None }))]
        {
            let report = probe(&check, address).await;
            assert_eq!(report.outcome, Outcome::Unknown(U::ForbiddenAddress), "{report:?}");
            assert_eq!(report.phases.connect, None);
        }
    }
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn a_tcp_check_wants_a_connection_and_no_more() {
    let target = Target::start().await;
    let check = check(CheckKind::Tcp(TcpCheck { port: target.port(), exchange: None }));
    for (mode, expected) in
        [(Mode::Hang, Outcome::Up), (Mode::Refuse, Outcome::Down(D::ConnectRefused)), (Mode::Ok, Outcome::Up)]
    {
        target.set(mode).await;
        assert_eq!(probe(&check, HERE).await.outcome, expected);
    }
}

#[tokio::test]
async fn a_heartbeat_wants_the_right_word_back_and_reads_no_more_than_that() {
    let target = Target::start().await;
    let said =
        |receive: &str, answer: &str, then: Then| (receive.to_owned(), Mode::Reply(answer.as_bytes().to_vec(), then));
    let down = Outcome::Down;
    // (receive, what the target does once it was spoken to, outcome, bytes read, in the detail)
    let cases = [
        (said("PONG", "PONG", Then::Close), Outcome::Up, 4, "answered after "),
        (said("PONG", "PONG", Then::Stay), Outcome::Up, 4, "answered after "),
        (said("PONG", "PONG and much more", Then::Stay), Outcome::Up, 4, "answered after "),
        (said("PONG", "P", Then::Close), down(D::ClosedEarly), 1, "1 of 4 bytes"),
        (said("PONG", "", Then::Close), down(D::ClosedEarly), 0, "0 of 4 bytes"),
        (said("PONG", "NOPE", Then::Close), down(D::WrongAnswer), 4, "`NOPE`, not `PONG`"),
        // Known to be wrong before it is complete.
        (said("PONG", "PX", Then::Stay), down(D::WrongAnswer), 2, "`PX`, not `PONG`"),
        (said("PONG", "pong", Then::Close), down(D::WrongAnswer), 4, "`pong`"),
        (said("PONG", "", Then::Stay), down(D::FirstByteTimeout), 0, "no answer in time"),
        (said("PONG", "PO", Then::Stay), down(D::BodyTimeout), 2, "answer not complete in time"),
        (said(&"x".repeat(1024), &"x".repeat(1024), Then::Stay), Outcome::Up, 1024, "answered"),
        (("PONG".to_owned(), Mode::Refuse), down(D::ConnectRefused), 0, "refused"),
    ];
    for ((receive, mode), expected, bytes, words) in cases {
        target.set(mode.clone()).await;
        for heartbeat in [true, false] {
            let exchange = Some(Exchange { send: "PING".into(), receive: receive.clone() });
            let tcp = TcpCheck { port: target.port(), exchange };
            let check = check(if heartbeat { CheckKind::Heartbeat(tcp) } else { CheckKind::Tcp(tcp) });
            let report = probe(&check, HERE).await;
            assert_eq!((report.outcome, report.body_bytes), (expected, bytes), "{mode:?}: {report:?}");
            assert!(report.detail.contains(words), "{mode:?}: {}", report.detail);
            assert_eq!(report.phases.first_byte.is_some(), bytes > 0, "{mode:?}");
            assert_eq!(report.phases.body.is_some(), expected == Outcome::Up, "{mode:?}");
        }
    }
    assert_eq!(target.last_head(), "PING");
}

#[tokio::test]
async fn the_worst_address_of_a_target_decides_and_is_named() {
    let target = Target::start().await;
    let check = http(target.port(), |_| {});
    let set = |list: &[&str]| AddressSet::new(list.iter().map(|a| a.parse::<IpAddr>().unwrap())).unwrap();
    let prober = Prober::new();
    for (addresses, expected, named) in [
        (set(&["127.0.0.1"]), Outcome::Up, "127.0.0.1: status 200"),
        // Nobody listens on 127.0.0.2.
        (set(&["127.0.0.1", "127.0.0.2"]), Outcome::Down(D::ConnectRefused), "127.0.0.2: connection refused"),
        (set(&["127.0.0.1", "169.254.1.1"]), Outcome::Unknown(U::ForbiddenAddress), "169.254.1.1: address is never"),
        (
            set(&["127.0.0.1", "127.0.0.2", "169.254.1.1"]),
            Outcome::Down(D::ConnectRefused),
            "127.0.0.2: connection refused",
        ),
    ] {
        let report = prober.probe_target(&check, &Content::Addresses(addresses.clone())).await;
        assert_eq!(report.outcome, expected, "{report:?}");
        assert!(report.detail().starts_with(named), "{}", report.detail());
        assert_eq!(report.addresses.len(), addresses.iter().count());
    }
}

#[tokio::test]
async fn a_machine_that_stood_still_does_not_blame_the_target() {
    let target = Target::start().await;
    target.set(Mode::Hang).await;
    let prober = Prober::new();
    let mut quick = http(target.port(), |_| {});
    quick.timeout = Duration::from_millis(100);
    let probing = tokio::spawn(async move { prober.probe(&quick, HERE).await });
    while target.requests() == 0 {
        tokio::task::yield_now().await;
    }
    // The whole runtime of this test is this one thread: nothing in it runs meanwhile.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(900) {
        std::hint::spin_loop();
    }
    let report = probing.await.unwrap();
    assert_eq!(report.outcome, Outcome::Unknown(U::Overloaded), "{report:?}");
}

#[tokio::test]
async fn a_witness_counts_only_when_it_answers() {
    let target = Target::start().await;
    let prober = Prober::new();
    let (tcp, url) = (WitnessKind::Tcp(target.addr()), WitnessKind::Url(format!("http://{}/any", target.addr())));
    let by_name = WitnessKind::Url(format!("http://localhost:{}/any", target.port()));
    for (mode, tcp_answers, url_answers) in [
        (Mode::Ok, true, true),
        (Mode::Status(500), true, true),
        (Mode::Close, true, false),
        (Mode::Hang, true, false),
        (Mode::Refuse, false, false),
    ] {
        target.set(mode.clone()).await;
        let timeout = Duration::from_millis(1000);
        assert_eq!(prober.witness(&tcp, timeout).await, tcp_answers, "{mode:?}");
        assert_eq!(prober.witness(&url, timeout).await, url_answers, "{mode:?}");
        assert_eq!(prober.witness(&by_name, timeout).await, url_answers, "{mode:?}");
    }
    for nonsense in ["", "nope", "http://", "ftp://127.0.0.1/"] {
        assert!(!prober.witness(&WitnessKind::Url(nonsense.into()), Duration::from_millis(1000)).await, "{nonsense}");
    }
}

/// A CA, and leaves that are wrong in one way each.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl Authority {
    pub fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// A server whose certificate nobody signed but itself.
    pub fn self_signed(name: &str) -> Arc<rustls::ServerConfig> {
        let (params, key) = leaf(name, -1, 90);
        server(params.self_signed(&key).unwrap().der().clone(), &key)
    }

    /// A server whose certificate is for `name`, valid from and to these days from now.
    pub fn server(&self, name: &str, from: i64, to: i64) -> Arc<rustls::ServerConfig> {
        let (params, key) = leaf(name, from, to);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        server(certificate.der().clone(), &key)
    }
}

fn leaf(name: &str, from: i64, to: i64) -> (CertificateParams, KeyPair) {
    let now = i64::try_from(UnixTime::now().as_secs()).unwrap();
    // An hour more, so that `to` whole days are left while the test runs.
    let day = |days: i64| {
        let seconds = u64::try_from(now + days * 86_400 + 3600).unwrap();
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
    };
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = day(from);
    params.not_after = day(to);
    (params, KeyPair::generate().unwrap())
}

fn server(certificate: rustls_pki_types::CertificateDer<'static>, key: &KeyPair) -> Arc<rustls::ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap())
}

#[tokio::test]
async fn every_way_a_certificate_can_be_wrong_is_told_apart() {
    let authority = Authority::new();
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, &authority.pem).unwrap();
    let own = Authority::self_signed(NAME);
    let good = authority.server(NAME, -1, 90);
    let down = Outcome::Down;
    // (server, verify, min_cert_days, outcome, days told)
    let cases = [
        (&good, true, None, Outcome::Up, Some(90)),
        (&good, true, Some(90), Outcome::Up, Some(90)),
        (&good, true, Some(91), down(D::CertificateExpiresSoon), Some(90)),
        (&authority.server(NAME, -1, 3), true, Some(7), down(D::CertificateExpiresSoon), Some(3)),
        (&authority.server(NAME, -1, 3), true, None, Outcome::Up, Some(3)),
        (&authority.server(NAME, -30, -2), true, None, down(D::CertificateExpired), Some(-2)),
        (&authority.server(NAME, 2, 30), true, None, down(D::CertificateExpired), None),
        (&authority.server("other.example.com", -1, 90), true, None, down(D::CertificateName), None),
        (&own, true, None, down(D::CertificateUntrusted), None),
        (&Authority::new().server(NAME, -1, 90), true, None, down(D::CertificateUntrusted), None),
        (&authority.server("other.example.com", -30, -2), false, None, Outcome::Up, Some(-2)),
        (&own, false, Some(91), down(D::CertificateExpiresSoon), Some(90)),
    ];
    let tls = |port: u16, verify: bool, min_cert_days: Option<u32>, ca_file: Option<&std::path::Path>| {
        http(port, |c| {
            let ca_file = ca_file.map(Into::into);
            c.tls = Some(TlsCheck { sni: NAME.into(), verify, ca_file, min_cert_days });
        })
    };
    for (i, (config, verify, min, expected, days)) in cases.into_iter().enumerate() {
        let target = Target::start_tls(config.clone()).await;
        let report = probe(&tls(target.port(), verify, min, Some(&ca_file)), HERE).await;
        assert_eq!((report.outcome, report.cert_days), (expected, days), "case {i}: {report:?}");
        assert_eq!(report.phases.tls.is_some(), report.status.is_some(), "case {i}");
    }

    let target = Target::start_tls(good.clone()).await;
    // Modes behind TLS are the modes in front of it.
    let check = tls(target.port(), true, None, Some(&ca_file));
    for (mode, expected) in [
        (Mode::Status(503), down(D::Status(503))),
        (Mode::Reset, down(D::ConnectReset)),
        (Mode::Hang, down(D::FirstByteTimeout)),
        (Mode::Silent, down(D::TlsTimeout)),
        (Mode::Drip, down(D::BodyTimeout)),
        (Mode::Ok, Outcome::Up),
    ] {
        target.set(mode.clone()).await;
        let report = probe(&check, HERE).await;
        assert_eq!(report.outcome, expected, "{mode:?}: {report:?}");
    }
    // The system's roots, where there are any, do not know our CA.
    let system = probe(&tls(target.port(), true, None, None), HERE).await.outcome;
    assert!([down(D::CertificateUntrusted), Outcome::Unknown(U::LocalFile)].contains(&system), "{system}");
    let plain = Target::start().await;
    plain.set(Mode::Greet("HTTP/1.1 400 Bad Request\r\n\r\n".into())).await;
    assert_eq!(probe(&tls(plain.port(), false, None, None), HERE).await.outcome, down(D::TlsHandshake));

    for (name, content) in [("missing.pem", None), ("empty.pem", Some("")), ("text.pem", Some("no certificate"))] {
        let path = dir.path().join(name);
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let before = target.connections();
        let report = probe(&tls(target.port(), true, None, Some(&path)), HERE).await;
        assert_eq!(report.outcome, Outcome::Unknown(U::LocalFile), "{report:?}");
        assert!(report.detail.contains(name), "{}", report.detail);
        assert_eq!(target.connections(), before, "nothing is dialled without the CA");
    }
}

#[tokio::test]
async fn the_schedule_probes_real_targets_and_tells_when_one_goes_and_comes_back() {
    let target = Target::start().await;
    let (out, mut batches) = tokio::sync::mpsc::channel(64);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let handle = schedule::spawn(Prober::new(), out, || UnixMs(0), async { _ = stopped.await });
    let mut check = http(target.port(), |_| {});
    (check.cadence, check.fast_interval) = (Cadence::Every(Duration::from_millis(100)), Duration::from_millis(20));
    let addresses = AddressSet::new([HERE]).unwrap();
    handle.replace(vec![Item {
        policy: PolicyIdx(7),
        target: TargetIdx(3),
        check,
        content: Content::Addresses(addresses),
    }]);
    for (mode, expected) in [
        (Mode::Ok, Outcome::Up),
        (Mode::Refuse, Outcome::Down(D::ConnectRefused)),
        (Mode::Hang, Outcome::Down(D::FirstByteTimeout)),
        (Mode::Ok, Outcome::Up),
    ] {
        target.set(mode).await;
        handle.pace(PolicyIdx(7), expected != Outcome::Up);
        let wanted = async {
            loop {
                let batch = batches.recv().await.unwrap();
                assert!(batch.iter().all(|e| (e.policy, e.target) == (PolicyIdx(7), TargetIdx(3))));
                if batch.iter().any(|e| e.report.outcome == expected) {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(5), wanted).await.expect("the outcome comes");
    }
    stop.send(()).unwrap();
    let ended = async { while batches.recv().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(5), ended).await.expect("the schedule ends");
}

#[tokio::test]
async fn the_command_probes_a_policy_and_its_exit_code_tells_the_outcome() {
    let target = Target::start().await;
    let dir = tempfile::tempdir().unwrap();
    let (main, policy) = (dir.path().join("failoverd.toml"), dir.path().join("web.toml"));
    std::fs::write(&main, "policies = \"web.toml\"\n").unwrap();
    let text = format!(
        "zone = \"example.com\"\nrecords = [\"www.example.com\"]\nttl = 30\n\
         [check]\ntype = \"http\"\nport = {}\npath = \"/healthz\"\ntimeout = \"900ms\"\n\
         [[target]]\nname = \"here\"\naddresses = [\"127.0.0.1\"]\npriority = 1\n\
         [[target]]\nname = \"there\"\naddresses = [\"127.0.0.2\"]\npriority = 2\n",
        target.port()
    );
    std::fs::write(&policy, text).unwrap();
    let cases: [(&[&str], Mode, u8); 7] = [
        (&["web", "here"], Mode::Ok, 0),
        (&["web", "here", "-o", "json"], Mode::Status(500), 1),
        // Nobody listens on 127.0.0.2.
        (&["web"], Mode::Ok, 1),
        (&["web", "nowhere"], Mode::Ok, 1),
        (&["wob"], Mode::Ok, 1),
        (&["--url", "http://169.254.169.254/"], Mode::Ok, 7),
        (&["http://169.254.169.254/"], Mode::Ok, 7),
    ];
    for (line, mode, code) in cases {
        target.set(mode).await;
        let args = Cli::parse_from([&["probe"], line].concat()).probe;
        assert_eq!(failoverd::cli::probe::run(&args, Some(&main)).await, code, "{line:?}");
    }
    assert_eq!(target.requests(), 3);
    std::fs::write(&policy, "ttl = 0").unwrap();
    let args = Cli::parse_from(["probe", "web"]).probe;
    assert_eq!(failoverd::cli::probe::run(&args, Some(&main)).await, 4);
}

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    probe: failoverd::cli::probe::ProbeArgs,
}
