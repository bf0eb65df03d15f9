//! What systemd is told: ready, reloading, stopping, alive. Silent without `$NOTIFY_SOCKET`.
//!
//! The watchdog is fed by the controller's loop itself, so a loop that hangs is restarted.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::engine::report::{PolicyState, Report};

pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A reload began; [`ready`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(_) => send(&[NotifyState::Reloading]),
    }
}

pub fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("stopping: waiting for answers in flight")]);
}

pub fn status(text: &str) {
    send(&[NotifyState::Status(text)]);
}

pub fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// Whether somebody reads what is told here.
pub fn listens() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// How often [`alive`] must be called: a third of what the unit asks for.
pub fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|period| period / 3)
}

/// `3 policies: 2 steady, 1 moving`.
pub fn summary(reports: &[Report]) -> String {
    const ORDER: [(PolicyState, &str); 9] = [
        (PolicyState::Steady, "steady"),
        (PolicyState::Displaced, "displaced"),
        (PolicyState::Doubt, "in doubt"),
        (PolicyState::Moving, "moving"),
        (PolicyState::Stuck, "stuck"),
        (PolicyState::WriteRefused, "write-refused"),
        (PolicyState::Detached, "detached"),
        (PolicyState::Blind, "blind"),
        (PolicyState::Starting, "starting"),
    ];
    let parts: Vec<String> = ORDER
        .iter()
        .map(|(state, word)| (reports.iter().filter(|r| r.state == *state).count(), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let noun = if reports.len() == 1 { "policy" } else { "policies" };
    if parts.is_empty() { format!("no {noun}") } else { format!("{} {noun}: {}", reports.len(), parts.join(", ")) }
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "could not tell systemd");
    }
}
