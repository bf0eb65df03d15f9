//! What goes wrong, and when it ends. Every disturbance is drawn from the seed's own stream; it
//! changes how things are and tells no engine.

use failoverd::domain::*;
use failoverd::engine::Mode;
use failoverd::engine::event::{Command, CommandKind, Event};
use failoverd::engine::fence::{FenceValue, fence_name, quote, unquote};
use failoverd::engine::zone::LiveSet;

use super::provider::Fate;
use super::scene::{Flavour, hash_of};
use super::truth::{Life, Links};
use super::world::{Due, World};
use super::zone::SERVERS;

/// A change of how things are; most carry their own end.
#[derive(Clone, Debug)]
pub enum Trouble {
    Life(usize, usize, Life),
    Links(usize, Links),
    Store(usize, bool),
    Server(usize, usize),
    Accept(usize, RecordName),
    Act(usize, CommandKind, Option<usize>),
}

#[derive(Clone, Copy, Debug)]
enum What {
    TargetDies,
    TargetFlaps,
    TargetGray,
    RegionDies,
    EverythingDies,
    CutOff,
    NoRoute,
    NoRouteTo,
    RegionCut,
    WitnessesGone,
    NoApi,
    Deaf,
    NoDns,
    NextWrites,
    ProviderDown,
    ProviderDenies,
    ProviderThrottles,
    SlowSync,
    Strand,
    ServerStuck,
    ServerSilent,
    NameRefused,
    Crash,
    CrashSoon,
    EmptyDisk,
    Pause,
    ClockJump,
    StoreFails,
    Reload,
    Person,
    EditRecord,
    EditFence,
}

/// How often each comes, for everybody.
const COMMON: &[(u64, What)] = &[
    (8, What::TargetDies),
    (3, What::TargetFlaps),
    (2, What::TargetGray),
    (3, What::RegionDies),
    (1, What::EverythingDies),
    (3, What::CutOff),
    (1, What::NoRoute),
    (1, What::NoRouteTo),
    (2, What::RegionCut),
    (2, What::WitnessesGone),
    (2, What::NoApi),
    (1, What::Deaf),
    (2, What::NoDns),
    (10, What::NextWrites),
    (1, What::ProviderDown),
    (1, What::ProviderDenies),
    (1, What::ProviderThrottles),
    (1, What::SlowSync),
    (1, What::Strand),
    (2, What::ServerStuck),
    (1, What::ServerSilent),
    (1, What::NameRefused),
    (3, What::Crash),
    (4, What::CrashSoon),
    (1, What::EmptyDisk),
    (4, What::Pause),
    (1, What::ClockJump),
    (2, What::StoreFails),
    (2, What::Reload),
    (4, What::Person),
    (1, What::EditRecord),
    (1, What::EditFence),
];

/// What one flavour has more of.
fn more(flavour: Flavour) -> &'static [(u64, What)] {
    match flavour {
        Flavour::Mixed => &[(10, What::TargetDies)],
        Flavour::Provider => &[
            (40, What::NextWrites),
            (20, What::TargetDies),
            (4, What::Strand),
            (4, What::SlowSync),
            (4, What::ServerStuck),
            (4, What::ProviderThrottles),
            (4, What::NameRefused),
        ],
        Flavour::Process => &[
            (20, What::TargetDies),
            (20, What::CrashSoon),
            (10, What::Pause),
            (8, What::Crash),
            (6, What::StoreFails),
            (5, What::Reload),
            (3, What::EmptyDisk),
            (3, What::ClockJump),
        ],
        Flavour::Sight => &[
            (25, What::CutOff),
            (10, What::RegionCut),
            (10, What::WitnessesGone),
            (8, What::NoRoute),
            (8, What::NoRouteTo),
            (8, What::EverythingDies),
            (10, What::TargetDies),
        ],
        Flavour::Hands => &[(40, What::Person), (15, What::EditRecord), (10, What::EditFence), (20, What::TargetDies)],
        Flavour::Targets => {
            &[(40, What::TargetDies), (20, What::TargetFlaps), (10, What::TargetGray), (20, What::RegionDies)]
        }
    }
}

