//! What a run writes down: one line each for what the engine did, told and knows, and the zone at
//! the end. The golden records of the scenarios are made of these lines; nothing here decides.

use failoverd::domain::*;
use failoverd::engine::fence::{FenceValue, unquote};
use failoverd::engine::journal::{JournalEntry, PolicySnapshot};
use failoverd::engine::notice::{Notice, Place};
use failoverd::engine::report;
use failoverd::engine::zone::{Change, LiveSet};

use super::zone::set_of;
use super::{WALL, World};

impl World {
    pub(super) fn say(&mut self, text: impl AsRef<str>) {
        if self.silent {
            return;
        }
        let stamp = format!("{:.1}s", self.now as f64 / 1000.0);
        self.log.push(format!("{stamp:>8} {}", text.as_ref()));
    }

    /// Transitions and notices of one entry.
    pub(super) fn say_entry(&mut self, entry: &JournalEntry) {
        if self.silent {
            return;
        }
        for t in &entry.transitions {
            self.say(format!("{:<10} {}", format!("{:?}", t.kind).to_lowercase(), t.text));
        }
        for n in &entry.notices {
            self.say(format!("NOTICE     {:?} {:?}: {}", n.severity, n.kind, n.title));
            self.say_notice(n);
        }
    }

    /// What the notice says below its title.
    fn say_notice(&mut self, n: &Notice) {
        let mut more: Vec<String> = n.why.iter().map(|line| format!("why  {line}")).collect();
        if let Some(m) = &n.moved {
            let from = m.from.as_ref().map_or("-".into(), place);
            let clocks: Vec<String> = [
                ("confirmed", m.clocks.confirmed),
                ("accepted", m.clocks.accepted),
                ("servers", m.clocks.every_server),
                ("insync", m.clocks.insync),
                ("verdict", m.clocks.verdict),
            ]
            .iter()
            .filter_map(|(name, d)| d.map(|d| format!("{name} {}ms", d.as_millis())))
            .collect();
            more.push(format!(
                "move {} {from} -> {}, ttl {}, epoch {}; {}",
                m.kind,
                place(&m.to),
                m.ttl.secs(),
                m.epoch,
                clocks.join(", ")
            ));
        }
        more.extend(n.next.iter().map(|line| format!("next {line}")));
        more.extend(n.undo.iter().map(|line| format!("undo {line}")));
        if !n.timeline.is_empty() {
            more.push(format!(
                "{} lines of timeline, incident {}",
                n.timeline.len(),
                n.incident.as_ref().map_or("-", |i| &i.0)
            ));
        }
        for line in more {
            self.log.push(format!("{:>10}|  {line}", ""));
        }
    }

    pub(super) fn snapshot_text(&self) -> String {
        let Some(s) = self.snapshots.values().next() else { return "none".into() };
        let ago = |at: UnixMs| format!("{:.1}s", (at.0 as f64 - WALL as f64) / 1000.0);
        let targets: Vec<String> =
            s.targets.iter().map(|t| format!("{} {} since {}", t.name, t.health, ago(t.since))).collect();
        let moves: Vec<String> = s.moves.iter().map(|m| ago(*m)).collect();
        format!(
            "epoch {}, {}; moves [{}], hold-down {}, locked {}, frozen {}, failback blocked {}, unverified {}",
            s.epoch,
            targets.join(", "),
            moves.join(" "),
            s.hold_down_until.map_or("-".into(), ago),
            s.locked.as_ref().map_or("-".into(), |l| format!("{} {}s", ago(l.since), l.hold_down.as_secs())),
            s.frozen.is_some(),
            s.failback_blocked,
            s.unverified
        ) + &self.snapshot_more(s)
    }

    /// What only some snapshots have.
    fn snapshot_more(&self, s: &PolicySnapshot) -> String {
        let mut more = String::new();
        for d in &s.drained {
            more += &format!("; {} drained{} by {}", d.target, if d.hard { " hard" } else { "" }, d.by);
        }
        if !s.trims.is_empty() || !s.fills.is_empty() {
            more += &format!("; trims {}, fills {}", s.trims.len(), s.fills.len());
        }
        if let Some(r) = &s.rehearsal {
            more += &format!("; rehearsal {}: {}", if r.ok { "ok" } else { "failed" }, r.detail);
        }
        more
    }

