//! The store against sudden death: a child process commits until it is killed.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use failoverd::domain::{ClusterName, Epoch, InstanceName, NotifierName, PolicyId, UnixMs};
use failoverd::engine::intent::{Intent, IntentId, IntentOutcome, Kind};
use failoverd::engine::journal::{JournalEntry, PolicySnapshot, Transition, TransitionKind};
use failoverd::engine::notice::{Notice, NoticeKind, Severity};
use failoverd::store;

const PATH_VARIABLE: &str = "FAILOVERD_TEST_STORE";

/// Entry `n` opens intent `n`, closes intent `n - 1` and tells `ops`.
fn entry(n: u64) -> JournalEntry {
    let policy = PolicyId::new("web").unwrap();
    let at = UnixMs(1_800_000_000_000 + n);
    let intent = |n: u64, outcome| Intent {
        id: IntentId(format!("i{n}")),
        policy: policy.clone(),
        kind: Kind::Failover,
        epoch: Epoch(n),
        from: Vec::new(),
        to: Vec::new(),
        before: vec![],
        after: vec![],
        decided_at: at,
        signed_at: None,
        change_id: None,
        outcome,
    };
    let mut intents = vec![intent(n, None)];
    if n > 0 {
        intents.push(intent(n - 1, Some(IntentOutcome::Committed)));
    }
    JournalEntry {
        transitions: vec![Transition {
            at,
            policy: Some(policy.clone()),
            incident: None,
            kind: TransitionKind::Decided,
            text: n.to_string(),
        }],
        intents,
        snapshots: vec![PolicySnapshot {
            policy: policy.clone(),
            at,
            epoch: Epoch(n),
            targets: vec![],
            moves: vec![],
            hold_down_until: None,
            locked: None,
            frozen: None,
            failback_blocked: false,
            unverified: false,
            called: None,
            forced: false,
            seen: None,
            drained: vec![],
            trims: vec![],
            fills: vec![],
            repairs: vec![],
            peer_until: None,
            rehearsal: None,
            left: None,
            hands: Vec::new(),
            zone: Default::default(),
        }],
        notices: vec![Notice {
            id: format!("n{n}"),
            kind: NoticeKind::Moved,
            severity: Severity::Info,
            at,
            cluster: ClusterName::new("prod").unwrap(),
            instance: InstanceName::new("a").unwrap(),
            policy: Some(policy),
            incident: None,
            observe: false,
            title: "moved".into(),
            why: vec![],
            moved: None,
            timeline: vec![],
            next: vec![],
            undo: None,
            to: vec![NotifierName::new("ops").unwrap()],
        }],
    }
}

/// The child process of the next test, until it is killed. Says each number once it is durable.
fn write_for_ever(path: &Path) {
    let opened = store::open(path, UnixMs(1_800_000_000_000)).unwrap();
    let next = opened.restored.snapshots.first().map_or(0, |s| s.epoch.0 + 1);
    let (tx, rx) = mpsc::channel();
    let mut said = 0;
    for n in next..u64::MAX {
        let tx = tx.clone();
        opened.store.commit(n, entry(n), move |result| tx.send((n, result)).unwrap());
        // Up to eight at once, so that the kill hits groups too.
        while n - next + 1 - said >= 8 {
            let (n, result) = rx.recv().unwrap();
            result.unwrap();
            said += 1;
            let mut out = std::io::stderr().lock();
            writeln!(out, "durable {n}").unwrap();
        }
    }
}

#[test]
fn after_kill_9_everything_confirmed_is_there_and_nothing_is_half_there() {
    if let Some(path) = std::env::var_os(PATH_VARIABLE).map(PathBuf::from) {
        return write_for_ever(&path);
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("failoverd.db");
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store::after_kill_9_everything_confirmed_is_there_and_nothing_is_half_there",
                "--nocapture",
            ])
            .env(PATH_VARIABLE, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let confirmed: Vec<u64> = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("durable ")?.parse().ok())
            .take(20 + round * 7)
            .collect();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(confirmed.len(), 20 + round * 7, "the child spoke until it was killed");

        let _lock = store::lock(&path).unwrap();
        let view = store::open_read_only(&path).unwrap();
        let last = view.restored().unwrap().snapshots[0].epoch.0;
        assert!(last >= *confirmed.last().unwrap(), "confirmed {confirmed:?}, found {last}");
        // One transaction each: transition, intents, snapshot and notice agree on the last number.
        let history = view.history(None, u32::MAX).unwrap();
        let numbers: Vec<u64> = history.iter().rev().map(|t| t.text.parse().unwrap()).collect();
        assert_eq!(numbers, (0..=last).collect::<Vec<_>>());
        assert_eq!(view.outbox_pending().unwrap(), last + 1);
        let open: Vec<String> = view.restored().unwrap().open_intents.into_iter().map(|i| i.id.0).collect();
        assert_eq!(open, [format!("i{last}")]);
    }
}
