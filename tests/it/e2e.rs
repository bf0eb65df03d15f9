//! End to end: the real binary, nginx targets, a provider on a socket, answers by real dig.
//!
//! A test that shows that nothing was written also shows, in the same run and with the cause
//! removed, that exactly one move then happens. "Written" is what the provider's own history
//! says, and the epoch in the fence counts it a second time.

use serde_json::Value;

use crate::real::bind::Bind;
use crate::real::daemon::{Process, failoverd};
use crate::real::nginx::Nginx;
use crate::real::sandbox::ZONE;
use crate::real::site::{Site, Wish};
use crate::real::{own_addresses, wait_for, wait_until};

mod hands;
mod region;
mod trouble;

fn brakes_of_two_an_hour() -> Option<String> {
    Some("hold_down = \"1s\"\nflap_budget = \"2/h\"".into())
}

/// The zone as it stands when nothing must be written any more.
struct Before {
    moves: Vec<String>,
    epoch: u64,
}

impl Before {
    fn of(site: &Site) -> Before {
        Before { moves: site.sandbox.moves(), epoch: site.sandbox.epoch() }
    }

    /// No address was written since.
    fn unchanged(&self, site: &Site, published: &Nginx) {
        assert_eq!(site.sandbox.moves(), self.moves, "{:#?}", site.sandbox.batches());
        assert_eq!(site.sandbox.answer(), Some(published.addr.ip()));
    }

    /// Exactly one move was written since, to `target`.
    fn one_move(&self, site: &Site, target: &Nginx) {
        let moves = site.sandbox.moves();
        let new = moves.strip_prefix(self.moves.as_slice()).unwrap();
        assert_eq!(new, [target.addr.ip().to_string()], "{:#?}", site.sandbox.batches());
    }
}

fn kind(notice: &Value) -> &str {
    notice["type"].as_str().and_then(|t| t.strip_prefix("failoverd.")).unwrap_or_default()
}

fn wait_notice(site: &Site, wanted: &str) -> Value {
    site.sink.wait(wanted, |n| kind(n) == wanted)
}

/// A critical notice that a wanted move is not made, naming `rule`'s words.
fn wait_refusal(site: &Site, words: &str) -> Value {
    site.sink.wait(&format!("a refusal saying {words:?}"), |n| {
        kind(n) == "refused" && n["data"]["severity"] == "critical" && n.to_string().contains(words)
    })
}

fn health<'a>(status: &'a Value, target: &str) -> &'a str {
    let targets = status["reports"][0]["targets"].as_array();
    let found = targets.and_then(|list| list.iter().find(|t| t["name"] == target));
    found.and_then(|t| t["health"].as_str()).unwrap_or("not shown")
}

fn wait_health(site: &Site, target: &str, wanted: &str) {
    site.wait_status(&format!("{target} is {wanted}"), |s| health(s, target) == wanted);
}

#[test]
fn a_killed_target_is_left_and_returned_to_after_its_soak() {
    let mut site = Site::new();
    let mut daemon = site.run("a");
    let before = Before::of(&site);

    site.use1.stop();
    site.wait_answer(&site.euw1, &daemon);
    before.one_move(&site, &site.euw1);
    assert_eq!(site.sandbox.epoch(), before.epoch + 1);
    assert_eq!(site.sandbox.fence_key("to"), "euw1");
    let moved = wait_notice(&site, "moved");
    assert!(moved.to_string().contains("connection refused"), "the evidence is told: {moved:#}");

    let before = Before::of(&site);
    let back = tokio::time::Instant::now();
    site.use1.resume();
    site.wait_answer(&site.use1, &daemon);
    assert!(back.elapsed() >= std::time::Duration::from_secs(3), "soak is 3 s, took {:?}", back.elapsed());
    before.one_move(&site, &site.use1);
    assert_eq!((site.sandbox.epoch(), site.sandbox.fence_key("k").as_str()), (before.epoch + 1, "failback"));
    assert_eq!(daemon.terminate(), Some(0));
}

