//! The script's vocabulary: what a step changes in the world, by the words it is written with.
//! TARGETS is one target's name or several joined by `+`; text between double quotes is one word.
//!
//! - `TARGET up | refuses | hangs | status N | no-such-name | wrong-answer | unreachable | no-resolver`;
//!   `TARGET published …`: only its probe at the published address tells this; `TARGET published same`.
//! - `witnesses answer | fail | hang`, `witness N answers | fails`, `window opens | closes`.
//! - `cmd [all] switch TARGETS [drain 30s] | failback | drain TARGET [hard] | undrain TARGET | release |
//!   takeover CLUSTER | force TARGETS | adopt TARGETS [repair] | apply | freeze | unfreeze | ack`;
//!   `save [KIND TARGETS [config=HASH]]`: the plan that `apply` carries out, on the zone as it is now.
//! - `hand puts NAME TYPE TTL VALUE… [id=… health=… traffic=…]`, `hand puts NAME TYPE alias HOST ZONE [eval]`,
//!   `hand removes NAME TYPE [id]`, `hand sets [RECORD] TARGETS|VALUE`, `hand ttl N`, `hand deletes record`,
//!   `hand rolls back`: a person edits the zone.
//! - `hand deletes fence`, `hand spoils fence`, `hand fence [RECORD] ttl N | second "TXT" | raw "TXT" |
//!   set KEY=VALUE…`: `v=2` is a newer version, `o=other/a` another cluster, `m=released` given up.
//! - `peer KIND [TARGETS] [KEY=VALUE…]`: another instance of our cluster writes the next epoch; `other …`:
//!   another cluster does. KIND is any kind of write, `freezes` or `unfreezes`; keys are the fence's.
//!   `peer clock behind SECONDS`.
//! - `api up | down | denies | denies-writes | lost-after | lost-before | throttles N | busy N`, `late lands`, `late never lands`,
//!   `zone refuses NAME [unnamed]`, `zone accepts NAME`, `zone recreated`, `zone private`, `calls`, `asks`, `quiet`.
//! - `dns fine | stale | silent`, `host NAME ADDRESS…`: what an alias's name resolves to,
//!   `delegation HOST… | unknown`, `rehearsal due`,
//!   `rehearsal fired SECOND`: the schedule fired then, and it is noticed now.
//! - `store works | fails`, `stops`: the process is told to end, `restart [empty|observe|attended|active]`, `report`.

use std::time::Duration;

use failoverd::domain::*;
use failoverd::engine::event::{Command, CommandKind, Event, SavedPlan};
use failoverd::engine::zone::RecordRead;
use failoverd::engine::{Mode, report};

use super::hands::{kind_of, words_of};
use super::record::summary;
use super::zone::{ApiMode, DnsMode};
use super::{Due, World};

impl World {
    pub(super) fn script(&mut self, line: &str) {
        if line != "report" && !self.silent {
            self.say(format!("> {line}"));
        }
        let words = words_of(line);
        self.keep_step(&words);
        match words.as_slice() {
            ["restart", rest @ ..] => {
                if rest == ["empty"] {
                    self.snapshots.clear();
                    self.intents.clear();
                }
                match rest {
                    ["observe"] => self.setup.mode = Mode::Observe,
                    ["attended"] => self.setup.mode = Mode::Attended,
                    ["active"] => self.setup.mode = Mode::Active,
                    _ => {}
                }
                self.due.retain(|_, due| matches!(due, Due::Script(_)));
                self.start();
            }
            ["freeze" | "unfreeze" | "ack"] | ["adopt", ..] => self.person(&words),
            ["cmd", rest @ ..] => self.person(rest),
            ["save", rest @ ..] => self.save(rest),
            ["rehearsal", "fired", at] => {
                let since = UnixMs(super::WALL + at.parse::<u64>().unwrap() * 1000);
                self.feed(Event::RehearsalDue { since });
            }
            ["rehearsal", "due"] => self.feed(Event::RehearsalDue { since: self.now().wall }),
            ["delegation", "unknown"] => self.delegation = None,
            ["delegation", hosts @ ..] => self.delegation = Some(hosts.iter().map(|h| (*h).to_owned()).collect()),
            ["host", name, addresses @ ..] => {
                let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
                self.zone.hosts.insert(RecordName::new(name).unwrap(), addresses);
            }
            ["zone", "recreated"] => {
                self.emptied = true;
                self.zone.recreate();
                self.forget_epochs();
            }
            ["zone", "private"] => self.zone.private = true,
            ["zone", "refuses", name, rest @ ..] => {
                self.zone.refused.insert(RecordName::new(name).unwrap(), rest != ["unnamed"]);
            }
            ["zone", "accepts", name] => drop(self.zone.refused.remove(&RecordName::new(name).unwrap())),
            ["witnesses", "hang"] => self.witnesses_hang = true,
            ["witnesses", what] => {
                self.witnesses_hang = false;
                self.witnesses.fill(*what == "answer");
            }
            ["witness", n, what] => self.witnesses[n.parse::<usize>().unwrap() - 1] = *what == "answers",
            ["window", what] => {
                self.window = Some(*what == "opens");
                self.tell_window();
            }
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
            ["api", "busy", n] => self.zone.api = ApiMode::Busy(n.parse().unwrap()),
            ["api", "throttles", n] => self.zone.api = ApiMode::Throttles(n.parse().unwrap()),
            ["late", "lands"] => {
                for changes in self.zone.late(self.now) {
                    let text = self
                        .zone
                        .apply(self.now, &changes)
                        .map_or_else(|e| format!("refused: {e}"), |_| "APPLIED".into());
                    self.say(format!("LATE       {} -> {text}", summary(&changes)));
                    self.check_applied();
                }
            }
            ["late", "never", "lands"] => drop(self.zone.late(self.now)),
            ["hand", rest @ ..] => {
                if matches!(rest, ["rolls", "back"] | ["fence", ..] | ["deletes" | "spoils", "fence"]) {
                    self.forget_epochs();
                }
                self.hand(rest);
            }
            ["start", rest @ ..] => self.begin_zone(rest),
            ["peer", "clock", "behind", secs] => self.peer_behind = secs.parse::<u64>().unwrap() * 1000,
            ["quiet"] => self.quiet = true,
            ["stops"] => self.feed(Event::Stopping),
            ["calls"] => {
                let calls = std::mem::take(&mut self.calls);
                self.say(format!("calls      {calls} since the last count"));
            }
            ["asks"] => {
                let asks = std::mem::take(&mut self.asks);
                self.say(format!("asks       {asks} rounds to all servers since the last count"));
            }
            ["peer", rest @ ..] => self.peer("prod/use1-b", rest),
            ["other", rest @ ..] => self.peer("other/euw1-x", rest),
            ["report"] if self.silent => {}
            ["report"] => self.report(),
            [target, rest @ ..] => {
                let idx = self.setup.policy.target_named(target).unwrap_or_else(|| panic!("`{line}` is no step"));
                match rest {
                    ["published", "same"] => drop(self.published.remove(&idx)),
                    ["published", rest @ ..] => {
                        let outcome = outcome(rest).unwrap_or_else(|| panic!("`{line}` is no step"));
                        self.published.insert(idx, outcome);
                    }
                    rest => {
                        self.outcomes[idx.index()] = outcome(rest).unwrap_or_else(|| panic!("`{line}` is no step"));
                    }
                }
            }
            [] => {}
        }
    }

