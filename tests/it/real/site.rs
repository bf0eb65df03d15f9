//! One installation: directory, configuration, targets, provider, receiver, and the daemon.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use super::daemon::{Process, Said, failoverd, finish};
use super::nginx::Nginx;
use super::sandbox::{Sandbox, WWW, ZONE};
use super::sink::Sink;
use super::{own_addresses, wait_for};
use crate::canary;

/// What a test wants different from the ordinary installation; lines of TOML.
#[derive(Clone, Default)]
pub struct Wish {
    /// Replaces the three witnesses, which are always there.
    pub witnesses: Option<String>,
    /// Replaces `[failover]`'s body.
    pub failover: Option<String>,
    /// Replaces `[failback]`'s body.
    pub failback: Option<String>,
    /// Both targets in one failure domain: losing both is then no sign of our own blindness.
    pub one_region: bool,
    /// More tables of the main file.
    pub main: Option<&'static str>,
    /// More arguments of the sandbox.
    pub sandbox: Vec<&'static str>,
}

/// Two nginx targets, `use1` (preferred, published) and `euw1`, behind a sandbox zone.
pub struct Site {
    pub use1: Nginx,
    pub euw1: Nginx,
    pub sandbox: Sandbox,
    pub sink: Sink,
    pub wish: Wish,
    pub dir: TempDir,
    pub spare: Ipv4Addr,
}

impl Site {
    pub fn new() -> Site {
        Site::with(Wish::default())
    }

    pub fn with(wish: Wish) -> Site {
        let mut ips = own_addresses();
        let mut ip = || ips.next().unwrap();
        let (use1, euw1) = (Nginx::start(ip()), Nginx::start(ip()));
        let dir = TempDir::new().unwrap();
        let sandbox = Sandbox::start(dir.path(), ip(), v4(use1.addr.ip()), &wish.sandbox);
        let site = Site { use1, euw1, sandbox, sink: Sink::start(), wish, dir, spare: ip() };
        std::fs::write(site.dir.path().join("hook.secret"), site.hook()).unwrap();
        std::fs::create_dir(site.dir.path().join("policies")).unwrap();
        std::fs::write(site.dir.path().join("policies/web.toml"), site.policy()).unwrap();
        site
    }

    /// Where notices are posted: a URL with a secret in it.
    pub fn hook(&self) -> String {
        format!("{}/{}", self.sink.url(), canary::in_url())
    }

    pub fn policy(&self) -> String {
        let target = |name: &str, nginx: &Nginx, priority: u32| {
            let region = if self.wish.one_region { "here" } else { name };
            format!(
                "[[target]]\nname = \"{name}\"\nregion = \"{region}\"\naddresses = [\"{}\"]\npriority = {priority}\ncheck = {{ port = {} }}\n",
                nginx.addr.ip(),
                nginx.addr.port()
            )
        };
        format!(
            "zone = \"{ZONE}\"\nrecords = [\"{WWW}\"]\nttl = 30\nobserve = \"500ms\"\nreconcile = \"2s\"\n\
             [check]\ntype = \"http\"\npath = \"/healthz\"\ninterval = \"1s\"\nfast_interval = \"200ms\"\n\
             timeout = \"500ms\"\nfall = 3\nconfirm = \"0s\"\nheaders = {{ x-probe-key = \"{}\" }}\n{}{}\
             [failover]\n{}\n[failback]\n{}\n[notify]\nto = [\"ops\"]\n",
            canary::CANARY,
            target("use1", &self.use1, 1),
            target("euw1", &self.euw1, 2),
            self.wish.failover.as_deref().unwrap_or("hold_down = \"1s\"\nflap_budget = \"20/h\""),
            self.wish.failback.as_deref().unwrap_or("soak = \"3s\""),
        )
    }

