//! Every way by which a user or a remote party names an address: each forbidden spelling is refused
//! with a message or never dialled, and the same way with an allowed address is taken.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use failoverd::config::{self, ConfigErrors};
use failoverd::dns::ZoneReader as _;
use failoverd::dns::query::{ask, resolve_servers};
use failoverd::dns::route53::{Settings, Timeouts, connect_reader};
use failoverd::domain::{
    Content, DownReason as D, NotifierName, Outcome, RecordName, RecordType, UnixMs, UnknownReason as U, WitnessKind,
    ZoneRef,
};
use failoverd::engine::zone::DnsAnswer;
use failoverd::notify::{SendResult, Sink, SinkKind, client};
use failoverd::probe::{Prober, Resolver};
use failoverd::secret::Secret;
use futures_util::future::join_all;
use tokio::net::UdpSocket;

use super::spellings::{SPELLINGS, addresses, bare, meant, numeric};
use super::spy::Spied;
use crate::notify::cases;
use crate::probe::name_server::{NameServer, is};
use crate::probe::{HERE, NAME, http};
use crate::real::daemon::{Process, finish};
use crate::real::sink::Sink as Receiver;
use crate::servers::{Mode, Target};

const POLICY: &str = "zone = \"example.com\"\nrecords = [\"www.example.com\"]\nttl = 30\n\
    [check]\ntype = \"http\"\nport = 80\npath = \"/\"\n\
    [[target]]\nname = \"a\"\naddresses = [\"198.51.100.1\"]\npriority = 1\n\
    [[target]]\nname = \"b\"\naddresses = [ADDRESS]\npriority = 2\n";

/// Main file and policy with `text` at one door.
fn files(door: &str, text: &str) -> (String, String) {
    let quoted = |text: &str| toml::Value::String(text.into()).to_string();
    let (url, socket) = (quoted(&format!("http://{text}:80/x")), quoted(&format!("{text}:80")));
    let main = match door {
        "witness.url" => format!("[[witness]]\nname = \"w\"\nurl = {url}\n"),
        "witness.tcp" => format!("[[witness]]\nname = \"w\"\ntcp = {socket}\n"),
        "notifier.url" => format!("[[notifier]]\nname = \"n\"\ntype = \"webhook\"\nurl = {url}\n"),
        "route53.endpoint_url" => format!("[route53]\nendpoint_url = {url}\n"),
        "verify.name_servers" => format!("[verify]\nname_servers = [{socket}]\n"),
        _ => String::new(),
    };
    let address = if door == "target.addresses" { quoted(bare(text)) } else { quoted("198.51.100.2") };
    (main, POLICY.replace("ADDRESS", &address))
}

fn load(dir: &Path, (main, policy): &(String, String), env: config::Env<'_>) -> Result<(), ConfigErrors> {
    std::fs::write(dir.join("failoverd.toml"), main).unwrap();
    std::fs::create_dir_all(dir.join("policies")).unwrap();
    std::fs::write(dir.join("policies/web.toml"), policy).unwrap();
    config::load(&dir.join("failoverd.toml"), env).map(drop)
}

#[test]
fn no_door_of_the_configuration_takes_a_forbidden_spelling() {
    let dir = tempfile::tempdir().unwrap();
    let none = |_: &str| None;
    let doors = [
        "witness.url",
        "witness.tcp",
        "notifier.url",
        "route53.endpoint_url",
        "verify.name_servers",
        "target.addresses",
    ];
    for door in doors {
        for allowed in ["127.0.0.1", "[::1]"].iter().take(if door == "target.addresses" { 1 } else { 2 }) {
            load(dir.path(), &files(door, allowed), &none).unwrap_or_else(|e| panic!("{door} {allowed}: {e}"));
        }
        let mut refused = 0;
        for spelling in SPELLINGS {
            let Err(errors) = load(dir.path(), &files(door, spelling), &none) else {
                // No parser that dials reads an address out of it; `the_real_binary_…` shows that.
                assert!(door.ends_with("url") && meant(spelling).is_none(), "{door} takes {spelling}");
                continue;
            };
            let said = errors.to_string();
            let wrong = errors.findings.iter().filter(|f| f.severity == config::Severity::Error).count();
            assert_eq!(wrong, 1, "{said}");
            // A table in a list is named by its number.
            let key = door.rsplit('.').next().unwrap();
            assert!(said.contains(key) && said.contains("  fix: "), "{door} {spelling}: {said}");
            refused += 1;
        }
        assert!(refused >= 120, "{door}: {refused} of {}", SPELLINGS.len());
    }
    for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ROUTE_53"] {
        for spelling in SPELLINGS.iter().chain(&["127.0.0.1"]) {
            let env = |name: &str| (name == variable).then(|| format!("http://{spelling}:80"));
            let taken = load(dir.path(), &files("", ""), &env).is_ok();
            let allowed = *spelling == "127.0.0.1" || meant(spelling).is_none();
            assert!(!taken || allowed, "{variable} takes {spelling}");
            assert!(taken || *spelling != "127.0.0.1", "{variable}");
        }
    }
}

