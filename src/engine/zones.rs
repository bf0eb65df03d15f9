//! What zones are known: finding them, noticing that one is gone or was made anew, and whether the
//! world asks the servers that ours are served by. Never reads a record and never writes.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::{NameServers, Now, PolicyIdx, Tick, ZoneIdx};

use super::action::Action;
use super::fleet::Fleet;
use super::journal::{JournalEntry, Transition, TransitionKind};
use super::notice::{Notice, NoticeKind, Severity};
use super::report::Obstacle;
use super::state::{Pending, Shared, Trouble, Urgency, Words, ZoneState};
use super::switch;
use super::zone::{ApiError, ApiErrorKind, ZoneInfo};

/// A zone that cannot be found for a transient reason is told after this.
const TELL_ZONE_AFTER: Duration = Duration::from_secs(60);
/// From one look at a zone's delegation to the next.
const DELEGATION_PERIOD: Duration = Duration::from_secs(3600);

impl Fleet {
    pub(super) fn resolve_zones(&mut self, now: Now) {
        for (idx, zone) in (0u32..).map(ZoneIdx).zip(&mut self.shared.zones) {
            if zone.info.is_none() && !zone.resolving && zone.next_try <= now.mono {
                zone.resolving = true;
                self.shared.seq += 1;
                self.shared.calls.insert((Urgency::Zone, self.shared.seq), Pending::Resolve(idx));
            }
        }
    }

    pub(super) fn zone_resolved(
        &mut self,
        now: Now,
        out: &mut Vec<Action>,
        idx: ZoneIdx,
        result: Result<ZoneInfo, ApiError>,
    ) {
        let Some(zone) = self.shared.zones.get_mut(idx.index()) else { return };
        zone.resolving = false;
        match result {
            Ok(info) => self.zone_found(now, out, idx, info),
            Err(error) => self.zone_not_found(now, out, idx, &error),
        }
    }

    fn zone_found(&mut self, now: Now, out: &mut Vec<Action>, idx: ZoneIdx, info: ZoneInfo) {
        let Some(zone) = self.shared.zones.get_mut(idx.index()) else { return };
        let name = zone.zone_ref.to_string();
        let told = zone.trouble.take().is_some_and(|t| t.told);
        let lost = zone.lost.take();
        let anew = lost.as_ref().filter(|old| old.id != info.id);
        zone.tries = 0;
        zone.delegation.due = None;
        zone.info = Some(info.clone());
        if let Some(old) = anew {
            let text = format!("zone {name} was made anew: {} is gone, {} has its name", old.id, info.id);
            let words = Words {
                why: vec![text.clone()],
                next: vec![
                    "every record in it is read again; where its fence is missing no automatic write is made".into(),
                    "look at what the new zone holds and who it is delegated to, then `failoverd adopt POLICY --to TARGET --repair`".into(),
                ],
                ..Words::default()
            };
            let notice = (NoticeKind::FenceTrouble, Severity::Critical, format!("the zone {name} was made anew"));
            self.tell_zone(now, out, idx, (TransitionKind::FenceTrouble, text), Some((notice, words)));
        } else if told || lost.is_some() {
            let notice = (NoticeKind::ApiFine, Severity::Info, format!("the zone {name} can be used again"));
            let words = Words { next: vec!["it is being read".into()], ..Words::default() };
            let told = told.then_some((notice, words));
            self.tell_zone(now, out, idx, (TransitionKind::ApiFine, format!("zone {name} found")), told);
        }
        let is_new = anew.is_some();
        for policy in self.policies_in(idx) {
            self.with(policy, now, out, |p, cx| {
                p.live.reconcile_due = cx.now.mono;
                p.live.rehearsed = false;
                if is_new {
                    p.live.stale = true;
                    switch::drop_unsent(p, cx, "the zone was made anew");
                }
            });
        }
    }