const DEATHS: [DownReason; 3] = [DownReason::ConnectRefused, DownReason::ConnectTimeout, DownReason::Status(503)];

impl World {
    /// The zones as they stand before anybody starts.
    pub fn begin_zones(&mut self) {
        for n in 0..self.scene.policies.len() {
            let policy = self.scene.policies[n].clone();
            let zone = self.checker.zone_of(n);
            let lag = self.fate.within(0, 8_000);
            self.zones[zone].lag = [lag, lag / 2, self.fate.within(0, 20_000)];
            let members = Members::new(policy.indices().take(policy.answers as usize)).unwrap();
            for name in &policy.records {
                for set in sets_of(&policy, &members) {
                    self.zones[zone].edit(0, name, &set.rtype.clone(), Some(set));
                }
                if !self.scene.bare {
                    let fence = fence_name(name, &self.zones[zone].name).unwrap();
                    let value = self.fence_text(n, &members, 1, "prod/z", "adopt", "auto");
                    self.zones[zone].edit(0, &fence, "TXT", Some(LiveSet::values("TXT", 60, vec![value])));
                }
            }
        }
    }

    fn fence_text(&self, n: usize, to: &Members, epoch: u64, owner: &str, kind: &str, mode: &str) -> String {
        let policy = &self.scene.policies[n];
        let names: Vec<String> = policy.names(to).iter().map(ToString::to_string).collect();
        let unix = super::instance::WALL / 1000 + self.now / 1000;
        quote(&format!(
            "v=1 e={epoch} p={} o={owner} a=hand{} t={unix} k={kind} h=0 m={mode} u=0 c={} to={}",
            policy.id,
            self.now,
            policy.config_hash,
            names.join("/")
        ))
    }

