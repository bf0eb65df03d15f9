//! What the binary says when a permission is missing: the action, the zone and where it is explained. An observer's
//! policy cannot write, and a policy that lacks one record's names harms no other record.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::gate::Gate;
use super::module::{policy, zone};
use super::whole::{behind, by_id};
use crate::cli::place::Place;
use crate::golden;
use crate::real::wait_for;
use crate::servers::Mode;

fn inputs(place: &Place, by_name: bool) -> Value {
    let id = place.sandbox.zone_id("example.com").unwrap();
    let records = json!([{"name": "www.example.com"}]);
    json!({"zones": [{"id": id, "name": "example.com", "records": records, "by_name": by_name}], "delegation": false})
}

/// The document without the statements that allow `action`.
fn without(document: &str, action: &str) -> String {
    let mut document: Value = serde_json::from_str(document).unwrap();
    let statements = document["Statement"].as_array_mut().unwrap();
    let before = statements.len();
    statements.retain(|s| s["Action"] != action);
    assert!(statements.len() < before, "nothing allowed {action}");
    document.to_string()
}

/// Without what differs from run to run.
fn steady(line: &str) -> String {
    let mut line = line.to_owned();
    for (pattern, word) in [
        (r"change/[A-Z0-9]+", "change/C123"),
        (r"after [0-9.]+m?s", "after TIME"),
        (r"127\.[0-9.]+", "ADDRESS"),
        (r"incident=[0-9a-f]+", "incident=ID"),
    ] {
        line = regex::Regex::new(pattern).unwrap().replace_all(&line, word).into_owned();
    }
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_named_with_where_it_is_explained() {
    let mut told = String::new();
    for (action, by_name) in [
        ("route53:ListHostedZonesByName", true),
        ("route53:GetHostedZone", false),
        ("route53:ListResourceRecordSets", false),
        ("route53:ChangeResourceRecordSets", false),
        ("route53:GetChange", false),
    ] {
        let place = Place::new().await;
        let id = place.sandbox.zone_id("example.com").unwrap();
        let inputs = inputs(&place, by_name);
        let edit = |text: String| if by_name { text } else { by_id(&text, &id) };
        // The whole policy first: the same pass goes well.
        let whole = behind(&place, &inputs, edit).await;
        place.expect(&["once", "--deadline", "20s"], 0);
        assert_eq!(whole.refused().len(), 0);
        place.east.set(Mode::Refuse).await;

        let gate = Gate::start(&place.sandbox.api_url(), &without(&policy(&inputs), action)).await;
        place.write_main(&gate.url());
        let before = place.writes();
        let said = place.say(&["once", "--deadline", "8s"]);
        assert!(gate.refused().iter().all(|s| s.asked.as_ref().is_some_and(|a| a.action == action)));
        assert!(!gate.refused().is_empty(), "{action} was never asked for");
        assert!(said.err.contains(action) && said.err.contains("docs/aws.md"), "{action}: {said:#?}");
        let _ = writeln!(told, "== without {action}: exit {}, {} writes", said.code.unwrap(), place.writes() - before);
        let mut lines: Vec<&str> =
            said.err.lines().filter(|l| l.starts_with("error:") || l.contains("next:")).collect();
        if lines.is_empty() {
            // A pass that ends well has it in its log.
            lines = said
                .err
                .lines()
                .filter(|l| l.contains(action))
                .filter_map(|l| l.split_once("Z "))
                .map(|l| l.1)
                .collect();
            lines.dedup();
        }
        for line in lines {
            let _ = writeln!(told, "{}", steady(&line.trim().replace(&id, "Z123")));
        }
    }
    golden::check(std::path::Path::new("tests/golden/iam/denied.txt"), &told);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observers_policy_lets_it_look_and_not_write() {
    let place = Place::new().await;
    let id = place.sandbox.zone_id("example.com").unwrap();
    let mut reading = inputs(&place, false);
    reading["observe"] = json!(true);
    let gate = behind(&place, &reading, |text| by_id(&text, &id)).await;
    let before = place.writes();
    let mut daemon = place.daemon(&["run", "--observe"]);
    let shown = || place.say(&["status"]).out;
    wait_for("both targets up", || (shown().contains("east up") && shown().contains("west up")).then_some(()), shown);
    assert_eq!(daemon.terminate(), Some(0));
    place.expect(&["plan", "web"], 0);
    place.say(&["doctor"]);
    assert_eq!(gate.refused().len(), 0, "{:#?}", gate.refused());
    assert_eq!(gate.unused(), Vec::<String>::new());

    let said = place.say(&["adopt", "web", "--to", "east", "--reason", "a try"]);
    let named = said.err.contains("route53:ChangeResourceRecordSets") && said.err.contains("docs/aws.md");
    assert!(said.code == Some(5) && named, "{said:#?}");
    assert_eq!(place.writes(), before);

    let _writing = behind(&place, &inputs(&place, false), |text| text).await;
    place.expect(&["adopt", "web", "--to", "east", "--reason", "with the right one"], 0);
    assert!(place.writes() > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_the_policy_does_not_name_is_refused_alone() {
    let place = Place::new().await;
    let id = place.sandbox.zone_id("example.com").unwrap();
    let gate = behind(&place, &inputs(&place, false), |text| by_id(&text, &id)).await;
    place.sandbox.put(&format!("api.example.com 30 A {}", place.east.ip())).await.unwrap();
    let web = place.path().join("policies/web.toml");
    let text = std::fs::read_to_string(&web).unwrap();
    let api = place.path().join("policies/api.toml");
    std::fs::write(&api, text.replace("www.example.com", "api.example.com")).unwrap();

    let mut daemon = place.daemon(&["run"]);
    let fence =
        |name: &str| crate::real::dig(place.sandbox.dns_addr(), &format!("{name}._failoverd.example.com"), "TXT");
    wait_for("www is adopted", || (!fence("www").is_empty()).then_some(()), || daemon.err());
    let said = daemon.wait_log("docs/aws.md");
    assert!(said.contains("api") && said.contains("route53:ChangeResourceRecordSets"), "{said}");
    assert!(fence("api").is_empty() && !gate.refused().is_empty());
    place.east.set(Mode::Refuse).await;
    let moved = || (place.published() == Some(place.west.ip())).then_some(());
    wait_for("www fails over", moved, || daemon.err());
    assert!(fence("api").is_empty());
    assert_eq!(daemon.terminate(), Some(0));

    // With both records in the policy both are adopted.
    place.east.set(Mode::Ok).await;
    let both = json!([{"name": "www.example.com"}, {"name": "api.example.com"}]);
    let both = json!({"zones": [zone(&id, "example.com", both)], "delegation": false});
    let gate = Gate::start(&place.sandbox.api_url(), &policy(&both)).await;
    place.write_main(&gate.url());
    let mut daemon = place.daemon(&["run"]);
    wait_for("api is adopted", || (!fence("api").is_empty()).then_some(()), || daemon.err());
    assert_eq!(gate.refused().len(), 0);
    assert_eq!(daemon.terminate(), Some(0));
}