#[tokio::test]
async fn no_redirect_leads_to_a_forbidden_spelling() {
    let (target, elsewhere) = (Target::start().await, Target::start().await);
    let check = http(target.port(), |c| c.redirects = 3);
    for spelling in SPELLINGS {
        for to in [format!("http://{spelling}:{}/", elsewhere.port()), format!("//{spelling}/latest/meta-data/")] {
            let (requests, connections) = (target.requests(), target.connections());
            target.set(Mode::Redirect(to.clone())).await;
            let report = Prober::new().probe(&check, HERE).await;
            // What is no address, user or port to the parser is a path of ours, and leads round in a circle.
            let down = Outcome::Down(D::Redirect);
            assert!(report.outcome == down || report.outcome == Outcome::Down(D::NotHttp), "{to:?}: {report:?}");
            assert_eq!((target.requests() - requests, target.connections() - connections), (1, 1), "{to:?}");
        }
    }
    assert_eq!(elsewhere.connections(), 0);
    target.set(Mode::Redirect(format!("http://{NAME}:{}/", elsewhere.port()))).await;
    assert_eq!(Prober::new().probe(&check, HERE).await.outcome, Outcome::Up);
    assert_eq!(elsewhere.connections(), 1, "the same door, to our own host");
}

#[tokio::test]
async fn no_host_name_leads_to_a_forbidden_address() {
    let target = Target::start().await;
    let names = NameServer::start().await;
    let prober = Prober::with_resolver(Resolver::servers(vec![names.addr]));
    let check = http(target.port(), |_| {});
    let content = |name: &str| Content::Host(RecordName::new(name).unwrap());
    let forbidden = Outcome::Unknown(U::ForbiddenAddress);
    for (i, address) in addresses().into_iter().enumerate() {
        let name = format!("n{i}.example.net");
        names.say(&name, is(&[&address.to_string()]));
        let report = prober.probe_target(&check, &content(&name)).await;
        assert_eq!((report.outcome, report.addresses.len()), (forbidden, 1), "{address}: {report:?}");
        assert_eq!(report.addresses[0].phases.connect, None, "{address}");
        assert_eq!(prober.probe(&check, address).await.outcome, forbidden, "{address} as it is");
    }
    assert_eq!(target.connections(), 0);
    names.say("metadata.google.internal", is(&["127.0.0.1"]));
    let report = prober.probe_target(&check, &content("metadata.google.internal")).await;
    assert_eq!((report.outcome, target.connections()), (Outcome::Up, 1), "the address decides, not the name");
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_judged_by_the_answer_that_is_dialled() {
    let target = Target::start().await;
    let names = NameServer::start().await;
    let prober = Prober::with_resolver(Resolver::servers(vec![names.addr]));
    let mut check = http(target.port(), |c| c.redirects = 3);
    check.timeout = Duration::from_secs(3);
    let content = Content::Host(RecordName::new("rebind.example.net").unwrap());
    let all: Vec<IpAddr> = addresses().into_iter().collect();
    for (round, bad) in all.iter().cycle().take(200).enumerate() {
        let asked = names.asked("rebind.example.net", hickory_proto::rr::RecordType::A);
        let good = round % 2 == 0;
        names.say("rebind.example.net", is(&[if good { "127.0.0.1".into() } else { bad.to_string() }.as_str()]));
        let before = target.connections();
        let report = if good {
            // While the probe is under way, its redirects included, the name turns.
            target.set(Mode::Redirect("/again".into())).await;
            let turned = async {
                while target.connections() == before {
                    tokio::task::yield_now().await;
                }
                names.say("rebind.example.net", is(&[&bad.to_string()]));
            };
            let (report, ()) = tokio::join!(prober.probe_target(&check, &content), turned);
            assert_eq!(target.connections() - before, 4, "one request and three redirects, all at one address");
            report
        } else {
            let report = prober.probe_target(&check, &content).await;
            assert_eq!(target.connections(), before, "{bad}");
            report
        };
        let expected = if good { Outcome::Down(D::Redirect) } else { Outcome::Unknown(U::ForbiddenAddress) };
        assert_eq!(report.outcome, expected, "{report:?}");
        assert_eq!(report.addresses[0].address.is_loopback(), good);
        let now = names.asked("rebind.example.net", hickory_proto::rr::RecordType::A);
        assert_eq!(now - asked, 1, "one probe asks once");
    }
}

#[tokio::test]
async fn no_name_server_is_asked_at_a_forbidden_address() {
    let name = RecordName::new("www.example.com").unwrap();
    for address in addresses() {
        let answer = ask(SocketAddr::new(address, 53), &name, RecordType::A, Duration::from_secs(2)).await;
        let DnsAnswer::Failed(why) = answer else { panic!("{address}: {answer:?}") };
        assert!(why.starts_with("nothing is ever sent to this address: "), "{address}: {why}");
    }
    let here = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    ask(here.local_addr().unwrap(), &name, RecordType::A, Duration::from_millis(200)).await;
    assert!(here.try_recv(&mut [0; 512]).unwrap() > 0, "the twin was asked");

    let hosts: Vec<String> = numeric().map(String::from).collect();
    assert_eq!(resolve_servers(&hosts, 53).await, []);
    for twin in ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "127.0.0.1"] {
        assert_eq!(resolve_servers(&[twin.into()], 53).await, ["127.0.0.1:53".parse().unwrap()], "{twin}");
    }
}

