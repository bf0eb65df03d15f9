//! Break-glass through the real binary: nothing but credentials and the policy's file is needed.

use rustix::process::Signal;

use super::place::Place;
use crate::real::sink::Sink;
use crate::real::wait_until;
use crate::servers::Mode;

const LINE: [&str; 6] = ["force", "web", "--to", "west", "--reason", "people are hurt"];

fn is_loud(err: &str) {
    for text in ["FORCE web", "undo", "--to east", "failoverd unfreeze web", "WARN"] {
        assert!(err.contains(text), "{text}: {err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn force_works_with_the_state_file_dead_and_the_rest_of_the_configuration_broken() {
    let place = Place::new().await;
    place.expect(&["once"], 0);
    // Every target is sick, the state file is none, another policy and the notifiers are broken.
    place.east.set(Mode::Refuse).await;
    place.west.set(Mode::Status(503)).await;
    for name in ["failoverd.db", "failoverd.db-wal", "failoverd.db-shm"] {
        let _ = std::fs::remove_file(place.path().join(name));
    }
    std::fs::create_dir(place.path().join("failoverd.db")).unwrap();
    std::fs::write(place.path().join("policies/other.toml"), "zone = 1\n").unwrap();
    let main = place.path().join("failoverd.toml");
    let text = std::fs::read_to_string(&main).unwrap() + "[[notifier]]\nname = \"ops\"\ntype = \"pigeon\"\n";
    std::fs::write(&main, text).unwrap();
    for line in [vec!["switch", "web", "--to", "west"], vec!["plan"]] {
        assert_eq!(place.say(&line).code, Some(4), "nothing else works like this");
    }
    let mut line = LINE.to_vec();
    line.extend(["--deadline", "8s"]);
    let said = place.expect(&line, 7);
    assert!(said.err.contains("no verdict within"), "written; a sick target proves nothing: {}", said.err);
    assert_eq!(place.published(), Some(place.west.ip()));
    is_loud(&said.err);
    assert!(said.err.contains("nothing of this is in the state file"), "{}", said.err);
    assert!(said.err.contains("nobody is told of this"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn force_does_not_wait_for_a_daemon_that_does_not_answer_and_people_hear_of_it() {
    let place = Place::new().await;
    let sink = Sink::start();
    let main = place.path().join("failoverd.toml");
    let ops = format!("[[notifier]]\nname = \"ops\"\ntype = \"webhook\"\nurl = \"{}\"\n", sink.url());
    std::fs::write(&main, std::fs::read_to_string(&main).unwrap() + &ops).unwrap();
    let web = place.path().join("policies/web.toml");
    std::fs::write(&web, std::fs::read_to_string(&web).unwrap() + "[notify]\nto = [\"ops\"]\n").unwrap();
    let mut daemon = place.daemon(&["run"]);
    wait_until("steady", || place.say(&["status"]).out.contains("steady"));
    daemon.signal(Signal::STOP);
    let said = place.say(&LINE);
    daemon.signal(Signal::CONT);
    assert_eq!(said.code, Some(0), "{said:#?}");
    is_loud(&said.err);
    assert!(said.err.contains("did not answer") && said.err.contains("doing it from here"), "{}", said.err);
    assert_eq!(place.published(), Some(place.west.ip()));
    sink.wait("the force", |n| n["data"]["title"].as_str().is_some_and(|t| t.contains("force")));
    wait_until("the daemon knows", || place.say(&["status"]).out.contains("forced"));
    assert_eq!(place.published(), Some(place.west.ip()), "and leaves it alone");
    place.expect(&["unfreeze", "web", "--reason", "over"], 0);
    wait_until("over", || !place.say(&["status"]).out.contains("forced"));
    assert_eq!(daemon.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn force_goes_through_a_daemon_that_answers() {
    let place = Place::new().await;
    let mut daemon = place.daemon(&["run"]);
    wait_until("steady", || place.say(&["status"]).out.contains("steady"));
    let said = place.say(&LINE);
    assert_eq!(said.code, Some(0), "{said:#?}");
    is_loud(&said.err);
    assert!(!said.err.contains("from here"), "{}", said.err);
    assert_eq!(place.published(), Some(place.west.ip()));
    wait_until("history", || place.say(&["history", "web"]).out.contains("forced"));
    assert_eq!(daemon.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn force_without_a_provider_or_without_its_policy_says_what_is_missing() {
    let place = Place::new().await;
    place.write_main("http://127.0.0.1:1");
    let mut line = LINE.to_vec();
    line.extend(["--deadline", "10s"]);
    let said = place.expect(&line, 5);
    assert!(said.err.contains("127.0.0.1:1"), "{}", said.err);
    let web = place.path().join("policies/web.toml");
    let text = std::fs::read_to_string(&web).unwrap();
    std::fs::write(&web, text.replace("ttl = 30", "tttl = 30")).unwrap();
    let said = place.expect(&line, 4);
    assert!(said.err.contains("did you mean `ttl`") && said.err.contains("force needs `cluster`"), "{}", said.err);
}
