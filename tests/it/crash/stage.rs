//! A place where daemons are killed all the time: one record, two targets, one or two instances
//! of one cluster with a state file each, and a diary of what was really the matter and when.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use failoverd::control::client::ask;
use failoverd::control::protocol::{Answer, Request};
use failoverd::domain::{Health, UnixMs};
use failoverd::engine::report::{LiveState, Rule};
use failoverd::runtime::clock::wall;
use failoverd::sandbox::{SandboxConfig, start};
use failoverd::store;

use crate::cli::place::{NAME, Place};
use crate::lost::ledger::{Batch, accepted};
use crate::notify::receiver::{Answer as Reply, Receiver};
use crate::real::daemon::Process;
use crate::real::{free_port, own_addresses};
use crate::servers::{Mode, Target};

pub const ZONE: &str = "example.com";
/// How many lives' logs are kept for the story of a failure.
const LOGS: usize = 8;

/// What differs from one stage to the next.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Two instances on one record.
    pub pair: bool,
    /// East, when it is up, is gone back to by itself.
    pub failback: bool,
}

/// One target as it was from `from` on; the change itself took until `until`.
struct Turn {
    east: bool,
    up: bool,
    from: UnixMs,
    until: UnixMs,
}

pub struct Life {
    pub began: UnixMs,
    pub ended: UnixMs,
}

pub struct Instance {
    pub name: &'static str,
    pub state: PathBuf,
    pub daemon: Option<Process>,
    pub lives: Vec<Life>,
}

impl Instance {
    /// What the shim of `disk` notes of its state file.
    pub fn diary(&self) -> PathBuf {
        self.state.with_extension("diary")
    }

    /// The file that tells the shim what to do to it.
    fn trouble(&self) -> PathBuf {
        self.state.with_extension("trouble")
    }
}

pub struct Stage {
    pub place: Place,
    pub sink: Receiver,
    pub plan: Plan,
    pub instances: Vec<Instance>,
    /// Stands between the daemons and their state files, see `disk/shim.c`.
    pub shim: Option<PathBuf>,
    turns: Vec<Turn>,
    diary: Vec<String>,
    logs: Vec<String>,
}

impl Stage {
    pub async fn new(plan: Plan) -> Stage {
        let addresses: Vec<_> = own_addresses().take(2).collect();
        let port = free_port(addresses[0]);
        let east = Target::start_at(SocketAddr::new(addresses[0].into(), port)).await;
        let west = Target::start_at(SocketAddr::new(addresses[1].into(), port)).await;
        let config = SandboxConfig {
            zones: vec![ZONE.into()],
            pending: Duration::from_millis(40),
            started: wall(),
            ..SandboxConfig::default()
        };
        let sandbox = start(config).await.unwrap();
        sandbox.put(&format!("{NAME} 30 A {}", east.ip())).await.unwrap();
        let place = Place { dir: tempfile::tempdir().unwrap(), sandbox, east, west };
        let names: &[&'static str] = if plan.pair { &["a", "b"] } else { &["a"] };
        let instance = |name: &&'static str| Instance {
            name,
            state: place.path().join(format!("{name}.db")),
            daemon: None,
            lives: Vec::new(),
        };
        let instances = names.iter().map(instance).collect();
        let sink = Receiver::start(Reply::Status(204, "")).await;
        let (began, no) = (wall(), Vec::new());
        let up = |east| Turn { east, up: true, from: began, until: began };
        let turns = vec![up(true), up(false)];
        let stage = Stage { place, sink, plan, instances, shim: None, turns, diary: no.clone(), logs: no };
        stage.write();
        stage
    }

