//! A real Prometheus scrapes the real binary while it rehearses, fails over, is reloaded and is
//! talked to slowly.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::ALERTS;
use crate::canary::CANARY;
use crate::golden;
use crate::real::daemon::{Process, failoverd, finish};
use crate::real::prometheus::{Prometheus, promtool};
use crate::real::site::{Site, Wish};
use crate::real::{wait_for, wait_until};

const API: &str = "[api]\nlisten = \"127.0.0.1:0\"\ntoken = { env = \"FAILOVERD_TOKEN\" }\n\
    [rehearsal]\nschedule = \"*/2 * * * * *\"\n";

/// Status and body of one page.
fn page(address: SocketAddr, path: &str, token: Option<&str>) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let header = token.map(|t| format!("Authorization: Bearer {t}\r\n")).unwrap_or_default();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\n{header}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("not HTTP: {answer:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Where the daemon says that it serves pages.
fn served_at(daemon: &mut Process) -> SocketAddr {
    let line = daemon.wait_log("serving metrics and health checks");
    line.split("address=").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

fn launch(site: &Site) -> Process {
    let config = site.config("a");
    Process::start(failoverd(site.dir.path()).env("FAILOVERD_TOKEN", CANARY).arg("-c").arg(config).arg("run"))
}

#[test]
fn prometheus_sees_a_rehearsal_fail_and_a_policy_move() {
    let mut site = Site::with(Wish { main: Some(API), failback: Some("mode = \"never\"".into()), ..Wish::default() });
    let mut daemon = launch(&site);
    let address = served_at(&mut daemon);
    let rules = golden::root().join(ALERTS);
    let prometheus = Prometheus::start(site.spare, address, CANARY, &rules);
    site.wait_adopted(&mut daemon);

    prometheus.wait("up{job=\"failoverd\"} == 1");
    prometheus.wait("failoverd_target_active{policy=\"web\",target=\"use1\"} == 1");
    prometheus.wait("failoverd_policy_state{state=\"steady\"} == 1");
    wait_until("the daemon is ready", || page(address, "/readyz", None).0 == 200);
    assert_eq!(page(address, "/healthz", None), (200, "the loop turns\n".into()));
    let itself =
        |path: &str| finish(failoverd(site.dir.path()).args(["probe", &format!("http://{address}{path}")])).code;
    assert_eq!((itself("/healthz"), itself("/metrics")), (Some(0), Some(1)), "a container's own health check");

    // A rehearsal: its age, its result, its times. Then one that fails, and one after the cause is gone.
    prometheus.wait("failoverd_rehearsal_result{policy=\"web\",result=\"ok\"} == 1");
    let age = prometheus.wait("failoverd_rehearsal_age_seconds{policy=\"web\"}");
    assert!(age[0].1 < 60.0, "{age:?}");
    for phase in ["accepted", "servers", "insync"] {
        let took = prometheus.wait(&format!("failoverd_rehearsal_duration_seconds{{phase=\"{phase}\"}}"));
        assert!((0.0..30.0).contains(&took[0].1), "{phase}: {took:?}");
    }
    let failed = "failoverd_rehearsal_result{result=\"failed\"} == 1";
    assert!(prometheus.query(failed).is_empty());
    site.sandbox.arm(r#"{"deny": "ChangeResourceRecordSets"}"#);
    prometheus.wait(failed);
    prometheus.wait("failoverd_transitions_total{kind=\"rehearsal_failed\"} > 0");
    prometheus.wait("failoverd_api_requests_total{action=\"write\",answer=\"denied\"} > 0");
    prometheus.wait("ALERTS{alertname=\"FailoverdRehearsal\",policy=\"web\"}");
    site.sandbox.clear_faults();
    prometheus.wait("failoverd_rehearsal_result{result=\"ok\"} == 1");
    assert!(prometheus.query("ALERTS{alertname=\"FailoverdMoveNotProven\"}").is_empty());

    // Slow callers, more than there are places, disturb neither the loop nor the move.
    let slow: Vec<TcpStream> = (0..48)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ").unwrap();
            stream
        })
        .collect();
    let moved = "failoverd_moves_total{kind=\"failover\",outcome=\"proven\"}";
    assert_eq!(prometheus.wait(moved)[0].1, 0.0);
    site.use1.stop();
    site.wait_answer(&site.euw1, &daemon);
    prometheus.wait("failoverd_target_active{policy=\"web\",target=\"euw1\",region=\"euw1\"} == 1");
    prometheus.wait("failoverd_target_active{policy=\"web\",target=\"use1\"} == 0");
    prometheus.wait(&format!("{moved} == 1"));
    prometheus.wait("failoverd_target_health{target=\"use1\",health=\"down\"} == 1");
    prometheus.wait("failoverd_policy_proven_age_seconds < 60");
    prometheus.wait("increase(failoverd_probes_total{target=\"use1\",outcome=\"down\"}[1m]) > 0");
    drop(slow);

    // What the page must never hold, and who gets it.
    let (status, text) = page(address, "/metrics", Some(CANARY));
    assert_eq!(status, 200);
    let (fine, said) = promtool(&["check", "metrics"], &text);
    assert!(fine && said.trim().is_empty(), "{said}");
    let (sink, provider) = (site.sink.addr.to_string(), site.sandbox.api.to_string());
    let targets = [&site.use1, &site.euw1].map(|t| t.addr.ip().to_string());
    for text in [text.as_str(), &page(address, "/readyz", None).1, &page(address, "/metrics", None).1, &daemon.err()] {
        assert!(!text.contains(CANARY), "{text}");
    }
    for secret in [&sink, &provider, &targets[0], &targets[1], "/hook", "www.example.com"] {
        assert!(!text.contains(secret), "{secret} is on the page:\n{text}");
    }
    assert_eq!(page(address, "/metrics", None).0, 401);
    assert_eq!(page(address, "/metrics", Some("wrong")).0, 401);

    // A reload that is refused shows, and so does the one that repairs it.
    let policy = site.dir.path().join("policies/web.toml");
    let good = std::fs::read_to_string(&policy).unwrap();
    std::fs::write(&policy, good.replace("ttl = 30", "ttl = \"x\"")).unwrap();
    daemon.signal(rustix::process::Signal::HUP);
    prometheus.wait("failoverd_config_last_reload_successful == 0");
    std::fs::write(&policy, good).unwrap();
    daemon.signal(rustix::process::Signal::HUP);
    prometheus.wait("failoverd_config_last_reload_successful == 1");

    assert_eq!(daemon.terminate(), Some(0));
    assert!(TcpStream::connect(address).is_err(), "nothing listens after the end");
    prometheus.wait("up{job=\"failoverd\"} == 0");
}

#[test]
fn a_daemon_that_cannot_serve_what_it_was_told_to_does_not_start() {
    let site = Site::with(Wish { main: Some(API), ..Wish::default() });
    let config = site.config("a");
    let text = std::fs::read_to_string(&config).unwrap();
    let run = |text: &str, token: Option<&str>| {
        std::fs::write(&config, text).unwrap();
        let mut command = failoverd(site.dir.path());
        command.env("FAILOVERD_TOKEN", token.unwrap_or_default()).arg("-c").arg(&config).arg("run");
        command
    };
    let said = finish(&mut run(&text, None));
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("[api] token: environment variable `FAILOVERD_TOKEN` is not set"), "{}", said.err);

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = taken.local_addr().unwrap();
    let busy = text.replace("127.0.0.1:0", &there.to_string());
    let said = finish(&mut run(&busy, Some(CANARY)));
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.err.contains(&format!("[api] cannot listen on {there}")) && said.err.contains("ss -ltnp"),
        "{}",
        said.err
    );
    assert!(!said.err.contains(CANARY));

    // With the address free the same files start.
    drop(taken);
    let mut daemon = Process::start(&mut run(&busy, Some(CANARY)));
    assert_eq!(served_at(&mut daemon), there);
    wait_for("the page", || (page(there, "/metrics", Some(CANARY)).0 == 200).then_some(()), || daemon.err());
    assert_eq!(daemon.terminate(), Some(0));
}

#[test]
fn a_reload_reads_the_token_anew() {
    let main = "[api]\nlisten = \"127.0.0.1:0\"\ntoken = { file = \"token\" }\n";
    let site = Site::with(Wish { main: Some(main), ..Wish::default() });
    let token = site.dir.path().join("token");
    std::fs::write(&token, "first-token\n").unwrap();
    let mut daemon = launch(&site);
    let address = served_at(&mut daemon);
    let opens = |token: &str| page(address, "/metrics", Some(token)).0 == 200;
    wait_until("the first token opens", || opens("first-token"));
    assert!(!opens("second-token"));

    std::fs::write(&token, "second-token\n").unwrap();
    assert!(opens("first-token"), "not before the reload");
    daemon.signal(rustix::process::Signal::HUP);
    wait_until("the second token opens", || opens("second-token"));
    assert!(!opens("first-token"));

    // One that cannot be read changes nothing.
    std::fs::remove_file(&token).unwrap();
    daemon.signal(rustix::process::Signal::HUP);
    daemon.wait_log("the token cannot be read any more");
    assert!(opens("second-token") && !opens(""));
    assert_eq!(daemon.terminate(), Some(0));
}
