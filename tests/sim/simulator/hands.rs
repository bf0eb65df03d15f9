//! What persons do to it: commands, changed configurations, edits of records and fences by hand. Drawn
//! from the seed's own stream.

use failoverd::domain::*;
use failoverd::engine::Mode;
use failoverd::engine::event::{Command, CommandKind, Event};
use failoverd::engine::fence::{FenceValue, fence_name, unquote};
use failoverd::engine::zone::LiveSet;

use super::instance::Instance;
use super::scene::hash_of;
use super::troubles::{Trouble, sets_of};
use super::world::{Due, World};

/// Who types the commands.
pub const PERSON: &str = "ann";

impl World {
    /// The configuration on one machine is changed and read again; sometimes it must be refused.
    pub(super) fn reload(&mut self, i: usize, n: usize) {
        let published = self.published(n);
        let drop_published = self.fate.percent(25);
        let now_ms = self.now;
        let one = &mut self.instances[i];
        if one.fleet.is_none() || one.paused_until > now_ms {
            return;
        }
        let mut next = one.policies.clone();
        let version = one.versions[n] + 1;
        if drop_published {
            let Some(first) = published.first().copied() else { return };
            next[n].targets.remove(first);
            if next[n].targets.is_empty() {
                return;
            }
        } else {
            next[n].failback.soak = std::time::Duration::from_secs(60 + 30 * (version % 4));
        }
        next[n].config_hash = hash_of(&next[n], version);
        let now = one.clocks(now_ms);
        let mut out = Vec::new();
        let Some(fleet) = &mut one.fleet else { return };
        let told_open = &self.checker.seen[i].open;
        let open = one.disk.open().any(|intent| intent.policy == next[n].id && told_open.contains_key(&intent.id));
        let members = Members::new(published.iter().map(|t| TargetIdx(*t as u32)));
        let wanted = members.map(|m| sets_of(&self.scene.policies[n], &m)).unwrap_or_default();
        let shows = |read: &failoverd::engine::zone::RecordRead| {
            let same = |set: &LiveSet| read.sets.iter().any(|s| s.rtype == set.rtype && s.values == set.values);
            wanted.iter().all(same)
        };
        // What was published before the zone could not be read any more is not known now.
        let seen = &self.checker.seen[i];
        let knows = !seen.unread.contains(&n) && seen.reads[n].iter().all(|read| read.as_ref().is_some_and(shows));
        let result = fleet.reload(next.clone(), now, &mut out);
        let name = one.name.clone();
        let text = format!("{name} reloads policy {n}, dropping its active target: {drop_published}: {result:?}");
        self.trace.say(now_ms, || text);
        if result.is_ok() && open {
            self.fail(super::check::Invariant::I13, || format!("a reload of policy {n} dropped an open intent"));
        }
        if result.is_ok() && drop_published && knows {
            self.fail(super::check::Invariant::I13, || format!("a reload dropped the published target of policy {n}"));
        }
        if result.is_ok() && drop_published {
            // Not known to be published yet; the configuration is put right before anything is decided.
            let one = &mut self.instances[i];
            let mut old = one.policies.clone();
            old[n].config_hash = hash_of(&old[n], version + 1);
            one.versions[n] = version + 1;
            let Some(fleet) = &mut one.fleet else { return };
            if fleet.reload(old.clone(), now, &mut out).is_ok() {
                one.policies = old;
            }
        } else if result.is_ok() {
            one_of(&mut self.instances[i], next, n, version);
        }
        self.instances[i].number();
        self.checker.reloaded(i, &self.instances[i]);
        self.carry_out(i, out);
        if self.instances[i].is_running() {
            self.instances[i].wait();
            self.schedule_rounds(i);
        }
    }

    pub(super) fn person(&mut self, n: usize) {
        let policy = &self.scene.policies[n];
        let targets = policy.targets.len() as u32;
        let answers = policy.answers;
        let t = TargetIdx(self.fate.below(targets as usize) as u32);
        let tier = policy.targets[t.index()].priority;
        let same: Vec<TargetIdx> =
            policy.indices().filter(|x| policy.targets[x.index()].priority == tier).take(answers as usize).collect();
        let to =
            Members::new(same).filter(|m| m.count() == answers as usize || answers == 1).unwrap_or(Members::one(t));
        let to = if answers == 1 { Members::one(t) } else { to };
        let drain = std::time::Duration::from_secs(self.fate.weighted(&[(2, 0), (1, 20)]));
        let hard = self.fate.percent(30);
        let kind = match self.fate.below(12) {
            0 | 1 => CommandKind::Freeze,
            2 => CommandKind::Unfreeze,
            3 => CommandKind::Ack,
            4 | 5 => CommandKind::Switch { to, drain },
            6 => CommandKind::Failback,
            7 => CommandKind::Drain { target: t, hard },
            8 => CommandKind::Undrain { target: t },
            9 => CommandKind::Force { to },
            10 => CommandKind::Adopt { to, repair: hard },
            _ => CommandKind::Release,
        };
        let Some(i) = self.somebody() else { return };
        let all = matches!(kind, CommandKind::Freeze | CommandKind::Unfreeze) && self.fate.percent(30);
        // What stops a policy is lifted after a while; a drain too.
        let later = self.now + self.fate.within(30_000, 600_000);
        match kind {
            CommandKind::Freeze => {
                self.due(later, Due::Trouble(Trouble::Act(i, CommandKind::Unfreeze, (!all).then_some(n))))
            }
            CommandKind::Force { .. } => self.due(later, Due::Trouble(Trouble::Act(i, CommandKind::Unfreeze, Some(n)))),
            CommandKind::Drain { target, .. } => {
                self.due(later, Due::Trouble(Trouble::Act(i, CommandKind::Undrain { target }, Some(n))));
            }
            _ => {}
        }
        self.command(i, kind, (!all).then_some(n));
    }

