//! How long from refused connections to the name server's new answer, through the real binary:
//! interval 1 s, fast_interval 200 ms, fall 3, confirm 0, timeout 500 ms, loopback. The target is 2 s.
//!
//! `cargo bench --bench detection` prints ten runs, each at another phase of the interval, and
//! their median.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a bench measures time and stops at trouble"
)]

#[path = "../tests/it/servers.rs"]
#[allow(dead_code)]
mod servers;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use failoverd::dns::query::{TIMEOUT, ask};
use failoverd::domain::{RecordName, RecordType};
use failoverd::engine::zone::DnsAnswer;
use failoverd::sandbox::{Sandbox, SandboxConfig, start};
use servers::{Mode, Target};
use tokio::time::sleep;

const RUNS: u32 = 10;
const INTERVAL: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);
const NAME: &str = "www.example.com";

/// Ends the daemon by its own process id.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::main]
async fn main() {
    let mut times = Vec::new();
    for run in 0..RUNS {
        let phase = INTERVAL * run / RUNS;
        let took = detect(phase).await;
        println!("run {:2}, killed {:3} ms after a probe: {:4} ms", run + 1, phase.as_millis(), took.as_millis());
        times.push(took);
    }
    times.sort();
    let median = (times[4] + times[5]) / 2;
    println!(
        "refused connections to the new answer: median {} ms of {RUNS} (target: at most 2000 ms)",
        median.as_millis()
    );
}

/// One failover with everything fresh; `phase` after a probe of the active target it goes away.
async fn detect(phase: Duration) -> Duration {
    let east = Target::start().await;
    let west = Target::start_at(SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), east.port()))).await;
    let config = SandboxConfig { zones: vec!["example.com".into()], ..SandboxConfig::default() };
    let sandbox = start(config).await.expect("a sandbox");
    sandbox.put(&format!("{NAME} 30 A {}", east.ip())).await.expect("a record");
    let dir = tempfile::tempdir().expect("a temporary directory");
    configure(dir.path(), &sandbox, &east, &west);
    let mut command = failoverd(dir.path(), "run");
    let _daemon = Daemon(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the daemon"));

    let begun = Instant::now();
    let steady = || {
        let said = failoverd(dir.path(), "status").output().expect("the status");
        String::from_utf8_lossy(&said.stdout).contains("steady")
    };
    while !steady() {
        assert!(begun.elapsed() < PATIENCE, "the daemon did not become steady");
        sleep(Duration::from_millis(100)).await;
    }
    let probes = east.requests();
    while east.requests() == probes {
        assert!(begun.elapsed() < PATIENCE, "the daemon does not probe");
        sleep(Duration::from_millis(1)).await;
    }
    sleep(phase).await;
    east.set(Mode::Refuse).await;
    let killed = Instant::now();
    while published(&sandbox).await != Some(west.ip()) {
        assert!(killed.elapsed() < PATIENCE, "the record was not moved");
        sleep(Duration::from_millis(2)).await;
    }
    killed.elapsed()
}

fn failoverd(dir: &Path, what: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_failoverd"));
    command.arg(what).current_dir(dir).env_clear();
    for (key, value) in
        [("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_ACCESS_KEY_ID", "bench"), ("AWS_SECRET_ACCESS_KEY", "bench")]
    {
        command.env(key, value);
    }
    command
}

fn configure(dir: &Path, sandbox: &Sandbox, east: &Target, west: &Target) {
    let main = format!(
        "instance = \"bench\"\n[route53]\nendpoint_url = \"{}\"\n[verify]\nname_servers = [\"{}\"]\n",
        sandbox.api_url(),
        sandbox.dns_addr()
    );
    let policy = format!(
        r#"zone = "example.com"
records = ["{NAME}"]
ttl = 30
[check]
type = "http"
port = {port}
interval = "{interval}s"
fast_interval = "200ms"
timeout = "500ms"
fall = 3
confirm = "0s"
[[target]]
name = "east"
addresses = ["{east}"]
[[target]]
name = "west"
addresses = ["{west}"]
"#,
        port = east.port(),
        interval = INTERVAL.as_secs(),
        east = east.ip(),
        west = west.ip(),
    );
    std::fs::write(dir.join("failoverd.toml"), main).expect("a main file");
    std::fs::create_dir(dir.join("policies")).expect("a directory for the policies");
    std::fs::write(dir.join("policies/web.toml"), policy).expect("a policy file");
}

async fn published(sandbox: &Sandbox) -> Option<IpAddr> {
    let name = RecordName::new(NAME).expect("a name");
    match ask(sandbox.dns_addr(), &name, RecordType::A, TIMEOUT).await {
        DnsAnswer::Addresses { set, .. } if set.len() == 1 => set.into_iter().next(),
        _ => None,
    }
}