    fn zone_not_found(&mut self, now: Now, out: &mut Vec<Action>, idx: ZoneIdx, error: &ApiError) {
        let Some(zone) = self.shared.zones.get_mut(idx.index()) else { return };
        let name = zone.zone_ref.to_string();
        let by_id = zone.zone_ref.id.is_some();
        zone.tries += 1;
        zone.next_try = now.mono + Duration::from_secs(u64::from(zone.tries.min(30)));
        let trouble = zone.trouble.get_or_insert(Trouble {
            kind: error.kind,
            message: String::new(),
            since: now.mono,
            told: false,
        });
        trouble.message.clone_from(&error.message);
        trouble.kind = error.kind;
        let stands = now.mono.since(trouble.since) >= TELL_ZONE_AFTER;
        if trouble.told || (error.kind.is_transient() && !stands) {
            return;
        }
        trouble.told = true;
        let mut next =
            vec!["no automatic move is made in it; probing goes on; tried again every 30s at most".to_owned()];
        if error.kind == ApiErrorKind::NoSuchZone && by_id {
            next.push(
                "a zone made anew has another id: correct zone_id in its policies, or write `zone` instead".into(),
            );
        }
        let text = format!("zone {name}: {}", error.message);
        let notice = (NoticeKind::ApiTrouble, Severity::Critical, "a zone cannot be used".to_owned());
        let words = Words { why: vec![text.clone()], next, ..Words::default() };
        self.tell_zone(now, out, idx, (TransitionKind::ApiTrouble, text), Some((notice, words)));
    }

    /// The provider no longer knows a zone it knew: it is looked for anew. What becomes of that is
    /// told when it is found, or is not.
    pub(super) fn zone_gone(&mut self, now: Now, out: &mut Vec<Action>, idx: ZoneIdx) {
        let Some(zone) = self.shared.zones.get_mut(idx.index()) else { return };
        let Some(info) = zone.info.take() else { return };
        let text = format!("the provider no longer knows zone {} ({}); looking for it", info.name, info.id);
        zone.lost = Some(info);
        (zone.tries, zone.next_try) = (0, now.mono);
        self.tell_zone(now, out, idx, (TransitionKind::ApiTrouble, text), None);
        for policy in self.policies_in(idx) {
            self.with(policy, now, out, |p, _| p.live.give_up_reading());
        }
    }

    pub(super) fn policies_in(&self, zone: ZoneIdx) -> Vec<PolicyIdx> {
        self.states().filter(|(_, p)| p.zone == zone).map(|(idx, _)| idx).collect()
    }

    /// Asks the world who serves each public zone, now and then.
    pub(super) fn look_up_delegations(&mut self, now: Now, out: &mut Vec<Action>) {
        if self.shared.settings.verify.name_servers != NameServers::Delegation {
            return;
        }
        for (idx, zone) in (0u32..).map(ZoneIdx).zip(&mut self.shared.zones) {
            let due = zone.delegation.due.is_none_or(|at| at <= now.mono);
            if let Some(info) = zone.info.as_ref().filter(|info| due && is_delegated(info)) {
                zone.delegation.due = Some(now.mono + DELEGATION_PERIOD);
                out.push(Action::LookUpDelegation { zone: idx, name: info.name.clone() });
            }
        }
    }

    /// Who serves the zone, as the world finds; nothing follows from not knowing.
    pub(super) fn delegated(&mut self, now: Now, out: &mut Vec<Action>, idx: ZoneIdx, servers: Option<Vec<String>>) {
        let Some(zone) = self.shared.zones.get_mut(idx.index()) else { return };
        zone.delegation.looked = true;
        let (Some(info), Some(servers)) = (&zone.info, servers) else { return };
        let found = mismatch(info, &servers);
        let (obstacle, severity) = found.clone().unzip();
        let old = std::mem::replace(&mut zone.delegation.trouble, obstacle.clone());
        if old == obstacle {
            return;
        }
        let name = info.name.clone();
        let (transition, notice, words) = match (&obstacle, old) {
            (Some(o), _) => (
                (TransitionKind::Obstacle, o.text.clone()),
                (NoticeKind::Obstacle, severity.unwrap_or(Severity::Warning), format!("{name} is delegated elsewhere")),
                Words { why: vec![o.text.clone()], next: vec![o.next.clone()], ..Words::default() },
            ),
            (None, old) => (
                (TransitionKind::ObstacleGone, format!("{name} is delegated to the servers of its zone again")),
                (NoticeKind::ObstacleGone, Severity::Info, format!("{name} is delegated to the servers of its zone")),
                Words { why: old.into_iter().map(|o| o.text).collect(), ..Words::default() },
            ),
        };
        self.tell_zone(now, out, idx, transition, Some((notice, words)));
        for policy in self.policies_in(idx) {
            self.with(policy, now, out, |p, _| {
                p.told_delegation.clone_from(&obstacle);
                p.dirty = true;
            });
        }
    }

