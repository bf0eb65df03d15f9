//! A rollback on its way: what may still speak for or against it until it is sent.

use failoverd::domain::*;
use failoverd::engine::event::Event;
use failoverd::engine::notice::NoticeKind;
use failoverd::engine::zone::{RefusedCode, WriteAnswer};

use super::drive::*;

const WELL: [(u32, [bool; 2]); 3] = [(0, [true, true]), (1, [true, true]), (2, [true, true])];
const OLD: &str = "192.0.1.1";

/// The first policy of three moved to where direct probes fail, or the server still answers the old address: a
/// failover that is about to be contradicted.
fn moved(by_probes: bool) -> Drive {
    let mut seen_from = settings();
    seen_from.verify.name_servers = NameServers::These(vec![SERVER.parse().unwrap()]);
    let mut drive = calm_with(vec![policy(1, 0), policy(2, 0), policy(3, 0)], seen_from);
    for _ in 0..2 {
        drive.second(&[(0, [false, true]), WELL[1], WELL[2]]);
    }
    match by_probes {
        true => drive.direct = Some(Outcome::Down(DownReason::ConnectRefused)),
        false => drive.server = Server::Stale(OLD.into()),
    }
    drive.second(&WELL);
    drive.accept(0);
    drive
}

/// Until the rollback is the second write.
fn contradicted(by_probes: bool) -> Drive {
    let mut drive = moved(by_probes);
    for _ in 0..100 {
        if drive.writes.len() < 2 {
            drive.second(&WELL);
        }
    }
    assert_eq!(drive.writes.len(), 2, "the move is contradicted: {:?}", drive.transitions);
    drive
}

/// The provider throttles every try, the last one just now and after the server was asked once more: the next one is
/// 0.2 s away at least.
fn throttled(drive: &mut Drive) {
    let (rounds, mut tries) = (drive.rounds, 1);
    for _ in 0..200 {
        if drive.writes.len() > tries {
            tries = drive.writes.len();
            let answer = WriteAnswer::Refused { code: RefusedCode::Throttled, message: "Rate exceeded".into() };
            drive.feed(Event::Answered { batch: drive.writes[tries - 1].0, answer });
            if drive.rounds > rounds {
                return;
            }
        }
        drive.pass(100);
    }
    panic!("neither asked nor tried any more: {:?}", drive.transitions.last());
}

/// Both regions fail at once for a moment.
fn blink(drive: &mut Drive) {
    for up in [false, true] {
        drive.pass(10);
        for (policy, target) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
            drive.probe(policy, target, up);
        }
        assert_eq!(drive.fleet.blind().is_some(), !up);
    }
}

#[test]
fn what_probes_found_before_a_moment_of_blindness_undoes_nothing_and_what_a_server_said_does() {
    struct Case {
        by_probes: bool,
        blind: bool,
        /// What the server answers while it waits.
        server: Server,
        is_sent: bool,
    }
    let cases = [
        Case { by_probes: true, blind: false, server: Server::Fine, is_sent: true },
        Case { by_probes: true, blind: true, server: Server::Fine, is_sent: false },
        // Before 2 x TTL have passed an old answer speaks against nothing.
        Case { by_probes: true, blind: true, server: Server::Stale(OLD.into()), is_sent: false },
        Case { by_probes: false, blind: false, server: Server::Silent, is_sent: true },
        Case { by_probes: false, blind: true, server: Server::Silent, is_sent: true },
    ];
    for (n, case) in cases.into_iter().enumerate() {
        let mut drive = contradicted(case.by_probes);
        (drive.direct, drive.server) = (None, case.server);
        throttled(&mut drive);
        let tries = drive.writes.len();
        if case.blind {
            blink(&mut drive);
        }
        drive.pass(3000);
        assert_eq!(drive.writes.len() > tries, case.is_sent, "case {n}: {:?}", drive.transitions.last());
        assert_eq!(drive.told(NoticeKind::Refused), usize::from(!case.is_sent), "case {n}: {:?}", drive.notices);
    }
}

#[test]
fn a_rollback_waits_for_a_disk_that_is_about_to_work() {
    let mut drive = moved(true);
    drive.queue = Some(Vec::new());
    // Something else is refused, and the rollback's intent is the first to get through.
    let mut out = Vec::new();
    assert_eq!(drive.fleet.reload(WELL.map(|(n, _)| policy(n as u8 + 1, 0)).to_vec(), at(drive.ms), &mut out), Ok(()));
    drive.take(out);
    let refused = drive.waiting();
    drive.disk_says(false, refused);
    for _ in 0..100 {
        let is_rollback = |e: &Entry| e.intents.iter().any(|i| i.kind.to_string() == "rollback");
        match drive.queue.as_ref().unwrap().first().map(is_rollback) {
            Some(true) => break,
            Some(false) => {
                let other = drive.waiting();
                drive.disk_says(false, other);
            }
            None => drive.second(&WELL),
        }
    }
    let rollback = drive.waiting();
    drive.disk_says(true, rollback);
    drive.pass(200);
    assert_eq!((drive.writes.len(), drive.told(NoticeKind::StoreFine)), (1, 0), "nothing automatic before all is kept");
    for _ in 0..3 {
        while !drive.queue.as_ref().unwrap().is_empty() {
            let entry = drive.waiting();
            drive.disk_says(true, entry);
        }
        drive.pass(1000);
    }
    assert_eq!((drive.writes.len(), drive.told(NoticeKind::StoreFine)), (2, 1), "{:?}", drive.notices);
}

#[test]
fn a_rollback_that_was_given_up_before_the_disk_refused_it_is_told_with_its_own_reason() {
    let mut drive = moved(true);
    drive.queue = Some(Vec::new());
    let mut seconds = 0;
    while !drive.transitions.iter().any(|(_, text)| text.starts_with("rollback from")) {
        seconds += 1;
        assert!(seconds < 60, "{:?}", drive.transitions);
        drive.second(&WELL);
    }
    // The new address answers before the intent is on the disk, and the disk fails.
    drive.direct = Some(Outcome::Up);
    drive.second(&WELL);
    drive.second(&WELL);
    while !drive.queue.as_ref().unwrap().is_empty() {
        let entry = drive.waiting();
        drive.disk_says(false, entry);
    }
    let told = drive.notices.iter().find(|(kind, _)| *kind == NoticeKind::Refused).map(|(_, text)| text.as_str());
    assert!(told.is_some_and(|text| text.contains("the move stands")), "{told:?}");
    assert_eq!(drive.writes.len(), 1);
}
