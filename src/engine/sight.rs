//! Doubt yourself: can *this* controller see (ARCHITECTURE.md, decision 3)?
//!
//! Two signs of blindness, either is enough: no strict majority of the configured witnesses
//! answers, or most targets of two or more regions began failing at once.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{RegionName, Tick, WitnessIdx};
use crate::seeded::{Bug, seeded};

use super::event::Witnessed;

/// Two regions that began failing within this of each other failed "at once".
const AT_ONCE: Duration = Duration::from_secs(60);
const CALM_ROUND: Duration = Duration::from_secs(30);
/// Many policies that begin to doubt at once share their rounds.
const HURRIED_ROUND: Duration = Duration::from_millis(200);
const DOUBT_ROUND: Duration = Duration::from_secs(1);
/// A round that brought no answer is given up after this.
const ROUND_LIMIT: Duration = Duration::from_secs(10);

pub(super) struct Sight {
    witnesses: Vec<WitnessState>,
    last_round: Option<Tick>,
    outstanding: u32,
    hurried: bool,
    regions: BTreeMap<RegionName, RegionState>,
    /// Why we are blind; `None` while we see.
    pub blind: Option<String>,
    /// When blindness last ended; what failed before may have been our own trouble.
    pub sees_since: Tick,
    /// Something was learned since blindness was last judged.
    unjudged: bool,
}

#[derive(Clone, Default)]
struct WitnessState {
    /// Needed for verdicts on this region.
    region: Option<RegionName>,
    /// Start of its last probe that was answered.
    answered: Option<Tick>,
    latest: Option<bool>,
}

#[derive(Clone, Default)]
struct RegionState {
    targets: u32,
    failing: u32,
    /// Since when each failing target fails, how many at each moment.
    since: BTreeMap<Tick, u32>,
    /// When most had begun to fail; `None` while most do not.
    mostly: Option<Tick>,
}

impl Sight {
    /// `regions`: that of each witness, `None` for one that is tied to none.
    pub fn new(regions: impl IntoIterator<Item = Option<RegionName>>) -> Sight {
        let witness = |region| WitnessState { region, ..WitnessState::default() };
        Sight {
            witnesses: regions.into_iter().map(witness).collect(),
            last_round: None,
            outstanding: 0,
            hurried: false,
            regions: BTreeMap::new(),
            blind: None,
            sees_since: Tick(0),
            unjudged: true,
        }
    }

    pub fn has_witnesses(&self) -> bool {
        !self.witnesses.is_empty()
    }

    pub fn add_target(&mut self, region: &RegionName) {
        self.unjudged = true;
        self.regions.entry(region.clone()).or_default().targets += 1;
    }

    /// `failing`: since when it fails, as it was told.
    pub fn remove_target(&mut self, region: &RegionName, failing: Option<Tick>) {
        self.unjudged = true;
        if let Some(state) = self.regions.get_mut(region) {
            state.targets = state.targets.saturating_sub(1);
        }
        match failing {
            Some(since) => self.target_well(region, since),
            None => self.regions.get_mut(region).into_iter().for_each(RegionState::judge),
        }
    }

    /// A target began to fail at `since`, which may lie before this run.
    pub fn target_failing(&mut self, region: &RegionName, since: Tick) {
        self.unjudged = true;
        if let Some(state) = self.regions.get_mut(region) {
            *state.since.entry(since).or_default() += 1;
            state.failing += 1;
            state.judge();
        }
    }

    /// A target that had failed since `since` ceased to fail.
    pub fn target_well(&mut self, region: &RegionName, since: Tick) {
        self.unjudged = true;
        if let Some(state) = self.regions.get_mut(region) {
            if let Some(n) = state.since.get_mut(&since) {
                *n -= 1;
                if *n == 0 {
                    state.since.remove(&since);
                }
                state.failing = state.failing.saturating_sub(1);
            }
            state.judge();
        }
    }