    /// Writes `<instance>.toml` with a state file of its own and gives its path.
    pub fn config(&self, instance: &str) -> PathBuf {
        let text = format!(
            "instance = \"{instance}\"\npolicies = \"policies/*.toml\"\nstate = \"{instance}.db\"\n\
             [route53]\nendpoint_url = \"{}\"\n[verify]\nname_servers = [\"{}\"]\ntimeout = \"15s\"\n\
             {}[[notifier]]\nname = \"ops\"\ntype = \"webhook\"\nurl = {{ file = \"hook.secret\" }}\n\
             secret = {{ env = \"{}\" }}\n{}",
            self.sandbox.url(),
            self.sandbox.dns,
            self.wish.main.unwrap_or_default(),
            canary::VARIABLE,
            self.wish.witnesses.clone().unwrap_or_else(|| witnesses(
                self.sandbox.api,
                self.sandbox.dns,
                self.sink.addr
            )),
        );
        let path = self.dir.path().join(format!("{instance}.toml"));
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The daemon, adopted and quiet: its fence stands in real DNS and nothing is under way.
    pub fn run(&self, instance: &str) -> Process {
        let mut daemon = self.launch(instance);
        self.wait_adopted(&mut daemon);
        daemon
    }

    /// The daemon, not waited for.
    pub fn launch(&self, instance: &str) -> Process {
        Process::start(failoverd(self.dir.path()).arg("-c").arg(self.config(instance)).arg("run"))
    }

    pub fn wait_adopted(&self, daemon: &mut Process) {
        wait_for("the fence stands", || (!self.sandbox.fence().is_empty()).then_some(()), || daemon.err());
        // Both targets are judged, so that what a test breaks next is a change.
        self.wait_status("two judged targets", |s| {
            let targets = s["reports"][0]["targets"].as_array().cloned().unwrap_or_default();
            let calm = !["starting", "moving"].contains(&s["reports"][0]["state"].as_str().unwrap_or("starting"));
            calm && targets.len() == 2 && targets.iter().all(|t| t["health"] != "unknown")
        });
    }

    /// A command against the daemon `a` (or without one) that ends by itself.
    pub fn command(&self, line: &[&str]) -> Said {
        self.command_of("a", line)
    }

    pub fn command_of(&self, instance: &str, line: &[&str]) -> Said {
        let config = self.dir.path().join(format!("{instance}.toml"));
        let config = if config.exists() { config } else { self.config(instance) };
        finish(failoverd(self.dir.path()).arg("-c").arg(config).args(line))
    }

    /// The daemon's own view, as scripts read it.
    pub fn status(&self) -> Value {
        let said = self.command(&["status", "-o", "json"]);
        serde_json::from_str(&said.out).unwrap_or(Value::Null)
    }

    pub fn wait_status(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let look = || Some(self.status()).filter(&wanted);
        wait_for(&format!("status: {what}"), look, || format!("{:#}", self.status()))
    }

    /// Waits until real DNS answers with the address of `target`.
    pub fn wait_answer(&self, target: &Nginx, daemon: &Process) {
        let wanted = target.addr.ip();
        wait_for(
            &format!("real DNS answers {wanted}"),
            || (self.sandbox.answer() == Some(wanted)).then_some(()),
            || format!("it answers {:?}; fence {}\n{}", self.sandbox.answer(), self.sandbox.fence(), daemon.err()),
        );
    }
}

impl Drop for Site {
    /// What an installation leaves behind, its state files above all, never holds a secret.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            canary::assert_absent_under(self.dir.path());
        }
    }
}

fn witnesses(one: SocketAddr, two: SocketAddr, three: SocketAddr) -> String {
    let table = |(i, at): (usize, SocketAddr)| format!("[[witness]]\nname = \"w{i}\"\ntcp = \"{at}\"\n");
    [one, two, three].into_iter().enumerate().map(table).collect()
}

fn v4(ip: IpAddr) -> Ipv4Addr {
    match ip {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(_) => panic!("targets of these tests are IPv4"),
    }
}
