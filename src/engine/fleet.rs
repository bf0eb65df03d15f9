//! All policies of one controller, and the one function that changes them.

use crate::domain::{FleetSettings, Now, Policy, PolicyIdx, Tick};

use super::action::Action;
use super::event::Event;
use super::journal::Restored;
use super::report::{Report, Settled};

/// Whether this process may write at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Active,
    /// Decides and tells, never emits a write.
    Observe,
}

/// The state of every decision. A `PolicyIdx` is never reused for another policy or another
/// version of one: a reload gives a changed policy a new number, so a late event cannot be
/// taken for one of the new version.
pub struct Fleet {
    settings: FleetSettings,
    mode: Mode,
    policies: Vec<Option<Policy>>,
}

impl Fleet {
    /// `run_id`: drawn at random by the caller, 8 characters of `a-z0-9`; it makes the attempts
    /// of this process unlike those of any other.
    pub fn new(
        settings: FleetSettings,
        policies: Vec<Policy>,
        mode: Mode,
        restored: Restored,
        run_id: &str,
        now: Now,
        out: &mut Vec<Action>,
    ) -> Fleet {
        let _ = (restored, run_id, now, out);
        Fleet { settings, mode, policies: policies.into_iter().map(Some).collect() }
    }

    /// Replaces the policies, all or nothing (invariant I13). The error is a sentence for people.
    pub fn reload(&mut self, policies: Vec<Policy>, now: Now, out: &mut Vec<Action>) -> Result<(), String> {
        let _ = (policies, now, out);
        Ok(())
    }

    /// The policies in force with their numbers.
    pub fn policies(&self) -> impl Iterator<Item = (PolicyIdx, &Policy)> {
        (0u32..).zip(&self.policies).filter_map(|(i, p)| p.as_ref().map(|p| (PolicyIdx(i), p)))
    }

    pub fn settings(&self) -> &FleetSettings {
        &self.settings
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether one confirmed pass is over (`once`, `plan`), and with what result.
    pub fn settled(&self, now: Now) -> Settled {
        let _ = now;
        Settled::No
    }
}

/// Feeds one event; appends what is to be done. Cannot fail.
pub fn step(fleet: &mut Fleet, now: Now, event: Event, out: &mut Vec<Action>) {
    let _ = (fleet, now, event, out);
}

/// When `Event::Wake` is due; `None`: nothing is waiting for time.
pub fn next_deadline(fleet: &Fleet) -> Option<Tick> {
    let _ = fleet;
    None
}

/// Why and why not, of one policy; `None` for a number not in force.
pub fn report(fleet: &Fleet, policy: PolicyIdx, now: Now) -> Option<Report> {
    let _ = (fleet, policy, now);
    None
}
