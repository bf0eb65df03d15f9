//! Commands of the real binary: exit codes, what they print, what they leave behind.

mod doctor;
mod force;
mod hands;
mod moves;
mod orphans;
pub mod place;
mod unwritten;

use rustix::process::Signal;

use crate::real::daemon::{Process, failoverd, finish};
use crate::real::sink::Sink;
use crate::real::wait_until;
use crate::servers::Mode;
use place::Place;

#[test]
fn usage_help_and_a_missing_configuration_have_their_exit_codes() {
    let dir = tempfile::tempdir().unwrap();
    for (line, code, text) in [
        (vec!["--help"], 0, "Usage: failoverd"),
        (vec!["--version"], 0, "failoverd "),
        (vec![], 1, "Usage: failoverd"),
        (vec!["status", "--nope"], 1, "unexpected argument"),
        (vec!["frobnicate"], 1, "unrecognized subcommand"),
        (vec!["once", "--deadline", "soon"], 1, "--deadline"),
        (vec!["freeze"], 1, "--reason"),
        (vec!["plan"], 4, "next: "),
        (vec!["run", "-c", "none.toml"], 4, "none.toml"),
    ] {
        let said = finish(failoverd(dir.path()).args(&line));
        assert_eq!(said.code, Some(code), "{line:?}: {said:#?}");
        assert!(format!("{}{}", said.out, said.err).contains(text), "{line:?}: {said:#?}");
    }
    std::fs::write(dir.path().join("failoverd.toml"), "instanse = \"a\"\n").unwrap();
    let said = finish(failoverd(dir.path()).arg("status"));
    assert_eq!(said.code, Some(4));
    assert!(said.err.contains("failoverd.toml:1:1") && said.err.contains("did you mean"), "{said:#?}");
    assert!(said.out.is_empty(), "stdout is data");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_writes_nothing_and_a_pass_then_does_what_it_said() {
    let place = Place::new().await;
    place.expect(&["once"], 0);
    place.east.set(Mode::Refuse).await;
    let before = place.writes();

    let plan = place.expect(&["plan", "--detailed-exitcode"], 2);
    for text in ["www.example.com. A  ttl 30", "epoch 1 -> 2", "(east)  ->  ", "(west)", "connection refused", "undo"] {
        assert!(plan.out.contains(text), "{text}: {}", plan.out);
    }
    let document = place.json(&["plan", "-o", "json"]);
    assert_eq!((&document["version"], &document["changes"]), (&1.into(), &1.into()));
    assert_eq!(document["policies"][0]["report"]["wanted"]["to"][0], "west");
    assert_eq!(place.writes(), before, "a plan writes nothing");
    assert_eq!(place.published(), Some(place.east.ip()));

    let once = place.expect(&["once", "--detailed-exitcode"], 2);
    assert!(once.out.contains("west"), "{}", once.out);
    assert_eq!(place.published(), Some(place.west.ip()));
    let plan = place.expect(&["plan", "--detailed-exitcode"], 0);
    assert!(plan.out.contains("Plan: 0 to change"), "{}", plan.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_sees_every_region_fail_at_once_is_blind_and_moves_nothing() {
    let place = Place::new().await;
    place.expect(&["once"], 0);
    place.east.set(Mode::Refuse).await;
    place.west.set(Mode::Status(503)).await;
    let said = place.expect(&["once"], 7);
    assert!(said.err.contains("next: look at this machine's own network"), "{}", said.err);
    assert_eq!(place.published(), Some(place.east.ip()), "fails static");
    place.west.set(Mode::Ok).await;
    place.expect(&["once", "--detailed-exitcode"], 2);
    assert_eq!(place.published(), Some(place.west.ip()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_without_a_daemon_holds_until_the_unfreeze() {
    let place = Place::new().await;
    place.expect(&["once"], 0);
    place.expect(&["freeze", "--reason", "a quiet night"], 0);
    place.east.set(Mode::Refuse).await;
    let said = place.expect(&["once"], 3);
    assert!(said.out.contains("a quiet night"), "{}", said.out);
    assert!(said.err.contains("next: failoverd explain web"), "{}", said.err);
    assert_eq!(place.published(), Some(place.east.ip()));

    let status = place.json(&["status", "-o", "json"]);
    assert_eq!(status["source"], "state_file");
    assert_eq!(status["snapshots"][0]["frozen"]["reason"], "a quiet night");
    assert!(place.expect(&["freeze", "--reason", " "], 1).err.contains("needs a reason"));

    place.expect(&["unfreeze", "--reason", "morning"], 0);
    place.say(&["once"]);
    assert_eq!(place.published(), Some(place.west.ip()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_answers_obeys_and_leaves_nothing_behind() {
    let place = Place::new().await;
    let mut daemon = place.daemon(&["run"]);
    let steady = || place.say(&["status"]).out.contains("steady");
    wait_until("steady", steady);
    let status = place.json(&["status", "-o", "json"]);
    assert_eq!((&status["source"], &status["reports"][0]["policy"]), (&"daemon".into(), &"web".into()));
    assert!(place.expect(&["explain", "web"], 0).out.contains("* east"));
    assert!(place.expect(&["explain", "wbe"], 1).err.contains("did you mean `web`?"));

    for line in [vec!["run"], vec!["once"]] {
        let said = place.expect(&line, 1);
        assert!(said.err.contains("in use by process"), "{line:?}: {}", said.err);
    }

    place.expect(&["freeze", "web", "--reason", "a test"], 0);
    place.east.set(Mode::Refuse).await;
    wait_until("stuck", || place.say(&["status"]).out.contains("stuck"));
    assert!(place.expect(&["explain", "web"], 0).out.contains("frozen"));
    assert_eq!(place.published(), Some(place.east.ip()));
    place.expect(&["unfreeze", "web", "--reason", "the test goes on"], 0);
    wait_until("moved", || place.published() == Some(place.west.ip()));
    wait_until("history", || place.say(&["history", "web"]).out.contains("proven"));

    assert_eq!(daemon.terminate(), Some(0));
    assert!(!place.path().join("failoverd.db.sock").exists());
    assert!(place.expect(&["history", "-o", "json"], 0).out.contains("\"frozen\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observing_daemon_writes_nothing_where_an_active_one_adopts() {
    let place = Place::new().await;
    let before = place.writes();
    let mut daemon = place.daemon(&["run", "--observe"]);
    wait_until("judged", || place.say(&["status"]).out.contains("east up"));
    assert_eq!(place.json(&["status", "-o", "json"])["observe"], true);
    place.east.set(Mode::Refuse).await;
    wait_until("down", || place.say(&["status"]).out.contains("east down"));
    assert_eq!(daemon.terminate(), Some(0));
    assert_eq!(place.writes(), before);

    place.east.set(Mode::Ok).await;
    let mut daemon = place.daemon(&["run"]);
    wait_until("adopted", || place.writes() > before);
    assert_eq!(daemon.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_reload_changes_nothing_and_a_valid_one_is_taken() {
    let place = Place::new().await;
    let mut daemon = place.daemon(&["run"]);
    let ttl = || place.json(&["status", "-o", "json"])["reports"][0]["ttl"].clone();
    let file = place.path().join("policies/web.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replace("ttl = 30", "tttl = 60")).unwrap();
    daemon.signal(Signal::HUP);
    daemon.wait_log("the old configuration stays");
    assert!(!daemon.lines_with("did you mean `ttl`").is_empty());
    assert_eq!(ttl(), 30, "the daemon is within reach although the file is broken");
    place.expect(&["freeze", "--reason", "a broken file must not stop a hand"], 0);
    place.expect(&["unfreeze", "--reason", "it did not"], 0);
    wait_until("steady", || place.say(&["status"]).out.contains("steady"));
    place.write_policy(60);
    daemon.signal(Signal::HUP);
    daemon.wait_log("configuration reloaded");
    assert_eq!(ttl(), 60);
    assert_eq!(daemon.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_provider_ends_a_plan_with_five_and_no_daemon() {
    let place = Place::new().await;
    place.write_main("http://127.0.0.1:1");
    for line in [["plan", "--deadline", "20s"], ["once", "--deadline", "20s"]] {
        let said = place.expect(&line, 5);
        assert!(said.err.contains("127.0.0.1:1"), "{line:?} names the place: {}", said.err);
    }
    let mut daemon = place.daemon(&["run"]);
    daemon.wait_log("the zone cannot be used");
    wait_until("probing goes on", || place.say(&["status"]).out.contains("east up, west up"));
    assert!(daemon.lines_with("the zone cannot be used").len() == 1, "said once");
    assert_eq!(daemon.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_missing_stops_no_daemon_and_the_other_receivers_hear_of_it() {
    let place = Place::new().await;
    let sink = Sink::start();
    let main = place.path().join("failoverd.toml");
    let text = std::fs::read_to_string(&main).unwrap();
    let notifiers = format!(
        "[[notifier]]\nname = \"ops\"\ntype = \"slack\"\nurl = {{ file = \"gone\" }}\n\
         [[notifier]]\nname = \"audit\"\ntype = \"webhook\"\nurl = \"{}\"\n",
        sink.url()
    );
    std::fs::write(&main, text + &notifiers).unwrap();
    let mut daemon = place.daemon(&["run"]);
    assert_eq!(daemon.lines_with("nobody is told through it").len(), 1);
    sink.wait("about the other notifier", |n| n["data"]["title"] == "nobody is told through notifier ops");
    wait_until("steady", || place.say(&["status"]).out.contains("steady"));
    assert_eq!(daemon.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_waits_while_the_state_file_is_held_without_a_daemon_to_ask() {
    let place = Place::new().await;
    place.expect(&["once"], 0);
    let lock = failoverd::store::lock(&place.path().join("failoverd.db")).unwrap();
    let mut freeze = Process::start(&mut place.command(&["freeze", "web", "--reason", "a test"]));
    freeze.wait_log("does not answer yet; waiting");
    drop(lock);
    assert_eq!(freeze.wait_exit("freeze").code(), Some(0));
    let status = place.json(&["status", "-o", "json"]);
    assert_eq!(status["snapshots"][0]["frozen"]["reason"], "a test");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_daemon_cannot_have_is_one_clear_message() {
    let place = Place::new().await;
    let state = place.path().join("failoverd.db");
    let socket = place.path().join("failoverd.db.sock");
    std::fs::create_dir(&socket).unwrap();
    let said = place.expect(&["run"], 1);
    assert_eq!(said.err.matches("error:").count(), 1, "{}", said.err);
    assert!(said.err.contains("control socket") && said.err.contains("next: "), "{}", said.err);
    std::fs::remove_dir(&socket).unwrap();

    std::fs::remove_file(&state).unwrap();
    std::fs::create_dir(&state).unwrap();
    let said = place.expect(&["run"], 1);
    assert!(said.err.contains("error: the state file"), "{}", said.err);
    assert!(!said.err.contains("panicked"), "{}", said.err);
}
