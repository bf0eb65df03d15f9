//! A person's moves through the real binary: parsing, saved plans, following, break-glass.

use super::place::Place;
use crate::real::daemon::{Process, failoverd, finish};
use crate::real::wait_until;
use crate::servers::Mode;

#[test]
fn every_hand_has_an_example_and_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    for (name, missing) in [
        ("switch", "--to"),
        ("failback", "POLICY"),
        ("drain", "TARGET"),
        ("undrain", "TARGET"),
        ("release", "--orphan"),
        ("takeover", "--reason"),
        ("adopt", "POLICY"),
        ("apply", "FILE"),
        ("force", "--reason"),
        ("freeze", "--reason"),
        ("unfreeze", "--reason"),
        ("ack", "POLICY"),
    ] {
        let bare = finish(failoverd(dir.path()).arg(name));
        assert_eq!(bare.code, Some(1), "{bare:#?}");
        assert!(bare.err.contains(missing), "{name}: {}", bare.err);
        let help = finish(failoverd(dir.path()).args([name, "--help"]));
        assert_eq!(help.code, Some(0), "{help:#?}");
        assert!(help.out.contains(&format!("failoverd {name}")) && help.out.contains("Example"), "{}", help.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_saved_once_and_only_when_there_is_one() {
    let place = Place::new().await;
    place.expect(&["once"], 0);
    let file = place.path().join("web.plan");
    let said = place.expect(&["plan", "web", "--out", "web.plan"], 0);
    assert!(said.err.contains("nothing would be moved") && !file.exists(), "{}", said.err);

    place.east.set(Mode::Refuse).await;
    let said = place.expect(&["plan", "web", "--out", "web.plan"], 0);
    assert!(said.err.contains("failoverd apply web.plan"), "{}", said.err);
    let text = std::fs::read_to_string(&file).unwrap();
    let saved: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&saved["version"], &saved["policy"], &saved["plan"]["to"][0]),
        (&1.into(), &"web".into(), &"west".into())
    );
    assert!(saved["plan"]["zone"][0]["fence"][0]["values"][0].as_str().unwrap().contains("e=1 p=web"), "{text}");
    assert!(place.expect(&["plan", "web", "--out", "web.plan"], 1).err.contains("not overwritten"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);

    let before = place.writes();
    std::fs::write(&file, text.replace("west", "east")).unwrap();
    assert!(place.expect(&["apply", "web.plan"], 4).err.contains("the file was changed"));
    std::fs::write(&file, &text).unwrap();
    place.write_policy(60);
    let said = place.expect(&["apply", "web.plan"], 3);
    assert!(said.err.contains("was changed after the plan was saved"), "{}", said.err);
    assert!(said.err.contains("next: failoverd plan web --out"), "{}", said.err);
    assert_eq!(place.writes(), before, "what is refused is not written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_name_is_told_with_the_right_one() {
    let place = Place::new().await;
    let daemon = place.daemon(&["run"]);
    for (line, said) in [
        (vec!["switch", "wbe", "--to", "west"], "did you mean `web`?"),
        (vec!["switch", "web", "--to", "wst"], "did you mean `west`?"),
        (vec!["switch", "web", "--to", "east", "--to", "west"], "at most 1 at once"),
        (vec!["drain", "web", "nest", "--no-wait"], "did you mean"),
        (vec!["takeover", "web", "--from", "B!", "--reason", "r"], "is not a label"),
        (vec!["force", "web", "--to", "west", "--reason", " "], "needs a reason"),
    ] {
        let got = place.expect(&line, 1);
        assert!(got.err.contains(said), "{line:?}: {}", got.err);
    }
    drop(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_released_and_taken_again_by_hand() {
    let place = Place::new().await;
    place.expect(&["once"], 0);
    let said = place.expect(&["release", "web", "--reason", "another tool has it"], 0);
    assert!(said.out.contains("mode released"), "{}", said.out);
    place.east.set(Mode::Refuse).await;
    place.say(&["once"]);
    assert_eq!(place.published(), Some(place.east.ip()), "a released record is not moved");
    place.east.set(Mode::Ok).await;
    let mut daemon = place.daemon(&["run"]);
    wait_until("released is shown", || {
        let out = place.say(&["status"]).out;
        out.contains("released") && out.contains("east up")
    });
    place.expect(&["adopt", "web", "--to", "east", "--reason", "ours again"], 0);
    wait_until("ours", || !place.say(&["status"]).out.contains("released"));
    assert_eq!(daemon.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_says_when_soak_starts_anew_and_who_holds_the_state_file() {
    let place = Place::new().await;
    let file = place.path().join("policies/web.toml");
    let text = std::fs::read_to_string(&file).unwrap().replace("mode = \"never\"", "mode = \"auto\"");
    std::fs::write(&file, text).unwrap();
    let anew = "no state of an earlier pass: soak starts anew";
    assert!(place.expect(&["once"], 0).err.contains(anew));
    assert!(!place.expect(&["once"], 0).err.contains(anew), "the state file outlives the pass");
    for name in ["failoverd.db", "failoverd.db-wal", "failoverd.db-shm"] {
        let _ = std::fs::remove_file(place.path().join(name));
    }
    assert!(place.expect(&["once"], 0).err.contains(anew), "an ephemeral disk claims no soak");

    let lock = failoverd::store::lock(&place.path().join("failoverd.db")).unwrap();
    let said = place.expect(&["once"], 1);
    assert!(said.err.contains(&format!("in use by process {}", std::process::id())), "{}", said.err);
    drop(lock);
    place.expect(&["once"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_prints_once_for_each_change() {
    let place = Place::new().await;
    let mut daemon = place.daemon(&["run"]);
    wait_until("steady", || place.say(&["status"]).out.contains("steady"));
    let mut watch = Process::start(&mut place.command(&["status", "--watch"]));
    watch.wait_out("steady");
    place.expect(&["freeze", "web", "--reason", "a test"], 0);
    watch.wait_out("frozen");
    let lines = watch.out();
    assert!(lines.matches("POLICY").count() <= 4, "no output without a change: {lines}");
    assert_eq!(daemon.terminate(), Some(0));
}
