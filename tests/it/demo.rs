//! The demo is the first thing a newcomer types: it must work as it is, say what it saw, leave
//! nothing behind, and fail aloud.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::real;
use crate::real::daemon::{Process, failoverd, finish};

/// The demo gives itself 60 s.
const LIMIT: Duration = Duration::from_secs(90);

/// Said in this order.
const STORY: [&str; 17] = [
    "starts `failoverd run`",
    "CREATE TXT, UPSERT A as one batch",
    "adopted: www.example.test publishes us-east-1",
    "kills us-east-1",
    "us-east-1 down: connection refused",
    "failover from us-east-1 to eu-west-1",
    "accepts DELETE TXT, CREATE TXT, UPSERT A as one batch",
    "answers 127.0.0.2",
    "answers 127.0.0.2",
    "failover proven",
    "brings us-east-1 back",
    "failback from eu-west-1 to us-east-1",
    "answers 127.0.0.1",
    "answers 127.0.0.1",
    "failback proven",
    "failover: after the kill",
    "failback: after the return",
];

fn demo(dir: &Path) -> std::process::Command {
    let mut command = failoverd(dir);
    command.env("TMPDIR", dir).arg("demo");
    command
}

fn wait(process: &mut Process, what: &str, done: impl Fn(&mut Process) -> bool) {
    let begun = tokio::time::Instant::now();
    while !done(process) {
        assert!(begun.elapsed() < LIMIT, "not within {LIMIT:?}: {what}\n{}\n{}", process.out(), process.err());
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Seconds the summary gives for `clock`, failover first.
fn measured(out: &str, clock: &str) -> Vec<f64> {
    let lines = out.lines().filter_map(|line| line.trim().strip_prefix(clock)?.strip_suffix(" s"));
    lines.map(|seconds| seconds.trim().parse().unwrap()).collect()
}

#[test]
fn the_demo_tells_the_whole_story_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::start(&mut demo(dir.path()));
    wait(&mut process, "the end of the demo", |process| !process.alive());
    assert_eq!(process.wait_exit("its story").code(), Some(0), "{}\n{}", process.out(), process.err());
    let out = process.out();
    let mut rest = out.as_str();
    for step in STORY {
        let at = rest.find(step).unwrap_or_else(|| panic!("no {step:?} where it belongs\n{out}"));
        rest = &rest[at + step.len()..];
    }
    assert!(!out.contains('\u{1b}'), "plain where nobody looks");
    for clock in ["decided", "accepted by the API", "first new DNS answer", "every name server", "notice delivered"] {
        assert_eq!(measured(&out, clock).len(), 2, "{clock}\n{out}");
    }
    let order = ["decided", "accepted by the API", "every name server", "INSYNC", "proven from outside"];
    let times: Vec<f64> = order.iter().map(|clock| measured(&out, clock)[0]).collect();
    assert!(times.is_sorted(), "{times:?}\n{out}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "a file is left behind");
}

#[test]
fn kept_up_it_answers_dig_and_status_until_it_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::start(demo(dir.path()).arg("--keep"));
    wait(&mut process, "the dig line", |process| process.out().contains("failoverd status -c") || !process.alive());
    let out = process.out();
    let line = out.lines().find(|line| line.trim().starts_with("dig @")).expect("a dig line");
    let words: Vec<&str> = line.split_whitespace().collect();
    let server = SocketAddr::new(words[1][1..].parse().unwrap(), words[3].parse().unwrap());
    assert_eq!(real::dig_a(server, words[4]), Some([127, 0, 0, 1].into()));

    let config = out.lines().find_map(|line| line.trim().strip_prefix("failoverd status -c ")).unwrap();
    let status = finish(failoverd(dir.path()).args(["status", "-c", config]));
    assert_eq!(status.code, Some(0), "{}", status.err);
    assert!(status.out.contains("us-east-1"), "{}", status.out);
    process.signal(rustix::process::Signal::INT);
    assert_eq!(process.wait_exit("Ctrl-C").code(), Some(0), "{}", process.err());
    assert!(real::dig_a(server, words[4]).is_none(), "the name server is gone");
}

#[test]
fn a_demo_that_cannot_start_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let said = finish(demo(dir.path()).env("TMPDIR", dir.path().join("missing")));
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("the demo cannot make a temporary directory"), "{}", said.err);
}
