//! Fences without a policy: found by `doctor`, retired by `release --orphan`, told at a reload.

use failoverd::sandbox::Fault;
use rustix::process::Signal;

use super::place::Place;
use crate::real::sink::Sink;
use crate::real::{dig, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_is_found_named_and_retired_and_nothing_else_is() {
    let place = Place::new().await;
    place.expect(&["once"], 0);
    let clean = place.expect(&["doctor"], 0);
    assert!(clean.out.contains("would be sent for 1 of 1 policy") && !clean.out.contains("orphan"), "{clean:?}");

    place.put_fence("old", "default", "gone").await;
    place.put_fence("theirs", "blue", "shop").await;
    let before = place.writes();
    let said = place.expect(&["doctor"], 1);
    for text in ["no policy manages old.example.com", "policy gone", "default/b", "release --orphan old.example.com"] {
        assert!(said.out.contains(text), "{text}: {}", said.out);
    }
    assert!(!said.out.contains("theirs"), "another cluster's fence is none of our business: {}", said.out);
    let document = place.say(&["doctor", "-o", "json"]);
    let document: serde_json::Value = serde_json::from_str(&document.out).unwrap();
    assert_eq!(document["version"], 1);
    assert_eq!((&document["findings"][0]["id"], &document["policies"][0]["policy"]), (&"orphan".into(), &"web".into()));
    assert_eq!(place.writes(), before, "a look writes nothing");

    let refused = place.expect(&["release", "--orphan", "www.example.com"], 3);
    assert!(refused.err.contains("failoverd release web"), "{}", refused.err);
    let refused = place.expect(&["release", "--orphan", "theirs.example.com"], 3);
    assert!(refused.err.contains("belongs to blue/b"), "{}", refused.err);
    assert_eq!(place.writes(), before, "what is refused is not written");

    let refused = place.expect(&["release", "--orphan", "old.example.com"], 3);
    assert!(refused.err.contains("written by default/b") && refused.err.contains("--nobody-manages-it"), "{refused:?}");
    assert_eq!(place.writes(), before, "another instance may manage it with other files");
    let sure = ["release", "--orphan", "old.example.com", "--nobody-manages-it", "--reason", "the shop is closed"];
    place.expect(&sure, 0);
    assert_eq!(place.writes(), before + 1);
    let history = place.expect(&["history", "gone"], 0).out;
    assert!(history.contains("released") && history.contains("the shop is closed"), "{history}");
    let fence = dig(place.sandbox.dns_addr(), "old._failoverd.example.com", "TXT").join("");
    assert!(fence.contains("e=8 p=gone") && fence.contains("k=release") && fence.contains("m=released"), "{fence}");
    place.expect(&["doctor"], 0);
    let again = place.expect(&["release", "--orphan", "old.example.com"], 0);
    assert!(again.out.contains("was released before"), "{}", again.out);
    assert!(place.expect(&["release", "--orphan", "none.example.com"], 0).out.contains("no fence"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_without_a_provider_says_which_and_ends_with_five() {
    let place = Place::new().await;
    place.write_main("http://127.0.0.1:1");
    let said = place.expect(&["doctor", "--deadline", "10s"], 5);
    assert!(said.err.contains("127.0.0.1:1"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_drops_what_is_published_is_refused_until_it_is_given_up() {
    let place = Place::new().await;
    let web = place.path().join("policies/web.toml");
    let good = std::fs::read_to_string(&web).unwrap();
    let api = place.path().join("policies/api.toml");
    std::fs::write(&api, good.replace("www.example.com", "api.example.com")).unwrap();
    place.sandbox.put(&format!("api.example.com 30 A {}", place.east.ip())).await.unwrap();
    let mut daemon = place.daemon(&["run"]);
    wait_until("adopted", || {
        let out = place.say(&["status"]).out;
        out.matches("steady").count() == 2 && !out.contains("moving")
    });

    std::fs::write(&web, good.replace("name = \"east\"", "name = \"ost\"")).unwrap();
    daemon.signal(Signal::HUP);
    daemon.wait_log("policy web publishes east now; move it away");
    std::fs::write(&web, good.replace("name = \"west\"", "name = \"ouest\"")).unwrap();
    daemon.signal(Signal::HUP);
    daemon.wait_log("configuration reloaded");

    std::fs::remove_file(&api).unwrap();
    daemon.signal(Signal::HUP);
    daemon.wait_log("failoverd release api");
    assert!(place.say(&["status"]).out.contains("api"), "it is still in force");
    let refused = place.expect(&["release", "--orphan", "api.example.com"], 3);
    assert!(refused.err.contains("the daemon manages api.example.com by policy api"), "{}", refused.err);
    place.expect(&["release", "api", "--reason", "moves to another tool"], 0);
    // A reload waits for the outcome of the release.
    let answers = || daemon.lines_with("reload refused").len() + daemon.lines_with("configuration reloaded").len();
    let mut asked = answers();
    wait_until("dropped", || {
        if answers() >= asked {
            asked = answers() + 1;
            daemon.signal(Signal::HUP);
        }
        !daemon.lines_with("failoverd release --orphan api.example.com").is_empty()
    });
    assert!(!place.say(&["status"]).out.contains("api"));
    assert_eq!(daemon.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_of_this_very_state_file_is_retired_beside_the_daemon_journalled_and_told() {
    let place = Place::new().await;
    let sink = Sink::start();
    let main = place.path().join("failoverd.toml");
    let ops = format!("[[notifier]]\nname = \"ops\"\ntype = \"webhook\"\nurl = \"{}\"\n", sink.url());
    std::fs::write(&main, std::fs::read_to_string(&main).unwrap() + &ops).unwrap();
    let web = place.path().join("policies/web.toml");
    let text = std::fs::read_to_string(&web).unwrap() + "[notify]\nto = [\"ops\"]\n";
    std::fs::write(&web, &text).unwrap();
    let shop = place.path().join("policies/shop.toml");
    std::fs::write(&shop, text.replace("www.example.com", "shop.example.com")).unwrap();
    place.sandbox.put(&format!("shop.example.com 30 A {}", place.east.ip())).await.unwrap();
    place.expect(&["once"], 0);
    std::fs::remove_file(&shop).unwrap();
    let found = place.expect(&["doctor"], 1).out;
    assert!(found.contains("next  failoverd release --orphan shop.example.com\n"), "its own needs no word: {found}");

    // A copy of the fence under another record is not what this state file wrote.
    let fence = dig(place.sandbox.dns_addr(), "shop._failoverd.example.com", "TXT").join("");
    let stranger = fence.replace("e=1 ", "e=9 ");
    place.sandbox.put(&format!("copy._failoverd.example.com 60 TXT {stranger}")).await.unwrap();
    place.expect(&["release", "--orphan", "copy.example.com"], 3);

    let mut daemon = place.daemon(&["run"]);
    let before = place.writes();
    place.expect(&["release", "--orphan", "shop.example.com", "--reason", "the shop is closed"], 0);
    assert_eq!(place.writes(), before + 1);
    let history = || place.expect(&["history", "shop"], 0).out;
    wait_until("journalled", || history().contains("was released by") && history().contains("the shop is closed"));
    sink.wait("told", |n| n["data"]["title"] == "shop.example.com: an orphaned fence was released");
    assert_eq!(daemon.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_journalled_is_not_written() {
    let place = Place::new().await;
    place.expect(&["once"], 0);
    place.put_fence("old", "default", "gone").await;
    let before = place.writes();
    let line = ["release", "--orphan", "old.example.com", "--nobody-manages-it"];
    let lock = failoverd::store::lock(&place.path().join("failoverd.db")).unwrap();
    let said = place.expect(&line, 1);
    assert!(said.err.contains("in use by process"), "{}", said.err);
    assert_eq!(place.writes(), before);
    drop(lock);
    place.expect(&line, 0);
    assert_eq!(place.writes(), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_unknown_outcome_is_journalled_as_that_and_told() {
    let place = Place::new().await;
    let sink = Sink::start();
    let main = place.path().join("failoverd.toml");
    let ops = format!("[[notifier]]\nname = \"ops\"\ntype = \"webhook\"\nurl = \"{}\"\n", sink.url());
    std::fs::write(&main, std::fs::read_to_string(&main).unwrap() + &ops).unwrap();
    let web = place.path().join("policies/web.toml");
    let text = std::fs::read_to_string(&web).unwrap() + "[notify]\nto = [\"ops\"]\n";
    std::fs::write(&web, &text).unwrap();
    place.expect(&["once"], 0);
    for (label, fault) in [("old", Some(Fault::ForgetChange)), ("new", None)] {
        let (record, lost) = (format!("{label}.example.com"), fault.is_some());
        place.put_fence(label, "default", label).await;
        fault.into_iter().for_each(|f| place.sandbox.faults().arm(f));
        let said = place.say(&["release", "--orphan", &record, "--nobody-manages-it"]);
        assert_eq!(said.code == Some(0), !lost, "{said:?}");
        let history = place.expect(&["history", label], 0).out;
        assert!(!history.contains("was not released"), "{history}");
        assert_eq!(history.contains("outcome is not known"), lost, "{history}");
        let title = format!("{record}: an orphaned fence {} released", if lost { "may be" } else { "was" });
        sink.wait("told", |n| n["data"]["title"] == title.as_str());
    }
}
