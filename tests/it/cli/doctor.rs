//! `doctor` gives no false all-clear: a table of broken worlds, each found by its id, and gone when repaired.

mod golden;
mod says;
mod world;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use failoverd::domain::UnixMs;
use failoverd::engine::journal::{DrainSnapshot, FreezeSnapshot, PolicySnapshot, RehearsalSnapshot};
use failoverd::runtime::doctor::KNOWN;
use failoverd::sandbox::Fault;

use super::place::Place;
use crate::real::{own_addresses, wait_until};
use crate::servers::{Mode, Target};
use world::{API, World, now};

/// A fence's value and what becomes of it; nothing: it is deleted.
type Fence = fn(&str) -> Option<String>;
/// Part of the main file or a policy, and what it is replaced by.
type Edit = (&'static str, &'static str, &'static str);
type Snapshot = fn(&mut PolicySnapshot);

fn with(value: &str, key: &str, new: &str) -> String {
    let pairs = value.trim_matches('"').split(' ');
    let pairs =
        pairs.map(|pair| if pair.starts_with(&format!("{key}=")) { format!("{key}={new}") } else { pair.into() });
    format!("\"{}\"", pairs.collect::<Vec<_>>().join(" "))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_that_refuses_is_found_also_when_it_is_one_of_several() {
    let world = World::adopted().await;
    let worlds: &[(Fence, &[&str])] = &[
        (|_| None, &["fence-gone"]),
        (|_| Some("\"hello\"".into()), &["fence-spoiled"]),
        (|v| Some(format!("{v} , {}", with(v, "a", "x-9"))), &["fence-doubled"]),
        (|v| Some(with(v, "v", "2")), &["fence-newer"]),
        (|v| Some(format!("{v} , {}", with(v, "o", "blue/b"))), &["fence-shared"]),
        (|v| Some(with(v, "o", "blue/b")), &["fence-foreign"]),
        (|v| Some(with(v, "m", "released")), &["released"]),
        (|v| Some(with(&with(v, "m", "released"), "o", "blue/b")), &["not-adopted"]),
        (|v| Some(with(v, "m", "frozen")), &["frozen"]),
        (|v| Some(with(v, "m", "forced")), &["forced"]),
        (|v| Some(with(v, "m", "locked")), &["locked-out"]),
        (|v| Some(with(v, "h", "4")), &["flap-budget"]),
        (|v| Some(with(&with(v, "o", "default/b"), "c", "00000000")), &["config-skew"]),
        (|v| Some(with(v, "p", "shop")), &["fence-renamed"]),
        (|v| Some(with(v, "t", &(now().secs() + 3600).to_string())), &["clock-off"]),
    ];
    for (change, ids) in worlds {
        let stood = world.fence(API);
        world.put_fence(API, change(&stood)).await;
        world.found(ids, 1, &format!("{:?}", change(&stood)));
        world.put_fence(API, Some(stood)).await;
    }
    world.found(&[], 0, "every fence as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_beside_and_below_is_found() {
    let world = World::adopted().await;
    let place = &world.place;
    let (api, www) = (world.east_at(API), world.east_at("www"));
    let worlds: Vec<(String, String, Vec<&str>)> = vec![
        ("api.example.com 30 A 127.9.9.9".into(), api.clone(), vec!["record-foreign"]),
        (format!("api.example.com 30 A {}", place.west.ip()), api.clone(), vec!["record-split"]),
        (api.replace(" 30 ", " 77 "), api.clone(), vec!["drift"]),
        ("www.example.com 30 AAAA ::1".into(), String::new(), vec!["move-misses"]),
        ("www.example.com 30 NS ns.example.net".into(), String::new(), vec!["all-blocked", "no-candidate", "target-blocked"]),
        ("x._failoverd.example.com 60 TXT \"hello\"".into(), String::new(), vec!["orphan-unreadable"]),
        ("y.x._failoverd.example.com 60 TXT \"v=1 e=7 p=gone o=default/b a=x-1 t=1700000000 k=failover h=0 m=auto u=0 c=abc to=east\"".into(), String::new(), vec!["orphan"]),
        ("z._failoverd.example.com 60 TXT \"v=1 e=7 p=gone o=blue/b a=x-1 t=1700000000 k=failover h=0 m=auto u=0 c=abc to=east\"".into(), String::new(), vec![]),
    ];
    for (broken, repaired, ids) in worlds {
        place.sandbox.put(&broken).await.unwrap();
        world.found(&ids, i32::from(!ids.is_empty()), &broken);
        match repaired.as_str() {
            "" => world.delete(&broken),
            set => place.sandbox.put(set).await.unwrap(),
        }
    }
    for record in [&api, &www] {
        world.delete(record);
    }
    world.found(&["record-absent"], 1, "both records are gone");
    for record in [&api, &www] {
        place.sandbox.put(record).await.unwrap();
    }
    world.found(&[], 0, "everything as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_and_witnesses_that_would_fail_tonight_are_found() {
    let mut world = World::adopted().await;
    world.place.west.set(Mode::Refuse).await;
    world.found(&["no-candidate", "target-down"], 1, "the standby is dead");
    world.place.west.set(Mode::Ok).await;
    world.place.east.set(Mode::Refuse).await;
    world.found(&["active-down"], 1, "the active target is dead and nobody moves");
    world.place.east.set(Mode::Ok).await;
    world.found(&[], 0, "both answer");

    world.silence(2);
    world.found(&["witness-silent"], 1, "one witness is silent");
    world.silence(1);
    world.found(&["blind", "no-sight", "witness-silent"], 1, "two are");
    world.hear(1).await;
    world.hear(2).await;
    world.found(&[], 0, "all answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_state_file_remembers_is_found() {
    let world = World::adopted().await;
    let worlds: &[(Snapshot, &[&str])] = &[
        (|s| s.unverified = true, &["unverified"]),
        (|s| s.failback_blocked = true, &["failback-off"]),
        (|s| s.hold_down_until = Some(now() + std::time::Duration::from_secs(3000)), &["hold-down"]),
        (|s| s.moves = vec![now(); 4], &["flap-budget"]),
        (
            |s| {
                s.frozen = Some(FreezeSnapshot {
                    since: now(),
                    by: "ada".into(),
                    reason: "a quiet night".into(),
                    carried: false,
                })
            },
            &["frozen", "only-here"],
        ),
        (|s| s.drained = vec![drained("west", false)], &["standbys-drained"]),
        (|s| s.drained = vec![drained("west", true)], &["drained-for-good", "standbys-drained"]),
        (|s| s.zone.id = Some(failoverd::domain::ZoneId::new("ZOLD")), &["zone-recreated"]),
        (|s| s.at = now() + std::time::Duration::from_secs(3600), &["clock-off"]),
        (|s| s.at = UnixMs(now().0 - 11 * 60_000), &["no-daemon"]),
        (|s| s.at = UnixMs(now().0 - 9 * 60_000), &[]),
        (|s| s.rehearsal = Some(rehearsed(1, false)), &["rehearsal-failed"]),
        (|s| s.rehearsal = Some(rehearsed(3 * 31, true)), &["rehearsal-late"]),
        (|s| s.rehearsal = Some(rehearsed(1, true)), &[]),
        // Only observed: the write path was not walked, and the fence is young.
        (|s| s.rehearsal = Some(RehearsalSnapshot { accepted: None, ..rehearsed(3 * 31, true) }), &[]),
        (|s| s.policy = failoverd::domain::PolicyId::new("gone").unwrap(), &["policy-forgotten"]),
    ];
    for (change, ids) in worlds {
        let kept = world.keep_state();
        world.remember(*change).await;
        world.found(ids, i32::from(!ids.is_empty()), &format!("{ids:?}"));
        kept.put_back();
    }
    let kept = world.keep_state();
    world.open_intent_and_dead_notice().await;
    world.found(&["notices-dead", "open-intent"], 1, "a write without an outcome, a notice nobody got");
    std::fs::write(world.place.path().join("failoverd.db"), "no database").unwrap();
    world.found(&["no-daemon", "state-unreadable"], 1, "a spoilt state file");
    kept.put_back();
    world.found(&[], 0, "everything as it was");
}

fn drained(target: &str, hard: bool) -> DrainSnapshot {
    let target = failoverd::domain::TargetName::new(target).unwrap();
    DrainSnapshot { target, hard, since: now(), by: "ada".into(), reason: "disk".into() }
}

fn rehearsed(days: u64, ok: bool) -> RehearsalSnapshot {
    let at = UnixMs(now().0 - days * 86_400_000);
    let accepted = ok.then_some(std::time::Duration::from_millis(40));
    RehearsalSnapshot { at, ok, detail: "denied".into(), accepted, insync: None, every_server: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_files_say_is_found() {
    let world = World::adopted().await;
    // Edit, findings, exit; a note alone leaves it at 0.
    let worlds: &[(Edit, &[&str], i32)] = &[
        (("failoverd.toml", "name = \"w2\"", "name = \"w2\"\nregion = \"east\""), &[], 0),
        (
            ("failoverd.toml", "[rehearsal]\nschedule = \"0 0 4 1 * *\"", "[rehearsal]\nschedule = \"off\""),
            &["rehearsal-off"],
            0,
        ),
        (
            ("policies/web.toml", "zone = \"example.com\"", "zone_id = \"Z0NOSUCHZONE\""),
            &["record-unread", "zone-gone"],
            1,
        ),
        (("policies/web.toml", "rise = 2", "rise = 100"), &["never-proven", "no-candidate"], 1),
        (("failoverd.toml", "cluster = \"default\"", "cluster = \"green\""), &["fence-foreign"], 1),
    ];
    for ((file, from, to), ids, exit) in worlds {
        let kept = world.edit(file, from, to);
        world.found(ids, *exit, to);
        kept.put_back();
    }
    let kept =
        world.append("failoverd.toml", "[[notifier]]\nname = \"ops\"\ntype = \"slack\"\nurl = { file = \"gone\" }\n");
    world.found(&["notifier-unreadable"], 1, "a secret that is missing");
    kept.put_back();
    let kept = world.without_witnesses();
    world.found(&["few-witnesses"], 0, "nobody tells whether we see");
    kept.put_back();
    world.found(&[], 0, "everything as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_does_not_answer_ends_with_five_and_what_is_known_is_told() {
    let world = World::adopted().await;
    let faults = world.place.sandbox.faults().clone();
    faults.arm(Fault::Deny("ListResourceRecordSets".into()));
    let said = world.found(&["record-unread", "zone-unlisted"], 5, "the listing is denied");
    assert!(said.err.contains("ListResourceRecordSets"), "{}", said.err);
    faults.clear();
    world.found(&[], 0, "allowed again");
    let kept = world.edit("failoverd.toml", &world.place.sandbox.api_url(), "http://127.0.0.1:1");
    world.found(&["record-unread", "zone-unlisted"], 5, "nobody listens there");
    kept.put_back();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_to_be_adopted_by_hand_is_no_all_clear() {
    let world = World::new().await;
    let kept = world.edit("policies/web.toml", "adopt = \"auto\"", "adopt = \"manual\"");
    let said = world.found(&["no-daemon", "not-adopted"], 1, "nobody adopted it");
    assert!(said.out.contains("failoverd adopt web") && !said.out.contains("fine"), "{}", said.out);
    world.place.expect(&["adopt", "web", "--to", "east"], 0);
    world.found(&[], 0, "adopted");
    kept.put_back();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_would_not_do_it_is_found() {
    let world = World::adopted().await;
    let place = &world.place;
    let mut daemon = place.daemon(&["run", "--observe"]);
    wait_until("judged", || place.say(&["status"]).out.contains("east up, west up"));
    world.found_with_daemon(&["observing"], 1, "it only observes");
    assert_eq!(daemon.terminate(), Some(0));

    let mut daemon = place.daemon(&["run"]);
    wait_until("steady", || place.say(&["status"]).out.contains("steady"));
    wait_until("west", || place.say(&["status"]).out.contains("west up"));
    let said = world.found_with_daemon(&[], 0, "it would");
    let explained = place.expect(&["explain", "web"], 0).out;
    assert!(explained.contains("were the live target to die, a failover to west would be sent"), "{explained}");
    assert!(said.out.contains("fine: a failover tonight would be sent for 1 of 1 policy"), "{}", said.out);
    let kept = world.edit("policies/web.toml", "ttl = 30", "ttl = 31");
    world.found_with_daemon(&["drift", "not-reloaded"], 1, "it was not reloaded");
    kept.put_back();
    let kept = world.edit("policies/web.toml", "zone = \"example.com\"", "id = \"www\"\nzone = \"example.com\"");
    world.found_with_daemon(&["fence-renamed", "not-reloaded", "not-run", "policy-forgotten"], 1, "another policy");
    kept.put_back();
    world.found_with_daemon(&[], 0, "as it was");
    assert_eq!(daemon.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_bounded_versioned_and_every_id_is_listed() {
    let place = Place::new().await;
    let listed = place.json(&["doctor", "--list", "-o", "json"]);
    let ids: BTreeSet<&str> =
        listed["findings"].as_array().unwrap().iter().map(|f| f["id"].as_str().unwrap()).collect();
    assert_eq!(ids, KNOWN.iter().map(|k| k.id).collect());
    assert_eq!(listed["version"], 1);
    let document: serde_json::Value = serde_json::from_str(&place.expect(&["doctor", "-o", "json"], 1).out).unwrap();
    assert_eq!((&document["version"], &document["omitted"]), (&1.into(), &0.into()));
    assert_eq!(document["policies"][0]["sent"], false);
    assert_eq!(document["policies"][0]["tonight"]["refusals"][0]["rule"], "not-adopted");
    assert_eq!(document["counts"]["critical"], 1);
    for finding in document["findings"].as_array().unwrap() {
        assert!(ids.contains(finding["id"].as_str().unwrap()), "{finding}");
        for key in ["text", "why", "next"] {
            assert!(!finding[key].as_str().unwrap().is_empty(), "{finding}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_of_the_fleet_is_one_finding_and_of_one_policy_its_own() {
    let world = World::adopted().await;
    let place = &world.place;
    let shop = std::fs::read_to_string(place.path().join("policies/web.toml")).unwrap();
    let shop = shop.replace("[\"www.example.com\", \"api.example.com\"]", "[\"shop.example.com\"]");
    std::fs::write(place.path().join("policies/shop.toml"), shop).unwrap();
    place.sandbox.put(&world.east_at("shop")).await.unwrap();
    place.expect(&["once"], 0);
    let frozen = || {
        let said = place.say(&["doctor", "-o", "json"]);
        let document: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        let findings = document["findings"].as_array().unwrap().clone();
        let frozen: Vec<serde_json::Value> = findings.into_iter().filter(|f| f["id"] == "frozen").collect();
        frozen
    };
    assert_eq!(frozen().len(), 0);
    place.expect(&["freeze", "--reason", "a quiet night"], 0);
    let all = frozen();
    assert_eq!((all.len(), all[0]["policy"].is_null()), (1, true), "{all:?}");
    let text = all[0]["text"].as_str().unwrap();
    assert!(text.contains("all 2 policies") && text.contains("a quiet night"), "{text}");
    place.expect(&["unfreeze", "shop", "--reason", "day"], 0);
    let one = frozen();
    assert_eq!((one.len(), &one[0]["policy"]), (1, &"web".into()), "{one:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_answers_each_is_asked_about_alone() {
    let world = World::new().await;
    let place = &world.place;
    let south = IpAddr::V4(own_addresses().next().unwrap());
    let south = Target::start_at(SocketAddr::new(south, place.east.port())).await;
    let file = place.path().join("policies/web.toml");
    let text = std::fs::read_to_string(&file).unwrap().replace("priority = 2", "priority = 1");
    let third = format!("[[target]]\nname = \"south\"\naddresses = [\"{}\"]\npriority = 2\n[failback]", south.ip());
    let text = text.replace("[failback]", &third);
    let write = |least: u32| {
        std::fs::write(&file, format!("answers = 2\nmin_active = {least}\n{text}")).unwrap();
        place.expect(&["once"], 0);
    };
    for label in ["www", API] {
        let both = format!("{label}.example.com 30 A {} , {}", place.east.ip(), place.west.ip());
        place.sandbox.put(&both).await.unwrap();
    }
    write(1);
    world.found(&[], 0, "south when both die, the other when one does");
    write(2);
    let said = world.found(&["no-candidate"], 1, "one that dies would stay: one alone is not enough anywhere");
    assert!(said.out.contains("if only east died"), "{}", said.out);
    let explained = place.expect(&["explain", "web"], 0).out;
    assert!(explained.contains("wanted   nothing"), "{explained}");
}