    pub fn disturb(&mut self) {
        if self.calm {
            return;
        }
        let wait = self.fate.within(self.scene.pace / 10, self.scene.pace * 19 / 10);
        self.due(self.now + wait, Due::Disturb);
        self.counts.faults += 1;
        let all: Vec<(u64, What)> = COMMON.iter().chain(more(self.scene.flavour)).copied().collect();
        let what = self.fate.weighted(&all);
        self.say(|| format!("* {what:?}"));
        let n = self.fate.below(self.scene.policies.len());
        let i = self.fate.below(self.instances.len());
        let zone = self.checker.zone_of(n);
        let lasts = self.fate.weighted(&[(2, 8_000), (3, 40_000), (3, 180_000), (1, 900_000)]);
        let end = self.now + lasts + self.fate.within(0, lasts);
        match what {
            What::TargetDies => {
                let t = self.some_target(n);
                let death = *self.fate.pick(&DEATHS);
                self.live(n, t, Life::Dead(death), end);
            }
            What::TargetFlaps => {
                let t = self.some_target(n);
                let up = self.fate.weighted(&[(2, 1_000), (2, 12_000), (2, 90_000), (1, 900_000)]);
                let down = self.fate.weighted(&[(2, 2_000), (3, 15_000), (2, 90_000)]);
                let until = self.now + (up + down) * self.fate.within(2, 20);
                self.live(n, t, Life::Flaps { up, down, since: self.now }, until);
            }
            What::TargetGray => {
                let t = self.some_target(n);
                let chance = self.fate.weighted(&[(1, 5), (1, 30), (1, 70)]);
                self.live(n, t, Life::Gray(chance), end);
            }
            What::RegionDies => {
                let region = self.fate.below(self.scene.regions.len());
                self.region_dies(region, end);
            }
            What::EverythingDies => {
                let regions = self.scene.regions.len();
                for region in 0..regions {
                    let end = end + self.fate.within(0, 60_000);
                    self.region_dies(region, end);
                }
            }
            What::CutOff => self.cut(i, end, |links| links.black_hole = true),
            What::NoRoute => self.cut(i, end, |links| {
                links.no_route = true;
                links.no_api = true;
            }),
            What::NoRouteTo => {
                let region = self.fate.pick(&self.scene.regions).clone();
                let soon = self.now + self.fate.within(8_000, 20_000);
                self.cut(i, soon, |links| {
                    links.no_route_to.insert(region);
                });
            }
            What::RegionCut => {
                let region = self.fate.pick(&self.scene.regions).clone();
                self.cut(i, end, |links| {
                    links.cut.insert(region);
                });
            }
            What::WitnessesGone => {
                let gone = self.fate.within(1, 3) as usize;
                self.cut(i, end, |links| links.witnesses_gone = gone);
                if self.scene.flavour == Flavour::Sight && self.fate.percent(50) {
                    // Before the next calm round tells that they are gone.
                    let at = self.now + self.fate.within(0, 15_000);
                    let t = self.some_target(n);
                    self.due(at, Due::Trouble(Trouble::Life(n, t, Life::Dead(DEATHS[0]))));
                    self.due(at + lasts, Due::Trouble(Trouble::Life(n, t, Life::Up)));
                }
            }
            What::NoApi => self.cut(i, end, |links| links.no_api = true),
            What::Deaf => self.cut(i, end, |links| links.deaf = true),
            What::NoDns => self.cut(i, end, |links| links.no_dns = true),
            What::NextWrites => self.next_writes(),
            What::ProviderDown => self.provider.down_until = end,
            What::ProviderDenies => self.provider.denies_until = end,
            What::ProviderThrottles => self.provider.throttles_until = end,
            What::SlowSync => {
                let now = self.now;
                self.zones.iter_mut().for_each(|z| z.hold_sync(now, end));
            }
            What::Strand => {
                let now = self.now;
                if self.zones[zone].strand(now) {
                    let touched: Vec<usize> =
                        self.checker.zones.iter().enumerate().filter(|(_, z)| **z == zone).map(|(n, _)| n).collect();
                    touched.into_iter().for_each(|n| self.checker.tamper(n, now));
                }
            }
            What::ServerStuck => {
                let server = self.fate.below(SERVERS);
                self.zones[zone].stuck[server] = Some(self.now);
                self.due(end, Due::Trouble(Trouble::Server(zone, server)));
            }
            What::ServerSilent => {
                let server = self.fate.below(SERVERS);
                self.zones[zone].silent[server] = true;
                self.due(end, Due::Trouble(Trouble::Server(zone, server)));
            }
            What::NameRefused => {
                let name = self.scene.policies[n].records[0].clone();
                let named = self.fate.percent(60);
                self.zones[zone].refused.insert(name.clone(), named);
                self.due(end, Due::Trouble(Trouble::Accept(zone, name)));
            }
            What::Crash => self.crash(i),
            What::CrashSoon => {
                let after = self.fate.weighted(&[(3, 3), (3, 12), (2, 60)]);
                self.instances[i].dies_in = Some(self.fate.within(0, after) as u32);
            }
            What::EmptyDisk => {
                self.crash(i);
                self.instances[i].disk = super::instance::Disk::default();
            }
            What::Pause => {
                let secs = self.fate.weighted(&[(2, 5), (3, 60), (2, 600), (1, 2400)]);
                self.instances[i].paused_until = self.now + self.fate.within(500, secs * 1000);
            }
            What::ClockJump => {
                let by = *self.fate.pick(&[-3_600_000i64, 3_600_000, -90_000, 90_000, 2_000, -2_000, 0]);
                self.set_clock(i, by);
            }
            What::StoreFails => {
                self.instances[i].store_works = false;
                self.due(end, Due::Trouble(Trouble::Store(i, true)));
            }
            What::Reload => self.reload(i, n),
            What::Person => self.person(n),
            What::EditRecord => self.edit_record(n, end),
            What::EditFence => self.edit_fence(n),
        }
    }

    pub fn trouble(&mut self, trouble: Trouble) {
        self.say(|| format!("* {trouble:?}"));
        match trouble {
            Trouble::Life(n, t, life) => self.life[n][t] = life,
            Trouble::Links(i, links) => self.instances[i].links = links,
            Trouble::Store(i, works) => self.instances[i].store_works = works,
            Trouble::Server(zone, server) => {
                self.zones[zone].stuck[server] = None;
                self.zones[zone].silent[server] = false;
            }
            Trouble::Accept(zone, name) => drop(self.zones[zone].refused.remove(&name)),
            Trouble::Act(i, kind, n) => self.command(i, kind, n),
        }
    }