    /// Short times, so that a life of half a second is enough for a move. Only the timeout is
    /// long: a busy machine must not make a target look dead.
    fn write(&self) {
        let Place { sandbox, east, west, .. } = &self.place;
        std::fs::create_dir_all(self.place.path().join("policies")).unwrap();
        for instance in &self.instances {
            let main = format!(
                "instance = \"{name}\"\nstate = \"{name}.db\"\n[route53]\nendpoint_url = \"{}\"\n\
                 requests_per_second = 50\nburst = 50\n[verify]\nname_servers = [\"{}\"]\ntimeout = \"3s\"\n\
                 [[notifier]]\nname = \"audit\"\ntype = \"webhook\"\nurl = \"{}\"\n",
                sandbox.api_url(),
                sandbox.dns_addr(),
                self.sink.url("/hook"),
                name = instance.name,
            );
            std::fs::write(self.place.path().join(format!("{}.toml", instance.name)), main).unwrap();
        }
        let failback = if self.plan.failback { "auto" } else { "never" };
        let policy = format!(
            r#"zone = "{ZONE}"
records = ["{NAME}"]
ttl = 1
observe = "200ms"
reconcile = "1s"
[check]
type = "http"
port = {port}
interval = "100ms"
fast_interval = "50ms"
timeout = "3s"
fall = 2
rise = 1
confirm = "0s"
[[target]]
name = "east"
addresses = ["{east}"]
priority = 1
[[target]]
name = "west"
addresses = ["{west}"]
priority = 2
[failover]
hold_down = "100ms"
flap_budget = "60/h"
[failback]
mode = "{failback}"
soak = "200ms"
[notify]
to = ["audit"]
"#,
            port = east.port(),
            east = east.ip(),
            west = west.ip(),
        );
        std::fs::write(self.place.path().join("policies/web.toml"), policy).unwrap();
    }

    pub fn note(&mut self, what: impl std::fmt::Display) {
        self.diary.push(format!("{} {what}", wall().0 % 10_000_000));
    }

    pub async fn set(&mut self, east: bool, up: bool, how: Mode) {
        if self.is_up(east) == up {
            return;
        }
        self.note(format!("{} {how:?}", if east { "east" } else { "west" }));
        let from = wall();
        if east { &self.place.east } else { &self.place.west }.set(how).await;
        self.turns.push(Turn { east, up, from, until: wall() });
    }

    pub fn is_up(&self, east: bool) -> bool {
        self.turns.iter().rev().find(|turn| turn.east == east).is_some_and(|turn| turn.up)
    }

    /// Whether the target may have been found in that state at some time between the two.
    pub fn was(&self, east: bool, up: bool, since: UnixMs, until: UnixMs) -> bool {
        let turns: Vec<&Turn> = self.turns.iter().filter(|turn| turn.east == east).collect();
        turns.iter().enumerate().filter(|(_, turn)| turn.up == up).any(|(k, turn)| {
            let end = turns.get(k + 1).map_or(UnixMs(u64::MAX), |next| next.until);
            turn.from <= until && since <= end
        })
    }

    pub fn batches(&self) -> Vec<Batch> {
        accepted(NAME, ZONE, &self.place.sandbox.history())
    }

    /// Whether the record publishes east, by the zone.
    pub fn publishes_east(&self) -> bool {
        let east = BTreeSet::from([self.place.east.ip().to_string()]);
        self.batches().last().is_none_or(|last| last.published == east)
    }

    pub fn is_east(&self, published: &BTreeSet<String>) -> Option<bool> {
        let ours: [IpAddr; 2] = [self.place.east.ip(), self.place.west.ip()];
        let one: IpAddr = published.first().filter(|_| published.len() == 1)?.parse().ok()?;
        ours.iter().position(|ip| *ip == one).map(|found| found == 0)
    }

