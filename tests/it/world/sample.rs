//! The world as metrics show it.

use std::sync::Arc;
use std::time::Duration;

use failoverd::domain::{Policy, PolicyIdx, UnixMs};
use failoverd::engine::event::Event;
use failoverd::engine::report::Report;
use failoverd::engine::{Mode, report};
use failoverd::telemetry::{Build, Notices, Reload, Sample, StoreCounts};

use super::{WALL, World};

impl World {
    pub(super) fn count(&mut self, event: &Event) {
        self.tally.heard(event);
        if let Event::Outcomes(batch) = event {
            for p in batch {
                self.tally.probe(p.policy, p.target, p.outcome, p.ended.since(p.started));
            }
        }
    }

    /// What a page would show now.
    pub fn sample(&self) -> Sample {
        let fleet = self.fleet.as_ref().unwrap();
        let now = self.now();
        let policies: Vec<(PolicyIdx, Arc<Policy>)> =
            fleet.policies().map(|(idx, policy)| (idx, Arc::new(policy.clone()))).collect();
        let settings = fleet.settings();
        Sample {
            at: now.wall,
            build: Build {
                version: "1.2.3".into(),
                commit: "0123456789ab".into(),
                cluster: settings.cluster.to_string(),
                instance: settings.instance.to_string(),
                observe: fleet.mode() == Mode::Observe,
                started: UnixMs(WALL),
            },
            vitals: fleet.vitals(now),
            reports: fleet
                .policies()
                .filter_map(|(idx, _)| Some(Report { tonight: fleet.tonight(idx, now), ..report(fleet, idx, now)? }))
                .collect(),
            rehearsal_cadence: Some(Duration::from_secs(86_400)),
            counts: self.tally.counts(policies.iter().map(|(idx, policy)| (*idx, policy)), now.mono),
            reload: Reload { at: UnixMs(WALL), ok: true },
            notices: Some(Notices { waiting: 2, dead: 1 }),
            store: Some(StoreCounts { ok: 12, failed: 0 }),
        }
    }
}
