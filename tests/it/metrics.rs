//! The metrics page: what it says of a fleet, its table in the documentation, the alert rules, and a
//! real Prometheus before the real binary.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use failoverd::domain::{Now, Outcome, Policy, PolicyIdx, TargetIdx, Tick, UnixMs};
use failoverd::engine::event::{Event, Probed};
use failoverd::engine::journal::Restored;
use failoverd::engine::{Fleet, Mode, report, step};
use failoverd::runtime::tally::Tally;
use failoverd::telemetry::{self, Kind};

use crate::building;
use crate::golden;
use crate::real::prometheus::promtool;
use crate::scenarios::play;

mod scraped;

const DOCS: &str = "docs/metrics.md";
const ALERTS: &str = "docs/alerts.yml";

/// The names of the series of a page.
fn series(page: &str) -> BTreeSet<&str> {
    let lines = page.lines().filter(|l| !l.starts_with('#'));
    lines.map(|l| l.split(['{', ' ']).next().unwrap()).collect()
}

/// The value of the one series that begins so.
fn value(page: &str, begin: &str) -> Option<f64> {
    let mut found = page.lines().filter(|l| l.starts_with(begin) && !l.starts_with('#'));
    let line = found.next()?;
    assert!(found.next().is_none(), "several series begin with {begin}:\n{page}");
    Some(line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// A failover, a rehearsal, and then a freeze with the active target down.
const STORY: &str = "target us-east-1 192.0.2.10 1
target eu-west-1 198.51.100.20 2
witness w1
witness w2
witness w3 eu-west-1
start us-east-1
30s rehearsal due
100s us-east-1 refuses
150s freeze
160s eu-west-1 refuses
162s us-east-1 up
200s end";

#[test]
fn the_page_of_a_fleet_is_kept_and_promtool_finds_nothing_wrong_with_it() {
    let page = telemetry::page(&play(STORY).sample()).unwrap();
    golden::check(Path::new("tests/fixtures/metrics/page.txt"), &page);
    let (fine, said) = promtool(&["check", "metrics"], &page);
    assert!(fine && said.trim().is_empty(), "{said}");
    // It does find what is wrong.
    let wrong = "# TYPE failoverd_moves counter\nfailoverd_moves 1\n";
    let (fine, said) = promtool(&["check", "metrics"], wrong);
    assert!(!fine && said.contains("counter metrics should have \"_total\" suffix"), "{said}");
    assert!(said.contains("no help text"), "{said}");
}

#[test]
fn every_metric_is_on_the_page_of_that_fleet() {
    let page = telemetry::page(&play(STORY).sample()).unwrap();
    let (on_page, mut wanted) = (series(&page), BTreeSet::new());
    for metric in telemetry::ALL {
        match metric.kind {
            Kind::Histogram => wanted.extend(["_bucket", "_sum", "_count"].map(|s| format!("{}{s}", metric.name))),
            _ => drop(wanted.insert(metric.name.to_owned())),
        }
    }
    let wanted: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
    assert_eq!(on_page, wanted);
}

#[test]
fn what_happens_shows_and_what_does_not_happen_does_not() {
    let targets = "target east 192.0.2.10 1\ntarget west 198.51.100.20 2\nset witnesses=3\n";
    let page = |script: &str| telemetry::page(&play(&format!("{targets}{script}")).sample()).unwrap();
    let calm = page("start east\n60s end");
    for (script, begin, before, after) in [
        ("start east\n30s east refuses\n100s end", "failoverd_policy_epoch{", 41.0, 42.0),
        (
            "start east\n30s east refuses\n100s end",
            "failoverd_moves_total{policy=\"web\",kind=\"failover\",outcome=\"proven\"}",
            0.0,
            1.0,
        ),
        ("start east\n30s east refuses\n100s end", "failoverd_target_active{policy=\"web\",target=\"west\"", 0.0, 1.0),
        (
            "start east\n30s east refuses\n100s end",
            "failoverd_policy_state{policy=\"web\",state=\"displaced\"}",
            0.0,
            1.0,
        ),
        ("start east\n30s east refuses\n100s end", "failoverd_policy_moves_left{", 3.0, 2.0),
        ("start east\n30s freeze\n60s end", "failoverd_policy_brake{policy=\"web\",brake=\"frozen\"}", 0.0, 1.0),
        (
            "start east\n30s cmd force east\n60s end",
            "failoverd_policy_brake{policy=\"web\",brake=\"forced\"}",
            0.0,
            1.0,
        ),
        ("start east\n30s witnesses fail\n90s end", "failoverd_blind", 0.0, 1.0),
        ("start east\n30s witness 2 fails\n90s end", "failoverd_witness_answering{witness=\"w2\"}", 1.0, 0.0),
        (
            "start east\n30s west refuses\n90s end",
            "failoverd_target_health{policy=\"web\",target=\"west\",region=\"west\",health=\"down\"}",
            0.0,
            1.0,
        ),
        (
            "start east\n30s cmd drain west\n60s end",
            "failoverd_target_drained{policy=\"web\",target=\"west\"}",
            0.0,
            1.0,
        ),
        ("start east\n30s store fails\n31s freeze\n40s end", "failoverd_store_broken", 0.0, 1.0),
        (
            "start east\n30s hand sets 192.0.2.99\n90s end",
            "failoverd_policy_live{policy=\"web\",live=\"foreign\"}",
            0.0,
            1.0,
        ),
        (
            "start east\n20s rehearsal due\n60s end",
            "failoverd_rehearsal_result{policy=\"web\",result=\"ok\"}",
            0.0,
            1.0,
        ),
        (
            "start east\n10s api denies-writes\n20s rehearsal due\n60s end",
            "failoverd_rehearsal_result{policy=\"web\",result=\"failed\"}",
            0.0,
            1.0,
        ),
        (
            "start east\n10s api denies-writes\n20s rehearsal due\n60s end",
            "failoverd_transitions_total{kind=\"rehearsal_failed\"}",
            0.0,
            1.0,
        ),
    ] {
        assert_eq!(value(&calm, begin), Some(before), "{begin}\n{calm}");
        let page = page(script);
        assert_eq!(value(&page, begin), Some(after), "{script}\n{begin}\n{page}");
    }
}

#[test]
fn no_move_is_left_exactly_when_the_next_is_locked_out() {
    // Each failure moves; the one after the last that the budget allows is refused.
    let there_and_back = [("a", "b"), ("b", "a"), ("a", "b"), ("b", "a")];
    let mut script =
        "target a 192.0.2.10 1\ntarget b 198.51.100.20 2\nset witnesses=3 flap=4 hold_down=1 failback=never\nstart a\n"
            .to_owned();
    let mut at = 30;
    for (n, (down, up)) in there_and_back.into_iter().enumerate() {
        script.push_str(&format!("{at}s {up} up\n{}s {down} refuses\n", at + 60));
        at += 180;
        let page = telemetry::page(&play(&format!("{script}{at}s end")).sample()).unwrap();
        let refused = value(&page, "failoverd_policy_refused{policy=\"web\",rule=\"locked\"}");
        let left = value(&page, "failoverd_policy_moves_left{");
        assert_eq!(left, Some([2.0, 1.0, 0.0, 0.0][n]), "{page}");
        assert_eq!(refused.is_some(), n == 3, "{page}");
    }
}

#[test]
fn a_rule_that_refuses_for_several_records_is_there_once() {
    use failoverd::engine::report::{Refusal, Rule};
    let mut sample = play("target a 192.0.2.10 1\ntarget b 198.51.100.20 2\nstart a\n20s end").sample();
    let refused = |rule| Refusal { rule, text: String::new(), change: String::new() };
    let one_of = |page: &str, rule: &str| {
        let begin = format!("failoverd_policy_refused{{policy=\"web\",rule=\"{rule}\"}}");
        page.lines().filter(|l| l.starts_with(&begin)).count()
    };
    let rules = [Rule::FenceUnusable, Rule::FenceForeign, Rule::FenceUnusable];
    for (refusals, unusable, foreign) in [(&rules[..0], 0, 0), (&rules[..1], 1, 0), (&rules[..], 1, 1)] {
        sample.reports[0].refusals = refusals.iter().map(|rule| refused(*rule)).collect();
        let page = telemetry::page(&sample).unwrap();
        assert_eq!((one_of(&page, "fence-unusable"), one_of(&page, "fence-foreign")), (unusable, foreign), "{page}");
    }
}

/// What everything else on the page is silent about: nothing is wanted, so nothing is refused.
#[test]
fn a_failover_that_would_be_refused_tonight_shows_on_a_calm_day() {
    let targets = "target east 192.0.2.10 1\ntarget west 198.51.100.20 2\nset witnesses=3\n";
    let possible = "failoverd_policy_failover_possible{policy=\"web\"}";
    for (script, answer) in [
        ("start east\n", 1.0),
        ("start east\n20s hand deletes fence\n", 0.0),
        ("start east\n20s hand spoils fence\n", 0.0),
        ("start east\n20s hand fence set o=other/a\n", 0.0),
        ("set adopt=manual\nstart east bare\n", 0.0),
        ("set adopt=manual\nstart east bare\n400s adopt east\n", 1.0),
        ("start east\n20s west refuses\n", 0.0),
    ] {
        let page = telemetry::page(&play(&format!("{targets}{script}700s end")).sample()).unwrap();
        assert_eq!(value(&page, possible), Some(answer), "{script}\n{page}");
        let steady = "failoverd_policy_state{policy=\"web\",state=\"steady\"}";
        assert_eq!(value(&page, steady), Some(1.0), "{script}\n{page}");
    }
}

#[test]
fn what_a_rehearsal_should_keep_to_is_told_unless_it_is_off() {
    let mut sample = play("target a 192.0.2.10 1\ntarget b 198.51.100.20 2\nstart a\n20s end").sample();
    let cadence = |sample: &failoverd::telemetry::Sample| {
        value(&telemetry::page(sample).unwrap(), "failoverd_rehearsal_cadence_seconds")
    };
    assert_eq!(cadence(&sample), Some(86_400.0));
    sample.rehearsal_cadence = None;
    assert_eq!(cadence(&sample), None);
}

#[test]
fn a_rule_in_the_way_and_an_age_are_there_only_while_they_hold() {
    let targets = "target east 192.0.2.10 1\ntarget west 198.51.100.20 2\nset witnesses=3\nstart east\n";
    let page = |script: &str| telemetry::page(&play(&format!("{targets}{script}")).sample()).unwrap();
    let refused = "failoverd_policy_refused{policy=\"web\",rule=\"frozen\"}";
    let held = page("20s freeze\n30s east refuses\n90s end");
    assert_eq!(value(&held, refused), Some(1.0), "{held}");
    let freed = page("20s freeze\n30s east refuses\n90s unfreeze\n150s end");
    assert_eq!(value(&freed, refused), None, "{freed}");

    let never = page("60s end");
    assert_eq!(value(&never, "failoverd_rehearsal_result{policy=\"web\",result=\"never\"}"), Some(1.0));
    for begin in ["failoverd_rehearsal_age_seconds", "failoverd_policy_proven_age_seconds"] {
        assert_eq!(value(&never, begin), None, "{never}");
    }
    // What was only looked at was not walked.
    let observed = telemetry::page(&play(&format!("{targets}set mode=observe\n20s rehearsal due\n141s end")).sample());
    let observed = observed.unwrap();
    assert_eq!(value(&observed, "failoverd_rehearsal_result{policy=\"web\",result=\"never\"}"), Some(1.0));
    assert_eq!(value(&observed, "failoverd_rehearsal_result{policy=\"web\",result=\"ok\"}"), Some(0.0));
    assert!(!observed.contains("failoverd_rehearsal_age") && !observed.contains("failoverd_rehearsal_duration"));

    let walked = page("20s rehearsal due\n141s end");
    assert_eq!(value(&walked, "failoverd_rehearsal_result{policy=\"web\",result=\"ok\"}"), Some(1.0));
    assert_eq!(value(&walked, "failoverd_rehearsal_age_seconds{").map(f64::round), Some(100.0), "{walked}");
    let insync = "failoverd_rehearsal_duration_seconds{policy=\"web\",phase=\"insync\"}";
    assert!(value(&walked, insync).is_some_and(|s| (20.0..22.0).contains(&s)), "{walked}");
}

#[test]
fn no_record_value_address_or_text_of_a_person_is_on_the_page() {
    let page = telemetry::page(
        &play(&format!("{}\n", STORY.replace("150s freeze", "150s freeze\n151s hand sets 203.0.113.77"))).sample(),
    )
    .unwrap();
    // The freeze's reason, the values of the record, the witnesses' addresses, the owner in the fence.
    for text in ["192.0.2.10", "198.51.100.20", "203.0.113.77", "127.0.0.1", "www.example.com", "prod/", "://"] {
        assert!(!page.contains(text), "{text} is on the page:\n{page}");
    }
}

#[test]
fn the_table_in_the_documentation_is_the_one_in_the_code() {
    let text = std::fs::read_to_string(golden::root().join(DOCS)).unwrap();
    let (head, rest) = text.split_once("<!-- metrics -->\n").expect("the mark before the table");
    let (_, tail) = rest.split_once("<!-- end -->").expect("the mark after the table");
    let whole = format!("{head}<!-- metrics -->\n{}<!-- end -->{tail}", telemetry::table());
    golden::check(Path::new(DOCS), &whole);
}

#[test]
fn the_alert_rules_fire_for_their_cause_and_not_without_it() {
    let rules = std::fs::read_to_string(golden::root().join(ALERTS)).unwrap();
    let name = regex::Regex::new(r"failoverd_[a-z_]+").unwrap();
    for found in name.find_iter(&rules) {
        let found = found.as_str();
        let known = telemetry::ALL.iter().any(|m| {
            let rest = found.strip_prefix(m.name);
            rest == Some("") || m.kind == Kind::Histogram && matches!(rest, Some("_bucket" | "_sum" | "_count"))
        });
        assert!(known, "{ALERTS} asks for {found}, which is no metric");
    }
    let path = golden::root().join(ALERTS);
    let (fine, said) = promtool(&["check", "rules", path.to_str().unwrap()], "");
    assert!(fine && said.contains("10 rules found"), "{said}");

    let tests = golden::root().join("tests/fixtures/metrics/alerts-test.yml");
    let (fine, said) = promtool(&["test", "rules", tests.to_str().unwrap()], "");
    assert!(fine, "{said}");
    let cases = std::fs::read_to_string(tests).unwrap();
    for alert in rules.lines().filter_map(|l| l.trim().strip_prefix("- alert: ")) {
        let times = cases.matches(&format!("alertname: {alert}")).count();
        assert!(times >= 2, "{alert} is not tested with and without its cause");
        assert!(std::fs::read_to_string(golden::root().join(DOCS)).unwrap().contains(alert), "{alert} in {DOCS}");
    }
}

/// How many series the page of a fleet of `n` policies has, each target probed once.
fn series_of(n: u32) -> usize {
    let now = Now { mono: Tick(1_000_000), wall: UnixMs(1_800_000_000_000) };
    let policies = (0..n).map(|i| building::policy(&format!("p{i}"), &format!("w{i}.example.com"))).collect();
    let mut out = Vec::new();
    let restored = Restored::default();
    let mut fleet = Fleet::new(building::settings(), policies, Mode::Active, restored, "run", now, &mut out);
    let all: Vec<(PolicyIdx, Arc<Policy>)> = fleet.policies().map(|(idx, p)| (idx, Arc::new(p.clone()))).collect();
    let targets = all.iter().flat_map(|(policy, p)| p.indices().map(|target| (*policy, target)));
    let probes: Vec<(PolicyIdx, TargetIdx)> = targets.collect();
    let mut tally = Tally::default();
    for (policy, target) in &probes {
        tally.probe(*policy, *target, Outcome::Up, Duration::from_millis(3));
    }
    let probed = |(policy, target)| Probed { policy, target, started: now.mono, ended: now.mono, outcome: Outcome::Up };
    step(&mut fleet, now, Event::Outcomes(probes.into_iter().map(probed).collect()), &mut out);
    let mut sample = play("target east 192.0.2.10 1\ntarget west 198.51.100.20 2\nstart east\n1s end").sample();
    sample.reports = all.iter().filter_map(|(idx, _)| report(&fleet, *idx, now)).collect();
    sample.counts = tally.counts(all.iter().map(|(idx, policy)| (*idx, policy)), now.mono);
    sample.vitals = fleet.vitals(now);
    telemetry::page(&sample).unwrap().lines().filter(|l| !l.starts_with('#')).count()
}

#[test]
fn the_number_of_series_follows_the_configuration() {
    let (one, eleven) = (series_of(1), series_of(11));
    let each = (eleven - one) / 10;
    assert_eq!(eleven, one + 10 * each, "every policy has as many");
    // What docs/metrics.md says; a policy with a fence, a move and a rehearsal behind it has a few more.
    assert!((60..=80).contains(&each) && one - each <= 80, "{each} for a policy, {} beside", one - each);
    let story = telemetry::page(&play(STORY).sample()).unwrap();
    let lines = story.lines().filter(|l| !l.starts_with('#')).count();
    assert!(lines <= one + 20, "what happened adds little: {one} -> {lines}");
}
