//! The hard question of a calm day: if everything that is published died now, and what is up stayed
//! up, where would the failover go and what would refuse it? Asks the very rules that decide, on a
//! policy made up for the question; changes nothing.

use std::time::Duration;

use crate::domain::{Check, DownReason, Health, Members, Now, Outcome, PolicyIdx, TargetIdx, Tick};

use super::fleet::Fleet;
use super::guard::{At, refusals};
use super::health::TargetHealth;
use super::intent::Kind;
use super::report::{Refusal, Rule, Tonight};
use super::select::{Want, best_set, wanted};
use super::state::{Doubt, PolicyState, Shared};

impl Fleet {
    /// `None` for a number not in force.
    pub fn tonight(&self, policy: PolicyIdx, now: Now) -> Option<Tonight> {
        self.state(policy).map(|p| tonight(p, &self.shared, now))
    }
}

/// What waits for an outcome now is left out: it is over when the night comes. Of several answers each
/// is also asked about alone: a dead member that would stay is a failover that is not made.
fn tonight(p: &PolicyState, shared: &Shared, now: Now) -> Tonight {
    let published: Vec<TargetIdx> = p.published().into_iter().flat_map(Members::iter).collect();
    let mut all = if_died(p, shared, now, &published);
    for one in published.iter().filter(|_| published.len() > 1) {
        let alone = if_died(p, shared, now, &[*one]);
        for refusal in alone.refusals {
            if all.refusals.iter().all(|known| known.rule != refusal.rule) {
                let text = format!("if only {} died: {}", p.name_of(*one), refusal.text);
                all.refusals.push(Refusal { text, ..refusal });
            }
        }
    }
    let unknown = |rule| all.refusals.iter().all(|known: &Refusal| known.rule != rule);
    let mut trouble = Vec::new();
    // When it is tried again is no matter: what was refused last is refused until that was seen to end.
    if let Some(write) = p.write_trouble.as_ref().filter(|_| unknown(Rule::WriteRefused)) {
        let text = format!("the provider refused the last write: {}", write.message);
        let change = format!("cure the cause, then `failoverd ack {}` tries at once", p.policy.id);
        trouble.push(Refusal { rule: Rule::WriteRefused, text, change });
    }
    if let Some(read) = p.trouble.as_ref().filter(|_| unknown(Rule::LiveUnknown)) {
        let text = format!("the zone could not be read: {}", read.message);
        trouble.push(Refusal { rule: Rule::LiveUnknown, text, change: "cure the cause; it is read again".into() });
    }
    all.refusals.extend(trouble);
    all
}

fn if_died(p: &PolicyState, shared: &Shared, now: Now, dead: &[TargetIdx]) -> Tonight {
    let (died, then) = died(p, now, dead);
    // What is not read as targets of ours cannot die; the failover that it stops is asked for all the same.
    let want = wanted(&died, shared, then)
        .filter(|w| w.kind != Kind::Adopt)
        .unwrap_or_else(|| Want { kind: Kind::Failover, to: best_set(&died, None) });
    let mut found = refusals(&died, shared, then, &want, At::Decision);
    for refusal in found.iter_mut().filter(|r| r.rule == Rule::NoSight) {
        if !shared.sight.proven_since(Tick(0)) {
            refusal.text = format!("{}, a majority is needed", shared.sight.witness_text());
        }
        refusal.change = "make the witnesses reachable from here, or name others".into();
    }
    Tonight { to: want.to.as_ref().map(|to| p.policy.names(to)).unwrap_or_default(), refusals: found }
}

/// The policy when `dead` have been confirmed down, and when that is.
fn died(p: &PolicyState, now: Now, dead: &[TargetIdx]) -> (PolicyState, Tick) {
    let mut died = PolicyState::new(p.idx, p.zone, p.policy.clone(), None, now);
    died.live = p.live.as_read();
    died.brakes = p.brakes.clone();
    died.health.clone_from(&p.health);
    died.drained.clone_from(&p.drained);
    died.obstacles.clone_from(&p.obstacles);
    died.write_trouble.clone_from(&p.write_trouble);
    died.known_epoch = p.known_epoch;
    died.fenced.clone_from(&p.fenced);
    let takes = |check: &Check| check.confirm.max(check.fast_interval * check.fall.saturating_sub(1));
    let longest = dead.iter().filter_map(|i| p.policy.target(*i)).map(|t| takes(&t.check)).max();
    let then = now.mono + longest.unwrap_or(Duration::ZERO);
    for (idx, target) in p.policy.indices().zip(&p.policy.targets) {
        let Some(health) = died.health.get_mut(idx.index()) else { continue };
        if dead.contains(&idx) {
            fail(health, &target.check, now.mono, then);
        } else if health.state() == Health::Up {
            prove(health, &target.check, now.mono, then);
        }
    }
    died.doubt = died.active().map(|target| Doubt { target, since: now.mono, since_wall: now.wall });
    // Witnesses that answer now go on answering.
    died.proof = Some(Tick(0));
    (died, then)
}

fn fail(health: &mut TargetHealth, check: &Check, from: Tick, to: Tick) {
    let failure = Outcome::Down(DownReason::ConnectRefused);
    for _ in 0..check.fall {
        health.record(check, failure, from, from);
    }
    health.record(check, failure, to, to);
}

fn prove(health: &mut TargetHealth, check: &Check, from: Tick, to: Tick) {
    health.begin_proof(from);
    for _ in 0..check.rise.max(check.settle) {
        health.record(check, Outcome::Up, to, to);
    }
}