    fn somebody(&mut self) -> Option<usize> {
        let ready: Vec<usize> = (0..self.instances.len())
            .filter(|i| {
                let one = &self.instances[*i];
                one.mode == Mode::Active && one.is_running() && one.paused_until <= self.now
            })
            .collect();
        (!ready.is_empty()).then(|| *self.fate.pick(&ready))
    }

    pub fn command(&mut self, i: usize, kind: CommandKind, n: Option<usize>) {
        let one = &self.instances[i];
        if !one.is_running() || one.paused_until > self.now {
            return;
        }
        let policy = n.and_then(|n| one.number_of(n));
        if n.is_some() != policy.is_some() {
            return;
        }
        self.counts.commands += 1;
        let id = self.counts.commands;
        let command = Command { kind, policy, by: PERSON.into(), reason: "as drawn".into() };
        self.feed(i, Event::Command { id, command });
    }

    /// A person edits a record; who did it puts it right later, or somebody adopts.
    pub(super) fn edit_record(&mut self, n: usize, _end: u64) {
        let policy = self.scene.policies[n].clone();
        let zone = self.checker.zone_of(n);
        let name = self.fate.pick(&policy.records).clone();
        let rtype = policy.record_types()[0].as_str();
        let set = match self.fate.below(4) {
            0 => Some(LiveSet::values(
                rtype,
                300,
                vec![if rtype == "A" { "203.0.113.9" } else { "2001:db8:ffff::9" }.into()],
            )),
            1 => None,
            2 => self.zones[zone].get(&name, rtype).cloned().map(|set| LiveSet { ttl: Some(300), ..set }),
            _ => {
                let t = TargetIdx(self.fate.below(policy.targets.len()) as u32);
                sets_of(&policy, &Members::one(t)).into_iter().find(|s| s.rtype == rtype)
            }
        };
        self.say(|| format!("a person edits {name}: {set:?}"));
        let now = self.now;
        self.zones[zone].edit(now, &name, rtype, set);
    }

    pub(super) fn edit_fence(&mut self, n: usize) {
        let policy = self.scene.policies[n].clone();
        let zone = self.checker.zone_of(n);
        let name = fence_name(self.fate.pick(&policy.records), &self.zones[zone].name).unwrap();
        let standing = self.zones[zone].get(&name, "TXT").cloned();
        let value = |set: &LiveSet| FenceValue::parse(&unquote(set.values.first()?)?).ok();
        // A peer of ours writes above all it knows of.
        let known = self.instances.iter().filter_map(|one| one.disk.snapshots.get(&policy.id)).map(|s| s.epoch.0).max();
        let known = known.unwrap_or(0);
        let epoch = standing.as_ref().and_then(value).map_or(1, |v| v.epoch.0).max(known);
        let members = Members::one(TargetIdx(0));
        let set = match self.fate.below(6) {
            0 => None,
            1 => Some(LiveSet::values("TXT", 60, vec!["\"hello\"".into()])),
            2 => standing.map(|set| LiveSet { ttl: Some(300), ..set }),
            3 => Some(LiveSet::values(
                "TXT",
                60,
                vec![self.fence_text(n, &members, epoch + 1, "other/x", "switch", "auto")],
            )),
            4 => standing.map(|set| LiveSet::values("TXT", 60, [set.values, vec!["\"second\"".into()]].concat())),
            _ => Some(LiveSet::values(
                "TXT",
                60,
                vec![self.fence_text(n, &members, epoch + 1, "prod/z", "freeze", "frozen")],
            )),
        };
        self.say(|| format!("a person edits {name}: {set:?}"));
        let now = self.now;
        self.zones[zone].edit(now, &name, "TXT", set);
        self.checker.tamper(n, now);
    }
}

fn one_of(one: &mut Instance, next: Vec<Policy>, n: usize, version: u64) {
    one.policies = next;
    one.versions[n] = version;
}
