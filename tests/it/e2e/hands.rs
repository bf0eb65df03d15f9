//! A person's hand through the real binary: a switch that is rolled back, break-glass with a dead
//! daemon and no database, a record that two clusters want.

use rustix::process::Signal;

use super::{Before, kind, wait_notice, wait_refusal};
use crate::real::bind::Bind;
use crate::real::daemon::{Process, failoverd};
use crate::real::sandbox::ZONE;
use crate::real::site::{Site, Wish};
use crate::real::{wait_for, wait_until};

/// A site whose records live for a second, so that a contradiction is certain soon.
fn short_lived() -> Site {
    let failback = Some("mode = \"never\"".into());
    let site = Site::with(Wish { failback, ..Wish::default() });
    std::fs::write(site.dir.path().join("policies/web.toml"), site.policy().replace("ttl = 30", "ttl = 1")).unwrap();
    site
}

fn edit(site: &Site, instance: &str, edit: impl FnOnce(String) -> String) {
    let path = site.config(instance);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, edit(text)).unwrap();
}

#[test]
fn a_switch_that_one_name_server_contradicts_is_rolled_back() {
    let site = short_lived();
    // A name server that never hears of the change.
    let deaf = Bind::start(ZONE, &format!("www 1 A {}\n", site.use1.addr.ip()));
    edit(&site, "a", |text| {
        text.replace(&format!("[\"{}\"]", site.sandbox.dns), &format!("[\"{}\", \"{}\"]", site.sandbox.dns, deaf.addr))
    });
    let path = site.dir.path().join("a.toml");
    let mut daemon = Process::start(failoverd(site.dir.path()).arg("-c").arg(&path).arg("run"));
    site.wait_adopted(&mut daemon);
    wait_notice(&site, "adopted");
    let before = Before::of(&site);
    let said = site.command(&["switch", "web", "--to", "euw1", "--reason", "maintenance"]);
    assert_eq!(said.code, Some(6), "{said:?}");
    let moves = site.sandbox.moves();
    let new = moves.strip_prefix(before.moves.as_slice()).unwrap();
    assert_eq!(new, [site.euw1.addr.ip().to_string(), site.use1.addr.ip().to_string()], "there and back");
    assert_eq!(site.sandbox.fence_key("k"), "rollback");
    assert_eq!(site.sandbox.answer(), Some(site.use1.addr.ip()));
    let told = wait_notice(&site, "move_contradicted");
    assert!(told.to_string().contains(&deaf.addr.to_string()), "names who contradicts: {told:#}");
    assert_eq!(daemon.terminate(), Some(0));

    // Without the deaf one the same switch is proven.
    let mut daemon = site.run("a");
    let before = Before::of(&site);
    let said = site.command(&["switch", "web", "--to", "euw1", "--reason", "maintenance"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    before.one_move(&site, &site.euw1);
    assert_eq!(site.sandbox.fence_key("k"), "switch");
    assert_eq!(daemon.terminate(), Some(0));
}

#[test]
fn force_writes_with_the_daemon_killed_and_the_database_spoilt_or_held() {
    let mut site = Site::new();
    let mut daemon = site.run("a");
    wait_notice(&site, "adopted");
    daemon.kill();
    std::fs::write(site.dir.path().join("a.db"), "this is no database").unwrap();
    let before = Before::of(&site);
    let said = site.command(&["force", "web", "--to", "nosuch", "--reason", "a typo at night"]);
    assert!(said.code != Some(0) && said.err.contains("nosuch"), "{said:?}");
    before.unchanged(&site, &site.use1);
    let said = site.command(&["force", "web", "--to", "euw1", "--reason", "probes lie"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    before.one_move(&site, &site.euw1);
    assert_eq!((site.sandbox.fence_key("k").as_str(), site.sandbox.fence_key("m").as_str()), ("force", "forced"));
    let told = wait_notice(&site, "forced");
    assert!(told.to_string().contains("probes lie"), "the reason is told: {told:#}");

    // A daemon that hangs holds the state file; what is forced stays until a person ends it.
    let mut daemon = site.launch("b");
    wait_for("b is ready", || daemon.err().contains("ready socket=").then_some(()), || daemon.err());
    daemon.signal(Signal::STOP);
    let before = Before::of(&site);
    let said = site.command_of("b", &["force", "web", "--to", "use1", "--reason", "again"]);
    daemon.signal(Signal::CONT);
    assert_eq!(said.code, Some(0), "{said:?}");
    before.one_move(&site, &site.use1);
    let before = Before::of(&site);
    site.use1.stop();
    wait_refusal(&site, "forced");
    before.unchanged(&site, &site.use1);
    let said = site.command_of("b", &["unfreeze", "web", "--reason", "over"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    site.wait_answer(&site.euw1, &daemon);
    before.one_move(&site, &site.euw1);
    assert_eq!(daemon.terminate(), Some(0));
}

#[test]
fn of_two_clusters_at_one_record_only_the_owner_writes_until_it_is_handed_over() {
    let failback = Some("mode = \"never\"".into());
    let mut site = Site::with(Wish { failback, ..Wish::default() });
    let mut ours = site.run("a");
    wait_notice(&site, "adopted");
    let start = |instance: &str, config: &std::path::Path| {
        edit(&site, instance, |text| format!("cluster = \"other\"\n{text}"));
        Process::start(failoverd(site.dir.path()).arg("-c").arg(config).arg("run"))
    };
    let mut theirs = start("b", &site.dir.path().join("b.toml"));
    let told = site.sink.wait("b says whose it is", |n| kind(n) == "fence_trouble" && n["data"]["cluster"] == "other");
    assert!(told.to_string().contains("takeover web --from default"), "names the next command: {told:#}");
    assert_eq!(site.sandbox.fence_key("o"), "default/a");

    // A failing target is the owner's to leave, once.
    let before = Before::of(&site);
    site.use1.stop();
    site.wait_answer(&site.euw1, &ours);
    before.one_move(&site, &site.euw1);
    assert_eq!(site.sandbox.fence_key("o"), "default/a");
    site.use1.resume();
    wait_notice(&site, "moved");

    let said = site.command_of("b", &["takeover", "web", "--from", "nobody", "--reason", "x"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    let said = site.command_of("b", &["takeover", "web", "--from", "default", "--reason", "a is retired"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    wait_until("the record is of the other cluster", || site.sandbox.fence_key("o") == "other/b");
    site.sink.wait("a says whose it is", |n| kind(n) == "fence_trouble" && n["data"]["cluster"] == "default");
    let before = Before::of(&site);
    site.euw1.stop();
    site.wait_answer(&site.use1, &theirs);
    before.one_move(&site, &site.use1);
    assert_eq!(site.sandbox.fence_key("o"), "other/b");
    site.euw1.resume();

    // Released, the first cluster adopts it again by itself.
    let said = site.command_of("b", &["release", "web", "--reason", "given back"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    wait_until("the record is of the first cluster again", || site.sandbox.fence_key("o") == "default/a");
    let before = Before::of(&site);
    site.use1.stop();
    site.wait_answer(&site.euw1, &ours);
    before.one_move(&site, &site.euw1);
    assert_eq!((ours.terminate(), theirs.terminate()), (Some(0), Some(0)));
}
