//! A `Place` whose configuration has short times, a webhook receiver and any provider's address.

use std::net::SocketAddr;
use std::time::Duration;

use failoverd::store;

use crate::cli::place::{NAME, Place};
use crate::notify::receiver::{Answer, Receiver};
use crate::real::daemon::Process;
use crate::real::wait_for;
use crate::servers::Mode;

pub struct Scene {
    pub place: Place,
    pub sink: Receiver,
    pub zone: String,
    /// The managed name.
    pub name: String,
}

impl Scene {
    pub async fn on_sandbox() -> Scene {
        let place = Place::new().await;
        let (api, dns) = (place.sandbox.api_url(), place.sandbox.dns_addr());
        Scene::write(place, &api, Some(dns), "example.com", NAME.into()).await
    }

    /// Over a provider without name servers: INSYNC is the only proof there.
    pub async fn without_dns(api: &str, zone: &str) -> Scene {
        let place = Place::new().await;
        Scene::write(place, api, None, zone, format!("www.{zone}")).await
    }

    async fn write(place: Place, api: &str, dns: Option<SocketAddr>, zone: &str, name: String) -> Scene {
        let scene = Scene { place, sink: Receiver::start(Answer::Status(204, "")).await, zone: zone.into(), name };
        scene.write_main(api, dns);
        scene.write_policy("60/h");
        scene
    }

    pub fn write_main(&self, api: &str, dns: Option<SocketAddr>) {
        let servers = dns.map(|dns| format!("\"{dns}\"")).unwrap_or_default();
        let main = format!(
            "instance = \"a\"\n[route53]\nendpoint_url = \"{api}\"\nrequests_per_second = 50\nburst = 50\n\
             [verify]\nname_servers = [{servers}]\ntimeout = \"5s\"\n\
             [[notifier]]\nname = \"audit\"\ntype = \"webhook\"\nurl = \"{}\"\n",
            self.sink.url("/hook")
        );
        std::fs::write(self.place.path().join("failoverd.toml"), main).unwrap();
    }

    pub fn write_policy(&self, flap_budget: &str) {
        let (east, west) = (&self.place.east, &self.place.west);
        let policy = format!(
            r#"zone = "{zone}"
records = ["{name}"]
ttl = 30
[check]
type = "http"
port = {port}
interval = "500ms"
fast_interval = "100ms"
timeout = "400ms"
fall = 3
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
hold_down = "1s"
flap_budget = "{flap_budget}"
[failback]
mode = "never"
soak = "60s"
[notify]
to = ["audit"]
"#,
            zone = self.zone,
            name = self.name,
            port = east.port(),
            east = east.ip(),
            west = west.ip(),
        );
        std::fs::write(self.place.path().join("policies/web.toml"), policy).unwrap();
    }

    /// A daemon that has read the zone and judged every target.
    pub fn steady(&self) -> Process {
        let mut daemon = self.place.daemon(&["run"]);
        self.wait_steady(&mut daemon);
        daemon
    }

    /// A daemon that kills itself at `point`, ready and steady.
    pub fn doomed(&self, point: &str) -> Process {
        let mut command = self.place.command(&["run"]);
        let mut daemon = Process::start(command.env("FAILOVERD_FAILPOINT", point));
        daemon.wait_log("ready socket=");
        self.wait_steady(&mut daemon);
        daemon
    }

    fn wait_steady(&self, daemon: &mut Process) {
        let status = || self.place.say(&["status"]).out;
        wait_for("steady", || status().contains("steady").then_some(()), || format!("{}\n{}", status(), daemon.err()));
        assert!(daemon.alive(), "it died before anything happened:\n{}", daemon.err());
    }

    /// Distinct notices of one kind that arrived, e.g. `moved`.
    pub fn told(&self, kind: &str) -> usize {
        let wanted = format!("failoverd.{kind}");
        let mut ids: Vec<String> = self
            .sink
            .requests()
            .iter()
            .filter(|request| request.json()["type"] == wanted.as_str())
            .map(|request| request.json()["data"]["id"].to_string())
            .collect();
        ids.sort();
        ids.dedup();
        ids.len()
    }

    pub fn wait_told(&self, kind: &str, count: usize, daemon: &Process) {
        wait_for(
            &format!("{count} notices `{kind}`"),
            || (self.told(kind) >= count).then_some(()),
            || format!("{:?}\n{}", self.kinds_told(), daemon.err()),
        );
    }

    pub fn kinds_told(&self) -> Vec<String> {
        self.sink.requests().iter().map(|request| request.json()["type"].as_str().unwrap_or("?").to_owned()).collect()
    }

    /// Waits until every notice is delivered, then ends the daemon as systemd would.
    pub fn end(&self, mut daemon: Process) {
        let file = self.place.path().join("failoverd.db");
        let left = || store::open_read_only(&file).and_then(|view| view.outbox_pending()).unwrap();
        wait_for("an empty outbox", || (left() == 0).then_some(()), || daemon.err());
        assert_eq!(daemon.terminate(), Some(0), "{}", daemon.err());
    }

    pub async fn kill_east(&self) {
        self.place.east.set(Mode::Refuse).await;
    }
}

/// Long enough for what must not happen to happen.
pub async fn for_a_while() {
    tokio::time::sleep(Duration::from_secs(2)).await;
}
