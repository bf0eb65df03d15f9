//! The systemd units as systemd reads them, and what the real binary tells systemd.
//!
//! No systemd runs here as the first process, so the units are verified and scored, not started.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::Signal;

use crate::cli::place::Place;
use crate::real::daemon::Process;
use crate::real::{program, wait_for};

const UNITS: [&str; 3] = ["failoverd.service", "failoverd-once.service", "failoverd-once.timer"];
const SERVICES: [&str; 2] = ["failoverd.service", "failoverd-once.service"];

/// Exposure of 0 (none) to 10, times ten, that `systemd-analyze security` may find at most.
const MOST_EXPOSED: &str = "12";

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn analyze(line: &[&str], units: &[PathBuf]) -> Output {
    let mut analyze = Command::new(program("systemd-analyze", "systemd"));
    analyze.args(line).args(units).env("SYSTEMD_COLORS", "0").env("LC_ALL", "C.UTF-8").output().unwrap()
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

/// `Type=notify-reload` is known from this systemd on; an older one ignores the line and takes `notify`.
fn knows_notify_reload() -> bool {
    let said = said(&analyze(&["--version"], &[]));
    let version: u32 = said.split(' ').nth(1).unwrap().parse().unwrap_or_else(|e| panic!("{e}: {said}"));
    version >= 253
}

/// The units as shipped, with a program that exists on this machine, each changed by `edit`.
fn place(dir: &Path, edit: impl Fn(String) -> String) -> Vec<PathBuf> {
    let write = |name: &&str| {
        let text = edit(shipped(name)).replace("/usr/bin/failoverd", env!("CARGO_BIN_EXE_failoverd"));
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    UNITS.iter().map(write).collect()
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let dir = tempfile::tempdir().unwrap();
    let verify = ["verify", "--man=no", "--recursive-errors=no"];
    let known = |unit: String| if knows_notify_reload() { unit } else { unit.replace("Type=notify-reload\n", "") };
    let out = analyze(&verify, &place(dir.path(), known));
    assert!(out.status.success() && said(&out).is_empty(), "{}", said(&out));

    if !knows_notify_reload() {
        let out = analyze(&verify, &place(dir.path(), |unit| unit));
        let complaints = said(&out);
        let about = |line: &str| line.ends_with("Failed to parse service type, ignoring: notify-reload");
        assert!(
            complaints.lines().count() > 0 && complaints.lines().all(about),
            "nothing but that one line: {complaints}"
        );
    }
    // The same look finds what is wrong.
    let out = analyze(&verify, &place(dir.path(), |unit| known(unit).replace("WatchdogSec=30s", "WatchdogSec=soon")));
    assert!(said(&out).contains("Failed to parse sec value"), "{}", said(&out));
}

/// Of a line like `Type=notify`, what it says, in order.
fn said_of(unit: &str, key: &str) -> Vec<String> {
    let value = |line: &str| line.strip_prefix(key)?.strip_prefix('=').map(String::from);
    shipped(unit).lines().filter_map(value).collect()
}

#[test]
fn a_reload_is_asked_for_in_one_way_and_the_runbook_has_the_other_for_an_older_systemd() {
    assert_eq!(said_of("failoverd.service", "Type"), ["notify", "notify-reload"]);
    assert_eq!(said_of("failoverd.service", "ExecReload"), Vec::<String>::new(), "it would be a second signal");
    let older = "systemctl kill --signal=HUP failoverd";
    assert!(shipped("failoverd.service").contains(older));
    let runbook = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap();
    for line in runbook.lines().filter(|line| line.contains("systemctl reload failoverd")) {
        assert!(line.contains(older) || line.contains("(#change-the-configuration)"), "{line}");
    }
    let (_, chapter) = runbook.split_once("\n### Change the configuration\n").unwrap();
    assert!(chapter.split("\n### ").next().unwrap().contains(older));
}

#[test]
fn the_services_are_shut_in_and_the_score_counts_it() {
    let dir = tempfile::tempdir().unwrap();
    let score = |units: &[PathBuf]| {
        let threshold = format!("--threshold={MOST_EXPOSED}");
        let services: Vec<PathBuf> = units.iter().filter(|u| u.extension().unwrap() == "service").cloned().collect();
        services
            .into_iter()
            .map(|unit| analyze(&["security", "--offline=true", &threshold], &[unit]))
            .collect::<Vec<_>>()
    };
    for out in score(&place(dir.path(), |unit| unit)) {
        assert!(out.status.success(), "{}", said(&out));
    }
    let looser = |unit: String| unit.replace("NoNewPrivileges=yes\n", "").replace("CapabilityBoundingSet=\n", "");
    for out in score(&place(dir.path(), looser)) {
        assert!(!out.status.success(), "{}", said(&out));
    }
}

#[test]
fn the_units_say_what_the_daemon_needs() {
    let daemon = shipped("failoverd.service");
    for line in [
        "Type=notify-reload",
        "WatchdogSec=30s",
        "DynamicUser=yes",
        "StateDirectory=failoverd",
        "ConfigurationDirectory=failoverd",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "ProtectSystem=strict",
        "MemoryDenyWriteExecute=yes",
        "SystemCallFilter=@system-service",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "LimitNOFILE=65536",
        "ExecStart=/usr/bin/failoverd -c /etc/failoverd/failoverd.toml run",
    ] {
        assert!(daemon.lines().any(|l| l == line), "{line}");
    }
    let shut = |name: &str| {
        let unit = shipped(name);
        let from = unit.find("NoNewPrivileges").unwrap();
        unit[from..].split("\n\n").next().unwrap().trim().to_owned()
    };
    assert_eq!(shut(SERVICES[0]), shut(SERVICES[1]), "both are shut in alike");
    let once = shipped("failoverd-once.service");
    // A timer must not be able to stop a daemon; the lock on the state keeps the two apart.
    assert!(once.contains("Type=oneshot\n") && !once.contains("Conflicts="), "{once}");
}

/// The socket systemd would listen on.
struct Ear {
    socket: UnixDatagram,
}

impl Ear {
    /// One message, as its lines.
    fn hear(&self) -> Option<Vec<String>> {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).lines().map(String::from).collect())
    }

    /// The next message with a line that starts with `what`; those before it are returned too.
    fn until(&self, what: &str, daemon: &Process) -> (Vec<Vec<String>>, Vec<String>) {
        let mut before = Vec::new();
        let look = || {
            let message = self.hear()?;
            if message.iter().any(|line| line.starts_with(what)) {
                return Some(message);
            }
            before.push(message);
            None
        };
        let found = wait_for(what, look, || daemon.err());
        (before, found)
    }

    fn forget(&self) {
        self.socket.set_nonblocking(true).unwrap();
        while self.hear().is_some() {}
        self.socket.set_nonblocking(false).unwrap();
    }
}

