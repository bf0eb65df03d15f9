//! What goes wrong, and when it ends. Every disturbance is drawn from the seed's own stream; it
//! changes how things are and tells no engine.

use failoverd::domain::*;
use failoverd::engine::event::CommandKind;
use failoverd::engine::fence::{fence_name, quote};
use failoverd::engine::zone::LiveSet;

use super::provider::Fate;
use super::scene::Flavour;
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

    pub(super) fn fence_text(&self, n: usize, to: &Members, epoch: u64, owner: &str, kind: &str, mode: &str) -> String {
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
                let until = self.now + self.fate.within(500, secs * 1000);
                // Another pause never ends the one it came in: what waits for its end would come out of order.
                self.instances[i].paused_until = self.instances[i].paused_until.max(until);
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