#[tokio::test]
async fn no_url_of_the_api_leads_to_a_forbidden_spelling() {
    let zone = ZoneRef { name: Some(RecordName::new("example.com").unwrap()), id: None };
    let asked = async |host: &str, port: u16| {
        let second = Duration::from_secs(2);
        let settings = Settings {
            endpoint_url: Some(format!("http://{host}:{port}")),
            region: Some("us-east-1".into()),
            placeholder_credentials: true,
            timeouts: Timeouts { connect: second, read: second, write: second },
            ..Settings::default()
        };
        let reader = connect_reader(&settings).await.map_err(|e| e.to_string())?;
        reader.resolve_zone(&zone, false).await.map_err(|e| format!("{e:?}"))
    };
    let forbidden = |host: &'static str| {
        let asked = &asked;
        async move {
            let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            let why = asked(&host, 80).await.unwrap_err();
            assert!(why.contains("leads to an address nothing is sent to"), "{host}: {why}");
        }
    };
    join_all(numeric().map(forbidden)).await;
    for twin in ["127.0.0.1", "2130706433", "localhost"] {
        let target = Target::start().await;
        asked(twin, target.port()).await.unwrap_err();
        assert_eq!(target.connections(), 1, "{twin}");
    }
}

#[tokio::test]
async fn no_notice_and_no_witness_goes_to_a_forbidden_spelling() {
    let client = client().unwrap();
    let sent = async |host: &str, port: u16| {
        let url = Secret::new(format!("http://{host}:{port}/services/c4n4ry"));
        let sink = Sink::new(NotifierName::new("ops").unwrap(), SinkKind::Slack, url, None);
        match sink.send(&client, UnixMs(0), &cases::moved()).await {
            SendResult::Delivered => panic!("{host}"),
            SendResult::Retry { error, .. } | SendResult::Dead { error } => error,
        }
    };
    let prober = Prober::new();
    for spelling in SPELLINGS {
        let why = sent(spelling, 80).await;
        assert!(why.contains("an address nothing is sent to") || meant(spelling).is_none(), "{spelling}: {why}");
        assert!(!why.contains("c4n4ry"), "{why}");
        let url = WitnessKind::Url(format!("http://{spelling}:80/"));
        assert!(!prober.witness(&url, Duration::from_secs(1)).await, "{spelling}");
    }
    for address in addresses() {
        let tcp = WitnessKind::Tcp(SocketAddr::new(address, 80));
        assert!(!prober.witness(&tcp, Duration::from_secs(1)).await, "{address}");
    }
    let target = Target::start().await;
    for (i, twin) in ["127.0.0.1", "2130706433", "localhost"].into_iter().enumerate() {
        target.set(Mode::Status(404)).await;
        assert_eq!(sent(twin, target.port()).await, "HTTP 404");
        assert_eq!(target.connections(), 2 * i as u64 + 1);
        let url = WitnessKind::Url(format!("http://{twin}:{}/", target.port()));
        assert!(prober.witness(&url, Duration::from_secs(1)).await);
    }
}

/// A main file with a notifier for each URL, given by the environment, where no check sees it.
fn notifiers(count: usize) -> String {
    let one = |i| format!("[[notifier]]\nname = \"n{i}\"\ntype = \"webhook\"\nurl = {{ env = \"URL_{i}\" }}\n");
    (0..count).map(one).collect()
}

