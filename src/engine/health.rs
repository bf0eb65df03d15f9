//! What many outcomes of one target add up to: rise, fall, settle and confirm.
//!
//! Walk through the defaults (fall 3, rise 2, settle 1, confirm 8s, fast_interval 1s): a first
//! failure at 0s is remembered and puts the policy in doubt; failures at 1s, 2s, … 8s follow;
//! at 8s there are nine of them and 8s between first and last, so the target is down. One
//! success on the way clears them all; with `settle = 3` it would take three in a row.

use std::time::Duration;

use crate::domain::{Check, Health, Outcome, Tick};
use crate::seeded::{Bug, seeded};

/// Counters and measured state of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetHealth {
    state: Health,
    /// Remembered failures; saturates.
    failures: u32,
    /// Start of the first remembered failure and of the last one.
    failing: Option<(Tick, Tick)>,
    /// Remembered failures that started since this controller last began to see: how many, the first, the last.
    seen: Option<(u32, Tick, Tick)>,
    sees_since: Tick,
    /// Straight successes.
    successes: u32,
    /// Start of the first of the straight successes; the beginning of soak.
    healthy_since: Option<Tick>,
    /// Straight successes that started at or after `proof_since`.
    proof: u32,
    proof_since: Option<Tick>,
    last: Option<Last>,
    /// End of the last success, and of the last failure.
    last_up: Option<Tick>,
    last_down: Option<Tick>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    pub outcome: Outcome,
    pub started: Tick,
    pub ended: Tick,
}

/// What one outcome changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flip {
    None,
    /// The first remembered failure.
    FirstFailure,
    /// Remembered failures were cleared without the target having gone down.
    Cleared,
    WentUp,
    WentDown,
}

impl TargetHealth {
    /// Counts one outcome. An outcome that started before the last counted one is ignored:
    /// it tells of a past already judged.
    pub fn record(&mut self, check: &Check, outcome: Outcome, started: Tick, ended: Tick) -> Flip {
        if self.last.is_some_and(|last| started < last.started) {
            return Flip::None;
        }
        self.last = Some(Last { outcome, started, ended });
        match outcome {
            Outcome::Up => self.success(check, started, ended),
            Outcome::Down(_) => {
                self.last_down = Some(ended);
                self.failure(check, started)
            }
            Outcome::Unknown(_) if seeded(Bug::UnknownAsDown) => self.failure(check, started),
            Outcome::Unknown(_) => Flip::None,
        }
    }

    fn success(&mut self, check: &Check, started: Tick, ended: Tick) -> Flip {
        self.last_up = Some(ended);
        self.successes = self.successes.saturating_add(1);
        self.healthy_since.get_or_insert(started);
        if self.proof_since.is_some_and(|since| started >= since) {
            self.proof = self.proof.saturating_add(1);
        }
        let had_failures = self.failures > 0;
        if self.state != Health::Down && self.successes >= check.settle {
            self.forget_failures();
        }
        if self.state != Health::Up && self.successes >= check.rise {
            self.state = Health::Up;
            self.forget_failures();
            return Flip::WentUp;
        }
        if had_failures && self.failures == 0 { Flip::Cleared } else { Flip::None }
    }

    fn failure(&mut self, check: &Check, started: Tick) -> Flip {
        self.successes = 0;
        self.proof = 0;
        self.healthy_since = None;
        self.failures = self.failures.saturating_add(1);
        let (first, _) = *self.failing.get_or_insert((started, started));
        self.failing = Some((first, started));
        if started >= self.sees_since {
            let (count, first, _) = self.seen.unwrap_or((0, started, started));
            self.seen = Some((count.saturating_add(1), first, started));
        }
        if self.state != Health::Down && self.failures >= check.fall && started.since(first) >= check.confirm {
            self.state = Health::Down;
            return Flip::WentDown;
        }
        if self.failures == 1 && self.state != Health::Down { Flip::FirstFailure } else { Flip::None }
    }

    fn forget_failures(&mut self) {
        self.failures = 0;
        self.failing = None;
        self.seen = None;
    }

    /// This controller sees again from `now` on: what failed before may have been its own blindness (invariant I3).
    pub fn seen_anew(&mut self, now: Tick) {
        self.seen = None;
        self.sees_since = now;
    }

    /// `fall` failures, `confirm` between the first and the last, all since this controller sees (invariant I3).
    pub fn is_confirmed(&self, check: &Check) -> bool {
        let enough =
            |(count, first, last): (u32, Tick, Tick)| count >= check.fall && last.since(first) >= check.confirm;
        self.seen.is_some_and(enough) || seeded(Bug::BlindFailuresCount) && self.state == Health::Down
    }

    /// Remembered failures that started since this controller sees, and the time between the first and the last.
    pub fn seen_failing(&self) -> (u32, Duration) {
        self.seen.map_or((0, Duration::ZERO), |(count, first, last)| (count, last.since(first)))
    }

