//! The invariants of a move that nobody needs, a failback or a fill: everything must be in order for it.

use failoverd::domain::*;
use failoverd::engine::fence::{FenceMode, FenceValue};
use failoverd::engine::intent::Kind;
use failoverd::engine::notice::NoticeKind;

use super::check::{Checker, Invariant, Verdict};
use super::instance::Instance;

impl Checker {
    /// It is sent: its policy asks for it, no person's hand is against it, and what it enters has soaked.
    pub(super) fn in_order(
        &self,
        i: usize,
        one: &Instance,
        n: usize,
        kind: Kind,
        entering: &[TargetIdx],
        mono: Tick,
    ) -> Verdict<()> {
        let (seen, policy) = (&self.seen[i], &one.policies[n]);
        let what = |text: String| format!("{} {kind}: {text}", policy.id);
        if kind == Kind::Failback && policy.failback.mode != FailbackMode::Auto {
            return Err((Invariant::I12, what("it is to be a person's".into())));
        }
        if let Some(t) = entering.iter().find(|t| seen.drained[n].contains(t)) {
            return Err((Invariant::I12, what(format!("a person drained {}", policy.targets[t.index()].name))));
        }
        match seen.waits[n] {
            Some(NoticeKind::MoveUnverified) => {
                return Err((Invariant::I9, what("the last move is unverified".into())));
            }
            Some(NoticeKind::MoveContradicted) if kind == Kind::Failback => {
                return Err((Invariant::I10, what("the last move was contradicted and nobody acknowledged it".into())));
            }
            _ => {}
        }
        for t in entering {
            let failed = seen.probes[n][t.index()].iter().rev().find(|h| h.up == Some(false));
            if let Some(ago) = failed.map(|h| mono.since(h.started)).filter(|ago| *ago < policy.failback.soak) {
                let (name, soak) = (&policy.targets[t.index()].name, policy.failback.soak);
                return Err((Invariant::I5, what(format!("{name} failed {ago:?} ago, soak {soak:?}"))));
            }
        }
        Ok(())
    }

    /// It is applied: no lock-out that a person has not acknowledged (I7).
    pub(super) fn locked_out(&self, n: usize, kind: Kind, old: Option<&FenceValue>) -> Verdict<()> {
        let is_locked = old.is_some_and(|old| old.mode == FenceMode::Locked);
        let lifted = self.acks[n].max(self.tampered[n]) >= self.locked[n];
        if is_locked && !lifted && matches!(kind, Kind::Failback | Kind::Fill) {
            let text = format!("{}: a {kind} while locked out since {}", self.policies[n].id, self.locked[n]);
            return Err((Invariant::I7, text));
        }
        Ok(())
    }
}