    /// Starts an instance that does not run; it kills itself at `failpoint`. True when it has a
    /// write without an outcome to look after.
    pub fn start(&mut self, which: usize, failpoint: Option<&str>) -> bool {
        let instance = &mut self.instances[which];
        if instance.daemon.is_some() {
            return false;
        }
        let open = store::open_read_only(&instance.state).and_then(|view| view.restored());
        let open = open.is_ok_and(|restored| !restored.open_intents.is_empty());
        let config = format!("{}.toml", instance.name);
        let mut command = self.place.command(&["-c", &config, "run"]);
        if let Some(point) = failpoint {
            command.env("FAILOVERD_FAILPOINT", point);
        }
        if let Some(shim) = &self.shim {
            command.env("LD_PRELOAD", shim).env("DISK_STATE", &instance.state);
            command.env("DISK_DIARY", instance.diary()).env("DISK_TROUBLE", instance.trouble());
        }
        let began = wall();
        instance.daemon = Some(Process::start(&mut command));
        instance.lives.push(Life { began, ended: UnixMs(u64::MAX) });
        let say = format!("{} starts, to die at {}, open: {open}", instance.name, failpoint.unwrap_or("any time"));
        self.note(say);
        open
    }

    /// What the disk does from now on: one of the letters of `disk/shim.c`, or nothing.
    pub fn disk(&mut self, which: usize, trouble: &str) {
        self.note(format!("the disk: {trouble:?}"));
        std::fs::write(self.instances[which].trouble(), trouble).unwrap();
    }

    /// True when it has died by itself.
    pub fn is_dead(&mut self, which: usize) -> bool {
        self.instances[which].daemon.as_mut().is_none_or(|daemon| !daemon.alive())
    }

    /// SIGKILL, also for one that did it itself.
    pub fn kill(&mut self, which: usize) {
        let Some(mut daemon) = self.instances[which].daemon.take() else { return };
        daemon.kill();
        self.buried(which, &daemon);
    }

    fn buried(&mut self, which: usize, daemon: &Process) {
        let instance = &mut self.instances[which];
        instance.lives.last_mut().unwrap().ended = wall();
        let name = instance.name;
        self.note(format!("{name} is dead"));
        if self.logs.len() >= LOGS {
            self.logs.remove(0);
        }
        self.logs.push(format!("---- {name}\n{}", daemon.err()));
    }

    /// Ends an instance as systemd would.
    pub fn end(&mut self, which: usize) {
        let Some(mut daemon) = self.instances[which].daemon.take() else { return };
        let code = daemon.terminate();
        self.buried(which, &daemon);
        assert_eq!(code, Some(0), "{}", self.story());
    }

    /// Why an instance is not at rest, if it is not: a target unjudged, a write or a notice open.
    pub async fn unrest(&self, which: usize) -> Option<String> {
        let state = &self.instances[which].state;
        let Ok(Answer::Status(status)) = ask(state, Request::Status { policy: None }).await else {
            return Some("it does not answer".into());
        };
        for report in &status.reports {
            let LiveState::Targets { names } = &report.live else { return Some(format!("{:?}", report.live)) };
            let judged = report.targets.iter().all(|target| target.health == Health::Up);
            if report.moving.is_some() || report.wanted.is_some() || names.len() != 1 || !judged {
                // After a rollback the way back waits for a person.
                if report.refusals.iter().any(|r| matches!(r.rule, Rule::AfterRollback | Rule::Unverified)) {
                    let _ = ask(state, Request::Ack { policy: "web".into(), reason: "looked at it".into() }).await;
                }
                return Some(format!("{report:#?}"));
            }
        }
        let view = store::open_read_only(state).unwrap();
        let (open, owed) = (view.restored().unwrap().open_intents, view.outbox_pending().unwrap());
        (!open.is_empty() || owed > 0).then(|| format!("{owed} notices, {open:#?}"))
    }

    /// All that is known of what went before.
    pub fn story(&self) -> String {
        let alive =
            self.instances.iter().filter_map(|i| Some(format!("---- {}\n{}", i.name, i.daemon.as_ref()?.err())));
        let logs: Vec<String> = self.logs.iter().cloned().chain(alive).collect();
        let zone: Vec<String> =
            self.batches().iter().map(|b| format!("{} {} {:?}", b.at.0, b.fence.encode(), b.published)).collect();
        format!(
            "{:?} east {} west {}\n{}\n{}\nzone:\n{}",
            self.plan,
            self.place.east.ip(),
            self.place.west.ip(),
            self.diary.join("\n"),
            logs.join("\n"),
            zone.join("\n"),
        )
    }
}