    /// Remembered failures of a target that is down count from the next one on; it stays down.
    pub fn count_failures_anew(&mut self) {
        if self.state == Health::Down {
            self.failures = 0;
            self.failing = None;
        }
    }

    /// A failure that started at `started` was heard too late to count: the successes before it are over.
    pub fn lose_proof(&mut self, started: Tick) {
        if self.last.is_none_or(|last| started >= last.started) {
            self.successes = 0;
            self.proof = 0;
            self.healthy_since = None;
        }
    }

    /// From now on only successes that start at or after `since` count as proof.
    pub fn begin_proof(&mut self, since: Tick) {
        self.proof_since = Some(since);
        self.proof = 0;
    }

    /// At least `rise` straight successes since the proof began, the last one fresh (invariant I5).
    pub fn is_proven(&self, check: &Check, now: Tick) -> bool {
        let proven = (self.proof >= check.rise && self.is_fresh(check, now)) || seeded(Bug::StaleEvidence);
        self.state == Health::Up && self.failures == 0 && proven
    }

    /// Up, without a remembered failure, by fresh evidence.
    pub fn is_well(&self, check: &Check, now: Tick) -> bool {
        self.state == Health::Up && self.failures == 0 && !self.is_failing_now() && self.is_fresh(check, now)
    }

    /// The last success is younger than 2 × fast_interval + timeout.
    pub fn is_fresh(&self, check: &Check, now: Tick) -> bool {
        self.last_up.is_some_and(|at| now.since(at) < check.evidence_age())
    }

    /// Nothing to wait for: judged, and no counter is on its way to another judgement.
    pub fn is_settled(&self) -> bool {
        match self.state {
            Health::Unknown => false,
            Health::Up => self.failures == 0,
            Health::Down => self.successes == 0,
        }
    }

    /// Healthy without one failure for how long, at `now`.
    pub fn healthy_for(&self, now: Tick) -> Option<Duration> {
        (self.state == Health::Up).then_some(())?;
        self.healthy_since.map(|since| now.since(since))
    }

    /// Carries soak over a restart: the target was healthy before this run's first success.
    pub fn assume_healthy_since(&mut self, since: Tick) {
        if self.failures == 0 && self.last.is_none() {
            self.healthy_since = Some(since);
        }
    }

