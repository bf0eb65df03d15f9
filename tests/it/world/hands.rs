//! Other hands in the zone: a person or a tool that edits it, an instance of our cluster, another
//! cluster. They write as they like; whether the engine copes is what scenarios show.

use failoverd::domain::*;
use failoverd::engine::fence::{FENCE_TTL, FenceValue, quote, target_token, unquote};
use failoverd::engine::intent::Kind;
use failoverd::engine::plan;
use failoverd::engine::zone::LiveSet;

use super::{World, unix_now};

impl World {
    pub(super) fn hand(&mut self, words: &[&str]) {
        let records = self.records();
        let types: Vec<&str> = self.setup.policy.record_types().into_iter().map(RecordType::as_str).collect();
        match words {
            // The zone as it was before the first change of this run.
            ["rolls", "back"] => self.zone.roll_back(),
            ["deletes", "record"] => {
                self.emptied = true;
                for (name, _) in &records {
                    types.iter().for_each(|t| self.zone.remove(name, t, None));
                }
            }
            ["deletes", "fence"] => records.iter().for_each(|(_, fence)| self.zone.remove(fence, "TXT", None)),
            ["spoils", "fence"] => {
                records.iter().for_each(|(_, fence)| self.zone.put(fence, "TXT", FENCE_TTL, vec![quote("hello")]));
            }
            ["fence", rest @ ..] => {
                let (only, edit) = match rest {
                    [name, edit @ ..] if name.contains('.') => (Some(RecordName::new(name).unwrap()), edit),
                    edit => (None, edit),
                };
                for (name, fence) in records {
                    if only.as_ref().is_none_or(|only| *only == name) {
                        self.edit_fence(&fence, edit);
                    }
                }
            }
            ["ttl", ttl] => {
                for (name, _) in &records {
                    for rtype in &types {
                        let Some(old) = self.zone.get(name, rtype).cloned() else { continue };
                        self.zone.put(name, rtype, ttl.parse().unwrap(), old.values);
                    }
                }
            }
            ["sets", what] => records.iter().for_each(|(name, _)| self.publish(name, what)),
            ["sets", record, what] => self.publish(&RecordName::new(record).unwrap(), what),
            ["puts", name, rtype, rest @ ..] => self.zone.put_set(&RecordName::new(name).unwrap(), set(rtype, rest)),
            ["removes", name, rtype, id @ ..] => {
                self.emptied = true;
                self.zone.remove(&RecordName::new(name).unwrap(), rtype, id.first().copied());
            }
            other => panic!("`hand {other:?}` is no step"),
        }
        self.zone.publish();
    }

    fn edit_fence(&mut self, fence: &RecordName, words: &[&str]) {
        let mut set = self.zone.get(fence, "TXT").cloned().unwrap_or(LiveSet::values("TXT", FENCE_TTL, Vec::new()));
        match words {
            ["ttl", ttl] => set.ttl = ttl.parse().ok(),
            ["second", raw] => set.values.push((*raw).to_owned()),
            ["raw", raw] => set.values = vec![(*raw).to_owned()],
            ["set", pairs @ ..] => {
                let mut text = unquote(&set.values[0]).unwrap();
                for pair in pairs {
                    let key = format!("{}=", pair.split_once('=').unwrap().0);
                    let kept: Vec<&str> = text.split(' ').filter(|word| !word.starts_with(&key)).collect();
                    text = format!("{} {pair}", kept.join(" "));
                }
                set.values = vec![quote(&text)];
            }
            other => panic!("`hand fence {other:?}` is no step"),
        }
        self.zone.put_set(fence, set);
    }

    /// The record holds what publishes `what`: targets joined by `+`, or one value.
    fn publish(&mut self, name: &RecordName, what: &str) {
        let policy = &self.setup.policy;
        let members = what.split('+').map(|t| policy.target_named(t)).collect::<Option<Vec<_>>>();
        let content = members.and_then(Members::new).and_then(|m| policy.content(&m));
        let sets = match content {
            Some(content) => plan::sets(&content, policy.ttl, &self.zone.at(name)),
            None => vec![LiveSet::values(policy.record_types()[0].as_str(), policy.ttl.secs(), vec![what.to_owned()])],
        };
        sets.into_iter().for_each(|set| self.zone.put_set(name, set));
    }

