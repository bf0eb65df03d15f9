//! The world of `demo`: a sandbox zone, three regions and a webhook receiver in this process, and
//! the daemon as its own process, started the way everybody starts it, with `run -c FILE`.
//!
//! The daemon is not told that this is a demo: it has a configuration like any other.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::{JoinHandle, JoinSet};

use crate::dns::query;
use crate::domain::{RecordName, RecordType, UnixMs};
use crate::engine::zone::DnsAnswer;
use crate::sandbox::{Sandbox, SandboxConfig, SandboxError};

use super::clock::wall;

pub const ZONE: &str = "example.test";
pub const RECORD: &str = "www.example.test";
/// In order of preference; region k is at 127.0.0.k.
pub const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];
const PENDING: Duration = Duration::from_millis(1500);
const DNS_DELAY: Duration = Duration::from_millis(150);
const MAX_NOTICE: usize = 1024 * 1024;
/// Ports tried until one is free on all three addresses.
const PORT_TRIES: u32 = 32;

#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("the demo cannot {what}: {source}")]
    Io { what: &'static str, source: io::Error },
    #[error("the daemon ended ({0}) before the demo did")]
    DaemonEnded(ExitStatus),
}

fn io_error(what: &'static str) -> impl FnOnce(io::Error) -> DemoError {
    move |source| DemoError::Io { what, source }
}

pub struct World {
    pub sandbox: Sandbox,
    pub regions: Vec<Region>,
    pub record: RecordName,
    receiver: Receiver,
    daemon: Option<Child>,
    dir: tempfile::TempDir,
}

/// An HTTP server that can be killed and brought back at the same address.
pub struct Region {
    pub name: &'static str,
    pub address: SocketAddr,
    server: Option<JoinHandle<()>>,
}

/// Notices as the webhook receiver got them.
struct Receiver {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Received>>>,
    server: JoinHandle<()>,
}

#[derive(Clone, Debug)]
pub struct Received {
    pub at: UnixMs,
    pub body: serde_json::Value,
}

