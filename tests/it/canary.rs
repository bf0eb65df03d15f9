//! The one secret of the whole test run. Whatever a test has for a secret is this text, and whoever
//! keeps an output, a state file or a log looks for it: raw, percent-encoded, in base64 or in hex.
//! `tests/secrets.py` looks for the same in the log and the leftovers of the run.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use rustix::process::Signal;
use serde_json::Value;

use crate::real::daemon::{Process, Said, failoverd, failoverd_after, finish};
use crate::real::http;
use crate::real::sink::Sink;
use crate::real::site::{Site, Wish};
use crate::real::{program, wait_for};

/// Long enough to be nobody else's, and different in each of its forms.
pub const CANARY: &str = "c4n4ry+Kv7/pQ2=zXw9";
/// Where `real::daemon::failoverd` has it in the environment, for `{ env = "…" }`.
pub const VARIABLE: &str = "FAILOVERD_CANARY";

/// As a part of a URL.
pub fn in_url() -> String {
    let safe = |b: u8| b.is_ascii_alphanumeric();
    CANARY.bytes().map(|b| if safe(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Every form, with its name.
fn forms() -> Vec<(&'static str, String)> {
    let hex: String = CANARY.bytes().map(|b| format!("{b:02x}")).collect();
    let mut forms = vec![
        ("as it is", CANARY.to_owned()),
        ("percent-encoded", in_url()),
        ("percent-encoded in lower case", in_url().to_lowercase()),
        ("hex", hex.clone()),
        ("HEX", hex.to_uppercase()),
    ];
    // What of base64 does not depend on what stands before and behind, at each of its three phases.
    for before in 0..3 {
        let bytes = [vec![0; before], CANARY.as_bytes().to_vec()].concat();
        let whole = (before * 8).div_ceil(6)..(bytes.len() * 8) / 6;
        forms.push(("base64", STANDARD.encode(&bytes)[whole.clone()].to_owned()));
        forms.push(("base64 for URLs", URL_SAFE.encode(&bytes)[whole].to_owned()));
    }
    forms
}

/// In which form the secret is in `bytes`.
fn form_in(bytes: &[u8]) -> Option<&'static str> {
    // Every form is ASCII, so it is in the text whenever it is in the bytes.
    let text = String::from_utf8_lossy(bytes);
    forms().into_iter().find(|(_, form)| text.contains(form.as_str())).map(|(name, _)| name)
}

/// Fails the test, without repeating the secret.
pub fn assert_absent(place: &str, bytes: &[u8]) {
    if let Some(form) = form_in(bytes) {
        panic!("the secret of the test run is in {place}, {form}");
    }
}

/// The same for every file under `dir` but those that are there to hold it: policies, and files
/// whose name ends with `.secret`.
pub fn assert_absent_under(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        let holds_it = path.extension().is_some_and(|e| e == "secret") || entry.file_name() == "policies";
        if kind.is_dir() && !holds_it {
            assert_absent_under(&path);
        } else if kind.is_file() && !holds_it {
            // A file may go while we look: a journal that is closed, say.
            assert_absent(&path.display().to_string(), &std::fs::read(&path).unwrap_or_default());
        }
    }
}

#[test]
fn the_search_finds_the_secret_in_every_form_and_nothing_where_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("a/b");
    std::fs::create_dir_all(&inner).unwrap();
    let forms = forms();
    let unique: std::collections::BTreeSet<&String> = forms.iter().map(|(_, form)| form).collect();
    assert!(unique.len() >= 8, "{}", unique.len());
    let tells = |bytes: &[u8]| {
        std::fs::write(inner.join("state.db-wal"), bytes).unwrap();
        let told = std::panic::catch_unwind(|| assert_absent_under(dir.path()));
        told.err().map(|why| why.downcast_ref::<String>().unwrap().clone())
    };
    let wrapped = |text: &str| [b"\0\x01SQLite ".to_vec(), text.as_bytes().to_vec(), b"\n\xff".to_vec()].concat();
    for (name, form) in &forms {
        let told = tells(&wrapped(form)).unwrap_or_else(|| panic!("not found: {name}"));
        assert!(told.contains("state.db-wal") && !told.contains("c4n4ry"), "the message repeats it");
    }
    for prefix in ["", "a", "ab", "abc"] {
        assert!(tells(&wrapped(&STANDARD.encode(format!("{prefix}{CANARY}:tail")))).is_some(), "{prefix:?}");
    }
    for harmless in ["", "canary", "c4n4ry", &CANARY[1..], &CANARY[..CANARY.len() - 1]] {
        assert_eq!(tells(&wrapped(harmless)), None, "{harmless}");
    }
}