    /// `TARGETS|VALUE|nothing [adopted|bare|foreign]`: the zone before the first read.
    pub(super) fn begin_zone(&mut self, words: &[&str]) {
        let (what, fence) = (words[0], words.get(1).copied().unwrap_or("adopted"));
        self.emptied |= what == "nothing";
        for (name, fence_name) in self.records() {
            if what != "nothing" {
                self.publish(&name, what);
            }
            if fence != "bare" {
                let owner = if fence == "foreign" { "other/use1-a" } else { "prod/use1-a" };
                let (kind, to) = (Kind::Adopt, token(what));
                self.write_fence(&fence_name, owner, 41, kind, "auto", &to, &[]);
            }
        }
        self.zone.begin();
    }

    /// `KIND [TARGETS] [key=value …]`: another instance writes, at the epoch after the one that
    /// stands; keys are those of the fence. `freezes` and `unfreezes` are kinds with a mode.
    pub(super) fn peer(&mut self, owner: &str, words: &[&str]) {
        let (kind, mode) = match words[0] {
            "freezes" => (Kind::Freeze, "frozen"),
            "unfreezes" => (Kind::Unfreeze, "auto"),
            "release" => (Kind::Release, "released"),
            "force" => (Kind::Force, "forced"),
            kind => (kind_of(kind), "auto"),
        };
        let (keys, to): (Vec<&str>, Vec<&str>) = words[1..].iter().copied().partition(|w| w.contains('='));
        for (name, fence) in self.records() {
            let old = self.zone.get(&fence, "TXT").and_then(|s| unquote(&s.values[0]));
            let old = old.and_then(|text| FenceValue::parse(&text).ok());
            let epoch = old.as_ref().map_or(1, |old| old.epoch.0 + 1);
            let token = to.first().map_or_else(|| old.map(|old| old.to).unwrap_or_default(), |what| token(what));
            self.write_fence(&fence, owner, epoch, kind, mode, &token, &keys);
            if let Some(what) = to.first() {
                self.publish(&name, what);
            }
        }
        self.zone.publish();
    }

    #[allow(clippy::too_many_arguments)]
    fn write_fence(
        &mut self,
        fence: &RecordName,
        owner: &str,
        epoch: u64,
        kind: Kind,
        mode: &str,
        to: &str,
        keys: &[&str],
    ) {
        let instance = owner.split_once('/').unwrap().1;
        let text = format!(
            "v=1 e={epoch} p={} o={owner} a={instance}-{epoch} t={} k={kind} h={} m={mode} u=0 c={} to={to}",
            self.setup.policy.id,
            unix_now(self.now, self.peer_behind),
            u32::from(kind.is_counted_move()),
            self.setup.policy.config_hash,
        );
        self.zone.put(fence, "TXT", FENCE_TTL, vec![quote(&text)]);
        if !keys.is_empty() {
            self.edit_fence(fence, &[&["set"], keys].concat());
        }
    }
}

/// `TTL [id=… health=… traffic=…] VALUE…` or `alias NAME ZONE [eval] [id=…]`.
fn set(rtype: &str, words: &[&str]) -> LiveSet {
    let (keys, words): (Vec<&str>, Vec<&str>) =
        words.iter().partition(|w| ["id=", "health=", "traffic="].iter().any(|k| w.starts_with(k)));
    let mut set = match words.as_slice() {
        ["alias", rest @ ..] => LiveSet::alias(rtype, alias_of(rest)),
        [ttl, values @ ..] => {
            LiveSet::values(rtype, ttl.parse().unwrap(), values.iter().map(|v| (*v).to_owned()).collect())
        }
        [] => panic!("a set has a TTL and values"),
    };
    for key in keys {
        let (key, value) = key.split_once('=').unwrap();
        let part = match key {
            "id" => &mut set.routing,
            "health" => &mut set.health_check,
            _ => &mut set.traffic_policy,
        };
        *part = Some(value.to_owned());
    }
    set
}

/// `NAME ZONE [eval]`.
pub fn alias_of(words: &[&str]) -> AliasTarget {
    AliasTarget {
        name: RecordName::new(words[0]).unwrap(),
        zone_id: ZoneId::new(words[1]),
        evaluate_target_health: words.get(2) == Some(&"eval"),
    }
}

pub(super) fn kind_of(text: &str) -> Kind {
    Kind::ALL.into_iter().find(|k| k.as_str() == text).unwrap_or_else(|| panic!("`{text}` is no kind of write"))
}

/// The words of a step; what stands between double quotes is one word, quotes included.
pub(super) fn words_of(line: &str) -> Vec<&str> {
    let mut quoted = false;
    line.split(|c: char| {
        quoted ^= c == '"';
        c.is_whitespace() && !quoted
    })
    .filter(|word| !word.is_empty())
    .collect()
}

fn token(what: &str) -> String {
    target_token(&what.split('+').collect::<Vec<_>>())
}
