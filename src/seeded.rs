//! Wrong versions of our own rules, one at a time, that the simulator must catch (`tests/sim/mutants`).
//! Each is one `if seeded(Bug::…)` at the place where a careless change would have made it.
//!
//! Without the cargo feature `seeded-bugs` every question is answered `false` at compile time and
//! nothing of a bug is left in the binary. Never decides anything itself.

/// One mistake each: what the wrong version does, and the promise of ARCHITECTURE.md it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// The fence is upserted, not deleted exactly and made anew: whoever comes last wins. I1.
    NoFence,
    /// A new write keeps the epoch that stands. I1.
    EpochNotRaised,
    /// A request of several policies is put together set by set, so that a set is made before what
    /// stands there is deleted. I1.
    SplitReorders,
    /// The cluster in a fence is not compared: another cluster's record is taken for ours. I1, I12.
    ForeignFenceOverwritten,
    /// A swap deletes what stands and leaves the new content to a later batch. I2.
    EmptyAnswer,
    /// Our own trouble (no route, no file handles) counts as a failure of the target. I3.
    UnknownAsDown,
    /// A witness that answered before the first failure proves sight. I3.
    WitnessOlderThanFailure,
    /// What failed while this controller was blind counts as soon as it sees again. I3.
    BlindFailuresCount,
    /// How long a target fails is measured on the wall clock. I3.
    WallClock,
    /// A destination that was healthy once is proven, however old that is. I5.
    StaleEvidence,
    /// A target is failed back to as soon as it is up. I5.
    SoakSkipped,
    /// What was decided is sent whenever its turn comes: no deadline, no second look. I6.
    DeadlineNotRechecked,
    /// A lost request whose old fence still stands is taken as not applied; nothing burns it. I6.
    BurnSkipped,
    /// The same bytes go again after a lost reply, as an SDK would send them; the second answer,
    /// a refusal by what the first one wrote, is believed. I6, I11.
    LostReplySentAgain,
    /// Our own attempt in the fence after a lost reply is taken as the reason for a refusal. I6, I11.
    ReadBackAsRefusal,
    /// Moves and hold-downs that a fence tells of are not counted here. I7.
    BrakesPerProcess,
    /// A restart begins without the brakes that the store kept. I7, I12.
    BrakesForgottenAtRestart,
    /// A forward move may spend what the budget keeps for its undo. I7.
    FlapBudgetOffByOne,
    /// Questions about a change are not charged to the budget of calls. I8.
    PollsNotCharged,
    /// A change that is pending is taken as INSYNC. I9.
    PendingAsInsync,
    /// A change the provider lost is taken as INSYNC. I9.
    VanishedAsInsync,
    /// A proof that ran out of time without a contradiction is told as proven. I9.
    UnverifiedAsProven,
    /// A move that could not be verified holds no failback back. I9.
    UnverifiedForgotten,
    /// A move that could not be verified is rolled back. I10.
    RollbackOnUnverifiable,
    /// A contradiction rolls back without looking at where to. I10.
    RollbackToTheDead,
    /// An intent is recorded as committed before its request is sent. I11.
    CommitBeforeSend,
    /// The request leaves while its intent is still on the way to the disk. I11.
    SentBeforeDurable,
    /// Every write of a process bears the same attempt. I11.
    AttemptReused,
    /// What an earlier run left open is not resolved before the policy decides again. I11, L2.
    OpenIntentsIgnored,
    /// A notice goes into the outbox in a transaction after the change it tells of. I11, L3.
    OutboxAfterCommit,
    /// A notice goes into the outbox in a transaction before the change it tells of. I11.
    NoticeBeforeOutcome,
    /// A freeze that arrives through the fence is not taken over. I12.
    FreezeOfPeerIgnored,
    /// A freeze holds a person's write back too. I12.
    ForceHeldByFreeze,
    /// A record that somebody else changed is put back although `drift = "alert"`. I12.
    DriftSilentlyRepaired,
    /// What the fence says we published is taken for what the record publishes. I12, L1.
    ActiveFromMemory,
    /// A reload replaces a policy whose write has no outcome. I13.
    ReloadDropsOpenIntent,
}

impl Bug {
    pub const ALL: [Bug; 36] = [
        Bug::NoFence,
        Bug::EpochNotRaised,
        Bug::SplitReorders,
        Bug::ForeignFenceOverwritten,
        Bug::EmptyAnswer,
        Bug::UnknownAsDown,
        Bug::WitnessOlderThanFailure,
        Bug::BlindFailuresCount,
        Bug::WallClock,
        Bug::StaleEvidence,
        Bug::SoakSkipped,
        Bug::DeadlineNotRechecked,
        Bug::BurnSkipped,
        Bug::LostReplySentAgain,
        Bug::ReadBackAsRefusal,
        Bug::BrakesPerProcess,
        Bug::BrakesForgottenAtRestart,
        Bug::FlapBudgetOffByOne,
        Bug::PollsNotCharged,
        Bug::PendingAsInsync,
        Bug::VanishedAsInsync,
        Bug::UnverifiedAsProven,
        Bug::UnverifiedForgotten,
        Bug::RollbackOnUnverifiable,
        Bug::RollbackToTheDead,
        Bug::CommitBeforeSend,
        Bug::SentBeforeDurable,
        Bug::AttemptReused,
        Bug::OpenIntentsIgnored,
        Bug::OutboxAfterCommit,
        Bug::NoticeBeforeOutcome,
        Bug::FreezeOfPeerIgnored,
        Bug::ForceHeldByFreeze,
        Bug::DriftSilentlyRepaired,
        Bug::ActiveFromMemory,
        Bug::ReloadDropsOpenIntent,
    ];
}

/// Whether `bug` is in force on this thread.
#[cfg(feature = "seeded-bugs")]
pub(crate) fn seeded(bug: Bug) -> bool {
    force::IN_FORCE.get() == Some(bug)
}

/// Never: the product has none of them.
#[cfg(not(feature = "seeded-bugs"))]
pub(crate) const fn seeded(_: Bug) -> bool {
    false
}

#[cfg(not(feature = "seeded-bugs"))]
const _: () = assert!(!seeded(Bug::NoFence), "known at compile time, so that nothing of it is compiled");

#[cfg(feature = "seeded-bugs")]
pub use force::with;

#[cfg(feature = "seeded-bugs")]
mod force {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        pub(super) static IN_FORCE: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Ends the bug even when what runs under it panics.
    struct Until(Option<Bug>);

    impl Drop for Until {
        fn drop(&mut self) {
            IN_FORCE.set(self.0);
        }
    }

    /// Runs `f` with `bug` in force on this thread, and on no other.
    pub fn with<R>(bug: Bug, f: impl FnOnce() -> R) -> R {
        let _until = Until(IN_FORCE.replace(Some(bug)));
        f()
    }
}

#[cfg(all(test, feature = "seeded-bugs"))]
mod tests {
    use super::*;

    #[test]
    fn a_bug_is_in_force_only_inside_and_only_on_its_thread() {
        let seen = || Bug::ALL.into_iter().filter(|bug| seeded(*bug)).collect::<Vec<_>>();
        assert_eq!(seen(), []);
        with(Bug::NoFence, || {
            assert_eq!(seen(), [Bug::NoFence]);
            assert_eq!(std::thread::scope(|s| s.spawn(seen).join().unwrap()), []);
            let failed = std::panic::catch_unwind(|| with(Bug::EmptyAnswer, || panic!("as a broken run does")));
            assert!(failed.is_err());
            assert_eq!(seen(), [Bug::NoFence]);
        });
        assert_eq!(seen(), []);
    }
}
