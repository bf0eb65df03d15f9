//! What holds automatic moves back: freeze, lock-out, hold-down, flap budget (ARCHITECTURE.md, decision 8).
//! Brakes hold across instances and restarts (invariant I7): they are in the fence and the store.

use std::time::Duration;

use crate::domain::{Now, Tick, UnixMs};

use super::fence::FenceMode;
use super::journal::{FreezeSnapshot, LockSnapshot, PolicySnapshot};

const HOUR: Duration = Duration::from_secs(3600);
const FIRST_LOCK_HOLD_DOWN: Duration = Duration::from_secs(5 * 60);
const LAST_LOCK_HOLD_DOWN: Duration = HOUR;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Brakes {
    pub frozen: Option<FreezeSnapshot>,
    /// Frozen here, and the fence does not carry it yet.
    pub freeze_is_news: bool,
    pub locked: Option<Lock>,
    pub hold_down_until: Option<Tick>,
    /// Automatic moves of a peer are not reversed before this.
    pub peer_until: Option<Tick>,
    /// Start of the evidence needed to reverse a peer's move.
    pub peer_since: Option<Tick>,
    /// Ends of automatic moves within the last hour.
    moves: Vec<Tick>,
    /// Ends of repairs within the last hour; they never count against a failover.
    repairs: Vec<Tick>,
    pub failback_blocked: bool,
    pub unverified: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lock {
    pub since_wall: UnixMs,
    pub since: Tick,
    pub hold_down: Duration,
}

impl Brakes {
    /// Brakes of an earlier run: what is left of every deadline, never more than it was.
    pub fn restore(snapshot: &PolicySnapshot, now: Now) -> Brakes {
        let ago = |at: UnixMs| now.mono - now.wall.since(at);
        Brakes {
            frozen: snapshot.frozen.clone(),
            freeze_is_news: snapshot.frozen.is_some(),
            locked: snapshot.locked.as_ref().map(|l| Lock {
                since_wall: l.since,
                since: ago(l.since),
                hold_down: l.hold_down,
            }),
            hold_down_until: snapshot
                .hold_down_until
                .filter(|at| *at > now.wall)
                .map(|at| now.mono + at.since(now.wall).min(HOUR)),
            peer_until: None,
            peer_since: None,
            moves: snapshot.moves.iter().filter(|at| now.wall.since(**at) < HOUR).map(|at| ago(*at)).collect(),
            repairs: Vec::new(),
            failback_blocked: snapshot.failback_blocked,
            unverified: snapshot.unverified,
        }
    }

    pub fn moves_last_hour(&self, now: Tick) -> u32 {
        u32::try_from(self.moves.iter().filter(|at| now.since(**at) < HOUR).count()).unwrap_or(u32::MAX)
    }

    /// An automatic move ended at `at`.
    pub fn count_move(&mut self, at: Tick, now: Tick) {
        self.moves.retain(|m| now.since(*m) < HOUR);
        self.moves.push(at);
    }

    pub fn repairs_last_hour(&self, now: Tick) -> u32 {
        u32::try_from(self.repairs.iter().filter(|at| now.since(**at) < HOUR).count()).unwrap_or(u32::MAX)
    }

    /// The record was repaired at `now`.
    pub fn count_repair(&mut self, now: Tick) {
        self.repairs.retain(|at| now.since(*at) < HOUR);
        self.repairs.push(now);
    }

    /// At least `count` automatic moves are known to have been made in the hour before `at`.
    pub fn at_least(&mut self, count: u32, at: Tick, now: Tick) {
        self.moves.retain(|m| now.since(*m) < HOUR);
        while self.moves_last_hour(now) < count.min(1000) && now.since(at) < HOUR {
            self.moves.push(at);
        }
    }

    /// A person acknowledged: the flap budget starts anew.
    pub fn forget_moves(&mut self) {
        self.moves.clear();
        self.repairs.clear();
    }

    pub fn hold_down_left(&self, now: Tick) -> Option<Duration> {
        self.hold_down_until.filter(|until| *until > now).map(|until| until.since(now))
    }

    pub fn lock(&mut self, now: Now) {
        self.locked.get_or_insert(Lock { since_wall: now.wall, since: now.mono, hold_down: FIRST_LOCK_HOLD_DOWN });
    }

    /// A move was made while locked out: the next must wait twice as long, 60 minutes at most.
    pub fn lock_again(&mut self, now: Now) {
        if let Some(lock) = &mut self.locked {
            *lock = Lock {
                since_wall: now.wall,
                since: now.mono,
                hold_down: (lock.hold_down * 2).min(LAST_LOCK_HOLD_DOWN),
            };
        }
    }

    /// What the fence must say.
    pub fn mode(&self) -> FenceMode {
        match (&self.frozen, &self.locked) {
            (Some(_), _) => FenceMode::Frozen,
            (None, Some(_)) => FenceMode::Locked,
            (None, None) => FenceMode::Auto,
        }
    }

    pub fn moves_as_wall(&self, now: Now) -> Vec<UnixMs> {
        self.moves.iter().filter(|at| now.mono.since(**at) < HOUR).map(|at| wall_of(*at, now)).collect()
    }

    pub fn hold_down_as_wall(&self, now: Now) -> Option<UnixMs> {
        self.hold_down_left(now.mono).map(|left| now.wall + left)
    }

    pub fn lock_as_snapshot(&self, now: Now) -> Option<LockSnapshot> {
        self.locked.map(|l| LockSnapshot { since: wall_of(l.since, now), hold_down: l.hold_down })
    }
}

impl Lock {
    /// Left of the present hold-down.
    pub fn left(&self, now: Tick) -> Option<Duration> {
        let until = self.since + self.hold_down;
        (until > now).then(|| until.since(now))
    }
}

fn wall_of(at: Tick, now: Now) -> UnixMs {
    UnixMs(now.wall.0.saturating_sub(now.mono.since(at).as_millis() as u64))
}
