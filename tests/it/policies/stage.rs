//! Where a shipped policy is rehearsed: its file with loopback in place of documentation addresses,
//! a sandbox with its zone, targets that can die, and the daemon. Nothing leaves this machine.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use failoverd::config;
use failoverd::domain::{Content, Policy};
use failoverd::runtime::clock;
use failoverd::sandbox::{Sandbox, SandboxConfig, start};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Row;
use crate::golden;
use crate::probe::Authority;
use crate::real::daemon::{Process, failoverd, finish};
use crate::real::{http, own_addresses};
use crate::servers::{Mode, Target, Then};

/// The slowest file counts failures for 20 s; eight rehearsals share the machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// What a busy machine may add to the time a move takes: sending, proving, looking.
const SLACK: Duration = Duration::from_secs(20);

pub enum Zone {
    Public(&'static str),
    Private(&'static str),
}

/// What a target answers while it lives.
#[derive(Clone, Copy)]
pub enum Serve {
    /// 200 and `ok` under a certificate for this name.
    Https(&'static str),
    /// 200 and this body.
    Http(&'static str),
    /// It accepts connections.
    Port,
    /// This, once anything was said to it.
    Word(&'static str),
}

pub struct Stage<'r> {
    row: &'r Row,
    names: BTreeMap<&'static str, String>,
    policy: Policy,
    runtime: &'r Handle,
    sandbox: Sandbox,
    zone_id: String,
    seeded: usize,
    targets: BTreeMap<&'static str, (Vec<Target>, Mode)>,
    died: Mutex<Option<Instant>>,
    daemon: Mutex<Process>,
    dir: tempfile::TempDir,
}

impl<'r> Stage<'r> {
    /// Checks the file as it is shipped, replaces what the row says, and starts everything.
    pub fn set(row: &'r Row, runtime: &'r Handle) -> Stage<'r> {
        let dir = tempfile::tempdir().unwrap();
        let shipped = std::fs::read_to_string(golden::root().join(format!("policies/{}.toml", row.file))).unwrap();
        std::fs::create_dir(dir.path().join("policies")).unwrap();
        let place = dir.path().join(format!("policies/{}.toml", row.file));
        std::fs::write(&place, &shipped).unwrap();
        std::fs::write(dir.path().join("failoverd.toml"), "").unwrap();
        let said = finish(failoverd(dir.path()).arg("check"));
        assert_eq!(said.code, Some(0), "{said:?}");

        let authority = Authority::new();
        std::fs::write(dir.path().join("ca.pem"), &authority.pem).unwrap();
        let (sandbox, zone_id) = runtime.block_on(zone_of(&row.zone));
        let mut names = names(&dir.path().join("ca.pem"));
        names.insert("{zone}", zone_id.clone());
        let targets = row.targets.iter().map(|(name, at, serve)| {
            let mode = match serve {
                Serve::Https(_) => Mode::Ok,
                Serve::Http(body) => Mode::Body((*body).into()),
                Serve::Port => Mode::Silent,
                Serve::Word(word) => Mode::Reply(word.as_bytes().to_vec(), Then::Close),
            };
            let listening = at.iter().map(|at| {
                let at: SocketAddr = fill(&names, at).parse().unwrap();
                runtime.block_on(async {
                    let target = match serve {
                        Serve::Https(name) => Target::start_tls_at(at, authority.server(name, -1, 90)).await,
                        _ => Target::start_at(at).await,
                    };
                    target.set(mode.clone()).await;
                    target
                })
            });
            (*name, (listening.collect(), mode.clone()))
        });
        let targets: BTreeMap<_, _> = targets.collect();

        let mut text = shipped;
        for (from, to) in row.swaps {
            assert!(text.contains(from), "{}: {from:?} is not in the file", row.file);
            text = text.replace(from, &fill(&names, to));
        }
        std::fs::write(&place, text).unwrap();
        let witnesses = [sandbox.api_url().replace("http://", ""), sandbox.dns_addr().to_string()];
        let main = main_file(&row.zone, &sandbox, &witnesses, &targets);
        std::fs::write(dir.path().join("failoverd.toml"), main).unwrap();
        let policy = only_loopback(dir.path());

        runtime.block_on(seed(row, &names, &sandbox, &zone_id));
        let seeded = sandbox.history().len();
        let daemon = Mutex::new(Process::start(failoverd(dir.path()).arg("run")));
        let died = Mutex::default();
        Stage { row, names, policy, runtime, sandbox, zone_id, seeded, targets, died, daemon, dir }
    }

    /// Waits until every target is up and what is published is known.
    pub fn judged(&self) {
        self.wait("every target is judged", || {
            let report = self.report();
            let targets = report["targets"].as_array().cloned().unwrap_or_default();
            report["live"]["kind"] == "targets" && !targets.is_empty() && targets.iter().all(|t| t["health"] == "up")
        });
    }

    /// Waits until it has written its fences, and every target is up.
    pub fn adopted(&self) {
        self.judged();
        self.wait("it is adopted", || {
            let report = self.report();
            report["fence"]["epoch"].as_u64().is_some() && report["moving"].is_null()
        });
        for record in &self.policy.records {
            let label = record.as_str().strip_suffix(&format!(".{}", self.zone_name())).unwrap_or("_apex");
            let fence = format!("{}._failoverd.{}", label.replacen('*', "_any", 1), self.zone_name());
            assert_eq!(self.values(&fence, "TXT").len(), 1, "{fence}");
        }
    }

    /// Every port of the target refuses connections from now on.
    pub fn dies(&self, target: &str) {
        self.set_mode(target, None);
        *self.died.lock().unwrap() = Some(Instant::now());
    }

    pub fn lives(&self, target: &str) {
        self.set_mode(target, Some(()));
        self.is(target, "up");
    }

    fn set_mode(&self, target: &str, alive: Option<()>) {
        let (listening, mode) = &self.targets[target];
        let mode = if alive.is_some() { mode } else { &Mode::Refuse };
        listening.iter().for_each(|t| self.runtime.block_on(t.set(mode.clone())));
    }

    pub fn is(&self, target: &str, health: &str) {
        self.wait(&format!("{target} is {health}"), || {
            let targets = self.report()["targets"].as_array().cloned().unwrap_or_default();
            targets.iter().any(|t| t["name"] == target && t["health"] == health)
        });
    }

    /// Waits until the zone holds exactly `values`. After a death it is held against the time that
    /// policies/README.md promises, and some slack.
    pub fn publishes(&self, name: &str, rtype: &str, values: &[&str]) {
        let mut wanted: Vec<String> = values.iter().map(|v| fill(&self.names, v)).collect();
        wanted.sort();
        self.wait(&format!("{name} {rtype} is {wanted:?}"), || {
            let mut now = self.values(name, rtype);
            now.sort();
            now == wanted
        });
        if let Some(died) = self.died.lock().unwrap().take() {
            let took = died.elapsed();
            let check = &self.policy.targets[0].check;
            let most = super::time_to_move(check, Duration::ZERO) + SLACK;
            println!("{}: moved {:.1} s after the death, {most:?} allowed", self.row.file, took.as_secs_f64());
            assert!(took <= most, "{}: moved after {took:?}, {most:?} allowed", self.row.file);
        }
        self.proven();
        if let (Zone::Public(_), "A" | "CNAME", false) = (&self.row.zone, rtype, values[0].starts_with("alias")) {
            let mut answer = crate::real::dig(self.sandbox.dns_addr(), &name.replace('*', "any"), rtype);
            answer.sort();
            assert_eq!(answer, wanted, "real DNS says so too");
        }
    }

    /// Waits until the last move has ended well.
    fn proven(&self) {
        self.wait("the move is proven", || {
            let report = self.report();
            report["moving"].is_null() && report["last_move"]["phase"] == "proven"
        });
    }

    /// The last move rests on this.
    pub fn proven_by(&self, words: &str) {
        let detail = self.report()["last_move"]["detail"].to_string();
        assert!(detail.contains(words), "{}: {detail}", self.row.file);
    }

    /// Waits until this rule is all that holds back the move that is wanted.
    pub fn refuses(&self, rule: &str) {
        self.wait(&format!("{rule} holds it back"), || {
            let report = self.report();
            let rules: Vec<&Value> = report["refusals"].as_array().into_iter().flatten().map(|r| &r["rule"]).collect();
            rules.contains(&&Value::from(rule)) && !rules.contains(&&Value::from("hold-down"))
        });
    }

    /// Types a command, which must succeed.
    pub fn types(&self, line: &[&str]) {
        let said = finish(failoverd(self.dir.path()).args(line));
        assert_eq!(said.code, Some(0), "{}: {line:?}: {said:?}", self.row.file);
    }

    pub fn report(&self) -> Value {
        let said = finish(failoverd(self.dir.path()).args(["status", "-o", "json"]));
        let status: Value = serde_json::from_str(&said.out).unwrap_or_default();
        status["reports"][0].clone()
    }

    /// Batches that arrived since the zone was set up.
    pub fn writes(&self) -> usize {
        self.sandbox.history().len() - self.seeded
    }

    pub fn ttl(&self, name: &str, rtype: &str) -> Option<u64> {
        self.sets().iter().find(|s| is_at(s, name, rtype)).and_then(|s| s["ttl"].as_u64())
    }

    /// The values of a set, or where its alias leads.
    fn values(&self, name: &str, rtype: &str) -> Vec<String> {
        let sets = self.sets();
        let Some(set) = sets.iter().find(|s| is_at(s, name, rtype)) else { return Vec::new() };
        match (set["alias"].as_str(), set["alias_zone"].as_str()) {
            (Some(alias), Some(zone)) => vec![format!("alias {alias} in {zone}")],
            _ => set["values"].as_array().unwrap().iter().map(|v| v.as_str().unwrap().into()).collect(),
        }
    }

    fn sets(&self) -> Vec<Value> {
        let api = self.sandbox.api_url().trim_start_matches("http://").parse().unwrap();
        let zones: Value = serde_json::from_str(&http::get(api, "/_sandbox/zone").1).unwrap();
        let zone = zones.as_array().unwrap().iter().find(|z| z["id"] == self.zone_id.as_str()).unwrap();
        zone["sets"].as_array().unwrap().clone()
    }

    fn zone_name(&self) -> &'static str {
        let (Zone::Public(name) | Zone::Private(name)) = self.row.zone;
        name
    }

    fn wait(&self, what: &str, mut look: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !look() {
            assert!(
                begun.elapsed() < PATIENCE,
                "{}: not within {PATIENCE:?}: {what}\n{:#}\n{}",
                self.row.file,
                self.report(),
                self.daemon.lock().unwrap().err()
            );
            std::thread::park_timeout(Duration::from_millis(200));
        }
    }
}

fn is_at(set: &Value, name: &str, rtype: &str) -> bool {
    let spelt = set["name"].as_str().unwrap().trim_end_matches('.').replace("\\052", "*");
    spelt == name && set["rtype"] == rtype
}

/// Addresses of this rehearsal's own, two ports that are free on them and on both loopbacks, and
/// an hour of the day that is far from now.
fn names(ca_file: &Path) -> BTreeMap<&'static str, String> {
    let own: Vec<Ipv4Addr> = own_addresses().take(5).collect();
    let mut names: BTreeMap<&'static str, String> =
        ["{a}", "{b}", "{c}", "{d}", "{e}"].into_iter().zip(own.iter().map(ToString::to_string)).collect();
    let everywhere = own.iter().copied().map(IpAddr::V4).chain([Ipv6Addr::LOCALHOST.into()]);
    let everywhere: Vec<IpAddr> = everywhere.collect();
    let is_free = |port: u16| everywhere.iter().all(|ip| TcpListener::bind((*ip, port)).is_ok());
    let free = || {
        let try_one = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // Both are held until two different ones are found.
        let mut held = vec![try_one()];
        while !is_free(held.last().unwrap().local_addr().unwrap().port()) {
            held.push(try_one());
            assert!(held.len() < 50, "no port is free on {everywhere:?}; is there an IPv6 loopback (::1)?");
        }
        held.pop().unwrap()
    };
    let (p, q) = (free(), free());
    names.insert("{p}", p.local_addr().unwrap().port().to_string());
    names.insert("{q}", q.local_addr().unwrap().port().to_string());
    names.insert("{ca}", ca_file.display().to_string());
    let hour = clock::wall().0 / 3_600_000 % 24;
    names.insert("{closed}", ((hour + 12) % 24).to_string());
    names
}

fn fill(names: &BTreeMap<&'static str, String>, text: &str) -> String {
    names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
}

async fn zone_of(zone: &Zone) -> (Sandbox, String) {
    let zones = match zone {
        Zone::Public(name) => vec![(*name).to_owned()],
        Zone::Private(_) => Vec::new(),
    };
    let pending = Duration::from_millis(300);
    let sandbox = start(SandboxConfig { zones, pending, started: clock::wall(), ..SandboxConfig::default() });
    let sandbox = sandbox.await.unwrap();
    let id = match zone {
        Zone::Public(name) => sandbox.zone_id(name).unwrap(),
        Zone::Private(name) => {
            use aws_sdk_route53::types::{Vpc, VpcRegion};
            let client = crate::sandbox::rig::client(&sandbox.api_url(), Duration::from_secs(10));
            let vpc = Vpc::builder().vpc_region(VpcRegion::UsEast1).vpc_id("vpc-1").build();
            let make = client.create_hosted_zone().name(*name).caller_reference("inside").vpc(vpc);
            make.send().await.unwrap().hosted_zone.unwrap().id.trim_start_matches("/hostedzone/").to_owned()
        }
    };
    (sandbox, id)
}

async fn seed(row: &Row, names: &BTreeMap<&'static str, String>, sandbox: &Sandbox, zone_id: &str) {
    assert_eq!(sandbox.history().len(), 0, "{zone_id} is new");
    for record in row.records {
        sandbox.put(&fill(names, record)).await.unwrap();
    }
}

fn main_file(
    zone: &Zone,
    sandbox: &Sandbox,
    witnesses: &[String],
    targets: &BTreeMap<&'static str, (Vec<Target>, Mode)>,
) -> String {
    // Of a private zone nobody can be asked: the default, and what becomes of it, is the point.
    let servers = match zone {
        Zone::Public(_) => format!("[\"{}\"]", sandbox.dns_addr()),
        Zone::Private(_) => "\"delegation\"".into(),
    };
    let mut text = format!(
        "instance = \"rehearsal\"\n[route53]\nendpoint_url = \"{}\"\n[verify]\nname_servers = {servers}\ntimeout = \"60s\"\n",
        sandbox.api_url(),
    );
    let standby = targets.values().last().map(|(listening, _)| listening[0].addr().to_string());
    for (i, at) in witnesses.iter().chain(&standby).enumerate() {
        text.push_str(&format!("[[witness]]\nname = \"w{i}\"\ntcp = \"{at}\"\n"));
    }
    text
}

/// The policy as the daemon will read it, which may speak of nothing but this machine.
fn only_loopback(dir: &Path) -> Policy {
    let mut config = config::load(&dir.join("failoverd.toml"), &|_| None).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(config.policies.len(), 1);
    let policy = config.policies.remove(0);
    for target in &policy.targets {
        match &target.content {
            Content::Addresses(set) => {
                for address in set.iter() {
                    assert!(address.is_loopback(), "{address} is not of this machine");
                }
            }
            Content::Host(name) => assert!(name.as_str().ends_with(".localhost"), "{name}"),
            Content::Alias(alias) => assert!(alias.name.as_str().ends_with(".localhost"), "{}", alias.name),
        }
    }
    policy
}
