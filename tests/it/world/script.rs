//! The script's vocabulary: what a step changes in the world, by the words it is written with.

use failoverd::domain::*;
use failoverd::engine::Mode;
use failoverd::engine::event::{Command, CommandKind, Event};
use failoverd::engine::fence::{FENCE_TTL, FenceKind, FenceMode, FenceValue, fence_name, quote, unquote};
use failoverd::engine::intent::Kind;

use super::record::summary;
use super::zone::{ApiMode, DnsMode};
use super::{Due, World, zone_name};

impl World {
    pub(super) fn script(&mut self, line: &str) {
        if line != "report" {
            self.say(format!("> {line}"));
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["restart", rest @ ..] => {
                if rest == ["empty"] {
                    self.snapshots.clear();
                    self.intents.clear();
                }
                if rest == ["observe"] {
                    self.setup.mode = Mode::Observe;
                }
                self.due.retain(|_, due| matches!(due, Due::Script(_)));
                self.start();
            }
            ["freeze"] => self.command(CommandKind::Freeze),
            ["unfreeze"] => self.command(CommandKind::Unfreeze),
            ["ack"] => self.command(CommandKind::Ack),
            ["adopt", target] => self.command(CommandKind::Adopt {
                to: Members::one(self.setup.policy.target_named(target).unwrap()),
                repair: false,
            }),
            ["witnesses", "hang"] => self.witnesses_hang = true,
            ["witnesses", what] => {
                self.witnesses_hang = false;
                self.witnesses.fill(*what == "answer");
            }
            ["witness", n, what] => self.witnesses[n.parse::<usize>().unwrap() - 1] = *what == "answers",
            ["window", what] => self.feed(Event::Window { policy: PolicyIdx(0), open: *what == "opens" }),
            ["store", what] => self.store_works = *what == "works",
            ["dns", "stale"] => self.zone.dns = DnsMode::Stale,
            ["dns", "silent"] => self.zone.dns = DnsMode::Silent,
            ["dns", "fine"] => self.zone.dns = DnsMode::Fine,
            ["api", "up"] => self.zone.api = ApiMode::Up,
            ["api", "down"] => self.zone.api = ApiMode::Down,
            ["api", "denies"] => self.zone.api = ApiMode::Denies,
            ["api", "denies-writes"] => self.zone.api = ApiMode::DeniesWrites,
            ["api", "lost-after"] => self.zone.api = ApiMode::LostAfterCommit,
            ["api", "lost-before"] => self.zone.api = ApiMode::LostBeforeCommit,
            ["api", "throttles", n] => self.zone.api = ApiMode::Throttles(n.parse().unwrap()),
            ["late", "lands"] => {
                for changes in self.zone.late() {
                    let text = self
                        .zone
                        .apply(self.now, &changes)
                        .map_or_else(|e| format!("refused: {e}"), |_| "APPLIED".into());
                    self.say(format!("LATE       {} -> {text}", summary(&changes)));
                }
            }
            ["hand", rest @ ..] => self.hand(rest),
            ["start", rest @ ..] => self.begin_zone(rest),
            ["peer", "failover", target] => self.peer(Kind::Failover, FenceMode::Auto, Some(target)),
            ["peer", "clock", "behind", secs] => self.peer_behind = secs.parse::<u64>().unwrap() * 1000,
            ["quiet"] => self.quiet = true,
            ["calls"] => {
                let calls = std::mem::take(&mut self.calls);
                self.say(format!("calls      {calls} since the last count"));
            }
            ["peer", "freezes"] => self.peer(Kind::Freeze, FenceMode::Frozen, None),
            ["peer", "unfreezes"] => self.peer(Kind::Unfreeze, FenceMode::Auto, None),
            ["report"] => self.report(),
            [target, rest @ ..] => {
                let idx = self.setup.policy.target_named(target).unwrap_or_else(|| panic!("`{line}` is no step"));
                self.outcomes[idx.index()] = match rest {
                    ["up"] => Outcome::Up,
                    ["refuses"] => Outcome::Down(DownReason::ConnectRefused),
                    ["hangs"] => Outcome::Down(DownReason::ConnectTimeout),
                    ["status", code] => Outcome::Down(DownReason::Status(code.parse().unwrap())),
                    ["unreachable"] => Outcome::Unknown(UnknownReason::NoRoute),
                    _ => panic!("`{line}` is no step"),
                };
            }
            [] => {}
        }
    }

