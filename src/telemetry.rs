//! Every metric: its name, type, unit, labels and help text, written here and nowhere else.
//!
//! Names follow OpenMetrics: the prefix `failoverd_`, base units, `_total`, `_info`. Labels take
//! names of the configuration and words of this program only: no record value, no URL, no text of
//! an error, no secret. `sample` is what is known at one moment, `page` writes it out. Nothing
//! here asks anybody.

mod page;
mod sample;

pub use page::{CONTENT_TYPE, PageError, page};
pub use sample::{
    Action, Answer, Build, Counts, Histogram, LAG_BOUNDS, MoveOutcome, Notices, PROBE_BOUNDS, Probes, Reload, Sample,
    StoreCounts,
};

/// One family of series.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    /// 0 or 1. With a label that names a state: 1 for the one that holds.
    Flag,
    /// How many of what the name says.
    Count,
}

macro_rules! metrics {
    ($($id:ident: $kind:ident $unit:ident $name:literal [$($label:literal)*] $help:literal;)*) => {
        $(pub static $id: Metric = Metric {
            name: $name,
            kind: Kind::$kind,
            unit: Unit::$unit,
            labels: &[$($label),*],
            help: $help,
        };)*
        /// Every metric, in the order of the page and of docs/metrics.md.
        pub static ALL: &[&Metric] = &[$(&$id),*];
    };
}

