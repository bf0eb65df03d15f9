//! What `doctor` can find: every id with its severity, its meaning and why it matters, in one table.
//! The ids are a contract, others script against them and the manual lists them. Finds nothing itself.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::domain::{PolicyId, TargetName};

/// How bad a finding is, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// A failover would be refused, or go wrong.
    Critical,
    /// A person should look.
    Warning,
    /// Good to know; leaves the exit code at 0.
    Note,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub id: &'static str,
    pub severity: Severity,
    /// What it says.
    pub meaning: &'static str,
    /// Why it matters.
    pub why: &'static str,
}

/// Something a person should look at, and what to type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub id: FindingId,
    pub severity: Severity,
    /// `None`: it concerns more than one policy, or none.
    pub policy: Option<PolicyId>,
    pub record: Option<String>,
    pub target: Option<TargetName>,
    /// What stands there.
    pub text: String,
    pub why: &'static str,
    /// What to type or do.
    pub next: String,
}

/// What was written this much later than now was written by another clock.
pub const CLOCKS_DIFFER: Duration = Duration::from_secs(5 * 60);

/// Longest text of a finding, characters: names and messages come from outside.
const LONGEST: usize = 600;

impl Finding {
    pub fn new(id: FindingId, text: impl Into<String>, next: impl Into<String>) -> Finding {
        let Known { severity, why, .. } = id.known();
        let (text, next) = (short(text.into()), short(next.into()));
        Finding { id, severity: *severity, policy: None, record: None, target: None, text, why, next }
    }

    pub fn of(mut self, policy: &PolicyId) -> Finding {
        self.policy = Some(policy.clone());
        self
    }

    pub fn at(mut self, record: impl ToString) -> Finding {
        self.record = Some(record.to_string());
        self
    }

    pub fn about(mut self, target: &TargetName) -> Finding {
        self.target = Some(target.clone());
        self
    }
}

fn short(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

impl Serialize for FindingId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl FindingId {
    pub fn as_str(self) -> &'static str {
        self.known().id
    }
}

macro_rules! table {
    ($($name:ident $id:literal $severity:ident $meaning:literal $why:literal)*) => {
        /// The kinds of findings, in the order of the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FindingId { $(#[doc = $meaning] $name,)* }

        /// Every finding there is.
        pub const KNOWN: &[Known] = &[
            $(Known { id: $id, severity: Severity::$severity, meaning: $meaning, why: $why },)*
        ];

        impl FindingId {
            /// Its line in the table.
            pub fn known(self) -> &'static Known {
                match self {
                    $(FindingId::$name => &Known {
                        id: $id, severity: Severity::$severity, meaning: $meaning, why: $why,
                    },)*
                }
            }
        }
    };
}

