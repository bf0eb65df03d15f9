//! What goes wrong around the controller: each one clear message, the right exit code, no crash
//! loop, and where a daemon runs its probing goes on.

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::{Before, wait_health, wait_notice};
use crate::real::daemon::{Process, Said, failoverd_after};
use crate::real::site::{Site, Wish};
use crate::real::wait_for;

/// One message, and it says what a person needs.
fn one_message(said: &Said, code: i32, words: &[&str]) {
    assert_eq!(said.code, Some(code), "{said:?}");
    let errors: Vec<&str> = said.err.lines().filter(|l| l.starts_with("error:")).collect();
    assert_eq!(errors.len(), 1, "one message: {said:?}");
    for word in words {
        assert!(said.err.contains(word), "it says {word:?}: {said:?}");
    }
}

fn probes_go_on(site: &mut Site) {
    wait_health(site, "euw1", "up");
    site.euw1.stop();
    wait_health(site, "euw1", "down");
    site.euw1.resume();
    wait_health(site, "euw1", "up");
}

/// The trouble is over: the daemon adopts by itself and does its work.
fn works_again(site: &mut Site, daemon: &mut Process) {
    site.wait_adopted(daemon);
    let before = Before::of(site);
    site.use1.stop();
    site.wait_answer(&site.euw1, daemon);
    before.one_move(site, &site.euw1);
}

#[test]
fn a_zone_the_account_does_not_have() {
    let mut site = Site::new();
    let path = site.dir.path().join("policies/web.toml");
    let text = site.policy().replace("zone = \"example.com\"", "zone = \"example.org\"");
    std::fs::write(&path, text.replace("www.example.com", "www.example.org")).unwrap();

    one_message(&site.command(&["once", "--deadline", "20s"]), 5, &["example.org"]);
    let mut daemon = site.launch("a");
    let told = wait_notice(&site, "api_trouble");
    assert!(told.to_string().contains("example.org"), "{told:#}");
    probes_go_on(&mut site);
    let said = daemon.lines_with("example.org");
    let warned = said.iter().filter(|l| l.contains("WARN") || l.contains("ERROR")).count();
    assert!((1..=3).contains(&warned), "said once, not in a loop: {said:#?}");
    assert!(site.sandbox.untouched());
    assert_eq!(daemon.terminate(), Some(0));
}

#[test]
fn refused_and_unreachable_providers() {
    for (fault, words) in [
        ("{\"deny\":\"ListResourceRecordSets\"}", &["ListResourceRecordSets", "not authorized"][..]),
        ("\"expired_credentials\"", &["expired"][..]),
    ] {
        let mut site = Site::new();
        site.sandbox.arm(fault);
        one_message(&site.command(&["once", "--deadline", "20s"]), 5, words);

        let mut daemon = site.launch("a");
        wait_notice(&site, "api_trouble");
        probes_go_on(&mut site);
        assert!(site.sandbox.untouched());
        let said = daemon.lines_with("ListResourceRecordSets");
        assert!(said.len() <= 2, "no flood: {said:#?}");

        site.sandbox.clear_faults();
        works_again(&mut site, &mut daemon);
    }
}

#[test]
fn a_provider_that_is_not_there() {
    let mut site = Site::new();
    let config = site.config("a");
    let nobody = format!("http://{}:1", site.spare);
    let text = std::fs::read_to_string(&config).unwrap().replace(&site.sandbox.url(), &nobody);
    std::fs::write(&config, text).unwrap();
    let address = nobody.trim_start_matches("http://");
    one_message(&site.command(&["once", "--deadline", "20s"]), 5, &[address, "refused"]);

    let mut command = crate::real::daemon::failoverd(site.dir.path());
    let mut daemon = Process::start(command.arg("-c").arg(&config).arg("run"));
    daemon.wait_log("no connection to the Route 53 API");
    probes_go_on(&mut site);
    assert_eq!(daemon.terminate(), Some(0));
}

#[test]
fn a_control_socket_that_cannot_be_made() {
    let site = Site::new();
    std::fs::create_dir(site.dir.path().join("a.db.sock")).unwrap();
    one_message(&site.command(&["run"]), 1, &["a.db.sock"]);

    std::fs::remove_dir(site.dir.path().join("a.db.sock")).unwrap();
    let mut daemon = site.run("a");
    let second = site.command(&["run"]);
    one_message(&second, 1, &["a.db"]);
    assert_eq!(daemon.terminate(), Some(0));
}

#[test]
fn a_state_file_that_cannot_be_written_at_start() {
    let site = Site::new();
    let config = site.config("a");
    // Nobody, root included, makes a file there.
    let text = std::fs::read_to_string(&config).unwrap().replace("\"a.db\"", "\"/proc/failoverd.db\"");
    std::fs::write(&config, text).unwrap();
    one_message(&site.command(&["run"]), 1, &["/proc/failoverd.db"]);
    assert!(site.sandbox.untouched());
}

#[test]
fn a_disk_that_is_full_stops_writes_not_probes() {
    let mut site = Site::with(Wish::default());
    let config = site.config("a");
    let mut command = failoverd_after("trap '' XFSZ", site.dir.path());
    let mut daemon = Process::start(command.arg("-c").arg(config).arg("run"));
    site.wait_adopted(&mut daemon);
    let before = Before::of(&site);
    disk_limit(&daemon, Some(0));

    site.use1.stop();
    wait_notice(&site, "store_trouble");
    wait_health(&site, "use1", "down");
    wait_health(&site, "euw1", "up");
    site.wait_status("the reason is the store", |s| s["reports"][0]["refusals"].to_string().contains("store-failed"));
    before.unchanged(&site, &site.use1);

    disk_limit(&daemon, None);
    let say = || format!("{}\n{:#}", daemon.err(), site.status());
    let moved = || (site.sandbox.answer() == Some(site.euw1.addr.ip())).then_some(());
    wait_for("it moves when the disk is usable again", moved, say);
    before.one_move(&site, &site.euw1);
}

/// No file of the process may grow beyond `bytes`; SIGXFSZ is ignored, so a write fails as on a full disk.
fn disk_limit(daemon: &Process, bytes: Option<u64>) {
    let pid: Pid = daemon.pid();
    let hard = rustix::process::getrlimit(Resource::Fsize).maximum;
    prlimit(Some(pid), Resource::Fsize, Rlimit { current: bytes.or(hard), maximum: hard }).unwrap();
}
