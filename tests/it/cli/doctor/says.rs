//! What only the daemon knows: its own words, changed one at a time and given by a stand-in at its socket.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use failoverd::control::protocol::{Answer, Answered, Asked, Request, Status, VERSION, socket_path};
use failoverd::engine::report::{LiveState, Refusal, Rule, Standing};
use failoverd::sandbox::Fault;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::world::World;
use crate::real::wait_until;

type Words = fn(&mut Status);

fn socket(world: &World) -> PathBuf {
    socket_path(&world.place.path().join("failoverd.db"))
}

fn examined(socket: &Path) -> Status {
    let mut stream = UnixStream::connect(socket).unwrap();
    let asked = Asked { version: VERSION, request: Request::Examine, by: None };
    stream.write_all((serde_json::to_string(&asked).unwrap() + "\n").as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    match serde_json::from_str::<Answered>(&line).unwrap().answer {
        Answer::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

/// Answers everybody with the same line; with none it hangs up.
fn stand_in(socket: &Path, answer: Option<Answer>) -> JoinHandle<()> {
    drop(std::fs::remove_file(socket));
    let listener = UnixListener::bind(socket).unwrap();
    let line = answer.map(|answer| serde_json::to_string(&Answered { version: VERSION, answer }).unwrap() + "\n");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = tokio::io::BufReader::new(stream);
            drop(stream.read_line(&mut String::new()).await);
            if let Some(line) = &line {
                drop(stream.write_all(line.as_bytes()).await);
            }
        }
    })
}

fn refuse(status: &mut Status, rule: Rule) {
    let tonight = status.reports[0].tonight.as_mut().unwrap();
    tonight.refusals.push(Refusal { rule, text: "as it says".into(), change: "mend it".into() });
}

fn fence(status: &mut Status, standing: Standing) {
    let fence = &mut status.reports[0].fences[1];
    fence.standing = standing;
    let rule = Rule::FenceForeign;
    fence.refusal = Some(Refusal { rule, text: "as it read it".into(), change: "look".into() });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_daemon_knows_is_found_and_is_no_all_clear() {
    let world = World::adopted().await;
    let mut daemon = world.place.daemon(&["run"]);
    wait_until("steady", || world.place.say(&["status"]).out.contains("steady"));
    wait_until("west", || world.place.say(&["status"]).out.contains("west up"));
    let socket = socket(&world);
    let mut words = examined(&socket);
    wait_until("it would", || {
        words = examined(&socket);
        words.reports[0].tonight.as_ref().is_some_and(|t| t.is_sent())
    });
    assert_eq!(daemon.terminate(), Some(0));
    let worlds: &[(Words, &[&str])] = &[
        (|_| {}, &[]),
        (|s| s.reports[0].trouble = Some("AccessDenied: not this role".into()), &["daemon-trouble"]),
        (|s| refuse(s, Rule::StoreFailed), &["store-failed"]),
        (|s| refuse(s, Rule::WriteRefused), &["write-refused"]),
        (|s| refuse(s, Rule::NoCandidate), &["no-candidate"]),
        (|s| refuse(s, Rule::MoveInFlight), &["move-in-flight"]),
        (|s| s.reports[0].live = LiveState::NotRead, &["record-unread"]),
        (|s| s.reports[0].live = LiveState::Absent, &["record-absent"]),
        (|s| fence(s, Standing::Foreign), &["fence-foreign"]),
        (|s| fence(s, Standing::Gone), &["fence-gone"]),
        (|s| s.observe = true, &["observing"]),
        (|s| s.reports.clear(), &["not-run"]),
    ];
    for (change, ids) in worlds {
        let mut said = words.clone();
        change(&mut said);
        let serving = stand_in(&socket, Some(Answer::Status(said)));
        world.found_with_daemon(ids, i32::from(!ids.is_empty()), &format!("{ids:?}"));
        serving.abort();
    }
    for answer in [None, Some(Answer::error("busy")), Some(Answer::Pong { instance: "a".into(), pid: 1 })] {
        let serving = stand_in(&socket, answer.clone());
        world.found_with_daemon(&["daemon-silent"], 1, &format!("{answer:?}"));
        serving.abort();
    }
    std::fs::remove_file(&socket).unwrap();
    world.found(&[], 0, "nobody is there, just after a daemon");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_whose_writes_are_refused_is_found_until_one_is_taken() {
    let world = World::adopted().await;
    let place = &world.place;
    let mut daemon = place.daemon(&["run"]);
    wait_until("steady", || place.say(&["status"]).out.contains("steady"));
    wait_until("west", || place.say(&["status"]).out.contains("west up"));
    let faults = place.sandbox.faults().clone();
    faults.arm(Fault::Deny("ChangeResourceRecordSets".into()));
    place.say(&["freeze", "web", "--reason", "a quiet night"]);
    wait_until("refused", || examined(&socket(&world)).reports[0].trouble.is_some());
    world.found_with_daemon(&["frozen", "only-here", "write-refused"], 1, "the freeze is refused");
    faults.clear();
    place.say(&["ack", "web"]);
    wait_until("taken", || examined(&socket(&world)).reports[0].trouble.is_none());
    wait_until("written", || {
        let said = place.say(&["doctor", "-o", "json"]).out;
        ["only-here", "move-in-flight", "daemon says"].iter().all(|word| !said.contains(word))
    });
    world.found_with_daemon(&["frozen"], 1, "the freeze is in the fences");
    assert_eq!(daemon.terminate(), Some(0));
}
