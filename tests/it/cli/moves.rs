//! A person's planned moves through the real binary, followed to their verdict.

use std::time::Duration;

use failoverd::sandbox::Fault;

use super::place::Place;
use crate::real::daemon::Process;
use crate::real::wait_until;
use crate::servers::Mode;

fn steady(place: &Place) {
    wait_until("steady", || {
        let out = place.say(&["status"]).out;
        out.contains("steady") && out.contains("west up")
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_is_followed_to_its_proof_and_back_again() {
    let place = Place::new().await;
    let mut daemon = place.daemon(&["run"]);
    steady(&place);
    let begun = tokio::time::Instant::now();
    let said = place.expect(&["switch", "web", "--to", "west", "--drain", "2s", "--reason", "patching"], 0);
    assert!(begun.elapsed() >= Duration::from_secs(2), "the old target was given its time");
    assert!(said.out.contains("proven") && said.err.contains("draining"), "{said:#?}");
    assert_eq!(place.published(), Some(place.west.ip()));
    assert!(place.expect(&["history", "web"], 0).out.contains("patching"));

    let said = place.expect(&["failback", "web"], 0);
    assert!(said.out.contains("west -> east"), "{}", said.out);
    assert_eq!(place.published(), Some(place.east.ip()));
    assert_eq!(daemon.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_to_a_dead_target_is_refused_and_writes_nothing() {
    let place = Place::new().await;
    let mut daemon = place.daemon(&["run"]);
    steady(&place);
    place.west.set(Mode::Refuse).await;
    wait_until("down", || place.say(&["status"]).out.contains("west down"));
    let before = place.writes();
    let said = place.expect(&["switch", "web", "--to", "west"], 3);
    assert!(said.err.contains("west") && said.err.contains("next: "), "{}", said.err);
    assert_eq!(place.writes(), before);
    place.west.set(Mode::Ok).await;
    wait_until("up", || place.say(&["status"]).out.contains("west up"));
    place.expect(&["switch", "web", "--to", "west"], 0);
    assert_eq!(place.published(), Some(place.west.ip()));
    assert_eq!(daemon.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_moves_away_and_keeps_the_target_empty_until_the_undrain() {
    let place = Place::new().await;
    let mut daemon = place.daemon(&["run"]);
    steady(&place);
    place.expect(&["drain", "web", "east", "--hard", "--reason", "disk"], 0);
    assert_eq!(place.published(), Some(place.west.ip()));
    let status = place.say(&["status"]).out;
    assert!(status.contains("east up drained") && status.contains("failoverd undrain web east"), "{status}");
    place.expect(&["failback", "web"], 3);
    place.expect(&["undrain", "web", "east"], 0);
    assert!(!place.say(&["status"]).out.contains("drained"));
    place.expect(&["failback", "web"], 0);
    assert_eq!(place.published(), Some(place.east.ip()));
    assert_eq!(daemon.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_needs_no_daemon() {
    let place = Place::new().await;
    place.expect(&["once"], 0);
    let said = place.expect(&["switch", "web", "--to", "west", "--reason", "by hand"], 0);
    assert!(said.out.contains("proven") && said.err.contains("doing it from here"), "{said:#?}");
    assert_eq!(place.published(), Some(place.west.ip()));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_a_move_that_nobody_waits_for_still_ends_with_what_became_of_it() {
    let place = Place::new().await;
    place.expect(&["once"], 0);
    place.sandbox.faults().arm(Fault::Deny("ChangeResourceRecordSets".into()));
    let said = place.say(&["switch", "web", "--to", "west", "--no-wait"]);
    assert!(said.code != Some(0) && place.published() == Some(place.east.ip()), "{said:#?}");
    place.sandbox.faults().clear();
    let said = place.expect(&["switch", "web", "--to", "west", "--no-wait"], 0);
    assert!(said.out.contains("proven"), "{said:#?}");
    assert_eq!(place.published(), Some(place.west.ip()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_is_interrupted_without_a_daemon_is_called_off_and_said_to_be() {
    let place = Place::new().await;
    place.expect(&["once"], 0);
    let before = place.writes();
    let mut switch = Process::start(&mut place.command(&["switch", "web", "--to", "west", "--drain", "10m"]));
    wait_until("draining", || switch.err().contains("draining"));
    switch.signal(rustix::process::Signal::TERM);
    let code = switch.wait_exit("the call-off").code();
    assert_eq!(code, Some(1), "{}", switch.err());
    assert!(switch.err().contains("nothing was moved"), "{}", switch.err());
    assert_eq!(place.writes(), before);
    let history = place.expect(&["history"], 0).out;
    assert!(history.contains("was not made: the process that would have written it was stopped"), "{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_plan_is_applied_once_and_not_after_the_zone_moved() {
    let place = Place::new().await;
    place.expect(&["once"], 0);
    place.east.set(Mode::Refuse).await;
    place.expect(&["plan", "web", "--out", "a.plan"], 0);
    place.expect(&["plan", "web", "--out", "b.plan"], 0);
    // Somebody edits the record alone: the fence is as it was.
    let record = |ttl: u32| format!("www.example.com {ttl} A {}", place.east.ip());
    place.sandbox.put(&record(77)).await.unwrap();
    let before = place.writes();
    let said = place.expect(&["apply", "a.plan"], 3);
    assert!(said.err.contains("www.example.com changed in the zone since the plan was made"), "{}", said.err);
    assert_eq!(place.writes(), before);
    place.sandbox.put(&record(30)).await.unwrap();
    let said = place.expect(&["apply", "a.plan", "--reason", "as reviewed"], 0);
    assert!(said.out.contains("proven"), "{said:#?}");
    assert_eq!(place.published(), Some(place.west.ip()));
    let before = place.writes();
    let said = place.expect(&["apply", "b.plan"], 3);
    assert!(said.err.contains("next: "), "{}", said.err);
    assert_eq!(place.writes(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_to_a_target_that_dies_is_rolled_back_and_ends_with_six() {
    let place = Place::new().await;
    let mut daemon = place.daemon(&["run"]);
    steady(&place);
    // The proof waits for the name server, and meanwhile the new target dies.
    place.sandbox.faults().arm(Fault::DnsStale { server: None });
    let before = place.writes();
    let mut switch = Process::start(&mut place.command(&["switch", "web", "--to", "west", "--reason", "a try"]));
    wait_until("written", || place.writes() > before);
    place.west.set(Mode::Refuse).await;
    place.sandbox.faults().clear();
    let code = switch.wait_exit("the rollback").code();
    assert_eq!(code, Some(6), "{}", switch.err());
    assert!(switch.err().contains("contradicted") && switch.err().contains("failoverd ack web"), "{}", switch.err());
    assert_eq!(place.published(), Some(place.east.ip()));
    assert_eq!(daemon.terminate(), Some(0));
}
