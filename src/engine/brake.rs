//! What holds automatic moves back: freeze, lock-out, hold-down, flap budget (ARCHITECTURE.md, decision 8).
//! Brakes hold across instances and restarts (invariant I7): they are in the fence and the store.

use std::time::Duration;

use crate::domain::{Now, Tick, UnixMs};

use super::fence::FenceMode;
use super::journal::{FreezeSnapshot, LockSnapshot, PolicySnapshot};

const HOUR: Duration = Duration::from_secs(3600);
/// How far a clock that is kept right may have moved within an hour.
const SLEW: Duration = Duration::from_secs(5);
const FIRST_LOCK_HOLD_DOWN: Duration = Duration::from_secs(5 * 60);
const LAST_LOCK_HOLD_DOWN: Duration = HOUR;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Brakes {
    pub frozen: Option<FreezeSnapshot>,
    /// Frozen here, and the fence does not carry it yet.
    pub freeze_is_news: bool,
    pub locked: Option<Lock>,
    /// Locked out here, and the fence does not carry it yet.
    pub lock_is_news: bool,
    /// A person forced the record; automatic moves wait for `unfreeze`.
    pub forced: bool,
    pub hold_down_until: Option<Tick>,
    /// Automatic moves of a peer are not reversed before this.
    pub peer_until: Option<Tick>,
    /// Start of the evidence needed to reverse a peer's move.
    pub peer_since: Option<Tick>,
    /// Ends of automatic moves between targets or tiers within the last hour.
    moves: Vec<Tick>,
    /// When a trim last made the set smaller.
    pub shrunk: Option<Tick>,
    /// Ends of trims and of fills within the last hour: brakes of their own.
    trims: Vec<Tick>,
    fills: Vec<Tick>,
    /// Ends of repairs within the last hour; they never count against a failover.
    repairs: Vec<Tick>,
    pub failback_blocked: bool,
    pub unverified: bool,
    /// When a person was last called for one of these two: what was acknowledged before does not answer it.
    pub called: Option<Now>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lock {
    pub since_wall: UnixMs,
    pub since: Tick,
    pub hold_down: Duration,
}

impl Brakes {
    /// Brakes of an earlier run: what is left of every deadline, never more than it was. `hold_down`: the
    /// policy's, so that a wall clock that was ahead then holds nothing back for longer.
    pub fn restore(snapshot: &PolicySnapshot, hold_down: Duration, now: Now) -> Brakes {
        let ago = |at: UnixMs| now.mono - now.wall.since(at);
        Brakes {
            frozen: snapshot.frozen.clone(),
            freeze_is_news: snapshot.frozen.as_ref().is_some_and(|freeze| !freeze.carried),
            locked: snapshot.locked.as_ref().map(|l| Lock {
                since_wall: l.since,
                since: ago(l.since),
                hold_down: l.hold_down,
            }),
            lock_is_news: snapshot.locked.as_ref().is_some_and(|lock| !lock.carried),
            forced: snapshot.forced,
            hold_down_until: snapshot
                .hold_down_until
                .filter(|at| *at > now.wall)
                .map(|at| now.mono + at.since(now.wall).min(hold_down)),
            peer_until: snapshot
                .peer_until
                .filter(|at| *at > now.wall)
                .map(|at| now.mono + at.since(now.wall).min(hold_down * 2)),
            peer_since: None,
            moves: snapshot.moves.iter().filter(|at| now.wall.since(**at) < HOUR).map(|at| ago(*at)).collect(),
            // Which of them made the set smaller is not kept: all may have.
            shrunk: snapshot.trims.iter().max().map(|at| ago(*at)),
            trims: snapshot.trims.iter().filter(|at| now.wall.since(**at) < HOUR).map(|at| ago(*at)).collect(),
            fills: snapshot.fills.iter().filter(|at| now.wall.since(**at) < HOUR).map(|at| ago(*at)).collect(),
            repairs: snapshot.repairs.iter().filter(|at| now.wall.since(**at) < HOUR).map(|at| ago(*at)).collect(),
            failback_blocked: snapshot.failback_blocked,
            unverified: snapshot.unverified,
            called: snapshot.called.map(|wall| Now { mono: ago(wall), wall }),
        }
    }

    pub fn moves_last_hour(&self, now: Tick) -> u32 {
        u32::try_from(self.moves.iter().filter(|at| now.since(**at) < HOUR).count()).unwrap_or(u32::MAX)
    }

    /// When the last move that is still known of ended.
    pub fn last_move(&self) -> Option<Tick> {
        self.moves.iter().max().copied()
    }

    /// A move that ended at `at`, as clocks that are kept right tell it, is counted already.
    pub fn knows_move(&self, at: Tick) -> bool {
        self.moves.iter().any(|m| m.since(at).max(at.since(*m)) < SLEW)
    }

    /// An automatic move ended at `at`.
    pub fn count_move(&mut self, at: Tick, now: Tick) {
        self.moves.retain(|m| now.since(*m) < HOUR);
        self.moves.push(at);
    }

    /// Ends of trims within the last hour, oldest first.
    pub fn trims(&self, now: Tick) -> impl Iterator<Item = Tick> + '_ {
        self.trims.iter().copied().filter(move |at| now.since(*at) < HOUR)
    }

    /// Ends of fills within the last hour, oldest first.
    pub fn fills(&self, now: Tick) -> impl Iterator<Item = Tick> + '_ {
        self.fills.iter().copied().filter(move |at| now.since(*at) < HOUR)
    }

    /// A member was dropped at `at`; `smaller`: without another instead.
    pub fn count_trim(&mut self, at: Tick, smaller: bool) {
        if smaller {
            self.shrunk = self.shrunk.max(Some(at));
        }
        self.trims.retain(|t| at.since(*t) < HOUR);
        self.trims.push(at);
    }

    /// A member was added at `at`.
    pub fn count_fill(&mut self, at: Tick) {
        self.fills.retain(|t| at.since(*t) < HOUR);
        self.fills.push(at);
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
        self.trims.clear();
        self.shrunk = None;
        self.fills.clear();
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

    /// Another instance locked the record out just now: the wait begins with it.
    pub fn lock_anew(&mut self, now: Now) {
        if let Some(lock) = &mut self.locked {
            (lock.since, lock.since_wall) = (now.mono, now.wall);
        }
    }

    /// The freeze as it is stored.
    pub fn freeze(&self) -> Option<FreezeSnapshot> {
        self.frozen.clone().map(|freeze| FreezeSnapshot { carried: !self.freeze_is_news, ..freeze })
    }

    /// What the fence must say.
    pub fn mode(&self) -> FenceMode {
        match (&self.frozen, self.forced, &self.locked) {
            (Some(_), ..) => FenceMode::Frozen,
            (None, true, _) => FenceMode::Forced,
            (None, false, Some(_)) => FenceMode::Locked,
            (None, false, None) => FenceMode::Auto,
        }
    }

    pub fn moves_as_wall(&self, now: Now) -> Vec<UnixMs> {
        self.moves.iter().filter(|at| now.mono.since(**at) < HOUR).map(|at| wall_of(*at, now)).collect()
    }

    pub fn trims_as_wall(&self, now: Now) -> Vec<UnixMs> {
        self.trims(now.mono).map(|at| wall_of(at, now)).collect()
    }

    pub fn fills_as_wall(&self, now: Now) -> Vec<UnixMs> {
        self.fills(now.mono).map(|at| wall_of(at, now)).collect()
    }

    pub fn repairs_as_wall(&self, now: Now) -> Vec<UnixMs> {
        self.repairs.iter().filter(|at| now.mono.since(**at) < HOUR).map(|at| wall_of(*at, now)).collect()
    }

    pub fn peer_as_wall(&self, now: Now) -> Option<UnixMs> {
        self.peer_until.filter(|until| *until > now.mono).map(|until| now.wall + until.since(now.mono))
    }

    pub fn hold_down_as_wall(&self, now: Now) -> Option<UnixMs> {
        self.hold_down_left(now.mono).map(|left| now.wall + left)
    }

    pub fn lock_as_snapshot(&self, now: Now) -> Option<LockSnapshot> {
        let carried = !self.lock_is_news;
        self.locked.map(|l| LockSnapshot { since: wall_of(l.since, now), hold_down: l.hold_down, carried })
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

#[cfg(test)]
mod tests {
    use super::*;

    const START: Now = Now { mono: Tick(10_000_000), wall: UnixMs(1_800_000_000_000) };

    fn later(secs: u64) -> Now {
        let d = Duration::from_secs(secs);
        Now { mono: START.mono + d, wall: START.wall + d }
    }

    #[test]
    fn a_lock_doubles_its_hold_down_from_five_to_sixty_minutes() {
        let mut brakes = Brakes::default();
        brakes.lock_again(START);
        assert_eq!(brakes.locked, None, "a move without lock-out locks nothing");
        brakes.lock(START);
        let mut minutes = Vec::new();
        for _ in 0..6 {
            minutes.push(brakes.locked.map(|l| l.hold_down.as_secs() / 60));
            brakes.lock(later(1));
            brakes.lock_again(START);
        }
        assert_eq!(minutes, [5, 10, 20, 40, 60, 60].map(Some));
        let lock = brakes.locked.unwrap();
        assert_eq!(lock.left(later(3599).mono), Some(Duration::from_secs(1)));
        assert_eq!(lock.left(later(3600).mono), None);
    }

    #[test]
    fn moves_are_counted_for_an_hour_and_a_peer_tells_of_as_many_as_it_knows() {
        let mut brakes = Brakes::default();
        brakes.at_least(3, START.mono, START.mono);
        brakes.at_least(2, START.mono, START.mono);
        assert_eq!(brakes.moves_last_hour(START.mono), 3);
        brakes.count_move(later(60).mono, later(60).mono);
        assert_eq!(brakes.moves_last_hour(later(3599).mono), 4);
        assert_eq!(brakes.moves_last_hour(later(3600).mono), 1);
        brakes.at_least(9, START.mono, later(3600).mono);
        assert_eq!(brakes.moves_last_hour(later(3600).mono), 1, "what a peer counted long ago is over");
        assert_eq!(brakes.moves.len(), 1, "and nothing old is kept");
        for _ in 0..3 {
            brakes.count_repair(START.mono);
        }
        assert_eq!(brakes.repairs_last_hour(later(3599).mono), 3);
        assert_eq!(brakes.repairs_last_hour(later(3600).mono), 0);
        brakes.forget_moves();
        assert_eq!((brakes.moves_last_hour(START.mono), brakes.repairs_last_hour(START.mono)), (0, 0));
    }

    #[test]
    fn a_restart_keeps_what_is_left_of_every_deadline() {
        let mut brakes = Brakes {
            hold_down_until: Some(later(90).mono),
            peer_until: Some(later(150).mono),
            failback_blocked: true,
            ..Brakes::default()
        };
        brakes.count_move(START.mono, START.mono);
        brakes.count_repair(START.mono);
        brakes.lock(START);
        let snapshot = PolicySnapshot {
            policy: crate::domain::PolicyId::new("web").unwrap(),
            at: later(30).wall,
            epoch: crate::domain::Epoch(1),
            targets: Vec::new(),
            moves: brakes.moves_as_wall(later(30)),
            hold_down_until: brakes.hold_down_as_wall(later(30)),
            locked: brakes.lock_as_snapshot(later(30)),
            frozen: None,
            failback_blocked: brakes.failback_blocked,
            unverified: true,
            called: brakes.called.map(|c| c.wall),
            forced: false,
            seen: None,
            drained: Vec::new(),
            trims: brakes.trims_as_wall(later(30)),
            fills: brakes.fills_as_wall(later(30)),
            repairs: brakes.repairs_as_wall(later(30)),
            peer_until: brakes.peer_as_wall(later(30)),
            rehearsal: None,
            left: None,
            hands: Vec::new(),
            zone: Default::default(),
        };
        assert_eq!((snapshot.moves.as_slice(), snapshot.hold_down_until), (&[START.wall][..], Some(later(90).wall)));
        // Another process, whose clock began elsewhere, 30 s later.
        let now = Now { mono: Tick(5_000_000), wall: later(60).wall };
        let restored = Brakes::restore(&snapshot, Duration::from_secs(60), now);
        assert_eq!(restored.hold_down_left(now.mono), Some(Duration::from_secs(30)));
        assert_eq!(restored.locked.unwrap().left(now.mono), Some(Duration::from_secs(240)));
        assert_eq!(
            (restored.moves_last_hour(now.mono), restored.failback_blocked, restored.unverified),
            (1, true, true)
        );
        assert_eq!(restored.hold_down_left(now.mono + Duration::from_secs(30)), None);
        assert_eq!(restored.peer_until, Some(now.mono + Duration::from_secs(90)), "a peer's move is kept as long");
        assert_eq!(restored.repairs_last_hour(now.mono), 1);
        // A fence said locked: where one says otherwise later, a person lifted it. What no fence said is written.
        for news in [false, true] {
            let brakes = Brakes { lock_is_news: news, ..brakes.clone() };
            let snapshot = PolicySnapshot { locked: brakes.lock_as_snapshot(later(30)), ..snapshot.clone() };
            assert_eq!(Brakes::restore(&snapshot, Duration::from_secs(60), now).lock_is_news, news);
        }
        // The clock was an hour ahead when it was kept, and is right again.
        let before = Now { mono: Tick(5_000_000), wall: UnixMs(later(60).wall.0 - 3_600_000) };
        let restored = Brakes::restore(&snapshot, Duration::from_secs(60), before);
        assert_eq!(restored.hold_down_left(before.mono), Some(Duration::from_secs(60)));
    }
}