table! {
    ZoneGone "zone-gone" Critical
        "The provider does not know the zone."
        "no record in it can be read or moved"
    ZoneRecreated "zone-recreated" Critical
        "The zone was deleted and made anew: another zone has its name."
        "its fences are gone with it, and the world may still ask the old one"
    ZoneUnlisted "zone-unlisted" Critical
        "The zone cannot be found or listed."
        "what cannot be read cannot be moved, and orphans in it cannot be found"
    DelegatedElsewhere "delegated-elsewhere" Critical
        "The world asks other name servers than the zone's."
        "moves written here are not seen by everybody"
    Blind "blind" Critical
        "This controller may be cut off from the world."
        "nothing is moved automatically while it cannot see"
    NoSight "no-sight" Critical
        "Too few witnesses answer to trust a verdict."
        "a failover needs a majority of the witnesses, and of those tied to the region it leaves"
    WitnessSilent "witness-silent" Warning
        "A witness does not answer."
        "each one that is lost brings a failover nearer to being refused for lack of sight"
    FewWitnesses "few-witnesses" Note
        "Fewer than three witnesses are configured."
        "one that is down then decides alone, or nobody tells whether this controller is cut off"
    StateUnreadable "state-unreadable" Critical
        "The state file cannot be read."
        "without it no automatic write is made, and brakes are known from the fences only"
    StoreFailed "store-failed" Critical
        "The daemon cannot write its state."
        "no automatic write is made until it can"
    ClockOff "clock-off" Warning
        "This machine's clock and a writer's differ by minutes."
        "a request signed with a wrong time is refused by the provider, and brakes last wrongly long"
    Observing "observing" Critical
        "The daemon only observes."
        "it would tell of a failover and not make it"
    NotRun "not-run" Critical
        "The daemon does not run a policy that the files have."
        "nobody watches its records"
    NotReloaded "not-reloaded" Warning
        "The daemon runs something else than what the files say."
        "tonight it acts on what it read before"
    DaemonTrouble "daemon-trouble" Critical
        "The provider gives the daemon no usable answer."
        "it moves nothing that it cannot read or may not write, whatever this look is allowed"
    DaemonSilent "daemon-silent" Warning
        "A daemon is there and could not be asked."
        "whether it would send a failover is not known, nor what only it knows (writes refused, a full disk)"
    NoDaemon "no-daemon" Warning
        "No daemon answers for this state file, and no pass was made within 10 minutes."
        "a failover is made by a daemon, or by the next scheduled `once`: by nobody, as it looks"
    TimedPasses "timed-passes" Note
        "No daemon answers for this state file; the last pass of `once` is younger than 10 minutes."
        "a failover waits for the next pass"
    NoticesDead "notices-dead" Warning
        "Notices were given up undelivered."
        "people were not told of what happened"
    NotifierUnreadable "notifier-unreadable" Warning
        "A notifier's secret cannot be read."
        "nobody is told through it; its notices wait, at most 3 days"
    PolicyForgotten "policy-forgotten" Warning
        "The state file remembers a policy that is not configured."
        "nobody watches its records any more"
    Orphan "orphan" Warning
        "No policy manages a record that has a fence of our cluster."
        "nobody moves it, and the fence says that somebody does"
    OrphanUnreadable "orphan-unreadable" Warning
        "A TXT record below `_failoverd` is no policy's and cannot be read as a fence."
        "a policy that gets this record one day cannot write it"
    ActiveDown "active-down" Critical
        "A published target is down now."
        "clients are sent there"
    NoCandidate "no-candidate" Critical
        "No standby could take over."
        "the record would stay where it is, and people would be paged"
    DrainedForGood "drained-for-good" Critical
        "The only healthy standbys are drained hard."
        "a target drained hard is no destination, not even the last one"
    AllBlocked "all-blocked" Critical
        "The zone would refuse the move to every healthy standby."
        "the provider refuses the whole batch, so nothing would move"
    TargetBlocked "target-blocked" Warning
        "The zone would refuse a move to a target."
        "it is no destination until that is cleared"
    MoveMisses "move-misses" Warning
        "A move would leave something at the name behind."
        "clients that use it would not move"
    RecordUnread "record-unread" Critical
        "The live record could not be read."
        "without it nothing is moved"
    RecordAbsent "record-absent" Critical
        "The record does not exist."
        "nothing is moved until a person adopts it"
    RecordForeign "record-foreign" Critical
        "The record holds what is no target's."
        "what a person or another tool put there is not overwritten"
    RecordSplit "record-split" Critical
        "The records publish a mixture of targets."
        "which target is active cannot be told, so nothing is moved"
    RecordUnreadable "record-unreadable" Critical
        "The record holds something that cannot be understood."
        "nothing is moved until it is corrected"
    NotAdopted "not-adopted" Critical
        "A record has no fence yet."
        "without one no automatic move is made"
    Released "released" Critical
        "A record was given up by our cluster."
        "nothing is written until a person adopts it"
    FenceForeign "fence-foreign" Critical
        "A record belongs to another cluster."
        "it is only watched here"
    FenceGone "fence-gone" Critical
        "A fence that was written is gone."
        "somebody deleted it; a stale write could land, so none is made"
    FenceSpoiled "fence-spoiled" Critical
        "A fence cannot be read."
        "whose the record is cannot be told, so nothing is written"
    FenceDoubled "fence-doubled" Critical
        "A fence has more than one value."
        "which write was the last cannot be told, so nothing is written"
    FenceNewer "fence-newer" Critical
        "A fence was written by a newer program."
        "an older program never writes over it"
    FenceShared "fence-shared" Critical
        "One of a fence's values is another cluster's."
        "whose the record is cannot be told, so nothing is written"
    FenceSteered "fence-steered" Critical
        "A fence is not one simple TXT set."
        "it cannot be replaced exactly, so nothing is written"
    Frozen "frozen" Critical
        "A person, or the fleet's brakes, stopped automatic writes."
        "nothing is moved until the unfreeze"
    Forced "forced" Critical
        "A person forced the record."
        "automatic moves wait for the unfreeze"
    LockedOut "locked-out" Critical
        "Locked out after too many automatic moves."
        "only now and then one move away from a dead target is made, until the ack"
    FlapBudget "flap-budget" Critical
        "The automatic moves of this hour are used up."
        "the next failover would lock the policy out instead"
    WriteRefused "write-refused" Critical
        "The provider refused the last write."
        "the next one will most likely be refused too"
    FleetFrozen "fleet-frozen" Critical
        "The move would freeze the whole fleet."
        "a second region or the way back within minutes is more likely our own error"
    FailoverRefused "failover-refused" Critical
        "A failover would be refused by another rule."
        "the record would stay where it is"
    HoldDown "hold-down" Warning
        "The hold-down of the last move is not over."
        "a failover waits for its end"
    PeerRecent "peer-recent" Warning
        "Another instance moved the record just now."
        "its move is not reversed at once"
    FleetGuard "fleet-guard" Warning
        "So many policies moved lately that the fleet guard holds the next."
        "a failover of one more waits"
    Unverified "unverified" Warning
        "The last move could not be proven."
        "where traffic is was not seen from outside, and optional moves wait"
    FailbackOff "failback-off" Warning
        "Automatic failback is off after a rollback or a switch to a worse target."
        "the record stays where it is until a person acks"
    Drift "drift" Warning
        "The record is not what the fence says we published."
        "somebody changed it by hand; it is not overwritten and failback waits"
    OnlyHere "only-here" Warning
        "A person's freeze, unfreeze or ack is in this state file and in no fence."
        "other instances do not know of it"
    FenceRenamed "fence-renamed" Warning
        "A fence was written for a policy of another name."
        "optional moves wait until a person says that it is the same one"
    ConfigSkew "config-skew" Warning
        "Another instance runs another configuration of the policy."
        "the two would not decide alike, and optional moves wait"
    TargetDown "target-down" Warning
        "A standby is down."
        "it is no destination"
    TargetUnknown "target-unknown" Warning
        "A target could not be measured: trouble on our side."
        "what is not seen up is no destination"
    NeverProven "never-proven" Warning
        "A target was not proven within the time of this look."
        "a standby that was never seen up may be dead all along"
    StandbysDrained "standbys-drained" Warning
        "Every standby is drained by a person."
        "a failover would go to a drained target, or nowhere"
    RehearsalFailed "rehearsal-failed" Warning
        "The last rehearsal of the write path failed."
        "what stopped it would stop a failover too"
    RehearsalNever "rehearsal-never" Warning
        "The write path was never rehearsed and nothing was written lately."
        "whether credentials and permissions still allow a write is not known"
    RehearsalLate "rehearsal-late" Warning
        "The last rehearsal is older than twice its cadence."
        "whether credentials and permissions still allow a write is not known"
    RehearsalOff "rehearsal-off" Note
        "No rehearsal is scheduled."
        "lost permissions show only when a failover needs them"
    OpenIntent "open-intent" Warning
        "A write has had no outcome for long, or nobody resolves it."
        "its policy decides nothing before it is resolved"
    MoveInFlight "move-in-flight" Note
        "A write is on its way or being proven."
        "the next decision waits for its verdict"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unlike_short_and_every_line_says_something() {
        for (i, known) in KNOWN.iter().enumerate() {
            assert!(KNOWN.iter().skip(i + 1).all(|other| other.id != known.id), "{}", known.id);
            assert!(known.id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", known.id);
            assert!(known.meaning.ends_with('.') && known.meaning.len() < 100, "{}", known.meaning);
            assert!(!known.why.is_empty() && !known.why.ends_with('.'), "{}", known.why);
        }
    }

    #[test]
    fn what_comes_from_outside_is_cut() {
        let finding = Finding::new(FindingId::Orphan, "ü".repeat(5000), "x");
        assert_eq!(finding.text.chars().count(), LONGEST + 1);
        assert_eq!((finding.severity, finding.id.as_str()), (Severity::Warning, "orphan"));
    }
}