    /// Journals something about a zone and tells those who hear of a policy in it.
    fn tell_zone(
        &mut self,
        now: Now,
        out: &mut Vec<Action>,
        zone: ZoneIdx,
        (kind, text): (TransitionKind, String),
        notice: Option<((NoticeKind, Severity, String), Words)>,
    ) {
        let mut entry = JournalEntry::default();
        if let Some(((kind, severity, title), words)) = notice {
            let to: BTreeSet<_> =
                self.states().filter(|(_, p)| p.zone == zone).flat_map(|(_, p)| p.policy.notify.clone()).collect();
            let settings = &self.shared.settings;
            self.shared.notices += 1;
            entry.notices.push(Notice {
                id: format!("{}-n{}", self.shared.run_id, self.shared.notices),
                kind,
                severity,
                at: now.wall,
                cluster: settings.cluster.clone(),
                instance: settings.instance.clone(),
                policy: None,
                incident: None,
                observe: self.shared.mode == super::fleet::Mode::Observe,
                title: format!("{}/{}: {title}", settings.cluster, settings.instance),
                why: words.why,
                moved: None,
                timeline: Vec::new(),
                next: words.next,
                undo: words.undo,
                to: to.into_iter().collect(),
            });
        }
        entry.transitions.push(Transition { at: now.wall, policy: None, incident: None, kind, text });
        self.shared.seq += 1;
        out.push(Action::Persist { seq: self.shared.seq, entry });
    }
}

/// When a zone is to be looked for, or its delegation looked up, next.
pub(super) fn next_deadline(shared: &Shared) -> Option<Tick> {
    let asks = shared.settings.verify.name_servers == NameServers::Delegation;
    let one = |zone: &ZoneState| match &zone.info {
        None => (!zone.resolving).then_some(zone.next_try),
        Some(info) => zone.delegation.due.filter(|_| asks && is_delegated(info)),
    };
    shared.zones.iter().filter_map(one).min()
}

/// A public zone whose servers the provider told.
fn is_delegated(info: &ZoneInfo) -> bool {
    !info.private && !info.name_servers.is_empty()
}

/// What is wrong with the delegation, when the world asks other servers than the zone's.
fn mismatch(info: &ZoneInfo, world: &[String]) -> Option<(Obstacle, Severity)> {
    let normal = |list: &[String]| -> BTreeSet<String> {
        list.iter().map(|host| host.trim_end_matches('.').to_ascii_lowercase()).collect()
    };
    let (ours, theirs) = (normal(&info.name_servers), normal(world));
    if ours == theirs {
        return None;
    }
    let listed = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
    let asked = if theirs.is_empty() { "nobody".to_owned() } else { listed(&theirs) };
    let facts = format!(
        "the world asks {asked} about {}, but the zone ({}) is served by {}",
        info.name,
        info.id,
        listed(&ours)
    );
    let (what, severity) = if ours.is_disjoint(&theirs) {
        ("moves written here are not seen", Severity::Critical)
    } else {
        ("some clients may see none of our moves, or ask servers that do not answer", Severity::Warning)
    };
    let next = format!(
        "correct the NS records of {} where it is delegated (its registrar or parent zone); are these other names of the same servers, write them as [verify] name_servers",
        info.name
    );
    Some((Obstacle { record: info.name.clone(), blocks: Vec::new(), text: format!("{facts}: {what}"), next }, severity))
}
