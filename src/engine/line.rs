//! How a fence follows the one that was seen before it. What holds back is believed wherever it stands; what
//! lifts is believed only along an unbroken line from the fence that was seen to carry it (docs/adr/0010).
//! Judges, never reads or writes.

use crate::domain::Epoch;

use super::fence::{FenceKind, FenceMode, FenceValue};
use super::intent::Kind;
use super::journal::SeenFence;

/// How a fence follows the one seen before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It is the one that was seen.
    Same,
    /// Nothing was seen before: a new disk, or a new record.
    Unknown,
    /// Written over the one that was seen.
    Next,
    /// Written after it; writes between were not seen.
    Skipped,
    /// The zone lost what was seen, or somebody wrote who never saw it.
    Broken,
}

impl SeenFence {
    pub fn of(value: &FenceValue) -> SeenFence {
        SeenFence {
            attempt: value.attempt.clone(),
            epoch: value.epoch,
            mode: value.mode,
            to: value.to.clone(),
            moves: value.moves,
            broken: false,
        }
    }
}

impl Line {
    pub fn from(seen: Option<&SeenFence>, value: &FenceValue) -> Line {
        let Some(seen) = seen else { return Line::Unknown };
        if seen.attempt == value.attempt {
            // A hand may have edited what we knew.
            let is_same = SeenFence { broken: seen.broken, ..SeenFence::of(value) } == *seen;
            return if is_same { Line::Same } else { Line::Broken };
        }
        let follows = value.epoch == at_least(seen, value);
        // Nothing automatic is free to follow a freeze: its writer never saw it.
        let is_held = matches!(seen.mode, FenceMode::Frozen | FenceMode::Forced | FenceMode::Released);
        if seen.broken || follows && is_held && value.kind.is_automatic_move() {
            Line::Broken
        } else if follows {
            Line::Next
        } else if value.epoch > seen.epoch {
            Line::Skipped
        } else {
            Line::Broken
        }
    }

    /// What it lifts is lifted.
    pub fn is_whole(self) -> bool {
        matches!(self, Line::Next | Line::Skipped)
    }
}

/// Writes between the two that were not seen, as far as their epochs tell.
pub(super) fn unseen(seen: &SeenFence, value: &FenceValue) -> u64 {
    value.epoch.0.saturating_sub(at_least(seen, value).0)
}

/// The epoch of a write directly over the one seen: a burn keeps the epoch it stands on.
fn at_least(seen: &SeenFence, value: &FenceValue) -> Epoch {
    if value.kind == FenceKind::Known(Kind::Burn) { seen.epoch } else { seen.epoch.next() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_judged_by_what_it_replaced() {
        let value = |epoch: u64, kind: &str, attempt: &str| {
            let text =
                format!("v=1 e={epoch} p=web o=prod/b a={attempt} t=1800000000 k={kind} h=0 m=auto u=0 c=0 to=x");
            FenceValue::parse(&text).unwrap()
        };
        let seen =
            |mode, broken| SeenFence { attempt: "a-7".into(), epoch: Epoch(7), mode, to: "x".into(), moves: 0, broken };
        use FenceMode::*;
        let cases = [
            (seen(Auto, false), value(7, "failover", "a-7"), Line::Same),
            (seen(Auto, true), value(7, "failover", "a-7"), Line::Same),
            (seen(Frozen, false), value(7, "failover", "a-7"), Line::Broken),
            (seen(Auto, false), value(8, "failover", "b-1"), Line::Next),
            (seen(Auto, false), value(7, "burn", "b-1"), Line::Next),
            (seen(Auto, false), value(8, "burn", "b-1"), Line::Skipped),
            (seen(Auto, false), value(10, "ack", "b-1"), Line::Skipped),
            (seen(Auto, false), value(7, "failover", "b-1"), Line::Broken),
            (seen(Auto, false), value(6, "burn", "b-1"), Line::Broken),
            (seen(Auto, false), value(1, "unfreeze", "b-1"), Line::Broken),
            (seen(Auto, true), value(8, "unfreeze", "b-1"), Line::Broken),
            (seen(Frozen, false), value(8, "unfreeze", "b-1"), Line::Next),
            (seen(Frozen, false), value(8, "failover", "b-1"), Line::Broken),
            (seen(Forced, false), value(8, "fill", "b-1"), Line::Broken),
            (seen(Locked, false), value(8, "failover", "b-1"), Line::Next),
            (seen(Frozen, false), value(9, "failover", "b-1"), Line::Skipped),
        ];
        for (seen, value, wanted) in cases {
            assert_eq!(Line::from(Some(&seen), &value), wanted, "{seen:?}, then {}", value.encode());
        }
        let before = seen(Auto, false);
        let cases = [(8, "ack", 0), (10, "ack", 2), (3, "ack", 0), (7, "burn", 0), (8, "burn", 1)];
        for (epoch, kind, between) in cases {
            assert_eq!(unseen(&before, &value(epoch, kind, "b-1")), between, "{epoch} {kind}");
        }
        assert_eq!(Line::from(None, &value(3, "lock", "b-1")), Line::Unknown);
    }
}