    fn command(&mut self, kind: CommandKind) {
        let command = Command { kind, policy: Some(PolicyIdx(0)), by: "ann".into(), reason: "test".into() };
        self.feed(Event::Command { id: 1, command });
    }

    fn hand(&mut self, words: &[&str]) {
        let names = self.setup.policy.records.clone();
        let fences: Vec<RecordName> = names.iter().map(|n| fence_name(n, &zone_name()).unwrap()).collect();
        match words {
            // The zone as it was before the first change of this run.
            ["rolls", "back"] => self.zone.roll_back(),
            ["deletes", "record"] => names.iter().for_each(|n| self.zone.remove(n, "A")),
            ["deletes", "fence"] => fences.iter().for_each(|n| self.zone.remove(n, "TXT")),
            ["spoils", "fence"] => fences.iter().for_each(|n| self.zone.put(n, "TXT", FENCE_TTL, vec![quote("hello")])),
            ["ttl", ttl] => {
                for name in &names {
                    let old = self.zone.get(name, "A").cloned().unwrap();
                    self.zone.put(name, "A", ttl.parse().unwrap(), old.values);
                }
            }
            ["sets", what] => {
                let values = self.values(what);
                names.iter().for_each(|n| self.zone.put(n, "A", self.setup.policy.ttl.secs(), values.clone()));
            }
            ["sets", record, what] => {
                let values = self.values(what);
                self.zone.put(&RecordName::new(record).unwrap(), "A", self.setup.policy.ttl.secs(), values);
            }
            other => panic!("`hand {other:?}` is no step"),
        }
        self.zone.publish();
    }

    fn values(&self, what: &str) -> Vec<String> {
        match self.setup.policy.target_named(what) {
            Some(idx) => {
                self.setup.policy.targets[idx.index()].addresses().unwrap().iter().map(|a| a.to_string()).collect()
            }
            None => vec![what.to_owned()],
        }
    }

    /// `TARGET|ADDRESS|nothing [adopted|foreign]`: the zone before the first read.
    fn begin_zone(&mut self, words: &[&str]) {
        let (what, fence) = (words[0], words.get(1).copied().unwrap_or("adopted"));
        for name in self.setup.policy.records.clone() {
            if what != "nothing" {
                self.zone.put(&name, "A", self.setup.policy.ttl.secs(), self.values(what));
            }
            if fence != "bare" {
                let cluster = if fence == "foreign" { "other" } else { "prod" };
                let value = self.fence_value(cluster, "use1-a", 41, Kind::Adopt, FenceMode::Auto, what);
                self.zone.put(
                    &fence_name(&name, &zone_name()).unwrap(),
                    "TXT",
                    FENCE_TTL,
                    vec![quote(&value.encode())],
                );
            }
        }
        self.zone.begin();
    }

    fn fence_value(
        &self,
        cluster: &str,
        instance: &str,
        epoch: u64,
        kind: Kind,
        mode: FenceMode,
        to: &str,
    ) -> FenceValue {
        FenceValue {
            epoch: Epoch(epoch),
            policy: self.setup.policy.id.clone(),
            cluster: ClusterName::new(cluster).unwrap(),
            instance: InstanceName::new(instance).unwrap(),
            attempt: format!("{instance}-{epoch}"),
            written: UnixMs(self.now().wall.0 - self.peer_behind),
            kind: FenceKind::Known(kind),
            moves: u32::from(kind.is_automatic_move()),
            mode,
            until: UnixMs(0),
            config: self.setup.policy.config_hash.clone(),
            to: to.to_owned(),
        }
    }

    /// Another instance of our cluster writes, as the fence allows it.
    fn peer(&mut self, kind: Kind, mode: FenceMode, target: Option<&str>) {
        for name in self.setup.policy.records.clone() {
            let fence = fence_name(&name, &zone_name()).unwrap();
            let old = self.zone.get(&fence, "TXT").and_then(|s| unquote(&s.values[0])).unwrap();
            let old = FenceValue::parse(&old).unwrap();
            let value = self.fence_value("prod", "use1-b", old.epoch.0 + 1, kind, mode, target.unwrap_or(&old.to));
            self.zone.put(&fence, "TXT", FENCE_TTL, vec![quote(&value.encode())]);
            if let Some(target) = target {
                self.zone.put(&name, "A", self.setup.policy.ttl.secs(), self.values(target));
            }
        }
        self.zone.publish();
    }
}
