//! Real parts on loopback, each in its own directory and on its own address: nginx targets,
//! BIND, dig, a webhook receiver, and failoverd itself as a process.
//!
//! Every part is killed by its own process id when its value is dropped. Readiness is polled,
//! nothing sleeps for luck, and a missing program is a failure that names the package.

pub mod bind;
pub mod daemon;
pub mod http;
pub mod nginx;
pub mod prometheus;
pub mod sandbox;
pub mod sink;
pub mod site;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Long enough for two busy cores, short enough to fail within a person's patience.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Polls `look` until it gives something; panics with `what` and the state told by `else_say`.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>, else_say: impl FnOnce() -> String) -> T {
    let begun = tokio::time::Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}\n{}", else_say());
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

pub fn wait_until(what: &str, mut look: impl FnMut() -> bool) {
    wait_for(what, || look().then_some(()), String::new);
}

/// Addresses of 127.0.0.0/8 that no other test of this machine uses: one /28 for each call.
pub fn own_addresses() -> impl Iterator<Item = Ipv4Addr> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // 2^20 blocks of 16; the process id spreads runs that overlap, the counter this run's tests.
    let block = (std::process::id().wrapping_mul(256) + NEXT.fetch_add(1, Ordering::Relaxed)) & 0xf_ffff;
    let first = 0x7f00_0000 | (block << 4);
    // Neither .0 nor 127.0.0.x, where ephemeral listeners of other tests live.
    let first = if first < 0x7f01_0000 { first | 0x0080_0000 } else { first };
    (1..15).map(move |k| Ipv4Addr::from(first | k))
}

/// A port that is free on `ip` now. On an address of `own_addresses` nobody else takes it.
pub fn free_port(ip: Ipv4Addr) -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Below the ports that the kernel gives to whoever asks for any: nobody takes it before it is bound.
    let candidate = || 15_000 + (std::process::id() * 97 + NEXT.fetch_add(1, Ordering::Relaxed)) % 15_000;
    // Not by binding it: a process that is started meanwhile holds that listener until it is another program.
    let free = |port: &u16| TcpStream::connect((ip, *port)).is_err();
    (0..1000).map(|_| candidate() as u16).find(free).expect("a free port")
}

/// A program of this machine, found on PATH or where Debian keeps daemons.
pub fn program(name: &str, package: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin:/usr/bin:/bin";
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| {
        panic!("this test needs `{name}` (Debian package {package}); tests/run installs it or tells how")
    })
}

/// A child that does not outlive its value.
pub struct Running {
    pub child: Child,
}

impl Running {
    pub fn start(command: &mut Command) -> Running {
        command.stdin(Stdio::null());
        Running { child: command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}")) }
    }

    pub fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// True when something accepts connections there.
pub fn accepts(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
}

/// What real dig gets from `server`, sorted; comments and errors of dig are left out.
pub fn dig(server: SocketAddr, name: &str, rtype: &str) -> Vec<String> {
    let out = Command::new(program("dig", "bind9-dnsutils"))
        .args([&format!("@{}", server.ip()), "-p", &server.port().to_string(), "+short", "+norecurse"])
        .args(["+tries=1", "+time=2", name, rtype])
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let mut lines: Vec<String> = text.lines().filter(|l| !l.starts_with(';')).map(String::from).collect();
    lines.sort();
    lines
}

/// The one address dig gets, or `None` for none, several or another kind of answer.
pub fn dig_a(server: SocketAddr, name: &str) -> Option<IpAddr> {
    match dig(server, name, "A").as_slice() {
        [one] => one.parse().ok(),
        _ => None,
    }
}

#[test]
fn nginx_bind_and_dig_work_together_here() {
    let web = nginx::Nginx::start(own_addresses().next().unwrap());
    let dns = bind::Bind::start("example.com", &format!("www 30 A {}\n", web.addr.ip()));
    assert_eq!(dig_a(dns.addr, "www.example.com"), Some(web.addr.ip()));
    assert_eq!(http::get(web.addr, "/healthz").0, 200);
}

#[test]
fn a_target_can_be_sick_gone_and_back() {
    let mut web = nginx::Nginx::start(own_addresses().next().unwrap());
    web.sick();
    assert_eq!(http::get(web.addr, "/healthz").0, 404);
    web.well();
    assert_eq!(http::get(web.addr, "/healthz").0, 200);
    web.stop();
    assert!(!accepts(web.addr));
    web.resume();
    assert_eq!(http::get(web.addr, "/healthz").0, 200);
}

#[test]
fn a_receiver_keeps_what_it_was_sent_and_can_refuse() {
    let sink = sink::Sink::start();
    assert_eq!(http::post(sink.addr, "/hook", r#"{"title":"hello"}"#).0, 204);
    sink.answer_with(503);
    assert_eq!(http::post(sink.addr, "/hook", r#"{"title":"again"}"#).0, 503);
    let titles: Vec<String> = sink.taken().iter().map(|n| n["title"].as_str().unwrap().into()).collect();
    assert_eq!(titles, ["hello"]);
}