    fn command(&mut self, policy: Option<PolicyIdx>, kind: CommandKind) {
        let command = Command { kind, policy, by: "ann".into(), reason: "test".into() };
        self.feed(Event::Command { id: 1, command });
    }

    fn members(&self, text: &str) -> Members {
        let target = |name| self.setup.policy.target_named(name).unwrap_or_else(|| panic!("no target `{name}`"));
        Members::new(text.split('+').map(target)).unwrap()
    }

    /// A plan as it would have been saved now: `[KIND TARGETS [config=HASH]]`, default what is wanted.
    fn save(&mut self, words: &[&str]) {
        let (kind, to) = match words {
            [kind, to, ..] => (kind_of(kind), self.members(to)),
            _ => {
                let report = self.fleet.as_ref().and_then(|f| report(f, PolicyIdx(0), self.now())).unwrap();
                let wanted = report.wanted.expect("nothing is wanted");
                let names: Vec<&str> = wanted.to.iter().map(|n| n.as_str()).collect();
                (wanted.kind, self.members(&names.join("+")))
            }
        };
        let config = words.iter().find_map(|w| w.strip_prefix("config="));
        let config = config.unwrap_or(&self.setup.policy.config_hash).to_owned();
        let records = self.records().into_iter();
        let zone = records.map(|(name, fence)| RecordRead { sets: self.zone.at(&name), fence: self.zone.at(&fence) });
        let zone = zone.collect();
        self.saved = Some(SavedPlan { kind, to, zone, config });
    }

    /// `[all] VERB …`: a person's command.
    fn person(&mut self, words: &[&str]) {
        if let ["all", rest @ ..] = words {
            return self.command(None, self.command_kind(rest));
        }
        self.command(Some(PolicyIdx(0)), self.command_kind(words));
    }

    fn command_kind(&self, words: &[&str]) -> CommandKind {
        let target = |name: &str| self.members(name).iter().next().unwrap();
        match words {
            ["freeze"] => CommandKind::Freeze,
            ["unfreeze"] => CommandKind::Unfreeze,
            ["ack"] => CommandKind::Ack,
            ["adopt", to] => CommandKind::Adopt { to: self.members(to), repair: false },
            ["adopt", to, "repair"] => CommandKind::Adopt { to: self.members(to), repair: true },
            ["switch", to] => CommandKind::Switch { to: self.members(to), drain: Duration::ZERO },
            ["switch", to, "drain", time] => {
                let secs = time.strip_suffix('s').unwrap().parse().unwrap();
                CommandKind::Switch { to: self.members(to), drain: Duration::from_secs(secs) }
            }
            ["failback"] => CommandKind::Failback,
            ["drain", name] => CommandKind::Drain { target: target(name), hard: false },
            ["drain", name, "hard"] => CommandKind::Drain { target: target(name), hard: true },
            ["undrain", name] => CommandKind::Undrain { target: target(name) },
            ["release"] => CommandKind::Release,
            ["takeover", from] => CommandKind::Takeover { from: ClusterName::new(from).unwrap() },
            ["force", to] => CommandKind::Force { to: self.members(to) },
            ["apply"] => CommandKind::Apply(Box::new(self.saved.clone().expect("no plan was saved"))),
            other => panic!("`cmd {other:?}` is no command"),
        }
    }
}

fn outcome(words: &[&str]) -> Option<Outcome> {
    Some(match words {
        ["up"] => Outcome::Up,
        ["refuses"] => Outcome::Down(DownReason::ConnectRefused),
        ["hangs"] => Outcome::Down(DownReason::ConnectTimeout),
        ["status", code] => Outcome::Down(DownReason::Status(code.parse().ok()?)),
        ["no-such-name"] => Outcome::Down(DownReason::NoSuchName),
        ["wrong-answer"] => Outcome::Down(DownReason::WrongAnswer),
        ["unreachable"] => Outcome::Unknown(UnknownReason::NoRoute),
        ["no-resolver"] => Outcome::Unknown(UnknownReason::Resolver),
        _ => return None,
    })
}