    /// When the next round is due, given whether anything is in doubt; `None` without witnesses.
    pub fn round_due(&self, doubt: bool) -> Option<Tick> {
        if self.witnesses.is_empty() {
            return None;
        }
        if self.hurried {
            return Some(self.last_round.map_or(Tick(0), |at| at + HURRIED_ROUND));
        }
        let period = if doubt || self.blind.is_some() { DOUBT_ROUND } else { CALM_ROUND };
        match (self.last_round, self.outstanding) {
            (None, _) => Some(Tick(0)),
            (Some(at), 0) => Some(at + period),
            (Some(at), _) => Some(at + ROUND_LIMIT),
        }
    }

    /// A doubt began: the next round is due at once.
    pub fn hurry(&mut self) {
        self.hurried = true;
    }

    pub fn round_started(&mut self, now: Tick) {
        self.hurried = false;
        self.last_round = Some(now);
        self.outstanding = u32::try_from(self.witnesses.len()).unwrap_or(u32::MAX);
    }

    pub fn witnessed(&mut self, witnessed: &Witnessed) {
        let Witnessed { witness: WitnessIdx(idx), started, answered } = *witnessed;
        self.outstanding = self.outstanding.saturating_sub(1);
        self.unjudged = true;
        if let Some(state) = self.witnesses.get_mut(idx as usize) {
            state.latest = Some(answered);
            if answered {
                state.answered = state.answered.max(Some(started));
            }
        }
    }

    /// A strict majority answered probes started at or after `since`, and answers still.
    pub fn proven_since(&self, since: Tick) -> bool {
        self.witnesses.is_empty() || self.good_since(since) * 2 > self.witnesses.len()
    }

    fn good_since(&self, since: Tick) -> usize {
        self.witnesses.iter().filter(|w| w.is_good_since(since)).count()
    }

    /// A verdict on `region` also needs a strict majority of the witnesses tied to it.
    pub fn proven_for(&self, region: &RegionName, since: Tick) -> bool {
        let tied = || self.witnesses.iter().filter(|w| w.region.as_ref() == Some(region));
        tied().count() == 0 || tied().filter(|w| w.is_good_since(since)).count() * 2 > tied().count()
    }

    /// Most targets of `region` fail.
    pub fn is_dead(&self, region: &RegionName) -> bool {
        self.regions.get(region).is_some_and(|r| r.mostly.is_some())
    }

    /// `1 of 3 witnesses answered since the doubt began`.
    pub fn text_since(&self, since: Tick) -> String {
        format!("{} of {} witnesses answered since the doubt began", self.good_since(since), self.witnesses.len())
    }

    /// `2 of 3 witnesses answer`.
    pub fn witness_text(&self) -> String {
        let good = self.witnesses.iter().filter(|w| w.latest == Some(true)).count();
        format!("{good} of {} witnesses answer", self.witnesses.len())
    }

    /// Whether each witness answered its last probe, in their order; `None` before the first.
    pub fn latest(&self) -> impl Iterator<Item = Option<bool>> + '_ {
        self.witnesses.iter().map(|w| w.latest)
    }

    /// Judges blindness anew. `Some(true)`: just went blind; `Some(false)`: sees again.
    pub fn judge(&mut self, now: Tick) -> Option<bool> {
        if !std::mem::take(&mut self.unjudged) {
            return None;
        }
        let blind = self.witness_blindness().or_else(|| self.region_blindness());
        let flip = (blind.is_some() != self.blind.is_some()).then_some(blind.is_some());
        self.blind = blind;
        if flip == Some(false) {
            self.sees_since = now;
        }
        flip
    }

    fn witness_blindness(&self) -> Option<String> {
        let asked = self.witnesses.iter().filter(|w| w.latest.is_some()).count();
        let good = self.witnesses.iter().filter(|w| w.latest == Some(true)).count();
        let complete = asked == self.witnesses.len() && asked > 0;
        (complete && good * 2 <= self.witnesses.len())
            .then(|| format!("{}, a majority is needed: this controller may be cut off", self.witness_text()))
    }

    fn region_blindness(&self) -> Option<String> {
        let mut mostly: Vec<(Tick, &RegionName)> =
            self.regions.iter().filter_map(|(name, r)| Some((r.mostly?, name))).collect();
        mostly.sort();
        let pair = mostly.windows(2).find_map(|w| match w {
            [(a, first), (b, second)] if b.since(*a) <= AT_ONCE => Some((first, second)),
            _ => None,
        })?;
        Some(format!(
            "most targets of {} and {} began failing at once: more likely our own sight than theirs",
            pair.0, pair.1
        ))
    }
}

