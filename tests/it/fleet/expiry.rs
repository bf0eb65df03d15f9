//! A lost request whose burn is refused: it ends when its signature surely has, and not before.

use failoverd::engine::event::Event;
use failoverd::engine::journal::TransitionKind;
use failoverd::engine::zone::*;

use super::drive::*;

const MINUTE: u64 = 60_000;

/// A failover was sent.
fn sent() -> Drive {
    let mut drive = calm(vec![policy(1, 0)]);
    for _ in 0..2 {
        drive.second(&[(0, [false, true])]);
    }
    assert_eq!(drive.writes.len(), 1);
    drive
}

impl Drive {
    fn last_answered(&mut self, answer: WriteAnswer) {
        let batch = self.writes.last().unwrap().0;
        self.feed(Event::Answered { batch, answer });
    }

    fn denied(&mut self) {
        self.last_answered(WriteAnswer::Refused { code: RefusedCode::Denied, message: "denied".into() });
    }

    /// Denies every burn for so long.
    fn deny_for(&mut self, duration: u64) {
        let end = self.ms + duration;
        let mut known = self.writes.len();
        while self.ms < end {
            self.pass(500);
            if self.writes.len() > known {
                known = self.writes.len();
                self.denied();
            }
        }
    }

    fn is_expired(&self) -> bool {
        self.transitions.iter().any(|(kind, text)| *kind == TransitionKind::NotApplied && text.contains("has expired"))
    }
}

#[test]
fn a_reading_begun_before_the_signature_ran_out_does_not_prove_that_it_has() {
    let mut drive = sent();
    drive.last_answered(WriteAnswer::Ambiguous("timeout".into()));
    assert_eq!(drive.writes.len(), 2, "the old fence stands, so it is burnt");
    drive.denied();
    drive.deny_for(14 * MINUTE + 50_000);
    drive.held = Some(Vec::new());
    drive.deny_for(9_000);
    let [reading] = <[_; 1]>::try_from(drive.held.take().unwrap()).unwrap();
    // Meanwhile the request may land and its signature end.
    drive.pass(20_000);
    drive.answer(reading);
    assert!(!drive.is_expired(), "what it shows is older than the end of the signature");
    drive.denied();
    drive.deny_for(10_000);
    assert!(drive.is_expired(), "a younger reading proves it");
}

#[test]
fn a_process_that_was_paused_before_it_signed_counts_from_the_lost_answer() {
    let mut drive = sent();
    // Paused for twenty minutes with the request unsigned; then it goes out, and its answer is lost.
    drive.ms += 20 * MINUTE;
    drive.last_answered(WriteAnswer::Ambiguous("timeout".into()));
    assert!(!drive.is_expired(), "it was signed a moment ago");
    assert_eq!(drive.writes.len(), 2, "the old fence stands, so it is burnt");
    drive.denied();
    drive.deny_for(14 * MINUTE);
    assert!(!drive.is_expired());
    drive.deny_for(2 * MINUTE);
    assert!(drive.is_expired());
}
