//! `kill -9` at every step of a move and at any moment: a restart makes one outcome of what was
//! begun, and nothing is lost, doubled or emptied.
//!
//! Built only with the cargo feature `failpoints`, as `tests/run` does (`--all-features`).
//!
//! `crash::storm` kills without end; three variables of the environment steer it:
//!
//! - `KILLS`: how many kills, 200 without.
//! - `KILL_SEED`: what is done in which order, by lane. Printed. The moments are those of a real
//!   machine, so a seed gives the same weather again, not the same run.
//! - `KILL_LANES`: how many stages at once, 2 without; two a core in a long run.
//!
//! It ends with one line `ledger: {"part":"kills",…}` on stdout (`--nocapture` shows it).

pub mod judge;
pub mod stage;
pub mod storm;

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use failoverd::engine::intent::{IntentOutcome, Kind};
use failoverd::runtime::failpoint;
use failoverd::sandbox::Fault;

use crate::lost::ledger::{applied, check};
use crate::lost::scene::{Scene, for_a_while};
use crate::real::wait_until;
use crate::servers::Mode;

/// What makes the daemon reach a point.
enum Way {
    Failover,
    /// A second move that the flap budget does not allow.
    LockOut,
    /// A failover whose request never arrives.
    LostRequest,
}

macro_rules! killed {
    ($($test:ident: $point:literal by $way:ident,)*) => {
        const COVERED: &[&str] = &[$($point),*];
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                killed_at($point, Way::$way).await;
            }
        )*
    };
}

killed! {
    after_the_decision: "after-decide" by Failover,
    after_the_intent_is_on_disk: "after-intent-commit" by Failover,
    before_the_request_leaves: "before-send" by Failover,
    when_the_request_is_answered: "after-send-before-reply" by Failover,
    before_the_acceptance_is_on_disk: "after-accepted-before-persist" by Failover,
    after_the_acceptance_is_on_disk: "after-accepted-persisted" by Failover,
    before_insync_is_on_disk: "before-insync" by Failover,
    after_insync_is_on_disk: "after-insync-persisted" by Failover,
    before_a_notice_is_sent: "before-notice-send" by Failover,
    after_a_notice_is_sent: "after-notice-sent-before-done" by Failover,
    after_the_lock_out: "after-lock" by LockOut,
    after_the_burn_is_sent: "after-burn-sent" by LostRequest,
}

#[test]
fn every_failpoint_of_the_product_has_a_case_here() {
    assert_eq!(COVERED, failpoint::ALL);
}

async fn killed_at(point: &str, way: Way) {
    let scene = Scene::on_sandbox().await;
    if matches!(way, Way::LockOut) {
        scene.write_policy("2/h");
    }
    let (east, west) = (scene.place.east.ip(), scene.place.west.ip());
    scene.place.expect(&["once"], 0);
    let mut doomed = scene.doomed(point);
    if matches!(way, Way::LostRequest) {
        scene.place.sandbox.faults().arm(Fault::ReplyLost { after_commit: false });
    }
    scene.kill_east().await;
    if matches!(way, Way::LockOut) {
        scene.wait_told("moved", 1, &doomed);
        scene.place.east.set(Mode::Ok).await;
        wait_until("east is back", || scene.place.say(&["status"]).out.contains("east up, west up"));
        scene.place.west.set(Mode::Refuse).await;
    }
    assert_eq!(doomed.wait_exit(point).signal(), Some(9), "{}", doomed.err());

    let daemon = scene.place.daemon(&["run"]);
    let moves = if matches!(way, Way::LockOut) {
        scene.wait_told("locked", 1, &daemon);
        wait_until("locked out still", || scene.place.say(&["status"]).out.contains("locked"));
        for_a_while().await;
        assert_eq!(scene.place.published(), Some(west), "a lock-out outlives the process");
        scene.place.expect(&["ack", "web", "--reason", "looked at it"], 0);
        scene.wait_told("moved", 2, &daemon);
        vec![west, east]
    } else {
        scene.wait_told("moved", 1, &daemon);
        vec![west]
    };
    assert_eq!(scene.place.published(), moves.last().copied());
    scene.end(daemon);
    let ledger = check(&scene, &moves, 1);
    if matches!(way, Way::LostRequest) {
        let outcomes = ledger.outcomes(Kind::Failover);
        assert!(!applied(outcomes[0]) && applied(outcomes.last().unwrap()), "{outcomes:?}");
    }
}

/// Moments of fifteen kills, milliseconds after a target went away. Every third request lies in
/// the network for a while, so that some outlive their sender.
#[tokio::test(flavor = "multi_thread")]
async fn at_any_moment_around_a_move() {
    const KILLS: u64 = 15;
    let seed: u64 = 20_260_101;
    println!("seed {seed}");
    let scene = Scene::on_sandbox().await;
    scene.place.expect(&["once"], 0);
    let (east, west) = (&scene.place.east, &scene.place.west);
    let mut state = seed;
    let mut moves = Vec::new();
    let mut daemon = scene.steady();
    for round in 1..=KILLS {
        // SplitMix64: the same moments on every machine.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let delay = Duration::from_millis(250 + (mixed ^ (mixed >> 31)) % 1500);
        let late = round % 3 == 0;
        println!("kill {round} after {delay:?}, request late: {late}");
        let (active, standby) = if round % 2 == 1 { (east, west) } else { (west, east) };
        if late {
            scene.place.sandbox.faults().arm(Fault::Late(Duration::from_millis(1500)));
        }
        active.set(Mode::Refuse).await;
        tokio::time::sleep(delay).await;
        daemon.kill();
        daemon = scene.place.daemon(&["run"]);
        moves.push(standby.ip());
        scene.wait_told("moved", moves.len(), &daemon);
        assert_eq!(scene.place.published(), Some(standby.ip()));
        active.set(Mode::Ok).await;
        wait_until("both up", || scene.place.say(&["status"]).out.contains("east up, west up"));
    }
    scene.end(daemon);
    let ledger = check(&scene, &moves, KILLS as usize);
    let outcomes = ledger.outcomes(Kind::Failover);
    println!("outcomes: {outcomes:?}");
    assert!(outcomes.iter().any(|outcome| matches!(outcome, IntentOutcome::Committed)));
}