fn value<'a>(message: &'a [String], key: &str) -> &'a str {
    let found = message.iter().find_map(|line| line.strip_prefix(&format!("{key}=")));
    found.unwrap_or_else(|| panic!("no {key} in {message:?}"))
}

fn has(message: &[String], line: &str) -> bool {
    message.iter().any(|l| l == line)
}

/// The clock that MONOTONIC_USEC is read from, in seconds.
fn monotonic() -> u64 {
    let shown = format!("{:?}", tokio::time::Instant::now().into_std());
    let seconds = shown.split("tv_sec: ").nth(1).and_then(|rest| rest.split(',').next());
    seconds.unwrap_or_else(|| panic!("{shown}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_hears_of_the_start_each_reload_the_loop_and_the_stop() {
    let place = Place::new().await;
    let path = place.path().join("notify");
    let ear = Ear { socket: UnixDatagram::bind(&path).unwrap() };
    ear.socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut command = place.command(&["run"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "600000");
    let mut daemon = Process::start(&mut command);
    let (_, ready) = ear.until("READY=1", &daemon);
    assert_eq!(value(&ready, "STATUS"), "1 policies");

    // A reload is told before it is read, with the time systemd compares with its own request.
    let reload = |status: &str| {
        ear.forget();
        let asked = monotonic();
        daemon.signal(Signal::HUP);
        let (before, reloading) = ear.until("RELOADING=1", &daemon);
        assert!(!before.iter().any(|m| has(m, "READY=1")), "{before:?}");
        let at: u64 = value(&reloading, "MONOTONIC_USEC").parse().unwrap();
        assert!((asked..=monotonic()).contains(&(at / 1_000_000)), "{at}");
        let (between, ready) = ear.until("READY=1", &daemon);
        assert!(!between.iter().any(|m| has(m, "RELOADING=1")), "one READY for each: {between:?}");
        assert_eq!(value(&ready, "STATUS"), status);
    };
    reload("1 policies, reloaded");
    let good = std::fs::read_to_string(place.path().join("policies/web.toml")).unwrap();
    std::fs::write(place.path().join("policies/web.toml"), "nonsense").unwrap();
    reload("reload refused, the old configuration stays");
    std::fs::write(place.path().join("policies/web.toml"), good).unwrap();
    reload("1 policies, reloaded");

    // The watchdog is fed while the process runs, and only then.
    ear.until("WATCHDOG=1", &daemon);
    daemon.signal(Signal::STOP);
    ear.forget();
    assert_eq!(ear.hear(), None, "a process that hangs feeds nobody within a second");
    daemon.signal(Signal::CONT);
    ear.until("WATCHDOG=1", &daemon);

    daemon.signal(Signal::TERM);
    ear.until("STOPPING=1", &daemon);
    assert_eq!(daemon.wait_exit("SIGTERM").code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_cannot_start_is_never_called_ready() {
    let place = Place::new().await;
    let path = place.path().join("notify");
    let ear = Ear { socket: UnixDatagram::bind(&path).unwrap() };
    ear.socket.set_nonblocking(true).unwrap();
    std::fs::write(place.path().join("policies/web.toml"), "nonsense").unwrap();
    let mut command = place.command(&["run"]);
    command.env("NOTIFY_SOCKET", &path);
    // The unit does not try it again with this exit.
    assert_eq!(Process::start(&mut command).wait_exit("an invalid configuration").code(), Some(4));
    assert!(shipped("failoverd.service").contains("RestartPreventExitStatus=4\n"));
    assert_eq!(ear.hear(), None);
}
