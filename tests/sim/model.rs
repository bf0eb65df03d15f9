//! The fence, the intent and the batch in every order of a bounded model.
//!
//! A configuration is a few controllers, one or two policies in one zone, and how often each fault
//! may happen. Every state that can come of it is visited; the transitions call the engine's own
//! functions: `FenceValue::encode` and `parse`, `Fence::classify`, `fence::read_back`,
//! `next_epoch` and `burn_epoch`, `Plan`, `intent::meaning`, `batch::names`, `Packing`, `half` and
//! `in_wire_order`. Around them the model has its own small picture of a controller, a disk, a
//! network, a zone under Route 53's rules, and persons.
//!
//! What it leaves out: INSYNC and proof (an accepted write is told as applied), health, and brakes
//! but the freeze. What it takes for granted: a throttled request, or one that never left, has no
//! second copy on its way.
//!
//! `MODEL_STATES=50000000 cargo test --release --test sim -- model::every_order --nocapture` goes on
//! through larger configurations until so many states were visited, each configuration once, and
//! prints a line for the ledger. Without it the same test visits the sizes of every day.

mod controller;
mod moves;
mod product;
mod promises;
mod world;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use moves::{Act, sight};
use product::{Flaw, Rules};
use promises::{Bounds, I1, I6, I11, I12, Protocol};
use world::Faults;
#[cfg(feature = "seeded-bugs")]
use {failoverd::seeded::Bug, promises::I2};

/// Threads of one visit; the states are the same with any number.
const THREADS: usize = 2;
/// Visited every day, at least.
const EVERY_DAY: usize = 1_000_000;

/// A configuration, with what must have happened in it at least once.
struct Case {
    name: String,
    bounds: Bounds,
    sights: u32,
}

fn case(name: String, sights: u32, bounds: Bounds) -> Case {
    Case { name, bounds, sights }
}

/// So many controllers over so many policies, each of which may move so often; nothing fails.
fn calm(controllers: u8, policies: u8, decisions: u8) -> Bounds {
    Bounds { controllers, policies, decisions, bare: false, faults: Faults::default(), rules: Rules::default() }
}

fn with(faults: Faults, bounds: Bounds) -> Bounds {
    Bounds { faults, ..bounds }
}

fn under(rules: Rules, bounds: Bounds) -> Bounds {
    Bounds { rules, ..bounds }
}

/// What is visited every day.
fn every_day() -> Vec<Case> {
    use sight::*;
    let none = Faults::default;
    let resolved = READ_BACK_APPLIED | BURNED | LOST | LATE_REFUSED;
    let lost = Faults { lost: 1, ..none() };
    let crash = Faults { crashes: 1, ..lost };
    let pair = calm(2, 1, 1);
    let bare = Bounds { bare: true, ..pair.clone() };
    let denied = |says: bool| Rules { denied: Some((0, says)), ..Rules::default() };
    vec![
        case("two moves each, a lost reply, a crash".into(), resolved | RESTORED_APPLIED, with(crash, calm(2, 1, 2))),
        case("two lost replies and a duplicate".into(), resolved | DUPLICATE_REFUSED | OVERTAKEN, {
            with(Faults { lost: 2, duplicates: 1, ..none() }, pair.clone())
        }),
        case("requests held up".into(), resolved, with(Faults { held_up: 1, ..crash }, pair.clone())),
        case("signatures that run out".into(), resolved | EXPIRED, with(Faults { expiries: 1, ..crash }, pair.clone())),
        case("a record nobody has adopted".into(), resolved, with(Faults { duplicates: 1, ..crash }, bare)),
        case("a disk that is lost".into(), resolved, with(Faults { disks: 1, ..crash }, pair.clone())),
        case("a zone that loses its last change".into(), resolved, with(Faults { rollbacks: 1, ..lost }, pair.clone())),
        case("a fence deleted and repaired".into(), resolved, {
            with(Faults { deletes: 1, repairs: 1, ..lost }, pair.clone())
        }),
        case(
            "a fence spoiled and repaired".into(),
            resolved,
            with(Faults { spoils: 1, repairs: 1, ..lost }, pair.clone()),
        ),
        case(
            "a freeze".into(),
            resolved | FREEZE_KILLED | STALE_AT_WIRE,
            with(Faults { freezes: 1, ..crash }, pair.clone()),
        ),
        case("shared batches, one name in a refusal".into(), SHARED | BYSTANDER, {
            under(Rules { first_only: true, ..Rules::default() }, calm(2, 2, 2))
        }),
        case("a lost reply to a shared batch, a crash".into(), READ_BACK_APPLIED | BURNED | LOST | SHARED, {
            with(crash, calm(1, 2, 2))
        }),
        case("a policy whose names are denied".into(), SHARED | BYSTANDER | EXPIRED | BURN_REFUSED, {
            under(denied(true), with(Faults { expiries: 1, ..lost }, calm(1, 2, 2)))
        }),
        case("a policy that is denied without a name".into(), SHARED | HALVED | EXPIRED | BURN_REFUSED, {
            under(denied(false), with(Faults { expiries: 1, ..lost }, calm(1, 2, 2)))
        }),
        case("two records in one policy, write = swap".into(), resolved, {
            under(Rules { swap: true, records: 2, ..Rules::default() }, with(crash, pair))
        }),
        case("three controllers, a lost reply".into(), resolved, with(lost, calm(3, 1, 1))),
    ]
}