    pub fn state(&self) -> Health {
        self.state
    }
    pub fn failures(&self) -> u32 {
        self.failures
    }
    pub fn successes(&self) -> u32 {
        self.successes
    }
    pub fn last(&self) -> Option<Last> {
        self.last
    }
    /// Start of the first remembered failure.
    pub fn failing_since(&self) -> Option<Tick> {
        self.failing.map(|(first, _)| first)
    }
    /// End of the last failure, remembered or not.
    pub fn last_failure(&self) -> Option<Tick> {
        self.last_down
    }
    pub fn healthy_since(&self) -> Option<Tick> {
        self.healthy_since
    }
    /// The latest outcome that tells anything is a failure; an unknown one does not change it.
    pub fn was_seen_failing(&self) -> bool {
        self.last_down.is_some() && self.successes == 0
    }
    /// The latest outcome is not a success.
    pub fn is_failing_now(&self) -> bool {
        self.last.is_some_and(|last| last.outcome != Outcome::Up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Cadence, CheckKind, DownReason, RecordName, UnknownReason};

    fn check(fall: u32, rise: u32, settle: u32, confirm_ms: u64) -> Check {
        Check {
            kind: CheckKind::http(80, &RecordName::new("www.example.com").unwrap(), "/"),
            cadence: Cadence::Every(Duration::from_secs(5)),
            fast_interval: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
            fall,
            rise,
            settle,
            confirm: Duration::from_millis(confirm_ms),
        }
    }

    /// One character an outcome, one second apart: `+` up, `-` down, `?` unknown.
    /// The answer has one character for the state after each: `U`p, `D`own, `.` unknown.
    fn run(check: &Check, outcomes: &str) -> String {
        let mut health = TargetHealth::default();
        let judge = |(i, c): (usize, char)| {
            let at = Tick(1000 * i as u64);
            let outcome = match c {
                '+' => Outcome::Up,
                '-' => Outcome::Down(DownReason::ConnectRefused),
                _ => Outcome::Unknown(UnknownReason::NoRoute),
            };
            health.record(check, outcome, at, at);
            match health.state() {
                Health::Up => 'U',
                Health::Down => 'D',
                Health::Unknown => '.',
            }
        };
        outcomes.chars().enumerate().map(judge).collect()
    }

    #[test]
    fn rise_fall_settle_and_confirm_add_up_as_documented() {
        let cases = [
            // fall, rise, settle, confirm, outcomes, states
            (3, 2, 1, 0, "++---++", ".UUUDDU"),
            (3, 2, 1, 0, "++--+--+---", ".UUUUUUUUUD"),
            (3, 2, 2, 0, "++--+-", ".UUUUD"),
            (3, 2, 2, 0, "++--++--", ".UUUUUUU"),
            (3, 2, 1, 5000, "++------", ".UUUUUUD"),
            (3, 2, 1, 8000, "++---------", ".UUUUUUUUUD"),
            (1, 1, 1, 0, "-+-+", "DUDU"),
            (3, 2, 1, 0, "---", "..D"),
            (3, 2, 1, 0, "++-?-?-", ".UUUUUD"),
            (3, 2, 1, 0, "++--?+", ".UUUUU"),
            (3, 3, 1, 0, "---++-+++", "..DDDDDDU"),
            (3, 2, 1, 0, "??????", "......"),
        ];
        for (fall, rise, settle, confirm, outcomes, states) in cases {
            assert_eq!(
                run(&check(fall, rise, settle, confirm), outcomes),
                states,
                "{outcomes} with fall {fall} rise {rise} settle {settle} confirm {confirm}"
            );
        }
    }

    #[test]
    fn a_failure_heard_too_late_ends_the_proof_and_counts_as_no_failure() {
        let check = check(3, 2, 1, 0);
        let mut health = TargetHealth::default();
        health.begin_proof(Tick(0));
        let up = |health: &mut TargetHealth, at| {
            health.record(&check, Outcome::Up, Tick(at), Tick(at + 5));
        };
        up(&mut health, 1000);
        up(&mut health, 2000);
        assert!(health.is_proven(&check, Tick(2010)));
        health.lose_proof(Tick(1500));
        assert!(health.is_proven(&check, Tick(2010)), "what was before the last success is past");
        health.lose_proof(Tick(3000));
        up(&mut health, 40_000);
        assert!(!health.is_proven(&check, Tick(40_010)), "one success since");
        assert_eq!((health.state(), health.failures()), (Health::Up, 0));
        up(&mut health, 41_000);
        assert!(health.is_proven(&check, Tick(41_010)));
    }

    #[test]
    fn proof_counts_only_successes_that_started_after_it_began_and_are_fresh() {
        let check = check(3, 2, 1, 0);
        let mut health = TargetHealth::default();
        for s in 0..3 {
            health.record(&check, Outcome::Up, Tick(s * 1000), Tick(s * 1000 + 5));
        }
        health.begin_proof(Tick(2500));
        assert!(!health.is_proven(&check, Tick(2600)));
        health.record(&check, Outcome::Up, Tick(2400), Tick(2600));
        assert!(!health.is_proven(&check, Tick(2600)), "started before the proof began");
        health.record(&check, Outcome::Up, Tick(3000), Tick(3005));
        health.record(&check, Outcome::Up, Tick(4000), Tick(4005));
        assert!(health.is_proven(&check, Tick(4010)));
        assert!(health.is_proven(&check, Tick(8004)), "evidence is fresh for less than 2 x 1s + 2s");
        assert!(!health.is_proven(&check, Tick(8005)));
        health.record(&check, Outcome::Down(DownReason::ConnectRefused), Tick(8100), Tick(8101));
        health.record(&check, Outcome::Up, Tick(8200), Tick(8201));
        assert!(!health.is_proven(&check, Tick(8202)), "one failure starts the proof again");
    }

    #[test]
    fn a_late_outcome_of_an_earlier_probe_is_ignored() {
        let check = check(1, 1, 1, 0);
        let mut health = TargetHealth::default();
        health.record(&check, Outcome::Up, Tick(100), Tick(110));
        assert_eq!(health.record(&check, Outcome::Down(DownReason::ConnectTimeout), Tick(50), Tick(2050)), Flip::None);
        assert_eq!(health.state(), Health::Up);
    }

    #[test]
    fn what_failed_before_this_controller_saw_again_confirms_nothing() {
        let check = check(3, 2, 1, 2000);
        let down = Outcome::Down(DownReason::ConnectTimeout);
        let mut health = TargetHealth::default();
        for at in [0, 1000, 2000] {
            health.record(&check, down, Tick(at), Tick(at + 500));
        }
        assert!(health.state() == Health::Down && health.is_confirmed(&check));
        health.seen_anew(Tick(2900));
        assert!(!health.is_confirmed(&check), "it is down, by failures of a blind time");
        // (start, confirmed then): under way when sight returned, then three over two seconds.
        for (at, confirmed) in [(2800, false), (3000, false), (4000, false), (4500, false), (5000, true)] {
            health.record(&check, down, Tick(at), Tick(at + 500));
            assert_eq!((health.state(), health.is_confirmed(&check)), (Health::Down, confirmed), "at {at}");
        }
        assert_eq!(health.seen_failing(), (4, Duration::from_millis(2000)));
    }
}