metrics! {
    BUILD_INFO: Gauge Flag "failoverd_build_info" ["version" "commit"]
        "The failoverd that runs; always 1.";
    INSTANCE_INFO: Gauge Flag "failoverd_instance_info" ["cluster" "instance" "mode"]
        "Who this is, and whether it may write (active) or only observes (observe); always 1.";
    START_TIME: Gauge Seconds "failoverd_start_time_seconds" []
        "When this process started, since 1970.";
    LOOP_LAG: Histogram Seconds "failoverd_loop_lag_seconds" []
        "How late the loop came to its beat of at most a second.";
    CONFIG_RELOAD_OK: Gauge Flag "failoverd_config_last_reload_successful" []
        "The last reload was taken over, or there was none; 0: it was refused and the configuration before it is in force.";
    CONFIG_TIME: Gauge Seconds "failoverd_config_loaded_timestamp_seconds" []
        "When the configuration in force was loaded, since 1970.";

    BLIND: Gauge Flag "failoverd_blind" []
        "This controller cannot see well enough to judge; nothing moves.";
    WITNESS: Gauge Flag "failoverd_witness_answering" ["witness"]
        "The witness answered its last probe; no series before the first.";
    STORE_BROKEN: Gauge Flag "failoverd_store_broken" []
        "The state file refused the last entry; nothing is written automatically.";
    STORE_WRITES: Counter Count "failoverd_store_writes_total" ["answer"]
        "Entries given to the state file: ok or failed.";
    NOTICES_WAITING: Gauge Count "failoverd_notices_waiting" []
        "Notices that receivers have still to get; no series when the state file does not answer.";
    NOTICES_DEAD: Gauge Count "failoverd_notices_dead" []
        "Notices given up after three days of failures, still kept; no series when the state file does not answer.";
    API_CALLS_LEFT: Gauge Count "failoverd_api_calls_left" []
        "Calls of the provider's API that the budget allows now; below 0: overdrawn.";
    API_REQUESTS: Counter Count "failoverd_api_requests_total" ["action" "answer"]
        "Requests to the provider's API, by what was asked and how it ended.";
    TRANSITIONS: Counter Count "failoverd_transitions_total" ["kind"]
        "Changes of state, as `failoverd history` lists them, of all policies.";

    POLICY_STATE: Gauge Flag "failoverd_policy_state" ["policy" "state"]
        "The state of the policy: the word `failoverd status` shows is 1.";
    POLICY_LIVE: Gauge Flag "failoverd_policy_live" ["policy" "live"]
        "What the live record publishes: `targets`, or why it is not ours to move.";
    POLICY_EPOCH: Gauge Count "failoverd_policy_epoch" ["policy"]
        "Epoch in the policy's fence; no series without a fence that can be read.";
    POLICY_FENCE_AGE: Gauge Seconds "failoverd_policy_fence_age_seconds" ["policy"]
        "Since the fence was written, by its own time: the last move, rehearsal or hand of any instance.";
    POLICY_READ_AGE: Gauge Seconds "failoverd_policy_read_age_seconds" ["policy"]
        "Since the live record was last read through the provider's API; no series before the first reading.";
    POLICY_READ_EVERY: Gauge Seconds "failoverd_policy_read_interval_seconds" ["policy"]
        "How often the live record is read when nothing happens: the policy's `reconcile`.";
    POLICY_BRAKE: Gauge Flag "failoverd_policy_brake" ["policy" "brake"]
        "What holds automatic moves: frozen, forced, released, locked, hold-down, failback-blocked, unverified.";
    POLICY_REFUSED: Gauge Flag "failoverd_policy_refused" ["policy" "rule"]
        "A move is wanted and this rule is in its way now; no series when nothing is wanted or in the way.";
    POLICY_TONIGHT: Gauge Flag "failoverd_policy_failover_possible" ["policy"]
        "If everything that is published died now, a failover would be sent; 0: a rule would refuse it, or there is nowhere to go. An observing instance answers as if it could write.";
    POLICY_BUDGET: Gauge Count "failoverd_policy_moves_left" ["policy"]
        "Automatic moves that the flap budget still allows this hour, each with its undo; at 0 the next is locked out.";
    POLICY_OBSTACLES: Gauge Count "failoverd_policy_obstacles" ["policy"]
        "Things in the zone that a move would be refused for, or would miss.";
    MOVES: Counter Count "failoverd_moves_total" ["policy" "kind" "outcome"]
        "Moves of this instance that ended: proven, contradicted, unverified, not-applied, not-sent.";
    PROVEN_AGE: Gauge Seconds "failoverd_policy_proven_age_seconds" ["policy"]
        "Since this process last proved a move of the policy; no series before.";

    REHEARSAL_CADENCE: Gauge Seconds "failoverd_rehearsal_cadence_seconds" []
        "The longest time from one rehearsal to the next by `[rehearsal] schedule`; no series when that is off.";
    REHEARSAL: Gauge Flag "failoverd_rehearsal_result" ["policy" "result"]
        "How the last rehearsal of the write path ended: ok, failed, or never for none known. What an observing instance looked at without writing is never.";
    REHEARSAL_AGE: Gauge Seconds "failoverd_rehearsal_age_seconds" ["policy"]
        "Since the last rehearsal ended, well or not; no series when there was none.";
    REHEARSAL_TOOK: Gauge Seconds "failoverd_rehearsal_duration_seconds" ["policy" "phase"]
        "Measured in the last rehearsal: accepted (from the decision), servers and insync (from accepted).";

    TARGET_HEALTH: Gauge Flag "failoverd_target_health" ["policy" "target" "region" "health"]
        "The health of the target: up, down, or unknown before this process has judged it.";
    TARGET_ACTIVE: Gauge Flag "failoverd_target_active" ["policy" "target" "region"]
        "The live record publishes this target.";
    TARGET_DRAINED: Gauge Flag "failoverd_target_drained" ["policy" "target"]
        "A person keeps this target empty.";
    TARGET_FAILURES: Gauge Count "failoverd_target_failures" ["policy" "target"]
        "Failures remembered against the target; `fall` of them bring it down.";
    TARGET_AGE: Gauge Seconds "failoverd_target_evidence_age_seconds" ["policy" "target"]
        "Since the last probe of the target ended; no series before the first.";
    PROBES: Counter Count "failoverd_probes_total" ["policy" "target" "outcome"]
        "Probes of the target by outcome; unknown is trouble of this machine's own.";
    PROBE_DURATION: Histogram Seconds "failoverd_probe_duration_seconds" ["policy" "target"]
        "How long probes took that ended up, all addresses of the target together.";
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

impl Unit {
    /// As a table for people says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Unit::Seconds => "seconds",
            Unit::Flag => "0 or 1",
            Unit::Count => "count",
        }
    }
}

/// The table of docs/metrics.md.
pub fn table() -> String {
    let mut text = String::from("| metric | type | unit | labels | tells |\n|---|---|---|---|---|\n");
    for metric in ALL {
        let labels: Vec<String> = metric.labels.iter().map(|l| format!("`{l}`")).collect();
        text.push_str(&format!(
            "| `{}` | {} | {} | {} | {} |\n",
            metric.name,
            metric.kind.as_str(),
            metric.unit.as_str(),
            labels.join(" "),
            metric.help
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        let names: BTreeSet<&str> = ALL.iter().map(|m| m.name).collect();
        assert_eq!(names.len(), ALL.len(), "a name is taken twice");
        for metric in ALL {
            let name = metric.name;
            assert!(name.starts_with("failoverd_"), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
            assert_eq!(name.ends_with("_seconds"), metric.unit == Unit::Seconds, "{name}");
            assert!(!metric.help.is_empty() && metric.help.ends_with('.'), "{name}: {}", metric.help);
            assert!(!metric.labels.contains(&"le") && !metric.help.contains('|'), "{name}");
        }
    }
}