impl WitnessState {
    fn is_good_since(&self, since: Tick) -> bool {
        self.latest == Some(true) && self.answered.is_some_and(|at| at >= since || seeded(Bug::WitnessOlderThanFailure))
    }
}

impl RegionState {
    /// More than half, or at least half of four or more: a fault of half a region's targets is
    /// seldom theirs when another region's fail too.
    /// Once so, a region of four or more stays so until a quarter or less fails: a count that
    /// wavers around half must not open and close the door.
    fn is_mostly_failing(&self) -> bool {
        match (self.targets, self.mostly) {
            (0..=3, _) => self.failing * 2 > self.targets,
            (_, None) => self.failing * 2 >= self.targets,
            (_, Some(_)) => self.failing * 4 > self.targets,
        }
    }

    /// The moment is that of the failure that made it most, however late it was told: a standby
    /// dead for a week must not date a region that dies now, nor hide that it does.
    fn judge(&mut self) {
        if !self.is_mostly_failing() {
            self.mostly = None;
            return;
        }
        let most = if self.targets < 4 { self.targets / 2 + 1 } else { self.targets.div_ceil(2) };
        let mut count = 0;
        let crossing = self.since.iter().find(|(_, n)| {
            count += **n;
            count >= most
        });
        self.mostly = crossing.map(|(at, _)| *at).or(self.mostly);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> RegionName {
        RegionName::new(name).unwrap()
    }

    #[test]
    fn a_strict_majority_of_witnesses_that_answered_after_the_failure_proves_sight() {
        let mut sight = Sight::new(vec![None; 3]);
        assert!(!sight.proven_since(Tick(0)));
        for (witness, started, answered) in [(0, 10, true), (1, 10, false), (2, 5, true)] {
            sight.witnessed(&Witnessed { witness: WitnessIdx(witness), started: Tick(started), answered });
        }
        assert!(sight.proven_since(Tick(5)));
        assert!(!sight.proven_since(Tick(6)), "one of three is no majority");
        assert_eq!(sight.judge(Tick(99)), None);
        sight.witnessed(&Witnessed { witness: WitnessIdx(0), started: Tick(20), answered: false });
        assert!(!sight.proven_since(Tick(5)), "a witness that fell silent proves nothing");
        assert_eq!(sight.judge(Tick(99)), Some(true));
        sight.witnessed(&Witnessed { witness: WitnessIdx(1), started: Tick(30), answered: true });
        assert_eq!(sight.judge(Tick(99)), Some(false));
        // (witnesses, answering, proven)
        for (all, good, proven) in
            [(1, 1, true), (2, 1, false), (2, 2, true), (3, 1, false), (4, 2, false), (5, 3, true)]
        {
            let mut sight = Sight::new(vec![None; all]);
            for n in 0..good {
                sight.witnessed(&Witnessed { witness: WitnessIdx(n), started: Tick(1), answered: true });
            }
            assert_eq!(sight.proven_since(Tick(0)), proven, "{good} of {all}");
        }
        assert!(
            !Sight::new(vec![None; 0]).has_witnesses() && Sight::new(vec![None; 0]).proven_since(Tick(9)),
            "none configured, none asked"
        );
    }

    #[test]
    fn two_regions_failing_at_once_is_blindness_and_one_region_is_not() {
        // (region, began failing at ms; None: long ago) and whether that is blindness
        type Failing<'a> = &'a [(&'a str, Option<u64>)];
        let cases: [(Failing, bool); 5] = [
            (&[("a", Some(1000))], false),
            (&[("a", Some(1000)), ("b", Some(2000))], true),
            (&[("a", Some(1000)), ("b", Some(70_000))], false),
            (&[("a", None), ("b", Some(200_000))], false),
            (&[("a", Some(1000)), ("b", Some(70_000)), ("c", Some(80_000))], true),
        ];
        for (failing, blind) in cases {
            let mut sight = Sight::new(vec![None; 0]);
            for name in ["a", "b", "c"] {
                sight.add_target(&region(name));
            }
            for (name, at) in failing {
                sight.target_failing(&region(name), Tick(at.unwrap_or(0)));
            }
            sight.judge(Tick(99));
            assert_eq!(sight.blind.is_some(), blind, "{failing:?}");
        }
    }

    #[test]
    fn half_of_a_region_is_most_of_it_from_four_targets_on() {
        // (targets of each region, failing in each, blind)
        for (targets, failing, blind) in [
            (2, 1, false),
            (2, 2, true),
            (3, 1, false),
            (3, 2, true),
            (4, 1, false),
            (4, 2, true),
            (1000, 499, false),
            (1000, 500, true),
        ] {
            let mut sight = Sight::new(vec![None; 0]);
            for name in ["a", "b"] {
                (0..targets).for_each(|_| sight.add_target(&region(name)));
                (0..failing).for_each(|_| sight.target_failing(&region(name), Tick(1)));
            }
            assert_eq!(sight.judge(Tick(99)).is_some(), blind, "{failing} of {targets}");
            let back = if targets < 4 { 1 } else { failing - targets / 4 };
            for _ in 1..back {
                sight.target_well(&region("b"), Tick(1));
            }
            assert_eq!(
                (sight.judge(Tick(99)), sight.blind.is_some()),
                (None, blind),
                "{failing} of {targets} came back in part"
            );
            sight.target_well(&region("b"), Tick(1));
            sight.judge(Tick(99));
            assert_eq!(sight.blind, None, "{back} of {targets} answer again");
        }
    }

    #[test]
    fn one_target_long_dead_neither_dates_nor_hides_a_region_that_dies_now() {
        let week = Tick(1000);
        // (targets that were dead a week ago, of 10, in a; blind when the rest of it and b die now)
        for (long, blind) in [(0, true), (1, true), (4, true), (5, false), (6, false)] {
            let mut sight = Sight::new(vec![None; 0]);
            for name in ["a", "b"] {
                (0..10).for_each(|_| sight.add_target(&region(name)));
            }
            (0..10 - long).for_each(|n| sight.target_failing(&region("a"), Tick(1_000_000 + n)));
            (0..10).for_each(|n| sight.target_failing(&region("b"), Tick(1_000_000 + n)));
            // As after a restart: what was dead already is told last.
            (0..long).for_each(|_| sight.target_failing(&region("a"), week));
            sight.judge(Tick(99));
            assert_eq!(sight.blind.is_some(), blind, "{long} of 10 were dead already");
        }
    }

    #[test]
    fn a_witness_tied_to_a_region_is_needed_for_verdicts_on_it_only() {
        let mut sight = Sight::new([None, None, Some(region("a"))]);
        let mut say = |witness, answered| {
            sight.witnessed(&Witnessed { witness: WitnessIdx(witness), started: Tick(10), answered });
            (
                sight.proven_since(Tick(5)),
                sight.proven_for(&region("a"), Tick(5)),
                sight.proven_for(&region("b"), Tick(5)),
            )
        };
        assert_eq!(say(0, true), (false, false, true));
        assert_eq!(say(1, true), (true, false, true), "a majority sees, but nobody looked towards a");
        assert_eq!(say(2, false), (true, false, true));
        assert_eq!(say(2, true), (true, true, true));
    }
}
