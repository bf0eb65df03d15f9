//! Cron windows as events: tells the engine when a policy's failback window opens and closes.
//!
//! Never decides anything; the arithmetic of one window is a pure function handed in.

use std::collections::BTreeMap;

use crate::domain::{Policy, PolicyIdx, UnixMs, Window};

/// Arithmetic of one window; pure.
pub trait Hours: Send {
    fn is_open_at(&self, at: UnixMs) -> bool;

    /// The next opening or closing after `at`.
    fn next_edge(&self, at: UnixMs) -> Option<UnixMs>;
}

/// Makes the arithmetic of a window; `None` for one that cannot be read, which then stays closed.
pub type Arithmetic = fn(&Window) -> Option<Box<dyn Hours>>;

/// All windows of a fleet.
pub struct Calendar {
    arithmetic: Arithmetic,
    windows: BTreeMap<PolicyIdx, Entry>,
}

struct Entry {
    window: Window,
    hours: Option<Box<dyn Hours>>,
    open: bool,
    next: Option<UnixMs>,
}

impl Calendar {
    pub fn new(arithmetic: Arithmetic) -> Calendar {
        Calendar { arithmetic, windows: BTreeMap::new() }
    }

    /// Takes over the windows of `policies`; returns the state of every one that is new.
    pub fn replace<'a>(
        &mut self,
        policies: impl Iterator<Item = (PolicyIdx, &'a Policy)>,
        now: UnixMs,
    ) -> Vec<(PolicyIdx, bool)> {
        let mut old = std::mem::take(&mut self.windows);
        let mut told = Vec::new();
        for (idx, policy) in policies {
            let Some(window) = &policy.failback.window else { continue };
            let entry = old.remove(&idx).filter(|entry| entry.window == *window).unwrap_or_else(|| {
                let hours = (self.arithmetic)(window);
                let open = hours.as_ref().is_some_and(|h| h.is_open_at(now));
                told.push((idx, open));
                let next = hours.as_ref().and_then(|h| h.next_edge(now));
                Entry { window: window.clone(), hours, open, next }
            });
            self.windows.insert(idx, entry);
        }
        told
    }

    /// The windows that opened or closed up to `now`.
    pub fn edges(&mut self, now: UnixMs) -> Vec<(PolicyIdx, bool)> {
        let mut told = Vec::new();
        for (idx, entry) in &mut self.windows {
            if entry.next.is_none_or(|next| now < next) {
                continue;
            }
            let open = entry.hours.as_ref().is_some_and(|h| h.is_open_at(now));
            entry.next = entry.hours.as_ref().and_then(|h| h.next_edge(now));
            if open != entry.open {
                entry.open = open;
                told.push((*idx, open));
            }
        }
        told
    }

    /// The wall clock jumped: every window is closed until its next edge. Returns those that were open.
    pub fn jumped(&mut self, now: UnixMs) -> Vec<(PolicyIdx, bool)> {
        let mut told = Vec::new();
        for (idx, entry) in &mut self.windows {
            entry.next = entry.hours.as_ref().and_then(|h| h.next_edge(now));
            if std::mem::replace(&mut entry.open, false) {
                told.push((*idx, false));
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::testing::policy;

    /// Open in every even hour.
    struct Even;
    impl Hours for Even {
        fn is_open_at(&self, at: UnixMs) -> bool {
            (at.0 / HOUR).is_multiple_of(2)
        }
        fn next_edge(&self, at: UnixMs) -> Option<UnixMs> {
            Some(UnixMs((at.0 / HOUR + 1) * HOUR))
        }
    }
    const EVEN: Arithmetic = |_| Some(Box::new(Even));
    const HOUR: u64 = 3_600_000;

    fn windowed() -> Policy {
        let mut p = policy("web", "www.example.com");
        p.failback.window = Some(Window {
            cron: "0 0 */2 * * *".into(),
            duration: std::time::Duration::from_secs(3600),
            timezone: "UTC".into(),
        });
        p
    }

    #[test]
    fn a_window_is_told_at_start_and_at_its_edges_only() {
        let (p, idx) = (windowed(), PolicyIdx(0));
        let mut calendar = Calendar::new(EVEN);
        assert_eq!(calendar.replace([(idx, &p)].into_iter(), UnixMs(5)), [(idx, true)]);
        assert_eq!(calendar.replace([(idx, &p)].into_iter(), UnixMs(6)), [], "an unchanged policy is not told again");
        for (at, told) in
            [(HOUR - 1, vec![]), (HOUR, vec![(idx, false)]), (HOUR + 1, vec![]), (2 * HOUR + 7, vec![(idx, true)])]
        {
            assert_eq!(calendar.edges(UnixMs(at)), told, "{at}");
        }
    }

    #[test]
    fn after_a_jump_a_window_stays_closed_until_its_next_edge() {
        let (p, idx) = (windowed(), PolicyIdx(0));
        let mut calendar = Calendar::new(EVEN);
        let _ = calendar.replace([(idx, &p)].into_iter(), UnixMs(5));
        assert_eq!(calendar.jumped(UnixMs(4 * HOUR + 5)), [(idx, false)], "closed although the hour is even");
        assert_eq!(calendar.edges(UnixMs(4 * HOUR + 10)), []);
        assert_eq!(calendar.edges(UnixMs(5 * HOUR)), [], "its end changes nothing");
        assert_eq!(calendar.edges(UnixMs(6 * HOUR)), [(idx, true)]);
    }
}
