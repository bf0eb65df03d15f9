//! What the engine says of a failover tonight comes true: asked on a calm day, then the live target dies.

use failoverd::domain::*;
use failoverd::engine::event::{Command, CommandKind, Event};
use failoverd::engine::report::{Rule, Tonight};
use failoverd::engine::zone::{ChangeOp, RefusedCode, WriteAnswer};

use super::drive::*;

const NAME: &str = "web1.example.com";

fn ask(drive: &Drive) -> Tonight {
    drive.fleet.tonight(PolicyIdx(0), at(drive.ms)).unwrap()
}

/// The live target dies, the other one lives or not; true when a move is sent.
fn dies(drive: &mut Drive, other: bool) -> bool {
    let before = drive.writes.len();
    for _ in 0..5 {
        drive.second(&[(0, [false, other])]);
    }
    drive.writes[before..].iter().any(|(_, changes)| changes.iter().any(|c| c.op == ChangeOp::Upsert))
}

fn with(key: &str, value: &str) -> Option<String> {
    let stood = fence(&policy(1, 0), "a", 8);
    let pairs = stood.trim_matches('"').split(' ');
    let pairs = pairs.map(|p| if p.starts_with(&format!("{key}=")) { format!("{key}={value}") } else { p.to_owned() });
    Some(format!("\"{}\"", pairs.collect::<Vec<_>>().join(" ")))
}

fn command(kind: CommandKind) -> Event {
    let command = Command { kind, policy: Some(PolicyIdx(0)), by: "ann".into(), reason: "a test".into() };
    Event::Command { id: 1, command }
}