/// What may go wrong once.
fn kinds_of_fault() -> Vec<(&'static str, Faults)> {
    let none = Faults::default;
    vec![
        ("a reply lost", Faults { lost: 1, ..none() }),
        ("a request held up", Faults { held_up: 1, ..none() }),
        ("a duplicate", Faults { duplicates: 1, ..none() }),
        ("a crash", Faults { crashes: 1, ..none() }),
        ("a lost disk", Faults { disks: 1, ..none() }),
        ("fifteen minutes", Faults { expiries: 1, ..none() }),
        ("a zone rolled back", Faults { rollbacks: 1, ..none() }),
        ("a fence deleted", Faults { deletes: 1, repairs: 1, ..none() }),
        ("a fence spoiled", Faults { spoils: 1, repairs: 1, ..none() }),
        ("a freeze", Faults { freezes: 1, ..none() }),
    ]
}

/// Larger ones, for the ledger, in the order in which they are visited: every two faults together,
/// three controllers, every two faults on top of a lost reply, the same with a move more for each.
fn soak() -> Vec<Case> {
    use sight::*;
    let lost = Faults { lost: 1, ..Faults::default() };
    let resolved = READ_BACK_APPLIED | BURNED | LOST | LATE_REFUSED;
    let mut cases = every_two_faults("", 0, &calm(2, 1, 1));
    cases.push(case("three controllers, a lost reply, a crash".into(), resolved, {
        with(Faults { crashes: 1, ..lost }, calm(3, 1, 1))
    }));
    cases.push(case("three controllers, two lost replies".into(), resolved, {
        with(Faults { lost: 2, ..lost }, calm(3, 1, 1))
    }));
    cases.push(case("shared batches, all names in a refusal".into(), SHARED | BYSTANDER, calm(2, 2, 2)));
    cases.extend(every_two_faults("a lost reply, ", resolved, &with(lost, calm(2, 1, 1))));
    cases.extend(every_two_faults("two moves each, a lost reply, ", resolved, &with(lost, calm(2, 1, 2))));
    cases
}

fn every_two_faults(name: &str, sights: u32, bounds: &Bounds) -> Vec<Case> {
    let kinds = kinds_of_fault();
    let mut cases = Vec::new();
    for (n, (one, first)) in kinds.iter().enumerate() {
        for (other, second) in &kinds[n..] {
            let faults = bounds.faults.plus(*first).plus(*second);
            cases.push(case(format!("{name}{one}, {other}"), sights, with(faults, bounds.clone())));
        }
    }
    cases
}

/// How long a visit takes is printed, and decides nothing.
#[expect(clippy::disallowed_methods, reason = "a figure for people")]
fn stopwatch() -> Instant {
    Instant::now()
}

/// Visits every state of a configuration; returns how many there are.
fn visit(case: &Case) -> usize {
    let Case { name, bounds, sights } = case;
    let began = stopwatch();
    let model = Protocol::new(bounds.clone());
    let seen = model.seen.clone();
    let checker = model.checker().threads(THREADS).spawn_dfs().join();
    if let Some((property, path)) = checker.discoveries().into_iter().next() {
        panic!("{name} breaks {property:?} by {:?} of {bounds:?}", path.into_actions());
    }
    assert!(checker.is_done(), "{name} was not visited whole");
    let missing = sights & !seen.load(Ordering::Relaxed);
    assert_eq!(missing, 0, "{name}: what should have happened at least once did not (sights {missing:#b})");
    let (states, took) = (checker.unique_state_count(), began.elapsed().as_secs_f64());
    println!(
        "model: {name}: {states} states, {} deep, {took:.1} s, {:.0}/s",
        checker.max_depth(),
        states as f64 / took
    );
    states
}

