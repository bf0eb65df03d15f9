//! A new configuration takes the place of the one in force, all or nothing (invariant I13): when it may, and what
//! a policy that is replaced hands on to the next one of its name.

use crate::domain::{Members, Now, Policy, Target, Tick, UnixMs};
use crate::seeded::{Bug, seeded};

use super::super::action::Action;
use super::super::brake::Brakes;
use super::super::hand::Hand;
use super::super::intent::Intent;
use super::super::journal::{PolicySnapshot, SeenFence, TransitionKind};
use super::super::live::has;
use super::super::own;
use super::super::sight::Sight;
use super::super::state::PolicyState;
use super::Fleet;

/// What is known of a policy that is not in force.
pub(super) struct LeftOut {
    snapshot: PolicySnapshot,
    /// Of one that was replaced in this run: what its fence last told, its brakes and its hands.
    running: Option<(Option<SeenFence>, Brakes, Vec<Hand>)>,
    /// Of one that was not configured when this run began: its intents without an outcome.
    open: Vec<Intent>,
}

impl LeftOut {
    /// Not configured when this run began.
    pub fn on_disk(snapshot: PolicySnapshot, open: Vec<Intent>) -> LeftOut {
        LeftOut { snapshot, running: None, open }
    }

    fn of(old: &PolicyState, now: Now) -> LeftOut {
        let running = Some((old.seen.clone(), old.brakes.clone(), old.hands.clone()));
        LeftOut { snapshot: old.snapshot(now), running, open: Vec::new() }
    }

    /// What a disk that was broken when it was replaced may have missed.
    pub fn unsaved(&self) -> Option<&PolicySnapshot> {
        self.running.as_ref().map(|_| &self.snapshot)
    }

    /// `p` took its place.
    fn back_in(self, p: &mut PolicyState, sight: &mut Sight, now: Now) {
        let Some((seen, brakes, hands)) = self.running else { return };
        (p.seen, p.brakes, p.hands) = (seen, brakes, hands);
        // What fails goes on failing: who was blind for it is not to see again for a moment.
        let failing: Vec<Option<Tick>> =
            p.failed_before.iter().map(|at| at.map(|at: UnixMs| now.mono - now.wall.since(at))).collect();
        for (target, since) in p.policy.targets.iter().zip(&failing) {
            if let Some(since) = since {
                sight.target_failing(&target.region, *since);
            }
        }
        p.told_failing = failing;
        p.dirty = true;
    }
}

impl Fleet {
    /// Replaces the policies, all or nothing (invariant I13). The error is a sentence for people.
    pub fn reload(&mut self, policies: Vec<Policy>, now: Now, out: &mut Vec<Action>) -> Result<(), String> {
        for (_, old) in self.states() {
            may_be_replaced(old, policies.iter().find(|p| p.id == old.policy.id))?;
        }
        let known: Vec<Policy> = self.states().map(|(_, p)| p.policy.clone()).collect();
        for slot in &mut self.policies {
            let Some(old) = slot else { continue };
            if policies.contains(&old.policy) {
                continue;
            }
            for (target, failing) in old.policy.targets.iter().zip(&old.told_failing) {
                self.shared.sight.remove_target(&target.region, *failing);
            }
            self.left_out.retain(|left| left.snapshot.policy != old.policy.id);
            self.left_out.push(LeftOut::of(old, now));
            self.timers.retain(|(_, idx)| *idx != old.idx);
            self.shared.policies = self.shared.policies.saturating_sub(1);
            *slot = None;
        }
        for policy in policies.into_iter().filter(|p| !known.contains(p)) {
            let before = self.left_out.iter().position(|left| left.snapshot.policy == policy.id);
            let before = before.map(|at| self.left_out.remove(at));
            let idx = self.add(policy, before.as_ref().map(|left| &left.snapshot), now);
            let Some(mut before) = before else { continue };
            let open = std::mem::take(&mut before.open);
            if let (None, Some(left)) = (&before.running, &before.snapshot.left) {
                self.shared.evacuation.restore(&before.snapshot.policy, left, now);
            }
            if let Some(Some(p)) = self.policies.get_mut(idx.index()) {
                before.back_in(p, &mut self.shared.sight, now);
            }
            for intent in open {
                self.with(idx, now, out, |p, cx| p.restore_intent(cx, intent));
            }
        }
        let text = format!("{} policies in force", self.shared.policies);
        self.journal(now, out, TransitionKind::Reloaded, text, None, None);
        self.finish(now, out);
        Ok(())
    }
}

/// The error is a sentence for people. `new`: what is to take its place.
fn may_be_replaced(old: &PolicyState, new: Option<&Policy>) -> Result<(), String> {
    let id = &old.policy.id;
    if new == Some(&old.policy) {
        return Ok(());
    }
    if old.planned.is_some() && old.write.is_none() {
        return Err(format!("policy {id} has a switch under way; reload again when it is over"));
    }
    if old.hand_goes_first() {
        return Err(format!("policy {id} is about to be written by a person; reload again when it is over"));
    }
    if (old.write.is_some() || !old.settling.is_empty()) && !seeded(Bug::ReloadDropsOpenIntent) {
        return Err(format!("policy {id} has a write without an outcome; reload again when it is resolved"));
    }
    let mut published = old.published().into_iter().flat_map(Members::iter).filter_map(|a| old.policy.target(a));
    let kept = |t: &Target| new.is_some_and(|n| n.targets.iter().any(|x| x.name == t.name && x.content == t.content));
    let given_up = new.is_none() && own::is_given_up(old);
    // What was published is not known now, and may be what would be dropped.
    let unread = old.live.reads.is_empty() && old.known_epoch.0 > 0;
    if unread && !given_up && !old.policy.targets.iter().all(kept) {
        return Err(format!(
            "what policy {id} publishes could not be read yet (`failoverd status {id}`), so nothing of it can be dropped; reload again when it was, or restart"
        ));
    }
    if let Some(target) = published.find(|t| !kept(t)).filter(|_| !given_up) {
        let name = &target.name;
        let next = match new {
            Some(_) => {
                format!("move it away before dropping or changing that target: failoverd switch {id} --to …")
            }
            None => format!("give the record up before dropping the policy: failoverd release {id}"),
        };
        return Err(format!("policy {id} publishes {name} now; {next}"));
    }
    // Edited by hand, or of two targets: what of it is ours must stay somebody's.
    if old.known_epoch.0 > 0
        && !given_up
        && let Some(value) = old.live.published_of(&old.policy).find(|v| !new.is_some_and(|n| has(n, v)))
    {
        return Err(format!(
            "policy {id} publishes {value} now, and no target would have it any more; move the record first"
        ));
    }
    Ok(())
}