    pub(super) fn report(&mut self) {
        let now = self.now();
        let Some(r) = self.fleet.as_ref().and_then(|f| report(f, PolicyIdx(0), now)) else { return };
        let wanted = r.wanted.map_or("nothing".into(), |w| format!("{} to {}", w.kind, listed(&w.to)));
        self.say(format!("REPORT     state {:?}, wanted {wanted}", r.state));
        let b = r.brakes;
        let hold = b.hold_down.map_or("-".into(), |d| format!("{}ms", d.as_millis()));
        self.say(format!(
            "REPORT       moves {}/{}, hold-down {hold}, locked {}, blocked {}, unverified {}, moving {}, incident {}",
            b.moves_last_hour,
            b.flap_budget,
            b.locked,
            b.failback_blocked,
            b.unverified,
            r.moving.is_some(),
            r.incident.is_some()
        ));
        for t in &r.targets {
            let mark = if t.active { "*" } else { " " };
            let last = t.last.map_or("-".into(), |o| o.to_string());
            self.say(format!(
                "REPORT      {mark}{} {} since {:.1}s, {}/{} failures, {}/{} successes, last {last}",
                t.name,
                t.health,
                (t.since.0 as f64 - WALL as f64) / 1000.0,
                t.failures,
                t.fall,
                t.successes,
                t.rise
            ));
        }
        for (when, m) in [("now", &r.moving), ("last", &r.last_move)] {
            let Some(m) = m else { continue };
            let confirmed = m.clocks.confirmed.map_or("-".into(), |d| format!("{}ms", d.as_millis()));
            self.say(format!(
                "REPORT       {when}: {} to {} epoch {}, confirmed in {confirmed}: {:?} {}",
                m.kind,
                listed(&m.to),
                m.epoch,
                m.phase,
                m.detail
            ));
        }
        for d in r.targets.iter().filter_map(|t| Some((&t.name, t.drained.as_ref()?))) {
            self.say(format!("REPORT       {} drained: {}", d.0, d.1));
        }
        for o in &r.obstacles {
            let blocks = if o.blocks.is_empty() { "nothing".into() } else { listed(&o.blocks) };
            self.say(format!("REPORT       obstacle at {}, blocks {blocks}: {}; {}", o.record, o.text, o.next));
        }
        if let Some(rehearsal) = &r.rehearsal {
            self.say(format!(
                "REPORT       rehearsal {}: {}",
                if rehearsal.ok { "ok" } else { "failed" },
                rehearsal.detail
            ));
        }
        for refusal in r.refusals {
            self.say(format!("REPORT       {:?}: {}; {}", refusal.rule, refusal.text, refusal.change));
        }
    }

    pub(super) fn zone_text(&self) -> String {
        let mut parts = Vec::new();
        for (name, fence) in self.records() {
            let sets: Vec<String> = self.zone.at(&name).iter().map(set_text).collect();
            let sets = if sets.is_empty() { "nothing".into() } else { sets.join(" + ") };
            parts.push(format!("{name} {sets}"));
            let fence = self.zone.get(&fence, "TXT");
            let text = fence.and_then(|s| unquote(&s.values[0]));
            parts.push(match text.as_deref().map(FenceValue::parse) {
                None => "no fence".into(),
                Some(Ok(v)) => format!(
                    "fence e={} o={} k={} m={} h={} to={}",
                    v.epoch,
                    v.instance,
                    v.kind,
                    v.mode.as_str(),
                    v.moves,
                    v.to
                ),
                Some(Err(why)) => format!("fence unusable: {why}"),
            });
            if fence.is_some_and(|f| f.values.len() > 1) {
                parts.push("more than one value in the fence".into());
            }
        }
        parts.join("; ")
    }
}

pub(super) fn set_text(set: &LiveSet) -> String {
    let id = |what: &str, id: &Option<String>| id.as_ref().map_or(String::new(), |id| format!(" {what} {id}"));
    let content = match &set.alias {
        Some(alias) => alias.to_string(),
        None => format!("{} ttl {}", set.values.join(","), set.ttl.unwrap_or(0)),
    };
    let more = [id("id", &set.routing), id("health", &set.health_check), id("traffic", &set.traffic_policy)].concat();
    format!("{} {content}{more}", set.rtype)
}

pub(super) fn summary(changes: &[Change]) -> String {
    let one = |c: &Change| {
        let op = format!("{:?}", c.op).to_uppercase();
        let set = set_of(c);
        let fence = set.values.first().and_then(|v| unquote(v)).map(|text| FenceValue::parse(&text));
        let what = match (&set.alias, fence) {
            (Some(alias), _) => alias.to_string(),
            (_, Some(Ok(v))) => format!("e={} k={} m={}", v.epoch, v.kind, v.mode.as_str()),
            _ => set.values.join(","),
        };
        format!("{op} {} {what}", c.rtype)
    };
    changes.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn place(p: &Place) -> String {
    let names: Vec<&str> = p.targets.iter().map(|t| t.as_str()).collect();
    let regions: Vec<&str> = p.regions.iter().map(|r| r.as_str()).collect();
    format!("{} {} ({})", names.join("+"), p.content, regions.join("+"))
}

fn listed(names: &[TargetName]) -> String {
    if names.is_empty() {
        return "?".into();
    }
    names.iter().map(|n| n.as_str()).collect::<Vec<_>>().join("+")
}
