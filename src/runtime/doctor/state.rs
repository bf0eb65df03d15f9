//! What the state file shows: read only, beside a daemon or without one.

use std::time::Duration;

use crate::config::Config;
use crate::domain::UnixMs;
use crate::domain::time::human;
use crate::engine::journal::Restored;
use crate::store;

use super::finding::{CLOCKS_DIFFER, Finding, FindingId as Id};

/// A write that is signed can still apply for this long, and its daemon may still follow it.
const YOUNG: Duration = Duration::from_secs(20 * 60);

/// Brakes and counters of the state file, if there is one, and what is wrong with it.
pub fn remembered(config: &Config) -> (Restored, Vec<Finding>) {
    if !config.state.exists() {
        return (Restored::default(), Vec::new());
    }
    let unreadable = |error: store::StoreError| {
        let next = "put the file in order or move it away; brakes then come from the fences";
        Finding::new(Id::StateUnreadable, error.to_string(), next)
    };
    let view = match store::open_read_only(&config.state) {
        Ok(view) => view,
        Err(error) => return (Restored::default(), vec![unreadable(error)]),
    };
    let mut found = Vec::new();
    let restored = view.restored().unwrap_or_else(|error| {
        found.push(unreadable(error));
        Restored::default()
    });
    match view.outbox_dead() {
        Ok(0) => {}
        Ok(dead) => {
            let what = if dead == 1 { "1 notice was".to_owned() } else { format!("{dead} notices were") };
            let text = format!("{what} given up undelivered");
            found.push(Finding::new(
                Id::NoticesDead,
                text,
                "failoverd notify-test; failoverd history tells what happened",
            ));
        }
        Err(error) => found.push(unreadable(error)),
    }
    for snapshot in restored.snapshots.iter().filter(|s| config.policies.iter().all(|p| p.id != s.policy)) {
        let id = &snapshot.policy;
        let text = format!("the state file remembers policy {id} of {}, which is not configured", snapshot.at);
        let next = format!("failoverd history {id}; its fences, if any, are listed here as orphans");
        found.push(Finding::new(Id::PolicyForgotten, text, next).of(id));
    }
    found.dedup();
    (restored, found)
}

/// A snapshot of a time that is still to come: the clock was set back, or was wrong.
pub fn clock(restored: &Restored, now: UnixMs) -> Option<Finding> {
    let ahead = restored.snapshots.iter().map(|s| s.at.since(now)).max().filter(|ahead| *ahead > CLOCKS_DIFFER)?;
    let text = format!("the state file was written {} from now", human(Duration::from_secs(ahead.as_secs())));
    Some(Finding::new(Id::ClockOff, text, "set the clock of this machine (chronyc tracking)"))
}

/// Writes without an outcome. `daemon`: one runs, and follows what is young.
pub fn open_intents(restored: &Restored, now: UnixMs, daemon: bool) -> Vec<Finding> {
    let one = |intent: &crate::engine::intent::Intent| {
        let id = &intent.policy;
        let age = now.since(intent.signed_at.unwrap_or(intent.decided_at));
        let ago = human(Duration::from_secs(age.as_secs()));
        let text =
            format!("write {} ({} at epoch {}) of {ago} ago has no outcome", intent.id, intent.kind, intent.epoch);
        match daemon && age < YOUNG {
            true => Finding::new(Id::MoveInFlight, text, format!("failoverd status {id}")).of(id),
            false => {
                let next = "failoverd run, or `once`: the next process resolves it first".to_owned();
                Finding::new(Id::OpenIntent, text, next).of(id)
            }
        }
    };
    restored.open_intents.iter().map(one).collect()
}
