//! Whether a failover tonight would be sent, for a page that is asked for often: the engine's answers,
//! kept for a few seconds, so that asking costs the loop little. Decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{Now, Policy, PolicyId, PolicyIdx, Tick};
use crate::engine::Fleet;
use crate::engine::report::{Report, Tonight};

/// Answers are this old at most; conditions of a calm day last longer.
const KEPT: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub struct Forecast {
    asked: Option<Tick>,
    answers: BTreeMap<PolicyId, Tonight>,
}

impl Forecast {
    /// Adds the answers to `reports`. A policy that came since they were asked for has none yet.
    pub fn add<'a>(
        &mut self,
        reports: &mut [Report],
        fleet: &Fleet,
        policies: impl Iterator<Item = (PolicyIdx, &'a Arc<Policy>)>,
        now: Now,
    ) {
        if self.asked.is_none_or(|at| now.mono.since(at) >= KEPT) {
            self.asked = Some(now.mono);
            self.answers = policies.filter_map(|(idx, p)| Some((p.id.clone(), fleet.tonight(idx, now)?))).collect();
        }
        for report in reports {
            report.tonight = self.answers.get(&report.policy).cloned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UnixMs;
    use crate::engine::journal::Restored;
    use crate::engine::{Mode, report};
    use crate::runtime::testing::{policy, settings};

    #[test]
    fn an_answer_is_kept_for_ten_seconds_and_then_asked_for_anew() {
        let at = |s: u64| Now { mono: Tick(s * 1000), wall: UnixMs(1_800_000_000_000 + s * 1000) };
        let fleet_of = |names: &[&str]| {
            let policies = names.iter().map(|n| policy(n, &format!("{n}.example.com"))).collect();
            Fleet::new(settings(), policies, Mode::Active, Restored::default(), "run", at(1), &mut Vec::new())
        };
        let (one, two) = (fleet_of(&["web"]), fleet_of(&["dns", "web"]));
        let mut forecast = Forecast::default();
        for (fleet, second, answered) in [(&one, 1, 1), (&two, 10, 1), (&two, 11, 2), (&one, 12, 1)] {
            let list: Vec<_> = fleet.policies().map(|(idx, p)| (idx, Arc::new(p.clone()))).collect();
            let mut reports: Vec<_> = list.iter().filter_map(|(idx, _)| report(fleet, *idx, at(second))).collect();
            forecast.add(&mut reports, fleet, list.iter().map(|(idx, p)| (*idx, p)), at(second));
            assert_eq!(reports.iter().filter(|r| r.tonight.is_some()).count(), answered, "at {second} s");
        }
    }
}
