//! Hands without a daemon whose word no fence takes: what was done, what was not, and the exit that says so.

use failoverd::sandbox::Fault;

use super::place::Place;
use crate::real::dig;

const DEAD: &str = "http://127.0.0.1:1";

fn fence(place: &Place) -> String {
    dig(place.sandbox.dns_addr(), "www._failoverd.example.com", "TXT").join("")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_that_reaches_no_fence_says_that_it_holds_only_here_and_is_written_later() {
    let place = Place::new().await;
    place.expect(&["once"], 0);
    place.write_main(DEAD);
    let said = place.expect(&["freeze", "web", "--reason", "night"], 5);
    for text in
        ["frozen in this state file only", "other instances may still move", "127.0.0.1:1", "next: ", "by itself"]
    {
        assert!(said.err.contains(text), "{text}: {}", said.err);
    }
    let status = place.json(&["status", "-o", "json"]);
    assert_eq!(status["snapshots"][0]["frozen"]["reason"], "night", "it is kept");
    assert!(fence(&place).contains("m=auto"), "{}", fence(&place));

    place.write_main(&place.sandbox.api_url());
    place.expect(&["once"], 0);
    assert!(fence(&place).contains("m=frozen"), "the next process writes it: {}", fence(&place));
    place.expect(&["unfreeze", "web", "--reason", "day"], 0);
    let said = place.expect(&["freeze", "web", "--reason", "night"], 0);
    assert!(said.err.contains("every fence says so"), "{}", said.err);
    assert!(fence(&place).contains("m=frozen"), "{}", fence(&place));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_with_a_dead_provider_ends_with_five_and_the_same_hand_with_a_live_one_does_not() {
    let place = Place::new().await;
    let lines: [&[&str]; 3] = [
        &["adopt", "web", "--to", "east"],
        &["unfreeze", "web", "--reason", "day"],
        &["ack", "web", "--reason", "found it"],
    ];
    for line in lines {
        if line[0] == "unfreeze" {
            place.expect(&["freeze", "web", "--reason", "night"], 0);
        }
        let before = (place.writes(), fence(&place));
        place.write_main(DEAD);
        let said = place.expect(line, 5);
        assert!(said.err.contains("127.0.0.1:1") && said.err.contains("next: "), "{line:?}: {}", said.err);
        place.write_main(&place.sandbox.api_url());
        assert_eq!((place.writes(), fence(&place)), before, "{line:?}");
        place.expect(line, 0);
        assert_ne!(fence(&place), before.1, "{line:?} is in the fence");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_the_provider_refuses_ends_with_five_and_names_the_permission() {
    let place = Place::new().await;
    let faults = place.sandbox.faults().clone();
    let deny = || faults.arm(Fault::Deny("ChangeResourceRecordSets".into()));
    deny();
    let said = place.expect(&["adopt", "web", "--to", "east"], 5);
    assert!(said.err.contains("not adopted") && said.err.contains("ChangeResourceRecordSets"), "{}", said.err);
    faults.clear();
    place.expect(&["adopt", "web", "--to", "east"], 0);
    deny();
    let said = place.expect(&["freeze", "--reason", "night"], 5);
    assert!(said.err.contains("this state file only") && said.err.contains("ChangeResourceRecordSets"), "{}", said.err);
    faults.clear();
    place.expect(&["freeze", "--reason", "night"], 0);
    deny();
    let said = place.expect(&["unfreeze", "--reason", "day"], 5);
    assert!(said.err.contains("other instances stay frozen"), "{}", said.err);
    faults.clear();
    place.expect(&["once"], 0);
    assert!(fence(&place).contains("m=auto"), "the next process writes it: {}", fence(&place));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_of_what_has_no_fence_of_ours_says_whose_it_is() {
    let place = Place::new().await;
    let said = place.expect(&["freeze", "web", "--reason", "night"], 3);
    assert!(said.err.contains("has no fence yet") && said.err.contains("failoverd doctor"), "{}", said.err);
    place.put_fence("www", "blue", "shop").await;
    let said = place.expect(&["freeze", "web", "--reason", "night"], 0);
    assert!(said.err.contains("belongs to blue/b") && said.err.contains("moves nothing there anyway"), "{}", said.err);
}
