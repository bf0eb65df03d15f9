//! What is heard late: a process that was stopped and goes on hears outcomes of long ago first.

use failoverd::domain::*;
use failoverd::engine::event::{Event, Probed};

use super::drive::*;

#[test]
fn an_outcome_of_long_ago_moves_nothing_and_the_same_one_fresh_does() {
    for (age, moves) in [(31_000, 0), (500, 1)] {
        let mut drive = calm(vec![policy(1, 0)]);
        drive.second(&[(0, [false, true])]);
        // Stopped here for a minute; then what lay in the queue is heard before anything new.
        drive.ms += 60_000;
        drive.probe(0, 1, true);
        let ended = Tick(BASE + drive.ms - age);
        let outcome = Outcome::Down(DownReason::ConnectRefused);
        let late = Probed { policy: PolicyIdx(0), target: TargetIdx(0), started: ended, ended, outcome };
        drive.feed(Event::Outcomes(vec![late]));
        assert_eq!(drive.writes.len(), moves, "an outcome {age}ms old");
    }
}