    /// The active target more often than another.
    fn some_target(&mut self, n: usize) -> usize {
        if self.fate.percent(60)
            && let Some(active) = self.published(n).first().copied()
        {
            return active;
        }
        self.fate.below(self.scene.policies[n].targets.len())
    }

    fn live(&mut self, n: usize, t: usize, life: Life, until: u64) {
        self.life[n][t] = life;
        self.due(until, Due::Trouble(Trouble::Life(n, t, Life::Up)));
    }

    fn region_dies(&mut self, region: usize, until: u64) {
        let region = self.scene.regions[region].clone();
        let death = *self.fate.pick(&DEATHS);
        for n in 0..self.scene.policies.len() {
            for t in 0..self.scene.policies[n].targets.len() {
                if self.scene.policies[n].targets[t].region == region {
                    self.live(n, t, Life::Dead(death), until);
                }
            }
        }
    }

    fn cut(&mut self, i: usize, until: u64, how: impl FnOnce(&mut Links)) {
        how(&mut self.instances[i].links);
        self.due(until, Due::Trouble(Trouble::Links(i, Links::default())));
    }

    fn next_writes(&mut self) {
        for _ in 0..self.fate.within(1, 4) {
            let late = self.fate.weighted(&[(3, 20_000), (3, 120_000), (2, 600_000), (1, 1_200_000)]);
            let fate = self.fate.weighted(&[
                (3, Fate::AnswerLost),
                (2, Fate::Lost),
                (5, Fate::Late(late)),
                (2, Fate::Twice(late)),
                (1, Fate::ServerError(true)),
                (1, Fate::ServerError(false)),
                (2, Fate::Throttled),
                (2, Fate::Busy),
            ]);
            self.provider.fates.push(fate);
        }
        let most = self.provider.fates.len().min(12);
        self.provider.fates.truncate(most);
    }

    pub fn set_clock(&mut self, i: usize, by: i64) {
        self.instances[i].clock_off = by;
        let offs = self.instances.iter().map(|one| one.clock_off);
        let apart = offs.clone().max().unwrap_or(0) - offs.min().unwrap_or(0);
        self.checker.skew = self.checker.skew.max(apart.unsigned_abs()).max(by.unsigned_abs());
    }

    /// The targets whose addresses the first record holds.
    pub fn published(&self, n: usize) -> Vec<usize> {
        let policy = &self.scene.policies[n];
        let rtype = policy.record_types()[0].as_str();
        let zone = &self.zones[self.checker.zone_of(n)];
        let values = zone.get(&policy.records[0], rtype).map(|set| set.values.clone()).unwrap_or_default();
        let holds = |t: &Target| t.addresses().is_some_and(|set| set.iter().any(|a| values.contains(&a.to_string())));
        policy.targets.iter().enumerate().filter(|(_, t)| holds(t)).map(|(t, _)| t).collect()
    }

    /// The configuration on one machine is changed and read again; sometimes it must be refused.
    fn reload(&mut self, i: usize, n: usize) {
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

    fn person(&mut self, n: usize) {
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
        let command = Command { kind, policy, by: "ann".into(), reason: "as drawn".into() };
        self.feed(i, Event::Command { id, command });
    }

    /// A person edits a record; who did it puts it right later, or somebody adopts.
    fn edit_record(&mut self, n: usize, _end: u64) {
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

    fn edit_fence(&mut self, n: usize) {
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

fn one_of(one: &mut super::instance::Instance, next: Vec<Policy>, n: usize, version: u64) {
    one.policies = next;
    one.versions[n] = version;
}

/// What a record holds when it publishes `members`.
pub fn sets_of(policy: &Policy, members: &Members) -> Vec<LiveSet> {
    let Some(Content::Addresses(all)) = policy.content(members) else { return Vec::new() };
    all.families()
        .into_iter()
        .filter_map(|family| {
            let values = all.of(family)?.iter().map(|a| a.to_string()).collect();
            Some(LiveSet::values(RecordType::from(family).as_str(), policy.ttl.secs(), values))
        })
        .collect()
}