#[test]
fn what_is_said_of_tonight_comes_true_when_the_live_target_dies() {
    let fine = || Some(fence(&policy(1, 0), "a", 7));
    // What stands at the fence, a person's hand, whether the standby lives, and what refuses.
    type World = (&'static str, Option<String>, Option<CommandKind>, bool, Option<Rule>);
    let worlds: Vec<World> = vec![
        ("fine", fine(), None, true, None),
        ("another instance of ours", with("o", "prod/b"), None, true, None),
        ("frozen in the fence", with("m", "frozen"), None, true, Some(Rule::Frozen)),
        ("forced in the fence", with("m", "forced"), None, true, Some(Rule::Forced)),
        ("locked out", with("m", "locked"), None, true, Some(Rule::Locked)),
        ("released", with("m", "released"), None, true, Some(Rule::Released)),
        ("another cluster's", with("o", "blue/b"), None, true, Some(Rule::FenceForeign)),
        ("of a newer version", with("v", "2"), None, true, Some(Rule::FenceUnusable)),
        ("spoilt", Some("\"hello\"".into()), None, true, Some(Rule::FenceUnusable)),
        ("gone", None, None, true, Some(Rule::FenceUnusable)),
        ("the standby is dead", fine(), None, false, Some(Rule::NoCandidate)),
        ("frozen by hand", fine(), Some(CommandKind::Freeze), true, Some(Rule::Frozen)),
        (
            "the standby is drained hard",
            fine(),
            Some(CommandKind::Drain { target: TargetIdx(1), hard: true }),
            true,
            Some(Rule::Drained),
        ),
    ];
    for (what, fence, hand, other, rule) in worlds {
        let mut drive = calm(vec![policy(1, 0)]);
        match fence {
            Some(value) => drop(drive.fences.insert(NAME.into(), value)),
            None => drop(drive.fences.remove(NAME)),
        }
        if let Some(kind) = hand {
            drive.feed(command(kind));
        }
        // Past the next reconcile.
        drive.pass(310_000);
        for _ in 0..3 {
            drive.second(&[(0, [true, other])]);
        }
        drive.accept_from(0);
        let before = format!("{:?}", failoverd::engine::report(&drive.fleet, PolicyIdx(0), at(drive.ms)));
        let said = ask(&drive);
        assert_eq!(
            format!("{:?}", failoverd::engine::report(&drive.fleet, PolicyIdx(0), at(drive.ms))),
            before,
            "{what}: a question changes nothing"
        );
        assert_eq!(said.refusals.first().map(|r| r.rule), rule, "{what}: {said:?}");
        assert_eq!(said.is_sent(), rule.is_none(), "{what}: {said:?}");
        assert_eq!(dies(&mut drive, other), said.is_sent(), "{what}: {said:?}, then {:?}", drive.rules(0));
        if let Some(rule) = rule {
            assert!(drive.rules(0).contains(&rule), "{what}: {:?}", drive.rules(0));
        }
    }
}

#[test]
fn a_spent_flap_budget_a_recent_move_and_a_foreign_value_are_told_before_they_refuse() {
    let recent = |drive: &Drive, key: &str, value: &str| {
        let written = format!("t={}", 1_800_000_000 + drive.ms / 1000 + 290);
        let stood = fence(&policy(1, 0), "b", 8).replace("t=1700000000", &written);
        stood.replace(&format!("{key}={}", if key == "h" { "0" } else { "adopt" }), &format!("{key}={value}"))
    };
    for (key, value, rule) in
        [("h", "4", Some(Rule::FlapBudget)), ("k", "failover", Some(Rule::PeerRecent)), ("h", "1", None)]
    {
        let mut drive = calm(vec![policy(1, 0)]);
        let stands = recent(&drive, key, value);
        drive.fences.insert(NAME.into(), stands);
        drive.pass(310_000);
        drive.second(&[(0, [true, true])]);
        let said = ask(&drive);
        let rules: Vec<Rule> = said.refusals.iter().map(|r| r.rule).collect();
        assert_eq!(rules.contains(&rule.unwrap_or(Rule::Blind)), rule.is_some(), "{key}={value}: {said:?}");
        assert_eq!(said.is_sent(), rule.is_none(), "{key}={value}: {said:?}");
        assert_eq!(dies(&mut drive, true), said.is_sent(), "{key}={value}: {said:?}");
    }
    let mut drive = calm(vec![policy(1, 0)]);
    drive.published.insert(NAME.into(), "198.51.100.99".into());
    drive.pass(310_000);
    drive.second(&[(0, [true, true])]);
    let said = ask(&drive);
    assert_eq!(said.refusals.iter().map(|r| r.rule).collect::<Vec<_>>(), [Rule::LiveForeign], "{said:?}");
    assert!(!dies(&mut drive, true));
}

#[test]
fn what_the_provider_refused_last_is_told_however_near_the_next_try_is() {
    let mut drive = calm(vec![policy(1, 0)]);
    drive.second(&[(0, [true, true])]);
    assert!(ask(&drive).is_sent());
    drive.feed(command(CommandKind::Freeze));
    let (batch, _) = drive.writes.last().unwrap().clone();
    let answer = WriteAnswer::Refused { code: RefusedCode::Denied, message: "not this role".into() };
    drive.feed(Event::Answered { batch, answer });
    let refused = |drive: &Drive| ask(drive).refusals.iter().filter(|r| r.rule == Rule::WriteRefused).count();
    assert_eq!(refused(&drive), 1);
    // Tried again, no answer yet.
    drive.pass(120_000);
    assert_eq!(refused(&drive), 1, "{:?}", ask(&drive));
    drive.accept(drive.writes.len() - 1);
    assert_eq!(refused(&drive), 0, "{:?}", ask(&drive));
}

#[test]
fn a_zone_that_can_be_read_no_more_is_told_until_it_can_be() {
    let mut drive = calm(vec![policy(1, 0)]);
    drive.reachable = false;
    drive.pass(310_000);
    drive.second(&[(0, [true, true])]);
    let said = ask(&drive);
    assert!(said.refusals.iter().any(|r| r.rule == Rule::LiveUnknown && r.text.contains("no connection")), "{said:?}");
    drive.reachable = true;
    drive.pass(310_000);
    drive.second(&[(0, [true, true])]);
    assert!(ask(&drive).is_sent(), "{:?}", ask(&drive));
}