#[test]
fn a_process_that_tells_the_secret_fails_its_test() {
    let dir = tempfile::tempdir().unwrap();
    let says = |line: &str| {
        let mut command = failoverd_after(&format!("{line}; exit 0"), dir.path());
        let run = std::panic::AssertUnwindSafe(|| drop(finish(&mut command)));
        std::panic::catch_unwind(run).is_err()
    };
    for (line, told) in [
        ("echo all is well", false),
        ("echo \"$FAILOVERD_CANARY\"", true),
        ("echo \"error: $AWS_SECRET_ACCESS_KEY\" >&2", true),
        ("printf %s \"$FAILOVERD_CANARY\" | base64", true),
    ] {
        assert_eq!(says(line), told, "{line}");
    }
}

#[test]
fn the_search_after_the_run_finds_a_secret_and_a_core() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/secrets.py");
    let run = |plant: &[(&str, &[u8])]| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("left")).unwrap();
        std::fs::write(dir.path().join("log"), "test a ... ok\n").unwrap();
        for (name, bytes) in plant {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        let mut command = Command::new(program("python3", "python3"));
        let out = command.arg(&script).arg(dir.path().join("log")).arg(dir.path().join("left")).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert_absent("what the search says", said.as_bytes());
        (out.status.code(), said)
    };
    let mut core = b"\x7fELF\x02\x01\x01".to_vec();
    core.resize(64, 0);
    core[16] = 4;
    assert_eq!(run(&[]).0, Some(0));
    assert_eq!(run(&[("left/binary", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0")]).0, Some(0));
    for (name, form) in forms() {
        for place in ["log", "left/failoverd.db"] {
            let (code, said) = run(&[(place, format!("x{form}y").as_bytes())]);
            assert!(code == Some(1) && said.contains(place), "{name} in {place}: {said}");
        }
    }
    let (code, said) = run(&[("left/core.17", &core)]);
    assert!(code == Some(1) && said.contains("left/core.17 is a core"), "{said}");
}

/// Runs a command as a person would and looks at all it said; `finish` looks for the secret.
fn tell(site: &Site, line: &[&str]) -> Said {
    site.command(line)
}

#[test]
fn a_daemons_whole_life_tells_nobody_its_secrets() {
    let refused = Sink::start();
    refused.answer_with(400);
    let api = "[api]\nlisten = \"127.0.0.1:0\"\ntoken = { env = \"FAILOVERD_CANARY\" }\n\
        [[notifier]]\nname = \"slack\"\ntype = \"slack\"\nurl = { file = \"slack.secret\" }\n\
        [[notifier]]\nname = \"gone\"\ntype = \"webhook\"\nurl = { file = \"gone.secret\" }\nsecret = { env = \"FAILOVERD_CANARY\" }\n";
    let mut site = Site::with(Wish { main: Some(api), ..Wish::default() });
    let dir = site.dir.path().to_owned();
    std::fs::write(dir.join("slack.secret"), format!("http://{}/services/{}", refused.addr, in_url())).unwrap();
    std::fs::write(dir.join("gone.secret"), format!("http://127.0.0.1:1/{}?key={}", in_url(), in_url())).unwrap();
    let policy = dir.join("policies/web.toml");
    let good = site.policy().replace("to = [\"ops\"]", "to = [\"ops\", \"slack\", \"gone\"]");
    std::fs::write(&policy, &good).unwrap();
    let config = site.config("a");
    let launch = || {
        let mut command = failoverd(&dir);
        // Everything that any library would say.
        Process::start(command.env("RUST_LOG", "trace").arg("-c").arg(&config).arg("run"))
    };
    let mut daemon = launch();
    let line = daemon.wait_log("serving metrics and health checks");
    let address = line.split("address=").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    site.wait_adopted(&mut daemon);

    // A move, receivers that fail, people's commands, reloads that are refused.
    site.use1.stop();
    site.wait_answer(&site.euw1, &daemon);
    site.sink.wait("the move", |n| n["data"]["title"].is_string() || n["title"].is_string() || n.is_object());
    wait_for("a notice is given up", || (!daemon.lines_with("HTTP 400").is_empty()).then_some(()), || daemon.err());
    for line in [
        ["status"].as_slice(),
        &["status", "-o", "json"],
        &["history", "-o", "json"],
        &["explain", "web"],
        &["plan"],
        &["probe", "web"],
        &["probe", "web", "-o", "json"],
        &["check"],
        &["doctor"],
        &["notify-test"],
        &["freeze", "web", "--reason", "night"],
        &["unfreeze", "web", "--reason", "day"],
        &["switch", "web"],
        &["probe", "nowhere"],
    ] {
        assert!(tell(&site, line).code.is_some(), "{line:?}");
    }
    for bad in ["ttl = \"x\"\n", "[[[\n", "x-probe-key = 1\n"] {
        // The defect stands beside the line with the secret, which a message may quote.
        std::fs::write(&policy, good.replace("headers = ", &format!("{bad}headers = "))).unwrap();
        daemon.signal(Signal::HUP);
        tell(&site, &["check"]);
    }
    std::fs::write(&policy, good.replace("headers = {", "headers = { x-bad = \"\\n\",")).unwrap();
    tell(&site, &["check", "-o", "json"]);
    std::fs::write(&policy, &good).unwrap();
    for path in ["/metrics", "/healthz", "/readyz", "/nowhere"] {
        let (_, text) = http::get(address, path);
        assert_absent(path, text.as_bytes());
    }
    for notice in site.sink.taken() {
        assert_absent("a notice", notice.to_string().as_bytes());
    }
    // A crash, and the start after it.
    daemon.signal(Signal::ABORT);
    let ended = daemon.wait_exit("SIGABRT");
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(Signal::ABORT.as_raw()), false));
    assert!(daemon.err().len() > 10_000, "trace says a lot");
    drop(daemon);
    assert_absent_under(&dir);
    let mut daemon = launch();
    daemon.wait_log("serving metrics and health checks");
    wait_for("a status", || (site.status() != Value::Null).then_some(()), || daemon.err());
    assert_eq!(daemon.terminate(), Some(0));
    drop(daemon);
    assert_absent_under(&dir);
    // The twin: the secret was really in use.
    assert!(!site.sink.taken().is_empty());
    assert_eq!(std::fs::read_to_string(dir.join("hook.secret")).unwrap(), site.hook());
}

#[test]
fn a_crash_leaves_no_core_although_the_machine_would_keep_one() {
    let dir = tempfile::tempdir().unwrap();
    let unlimited = "ulimit -c unlimited || exit 90";
    let cores = || {
        let names = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("core")).count()
    };
    let mut command = failoverd_after(unlimited, dir.path());
    let mut sandbox = Process::start(command.args([
        "sandbox",
        "--api",
        "127.0.0.1:0",
        "--dns",
        "127.0.0.1:0",
        "--zone",
        "example.com",
    ]));
    sandbox.wait_out("stop with Ctrl-C");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", sandbox.pid().as_raw_nonzero())).unwrap();
    let line = limits.lines().find(|l| l.starts_with("Max core file size")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{line}");
    sandbox.signal(Signal::ABORT);
    let ended = sandbox.wait_exit("SIGABRT");
    assert_eq!((ended.signal(), ended.core_dumped(), cores()), (Some(Signal::ABORT.as_raw()), false, 0));

    // The twin: the same end of a program that does not care.
    let mut command = failoverd_after(&format!("{unlimited}; kill -ABRT $$"), dir.path());
    let mut shell = Process::start(command.env_remove(VARIABLE).env_remove("AWS_SECRET_ACCESS_KEY"));
    let ended = shell.wait_exit("SIGABRT of its own");
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(Signal::ABORT.as_raw()), true), "cores are possible here");
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    if !pattern.starts_with(['|', '/']) {
        wait_for("its core", || (cores() == 1).then_some(()), || format!("{pattern:?}, none here"));
    }
}