#[test]
fn a_dead_standby_is_no_destination_until_it_is_back() {
    let mut site = Site::with(Wish { one_region: true, ..Wish::default() });
    let daemon = site.run("a");
    let before = Before::of(&site);
    site.euw1.stop();
    wait_health(&site, "euw1", "down");

    site.use1.stop();
    wait_refusal(&site, "no candidate");
    before.unchanged(&site, &site.use1);

    site.euw1.resume();
    site.wait_answer(&site.euw1, &daemon);
    before.one_move(&site, &site.euw1);
    assert_eq!(site.sandbox.epoch(), before.epoch + 1, "nothing else was written in between");
}

#[test]
fn when_all_are_dead_the_record_stays_and_the_first_one_back_gets_it() {
    let mut site = Site::new();
    let daemon = site.run("a");
    let before = Before::of(&site);
    site.euw1.sick();
    site.use1.stop();
    // Two regions at once look like our own blindness; that is what is told.
    site.sink.wait("a critical one about sight", |n| kind(n) == "blind" && n["data"]["severity"] == "critical");
    wait_health(&site, "use1", "down");
    before.unchanged(&site, &site.use1);

    site.euw1.well();
    site.wait_answer(&site.euw1, &daemon);
    before.one_move(&site, &site.euw1);
}

#[test]
fn without_a_majority_of_witnesses_nothing_is_believed() {
    let mut witnesses: Vec<Nginx> = own_addresses().take(3).map(Nginx::start).collect();
    let tables = witnesses.iter().enumerate();
    let witnesses_toml = tables.map(|(i, w)| format!("[[witness]]\nname = \"w{i}\"\ntcp = \"{}\"\n", w.addr)).collect();
    let mut site = Site::with(Wish { witnesses: Some(witnesses_toml), ..Wish::default() });
    let daemon = site.run("a");
    let before = Before::of(&site);
    witnesses[0].stop();
    witnesses[1].stop();

    site.use1.stop();
    wait_health(&site, "use1", "down");
    let said = |n: &Value| ["blind", "refused"].contains(&kind(n)) && n["data"]["severity"] == "critical";
    site.sink.wait("a critical one about sight", said);
    before.unchanged(&site, &site.use1);

    witnesses[1].resume();
    site.wait_answer(&site.euw1, &daemon);
    before.one_move(&site, &site.euw1);
}