#[test]
fn the_real_binary_dials_no_forbidden_address_whoever_names_it() {
    let receiver = Receiver::start();
    let port = receiver.addr.port();
    // Spelled by a person, then by a name that a resolver leads there, at once or the second time it is asked.
    let led: Vec<IpAddr> = addresses().into_iter().collect();
    let name = |i: usize| format!("metadata-{i}.internal");
    let mut names: Vec<(String, String)> = led.iter().enumerate().map(|(i, ip)| (name(i), ip.to_string())).collect();
    names.push(("mixed.internal".into(), "127.0.0.1".into()));
    let mut urls: Vec<String> = SPELLINGS.iter().map(|s| format!("http://{s}:{port}/hook")).collect();
    urls.extend((0..led.len()).map(|i| format!("http://{}:{port}/hook", name(i))));
    let forbidden = urls.len();
    urls.push(format!("http://mixed.internal:{port}/hook"));
    urls.push(format!("http://2130706433:{port}/hook"));

    // No configuration has more than 64 notifiers.
    let (mut asked, mut dialled) = (Vec::new(), Vec::new());
    for (n, some) in urls.chunks(60).enumerate() {
        let dir = tempfile::tempdir().unwrap();
        load(dir.path(), &(notifiers(some.len()), files("", "").1), &|_| None).unwrap();
        let (mut command, spied) = Spied::command(dir.path(), &names);
        command.args(["-c", "failoverd.toml", "notify-test"]);
        for (i, url) in some.iter().enumerate() {
            command.env(format!("URL_{i}"), url);
        }
        let said = finish(&mut command);
        assert_eq!(said.code, Some(1), "{said:?}");
        let lines: Vec<&str> = said.out.lines().collect();
        assert_eq!(lines.len(), some.len(), "{said:?}");
        for (i, (line, url)) in lines.iter().zip(some).enumerate() {
            let twin = 60 * n + i >= forbidden;
            assert!(if twin { line.ends_with("delivered") } else { line.contains("failed: ") }, "{url}: {line}");
        }
        asked.extend(spied.asked());
        dialled.extend(spied.dialled());
    }
    assert_eq!(dialled, ["127.0.0.1", "127.0.0.1"], "nothing but the twins");
    assert_eq!(asked.len(), led.len() + 1, "every name was asked for: {asked:?}");
}

#[test]
fn a_daemon_dials_no_forbidden_address_that_a_resolver_leads_it_to() {
    let receiver = Receiver::start();
    let port = receiver.addr.port();
    let main = format!(
        "state = \"a.db\"\n[route53]\nendpoint_url = \"http://api.internal:{port}\"\n\
         [[witness]]\nname = \"w1\"\nurl = \"http://w1.internal:{port}/\"\n\
         [[witness]]\nname = \"w2\"\nurl = \"http://w2.internal:{port}/\"\n\
         [[witness]]\nname = \"w3\"\nurl = \"http://w3.internal:{port}/\"\n"
    );
    let policy = POLICY.replace("198.51.100.1", "127.0.0.1").replace("ADDRESS", "\"127.0.0.2\"").replace(
        "port = 80\npath = \"/\"",
        &format!("port = {port}\npath = \"/\"\ninterval = \"1s\"\ntimeout = \"500ms\""),
    );
    let led = |ends: [&str; 4]| -> Vec<(String, String)> {
        ["api", "w1", "w2", "w3"].iter().zip(ends).map(|(name, to)| (format!("{name}.internal"), to.into())).collect()
    };
    let forbidden = ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "fd00:ec2::254"];
    let turned = ["127.0.0.3|169.254.169.254", "127.0.0.4|100.100.100.200", "127.0.0.5|224.0.0.1", "127.0.0.6|0.0.0.0"];
    let allowed = ["127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6"];
    for (ends, once) in [(forbidden, false), (turned, true), (allowed, true)] {
        let dir = tempfile::tempdir().unwrap();
        load(dir.path(), &(main.clone(), policy.clone()), &|_| None).unwrap();
        let (mut command, spied) = Spied::command(dir.path(), &led(ends));
        let mut daemon = Process::start(command.args(["-c", "failoverd.toml", "run"]));
        // The second target is dead, so there is doubt and the witnesses are asked.
        let all = ["api.internal", "w1.internal", "w2.internal", "w3.internal"];
        crate::real::wait_for(
            "every name is asked for twice",
            || all.iter().all(|n| spied.asked().iter().filter(|a| a == n).count() >= 2).then_some(()),
            || format!("{:?}\n{}", spied.asked(), daemon.err()),
        );
        assert!(daemon.alive());
        assert_eq!(daemon.terminate(), Some(0));
        let dialled = spied.dialled();
        let far: Vec<&String> = dialled.iter().filter(|a| !a.starts_with("127.0.0.")).collect();
        assert_eq!(far, Vec::<&String>::new(), "{ends:?}");
        for address in allowed {
            assert_eq!(dialled.iter().any(|a| a == address), once, "{address}: {ends:?}: {dialled:?}");
        }
        assert!(
            dialled.iter().any(|a| a == "127.0.0.1") && dialled.iter().any(|a| a == "127.0.0.2"),
            "its targets are"
        );
    }
}