impl World {
    /// Everything but the daemon.
    pub async fn build() -> Result<World, DemoError> {
        let any = SandboxConfig::default().dns;
        let config = SandboxConfig {
            zones: vec![ZONE.into()],
            more_dns: vec![any],
            pending: PENDING,
            dns_delay: DNS_DELAY,
            started: wall(),
            ..SandboxConfig::default()
        };
        let sandbox = crate::sandbox::start(config).await?;
        let regions = regions().await?;
        if let Some(first) = regions.first() {
            sandbox.put(&format!("{RECORD} 5 A {}", first.address.ip())).await?;
        }
        let record = RecordName::new(RECORD)
            .map_err(|error| io_error("name its record")(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let receiver = Receiver::start().await?;
        let dir = tempfile::Builder::new()
            .prefix("failoverd-demo-")
            .tempdir()
            .map_err(io_error("make a temporary directory"))?;
        let world = World { sandbox, regions, record, receiver, daemon: None, dir };
        world.write_files().map_err(io_error("write its configuration"))?;
        world.wait_for_dns().await;
        Ok(world)
    }

    /// Until every name server knows the record; bounded, since what it waits for is in this process.
    async fn wait_for_dns(&self) {
        let asked = self.sandbox.dns_addrs().iter().map(|server| async {
            for _ in 0..100 {
                let answer = query::ask(*server, &self.record, RecordType::A, Duration::from_millis(500)).await;
                if matches!(answer, DnsAnswer::Addresses { .. }) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        futures_util::future::join_all(asked).await;
    }

    fn write_files(&self) -> io::Result<()> {
        std::fs::create_dir(self.dir.path().join("policies"))?;
        std::fs::write(self.config(), self.main_file())?;
        std::fs::write(self.dir.path().join("policies/web.toml"), self.policy_file())
    }

    fn main_file(&self) -> String {
        let servers: Vec<String> = self.sandbox.dns_addrs().iter().map(|address| format!("\"{address}\"")).collect();
        let mut text = format!(
            "instance = \"demo\"\ncluster = \"demo\"\npolicies = \"policies/*.toml\"\nstate = \"failoverd.db\"\n\n\
             [route53]\nendpoint_url = \"{}\"\n\n[verify]\nname_servers = [{}]\ntimeout = \"20s\"\n\n\
             [[notifier]]\nname = \"receiver\"\ntype = \"webhook\"\nurl = \"http://{}/hook\"\n",
            self.sandbox.api_url(),
            servers.join(", "),
            self.receiver.address,
        );
        // What tells that this controller can see: three addresses that have nothing to do with the targets.
        let api = self.sandbox.api_url();
        let seen = [api.trim_start_matches("http://").to_owned(), self.receiver.address.to_string()];
        let witnesses = seen.into_iter().chain(self.sandbox.dns_addrs().first().map(ToString::to_string));
        for (k, address) in (1..).zip(witnesses) {
            text.push_str(&format!("\n[[witness]]\nname = \"witness-{k}\"\ntcp = \"{address}\"\n"));
        }
        text
    }

    fn policy_file(&self) -> String {
        let port = self.regions.first().map_or(0, |region| region.address.port());
        let mut text = format!(
            "zone = \"{ZONE}\"\nrecords = [\"{RECORD}\"]\nttl = 5\n\n\
             [check]\ntype = \"http\"\nport = {port}\npath = \"/healthz\"\ninterval = \"1s\"\n\
             fast_interval = \"200ms\"\ntimeout = \"500ms\"\nfall = 3\nconfirm = \"400ms\"\n\
             expect = {{ status = [\"200-299\"], json = {{ status = \"healthy\" }} }}\n"
        );
        for (k, region) in (1..).zip(&self.regions) {
            text.push_str(&format!(
                "\n[[target]]\nname = \"{}\"\naddresses = [\"{}\"]\npriority = {k}\n",
                region.name,
                region.address.ip()
            ));
        }
        text.push_str(
            "\n[failover]\nhold_down = \"3s\"\n\n[failback]\nmode = \"auto\"\nsoak = \"6s\"\n\n\
             [notify]\nto = [\"receiver\"]\n",
        );
        text
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("failoverd.toml")
    }

    /// For `control::client::ask`.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("failoverd.db")
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("daemon.log")
    }

    pub fn receiver_url(&self) -> String {
        format!("http://{}/hook", self.receiver.address)
    }

    /// `failoverd run`, with credentials for the sandbox and nothing of this account's.
    pub fn start_daemon(&mut self) -> Result<(), DemoError> {
        let program = std::env::current_exe().map_err(io_error("find its own program"))?;
        let log = std::fs::File::create(self.log()).map_err(io_error("make the daemon's log"))?;
        let mut command = Command::new(program);
        command.arg("run").arg("-c").arg(self.config()).current_dir(self.dir.path());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let foreign = ["AWS_", "FAILOVERD_", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];
            let service = ["STATE_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];
            if foreign.iter().any(|prefix| text.starts_with(prefix)) || service.contains(&text.as_ref()) {
                command.env_remove(&name);
            }
        }
        let nothing = self.dir.path().join("empty-aws-file");
        std::fs::write(&nothing, "").map_err(io_error("write its configuration"))?;
        command
            .env("AWS_ACCESS_KEY_ID", "sandbox")
            .env("AWS_SECRET_ACCESS_KEY", "sandbox")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", &nothing)
            .env("AWS_SHARED_CREDENTIALS_FILE", &nothing)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        self.daemon = Some(command.spawn().map_err(io_error("start the daemon"))?);
        Ok(())
    }

    /// An error once the daemon is gone.
    pub fn check_daemon(&mut self) -> Result<(), DemoError> {
        match self.daemon.as_mut().map(Child::try_wait) {
            Some(Ok(Some(status))) => Err(DemoError::DaemonEnded(status)),
            _ => Ok(()),
        }
    }

    /// The end of the daemon's log.
    pub fn log_tail(&self, lines: usize) -> Vec<String> {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all.iter().skip(all.len().saturating_sub(lines)).map(|line| (*line).to_owned()).collect()
    }

    pub fn notices(&self) -> Vec<Received> {
        self.receiver.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The region's server and its connections end; its port refuses from now on.
    pub async fn kill(&mut self, region: usize) {
        if let Some(server) = self.regions.get_mut(region).and_then(|region| region.server.take()) {
            server.abort();
            let _ = server.await;
        }
    }

    pub async fn revive(&mut self, region: usize) -> Result<(), DemoError> {
        let Some(region) = self.regions.get_mut(region) else { return Ok(()) };
        let listener = TcpListener::bind(region.address).await.map_err(io_error("bring a region back"))?;
        region.server = Some(serve_region(listener, region.name));
        Ok(())
    }

    /// SIGTERM to the daemon; its exit status tells whether it ended in order.
    pub async fn stop_daemon(&mut self) -> Option<ExitStatus> {
        let child = self.daemon.as_mut()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)?;
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        tokio::time::timeout(Duration::from_secs(12), child.wait()).await.ok()?.ok()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.receiver.server.abort();
        for region in &self.regions {
            if let Some(server) = &region.server {
                server.abort();
            }
        }
    }
}

impl Receiver {
    async fn start() -> Result<Receiver, DemoError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(io_error("receive notices"))?;
        let address = listener.local_addr().map_err(io_error("receive notices"))?;
        let taken: Arc<Mutex<Vec<Received>>> = Arc::default();
        let into = taken.clone();
        let server = serve(listener, move |body| {
            if let Ok(body) = serde_json::from_slice(&body) {
                into.lock().unwrap_or_else(PoisonError::into_inner).push(Received { at: wall(), body });
            }
            String::new()
        });
        Ok(Receiver { address, taken, server })
    }
}

/// One port on 127.0.0.1, .2 and .3.
async fn regions() -> Result<Vec<Region>, DemoError> {
    let what = "listen on 127.0.0.1, 127.0.0.2 and 127.0.0.3 (it needs Linux loopback)";
    for attempt in 1.. {
        let (mut port, mut listeners) = (0, Vec::new());
        for k in 1..=3 {
            match TcpListener::bind((Ipv4Addr::new(127, 0, 0, k), port)).await {
                Ok(listener) => {
                    port = listener.local_addr().map_err(io_error(what))?.port();
                    listeners.push(listener);
                }
                Err(source) if attempt >= PORT_TRIES => return Err(DemoError::Io { what, source }),
                Err(_) => break,
            }
        }
        if listeners.len() == REGIONS.len() {
            let region = |(name, listener): (&'static str, TcpListener)| {
                let address = listener.local_addr().map_err(io_error(what))?;
                Ok(Region { name, address, server: Some(serve_region(listener, name)) })
            };
            return REGIONS.into_iter().zip(listeners).map(region).collect();
        }
    }
    Ok(Vec::new())
}

fn serve_region(listener: TcpListener, name: &'static str) -> JoinHandle<()> {
    serve(listener, move |_| format!("{{\"status\":\"healthy\",\"region\":\"{name}\"}}\n"))
}

/// Answers every request with 200 and what `answer` makes of its body.
fn serve(listener: TcpListener, answer: impl Fn(Bytes) -> String + Clone + Send + Sync + 'static) -> JoinHandle<()> {
    tokio::spawn(async move {
        // Connections end with this task.
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((stream, _)) = accepted else { continue };
                    let answer = answer.clone();
                    connections.spawn(async move {
                        let service = service_fn(move |request: Request<Incoming>| {
                            let answer = answer.clone();
                            async move {
                                let body = Limited::new(request.into_body(), MAX_NOTICE).collect().await;
                                let body = body.map(|body| body.to_bytes()).unwrap_or_default();
                                Ok::<_, hyper::Error>(Response::new(Full::<Bytes>::from(answer(body))))
                            }
                        });
                        let _ = hyper::server::conn::http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service)
                            .await;
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
    })
}