#[test]
fn every_order_of_every_configuration_keeps_every_promise() {
    let began = stopwatch();
    let wanted = std::env::var("MODEL_STATES").ok().map(|n| n.parse::<usize>().expect("MODEL_STATES is a number"));
    let (mut total, mut configurations) = (0, 0);
    let larger = if wanted.is_some() { soak() } else { Vec::new() };
    let mut visited = BTreeSet::new();
    for case in every_day().iter().chain(&larger) {
        if !visited.insert(format!("{:?}", case.bounds)) {
            continue;
        }
        if wanted.is_some_and(|wanted| total >= wanted) {
            break;
        }
        total += visit(case);
        configurations += 1;
    }
    let took = began.elapsed().as_secs_f64();
    println!("model: {total} states, {:.0}/s", total as f64 / took);
    if wanted.is_some() {
        let line =
            format!(r#"{{"part":"model","states":{total},"configurations":{configurations},"seconds":{took:.0}}}"#);
        println!("ledger: {line}");
    }
    assert!(total >= wanted.unwrap_or(EVERY_DAY), "{total} states in all; larger configurations are needed");
}

/// The shortest way, or nearly, in which the protocol under `wrong` rules breaks `promise`.
fn counter_example(wrong: Rules, promise: &'static str, bounds: Bounds) -> Vec<Act> {
    let sound = Protocol::new(bounds.clone()).checker().threads(THREADS).spawn_dfs().join();
    assert!(sound.discoveries().is_empty(), "the sound protocol keeps its promises in the same bounds");
    let flawed = Protocol::new(under(wrong, bounds));
    let checker = flawed.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let Some(path) = checker.discovery(promise) else {
        panic!("{wrong:?} does not break {promise:?} in {} states", checker.unique_state_count())
    };
    let acts = path.into_actions();
    println!("model: {wrong:?} breaks {promise:?}: {acts:?}");
    acts
}

fn flawed(flaw: Flaw) -> Rules {
    Rules { flaw, ..Rules::default() }
}

#[test]
fn without_the_fence_a_late_write_is_applied_over_a_newer_one() {
    let acts = counter_example(flawed(Flaw::NoFence), I1, calm(2, 1, 1));
    let landed = acts.iter().filter(|act| matches!(act, Act::Land(_))).count();
    assert_eq!(landed, 2, "one write, then one that was decided before it: {acts:?}");
}

#[test]
fn each_wrong_rule_of_the_protocol_breaks_its_promise() {
    let lost = Faults { lost: 1, ..Faults::default() };
    let freeze = Faults { freezes: 1, ..Faults::default() };
    let expiry = Faults { expiries: 1, ..lost };
    for (flaw, promise, bounds) in [
        (Flaw::ReadBackIsRefusal, I6, with(lost, calm(2, 1, 1))),
        (Flaw::LostIsRefusal, I6, with(lost, calm(2, 1, 1))),
        (Flaw::SendFirst, I11, calm(2, 1, 1)),
        (Flaw::LateExpiry, I6, with(expiry, calm(1, 1, 1))),
        (Flaw::EarlyExpiry, I6, with(expiry, calm(1, 1, 1))),
        (Flaw::FreezeIgnored, I12, with(freeze, calm(2, 1, 1))),
    ] {
        counter_example(flawed(flaw), promise, bounds);
    }
}

/// The seeded bugs of the very functions that the model calls; the simulator has the others.
#[cfg(feature = "seeded-bugs")]
#[test]
fn each_seeded_bug_in_what_the_model_calls_breaks_its_promise() {
    let lost = Faults { lost: 1, ..Faults::default() };
    for (bug, promise, swap, bounds) in [
        (Bug::NoFence, I1, false, calm(2, 1, 1)),
        (Bug::EpochNotRaised, I1, false, calm(1, 1, 1)),
        (Bug::EmptyAnswer, I2, true, calm(1, 1, 1)),
        (Bug::BurnSkipped, I6, false, with(lost, calm(1, 1, 1))),
        (Bug::ReadBackAsRefusal, I6, false, with(lost, calm(1, 1, 1))),
    ] {
        counter_example(Rules { bug: Some(bug), swap, ..Rules::default() }, promise, bounds);
    }
}