#[test]
fn frozen_means_that_only_a_person_moves_it() {
    let mut site = Site::new();
    let daemon = site.run("a");
    let said = site.command(&["freeze", "web", "--reason", "network change"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    wait_until("the freeze stands in the zone", || site.sandbox.fence_key("m") == "frozen");
    let before = Before::of(&site);

    site.use1.stop();
    let told = wait_refusal(&site, "frozen");
    assert!(told.to_string().contains("failoverd unfreeze"), "names the next command: {told:#}");
    before.unchanged(&site, &site.use1);

    let said = site.command(&["unfreeze", "web", "--reason", "done"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    site.wait_answer(&site.euw1, &daemon);
    before.one_move(&site, &site.euw1);
}

#[test]
fn a_locked_out_policy_waits_for_ack() {
    let failback = Some("mode = \"manual\"\nsoak = \"3s\"".into());
    let mut site = Site::with(Wish { failover: brakes_of_two_an_hour(), failback, ..Wish::default() });
    let daemon = site.run("a");
    site.use1.stop();
    site.wait_answer(&site.euw1, &daemon);
    wait_notice(&site, "moved");
    site.use1.resume();
    wait_health(&site, "use1", "up");
    let before = Before::of(&site);

    site.euw1.stop();
    let told = wait_notice(&site, "locked");
    assert!(told.to_string().contains("failoverd ack"), "names the next command: {told:#}");
    wait_until("the lock stands in the zone", || site.sandbox.fence_key("m") == "locked");
    before.unchanged(&site, &site.euw1);

    let said = site.command(&["ack", "web", "--reason", "looked at it"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    site.wait_answer(&site.use1, &daemon);
    before.one_move(&site, &site.use1);
}

#[test]
fn a_hand_edit_is_named_and_not_overwritten() {
    let mut site = Site::new();
    let daemon = site.run("a");
    let spare = site.spare.to_string();
    site.sandbox.edit_by_hand(&spare);
    let told = wait_notice(&site, "drift");
    assert!(told.to_string().contains(&spare), "names what stands there: {told:#}");

    site.use1.stop();
    wait_health(&site, "use1", "down");
    let edited = site.sandbox.moves();
    let status = site.wait_status("the record is not ours", |s| s["reports"][0]["live"]["kind"] == "foreign");
    assert_eq!(status["reports"][0]["state"], "detached", "{status:#}");
    assert_eq!((site.sandbox.moves(), site.sandbox.answer()), (edited, Some(site.spare.into())));

    let use1 = site.use1.addr.ip().to_string();
    site.sandbox.edit_by_hand(&use1);
    let before = Before::of(&site);
    site.wait_answer(&site.euw1, &daemon);
    before.one_move(&site, &site.euw1);
}

#[test]
fn two_daemons_make_each_move_once_and_share_the_brakes() {
    let mut site = Site::new();
    let daemon = site.run("a");
    let _other = site.launch("b");
    let status_of_b = || serde_json::from_str(&site_status(&site, "b")).unwrap_or(Value::Null);
    wait_until("b sees both targets up", || {
        let status = status_of_b();
        health(&status, "use1") == "up" && health(&status, "euw1") == "up"
    });
    let before = Before::of(&site);

    site.use1.stop();
    site.wait_answer(&site.euw1, &daemon);
    site.use1.resume();
    site.wait_answer(&site.use1, &daemon);

    let addresses = [&site.euw1, &site.use1].map(|n| n.addr.ip().to_string());
    assert_eq!(site.sandbox.moves().strip_prefix(before.moves.as_slice()).unwrap(), addresses);
    assert_eq!(site.sandbox.epoch(), before.epoch + 2);
    for instance in ["a", "b"] {
        let counted = || {
            let status: Value = serde_json::from_str(&site_status(&site, instance)).unwrap_or(Value::Null);
            status["reports"][0]["brakes"]["moves_last_hour"].as_u64()
        };
        wait_for(
            "both moves are on its brakes",
            || (counted() == Some(2)).then_some(()),
            || format!("{instance}: {:?}; fence {}", counted(), site.sandbox.fence()),
        );
    }
}

fn site_status(site: &Site, instance: &str) -> String {
    site.command_of(instance, &["status", "-o", "json"]).out
}

#[test]
fn an_empty_disk_does_not_loosen_the_brakes() {
    let failback = Some("mode = \"manual\"\nsoak = \"3s\"".into());
    let mut site = Site::with(Wish { failover: brakes_of_two_an_hour(), failback, ..Wish::default() });
    let mut daemon = site.run("a");
    site.use1.stop();
    site.wait_answer(&site.euw1, &daemon);
    wait_notice(&site, "moved");
    assert_eq!(daemon.terminate(), Some(0));
    for file in std::fs::read_dir(site.dir.path()).unwrap().flatten() {
        if file.file_name().to_string_lossy().starts_with("a.db") {
            std::fs::remove_file(file.path()).unwrap();
        }
    }
    site.use1.resume();
    let mut daemon = site.run("a");
    wait_health(&site, "use1", "up");
    wait_health(&site, "euw1", "up");
    let before = Before::of(&site);

    site.euw1.stop();
    wait_health(&site, "euw1", "down");
    site.wait_status("the brakes hold", |s| {
        let rules = s["reports"][0]["refusals"].to_string();
        rules.contains("locked") || rules.contains("flap-budget")
    });
    before.unchanged(&site, &site.euw1);

    let said = site.command(&["ack", "web", "--reason", "looked at it"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    site.wait_answer(&site.use1, &daemon);
    before.one_move(&site, &site.use1);
    assert_eq!(daemon.terminate(), Some(0));
}

#[test]
fn a_daemon_killed_after_a_move_goes_on_where_it_was() {
    let mut site = Site::new();
    let mut daemon = site.run("a");
    let before = Before::of(&site);
    site.use1.stop();
    site.wait_answer(&site.euw1, &daemon);
    daemon.kill();
    before.one_move(&site, &site.euw1);

    let daemon: Process = site.launch("a");
    wait_health(&site, "euw1", "up");
    let before = Before::of(&site);
    site.use1.resume();
    site.wait_answer(&site.use1, &daemon);
    before.one_move(&site, &site.use1);
    wait_until("the first move was told although its process died", || {
        site.sink.taken().iter().any(|n| kind(n) == "moved" && n.to_string().contains("failover"))
    });
}

#[test]
fn a_process_that_slept_through_a_move_does_not_undo_it() {
    let mut site = Site::new();
    let sleeper = site.run("a");
    let other = site.launch("b");
    let status_of_b = || serde_json::from_str(&site_status(&site, "b")).unwrap_or(Value::Null);
    wait_until("b sees both targets up", || ["use1", "euw1"].iter().all(|t| health(&status_of_b(), t) == "up"));
    let before = Before::of(&site);

    sleeper.signal(rustix::process::Signal::STOP);
    site.use1.stop();
    site.wait_answer(&site.euw1, &sleeper);
    sleeper.signal(rustix::process::Signal::CONT);
    site.wait_status("the sleeper sees what is published", |s| s["reports"][0]["live"]["names"][0] == "euw1");
    before.one_move(&site, &site.euw1);

    // Awake, it still works: with the other one gone it makes the next move alone.
    drop(other);
    let before = Before::of(&site);
    site.use1.resume();
    site.wait_answer(&site.use1, &sleeper);
    before.one_move(&site, &site.use1);
}

#[test]
fn a_dead_receiver_delays_no_move_and_is_told_later() {
    let mut site = Site::new();
    let daemon = site.run("a");
    site.sink.answer_with(503);
    site.use1.stop();
    site.wait_answer(&site.euw1, &daemon);
    assert!(!site.sink.taken().iter().any(|n| kind(n) == "moved"));
    site.sink.answer_with(204);
    let told = wait_notice(&site, "moved");
    assert_eq!(told["data"]["moved"]["to"]["target"], "euw1", "{told:#}");
}

#[test]
fn a_name_server_that_keeps_the_old_answer_contradicts_the_move() {
    let mut site = Site::new();
    let old = Bind::start(ZONE, &format!("www 1 A {}\n", site.use1.addr.ip()));
    let config = site.config("a");
    let servers = format!("[\"{}\", \"{}\"]", site.sandbox.dns, old.addr);
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace(&format!("[\"{}\"]", site.sandbox.dns), &servers)).unwrap();
    let policy = site.dir.path().join("policies/web.toml");
    std::fs::write(&policy, site.policy().replace("ttl = 30", "ttl = 1")).unwrap();
    let mut daemon = Process::start(failoverd(site.dir.path()).arg("-c").arg(&config).arg("run"));
    site.wait_adopted(&mut daemon);

    site.use1.stop();
    let told = wait_notice(&site, "move_contradicted");
    assert!(told.to_string().contains(&old.addr.to_string()), "names the server: {told:#}");
    assert_eq!(site.sandbox.answer(), Some(site.euw1.addr.ip()), "no rollback to a target that is down");

    // No automatic way back until a person has looked at it.
    let before = Before::of(&site);
    site.use1.resume();
    wait_health(&site, "use1", "up");
    site.wait_status("failback is blocked", |s| s["reports"][0]["refusals"].to_string().contains("after-rollback"));
    before.unchanged(&site, &site.euw1);
    drop(old);
    assert_eq!(site.command(&["ack", "web", "--reason", "that server is gone"]).code, Some(0));
    site.wait_answer(&site.use1, &daemon);
    before.one_move(&site, &site.use1);
}
