//! A zone with one name, two targets and a configuration, for commands of the real binary.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use failoverd::sandbox::{Sandbox, SandboxConfig, start};
use serde_json::Value;

use crate::real::daemon::{Process, Said, failoverd, finish};
use crate::real::{dig_a, free_port, own_addresses};
use crate::servers::Target;

pub const NAME: &str = "www.example.com";

pub struct Place {
    pub dir: tempfile::TempDir,
    pub sandbox: Sandbox,
    /// Preferred.
    pub east: Target,
    pub west: Target,
}

impl Place {
    /// The record publishes `east`; nothing manages it yet.
    pub async fn new() -> Place {
        let addresses: Vec<IpAddr> = own_addresses().take(2).map(IpAddr::V4).collect();
        let IpAddr::V4(first) = addresses[0] else { unreachable!() };
        let port = free_port(first);
        let east = Target::start_at(SocketAddr::new(addresses[0], port)).await;
        let west = Target::start_at(SocketAddr::new(addresses[1], port)).await;
        let sandbox = start(SandboxConfig {
            zones: vec!["example.com".into()],
            pending: Duration::from_millis(100),
            ..SandboxConfig::default()
        })
        .await
        .unwrap();
        sandbox.put(&format!("{NAME} 30 A {}", east.ip())).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let place = Place { dir, sandbox, east, west };
        place.write_main(&place.sandbox.api_url());
        place.write_policy(30);
        place
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn write_main(&self, api: &str) {
        let main = format!(
            "instance = \"a\"\n[route53]\nendpoint_url = \"{api}\"\n[verify]\nname_servers = [\"{}\"]\n",
            self.sandbox.dns_addr()
        );
        std::fs::write(self.path().join("failoverd.toml"), main).unwrap();
    }

    pub fn write_policy(&self, ttl: u32) {
        std::fs::create_dir_all(self.path().join("policies")).unwrap();
        let policy = format!(
            r#"zone = "example.com"
records = ["{NAME}"]
ttl = {ttl}
[check]
type = "http"
port = {port}
interval = "1s"
fast_interval = "200ms"
timeout = "500ms"
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
[failback]
mode = "never"
[failover]
hold_down = "1s"
"#,
            port = self.east.port(),
            east = self.east.ip(),
            west = self.west.ip(),
        );
        std::fs::write(self.path().join("policies/web.toml"), policy).unwrap();
    }

    /// Puts a fence of `record` (a label below the zone) as another process would have written it.
    pub async fn put_fence(&self, label: &str, cluster: &str, policy: &str) {
        let value =
            format!("v=1 e=7 p={policy} o={cluster}/b a=x-1 t=1800000000 k=failover h=0 m=auto u=0 c=abc to=east");
        self.sandbox.put(&format!("{label}._failoverd.example.com 60 TXT \"{value}\"")).await.unwrap();
    }

    pub fn command(&self, line: &[&str]) -> Command {
        let mut command = failoverd(self.path());
        command.args(line);
        command
    }

    /// Runs a command to its end.
    pub fn say(&self, line: &[&str]) -> Said {
        finish(&mut self.command(line))
    }

    /// Runs a command that must end with `code`.
    pub fn expect(&self, line: &[&str], code: i32) -> Said {
        let said = self.say(line);
        assert_eq!(said.code, Some(code), "{line:?}: {said:#?}");
        said
    }

    pub fn json(&self, line: &[&str]) -> Value {
        let said = self.expect(line, 0);
        serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {}", said.out))
    }

    /// A daemon that is ready.
    pub fn daemon(&self, line: &[&str]) -> Process {
        let mut process = Process::start(&mut self.command(line));
        process.wait_log("ready socket=");
        process
    }

    /// What clients get.
    pub fn published(&self) -> Option<IpAddr> {
        dig_a(self.sandbox.dns_addr(), NAME)
    }

    /// Requests that changed the zone.
    pub fn writes(&self) -> usize {
        self.sandbox.history().len()
    }
}
