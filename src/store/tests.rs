//! Behaviour of the store through its own door; what needs SQLite's inside uses the read request.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;

use super::*;
use crate::domain::{ClusterName, Epoch, InstanceName};
use crate::engine::intent::{Intent, IntentId, IntentOutcome, Kind};
use crate::engine::journal::{PolicySnapshot, TransitionKind};
use crate::engine::notice::{NoticeKind, Severity};

const NOW: UnixMs = UnixMs(1_800_000_000_000);

fn policy(id: &str) -> PolicyId {
    PolicyId::new(id).unwrap()
}

fn transition(text: &str) -> Transition {
    Transition {
        at: NOW,
        policy: Some(policy("web")),
        incident: None,
        kind: TransitionKind::Decided,
        text: text.into(),
    }
}

fn intent(id: &str, outcome: Option<IntentOutcome>) -> Intent {
    Intent {
        id: IntentId(id.into()),
        policy: policy("web"),
        kind: Kind::Failover,
        epoch: Epoch(7),
        from: Vec::new(),
        to: Vec::new(),
        before: vec![None],
        after: vec!["v=1 e=7".into()],
        decided_at: NOW,
        signed_at: None,
        change_id: None,
        outcome,
    }
}

fn snapshot(epoch: u64) -> PolicySnapshot {
    PolicySnapshot {
        policy: policy("web"),
        at: NOW,
        epoch: Epoch(epoch),
        targets: vec![],
        moves: vec![NOW],
        hold_down_until: None,
        locked: None,
        frozen: None,
        failback_blocked: false,
        unverified: false,
        called: None,
        forced: false,
        seen: None,
        drained: Vec::new(),
        trims: Vec::new(),
        fills: Vec::new(),
        repairs: Vec::new(),
        peer_until: None,
        rehearsal: None,
        left: None,
        hands: Vec::new(),
        zone: Default::default(),
    }
}

fn notice(id: &str, to: &[&str]) -> Notice {
    Notice {
        id: id.into(),
        kind: NoticeKind::Moved,
        severity: Severity::Info,
        at: NOW,
        cluster: ClusterName::new("prod").unwrap(),
        instance: InstanceName::new("use1-a").unwrap(),
        policy: Some(policy("web")),
        incident: None,
        observe: false,
        title: "web moved".into(),
        why: vec![],
        moved: None,
        timeline: vec![],
        next: vec![],
        undo: None,
        to: to.iter().map(|n| NotifierName::new(n).unwrap()).collect(),
    }
}

fn entry(n: u64) -> JournalEntry {
    JournalEntry {
        transitions: vec![transition(&format!("step {n}"))],
        intents: vec![intent(&format!("i{n}"), None)],
        snapshots: vec![snapshot(n)],
        notices: vec![notice(&format!("n{n}"), &["ops"])],
    }
}

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("failoverd.db");
    (dir, path)
}

fn commit(store: &Store, entry: JournalEntry) -> Result<(), StoreError> {
    let (tx, rx) = mpsc::channel();
    store.commit(1, entry, move |result| tx.send(result).unwrap());
    rx.recv().unwrap()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Runs `job` on the store's own connection.
fn inside<T: Send + 'static>(store: &Store, job: impl FnOnce(&Connection) -> T + Send + 'static) -> T {
    wait(store.ask(move |conn| Ok(job(conn)))).unwrap()
}

/// Stops the store's thread until the sender speaks; it has stopped when this returns.
fn hold(store: &Store) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel();
    let (stopped, has_stopped) = mpsc::channel();
    let wait = move |_: &Connection| {
        stopped.send(()).unwrap();
        held.recv().unwrap();
    };
    assert!(store.requests.try_send(Request::Read(Box::new(wait))).is_ok());
    has_stopped.recv().unwrap();
    release
}

fn entries_in(dir: &tempfile::TempDir) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_was_committed_is_there_after_a_restart_and_closed_intents_are_not_open() {
    let (_dir, path) = scratch();
    let first = open(&path, NOW).unwrap();
    assert!(first.note.unwrap().contains("made a new one"));
    assert_eq!(first.restored, Restored::default());
    commit(&first.store, entry(1)).unwrap();
    commit(&first.store, entry(2)).unwrap();
    let closing = JournalEntry { intents: vec![intent("i1", Some(IntentOutcome::Burned))], ..Default::default() };
    commit(&first.store, closing).unwrap();
    first.store.close();

    let second = open(&path, NOW).unwrap();
    assert_eq!(second.note, None);
    assert_eq!(second.restored.snapshots, [snapshot(2)]);
    assert_eq!(second.restored.open_intents, [intent("i2", None)]);
    let texts: Vec<String> =
        wait(second.store.history(Some(policy("web")), 10)).unwrap().into_iter().map(|t| t.text).collect();
    assert_eq!(texts, ["step 2", "step 1"]);
    assert_eq!(wait(second.store.history(Some(policy("other")), 10)).unwrap(), []);
    assert_eq!(wait(second.store.history(None, 1)).unwrap().len(), 1);
}

#[test]
fn the_database_syncs_fully_in_wal_mode_with_foreign_keys() {
    let (_dir, path) = scratch();
    let store = open(&path, NOW).unwrap().store;
    let asked = inside(&store, |conn| {
        let int = |name| conn.pragma_query_value(None, name, |r| r.get::<_, i64>(0)).unwrap();
        let mode: String = conn.pragma_query_value(None, "journal_mode", |r| r.get(0)).unwrap();
        (mode, int("synchronous"), int("foreign_keys"), int("busy_timeout"))
    });
    assert_eq!(asked, ("wal".into(), 2, 1, 5000));
}

#[test]
fn many_queued_commits_share_few_transactions_and_each_is_answered() {
    let (_dir, path) = scratch();
    let store = open(&path, NOW).unwrap().store;
    let release = hold(&store);
    let (tx, rx) = mpsc::channel();
    for n in 0..200 {
        let tx = tx.clone();
        store.commit(n, entry(n), move |result| tx.send(result).unwrap());
    }
    release.send(()).unwrap();
    drop(tx);
    let answers: Vec<_> = rx.into_iter().collect();
    assert_eq!((answers.len(), answers.iter().all(Result::is_ok)), (200, true));
    let stats = store.stats();
    assert_eq!(stats.writes, 200);
    assert!(stats.transactions <= 2, "{stats:?}");
}

#[test]
fn a_full_queue_refuses_at_once_and_a_closed_store_says_so() {
    let (_dir, path) = scratch();
    let store = open(&path, NOW).unwrap().store;
    let release = hold(&store);
    let (tx, rx) = mpsc::channel();
    for n in 0..=(QUEUE as u64) + 1 {
        let tx = tx.clone();
        store.commit(n, JournalEntry::default(), move |result| tx.send(result).unwrap());
    }
    assert!(matches!(rx.recv().unwrap(), Err(StoreError::Busy { .. })));
    release.send(()).unwrap();
    let clone = store.clone();
    store.close();
    assert_eq!(commit(&clone, JournalEntry::default()), Err(StoreError::Closed));
    assert_eq!(wait(clone.outbox_pending()), Err(StoreError::Closed));
    drop(tx);
    assert!(rx.into_iter().filter(Result::is_ok).count() >= QUEUE, "what was queued is done before the end");
}

#[test]
fn a_second_different_outcome_is_refused_alone_and_the_same_one_is_not() {
    let (_dir, path) = scratch();
    let store = open(&path, NOW).unwrap().store;
    let with = |outcome| JournalEntry { intents: vec![intent("i1", outcome)], ..Default::default() };
    commit(&store, with(None)).unwrap();
    commit(&store, with(Some(IntentOutcome::Committed))).unwrap();
    commit(&store, with(Some(IntentOutcome::Committed))).unwrap();
    for other in [Some(IntentOutcome::Burned), Some(IntentOutcome::AppliedSyncUnknown), None] {
        let mut whole = with(other);
        whole.transitions.push(transition("must not be there"));
        assert_eq!(commit(&store, whole), Err(StoreError::SecondOutcome { intent: "i1".into() }));
    }
    assert_eq!(wait(store.history(None, 10)).unwrap(), []);
    let outcome: String =
        inside(&store, |c| c.query_row("SELECT outcome FROM intents WHERE id = 'i1'", [], |r| r.get(0)).unwrap());
    assert_eq!(outcome, "\"committed\"");
    // In one group with good entries, only the bad one fails.
    let release = hold(&store);
    let (tx, rx) = mpsc::channel();
    for (n, e) in [entry(10), with(Some(IntentOutcome::Expired)), entry(11)].into_iter().enumerate() {
        let tx = tx.clone();
        store.commit(n as u64, e, move |result| tx.send((n, result.is_ok())).unwrap());
    }
    release.send(()).unwrap();
    drop(tx);
    assert_eq!(rx.into_iter().collect::<Vec<_>>(), [(0, true), (1, false), (2, true)]);
}

#[test]
fn a_damaged_file_is_moved_aside_with_its_journals_and_a_new_one_is_made() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 5] = [
        ("garbage", |b| *b = b"this is no database at all, it is a text of some length".repeat(100)),
        ("header", |b| b[..16].fill(b'x')),
        ("pages", |b| b.chunks_mut(4096).skip(1).for_each(|page| page[..64].iter_mut().for_each(|x| *x ^= 0x55))),
        ("truncated", |b| b.truncate(b.len() / 2)),
        ("body", |b| {
            let found = (0..b.len() - 10).filter(|at| b[*at..].starts_with(b"\"policy\":\"")).collect::<Vec<_>>();
            found.into_iter().for_each(|at| b[at] = b'#');
        }),
    ];
    for (name, damage) in damages {
        let (dir, path) = scratch();
        let store = open(&path, NOW).unwrap().store;
        for n in 0..50 {
            commit(&store, entry(n)).unwrap();
        }
        store.close();
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        fs::write(&path, &bytes).unwrap();
        fs::write(dir.path().join("failoverd.db-wal"), b"").unwrap();

        let opened = open(&path, NOW).unwrap();
        let note = opened.note.unwrap_or_else(|| panic!("{name}: no note"));
        assert!(note.contains("moved aside to") && note.contains("failoverd.db.corrupt-1800000000"), "{name}: {note}");
        assert_eq!(opened.restored, Restored::default(), "{name}");
        commit(&opened.store, entry(1)).unwrap();
        opened.store.close();
        assert_eq!(fs::read(dir.path().join("failoverd.db.corrupt-1800000000")).unwrap(), bytes, "{name}");

        // A second accident in the same second does not overwrite the first one's evidence.
        fs::write(&path, b"garbage again".repeat(400)).unwrap();
        open(&path, NOW).unwrap().store.close();
        assert!(entries_in(&dir).contains(&"failoverd.db.corrupt-1800000000-1".to_owned()), "{name}");
    }
}

#[test]
fn any_single_flipped_bit_ends_in_a_working_store_or_a_clear_refusal() {
    let (_dir, path) = scratch();
    let store = open(&path, NOW).unwrap().store;
    for n in 0..20 {
        commit(&store, entry(n)).unwrap();
    }
    store.close();
    let whole = fs::read(&path).unwrap();
    let step = whole.len() / 61;
    for at in (0..100).step_by(4).chain((100..whole.len()).step_by(step)) {
        let (_dir, path) = scratch();
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, &bytes).unwrap();
        match open(&path, NOW) {
            Ok(opened) => {
                let result = commit(&opened.store, entry(99));
                assert!(result.is_ok() || opened.note.is_none(), "byte {at}: {result:?}");
            }
            Err(StoreError::Newer { .. } | StoreError::NotOurs { .. }) => assert_eq!(fs::read(&path).unwrap(), bytes),
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
}

#[test]
fn a_header_that_denies_what_the_file_is_means_damage_and_a_start_all_the_same() {
    let (_dir, path) = scratch();
    open(&path, NOW).unwrap().store.close();
    let whole = fs::read(&path).unwrap();
    // Writable, form, version, whose: one bit of each byte that says it.
    for (at, bit) in [(18, 0), (18, 7), (47, 0), (47, 3), (60, 4), (62, 7), (63, 0), (63, 1), (63, 2), (68, 0), (71, 7)]
    {
        let (_dir, path) = scratch();
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << bit;
        fs::write(&path, &bytes).unwrap();
        let opened = open(&path, NOW).unwrap_or_else(|e| panic!("bit {bit} of byte {at}: {e}"));
        assert!(opened.damaged && opened.note.unwrap().contains("moved aside"), "bit {bit} of byte {at}");
        opened.store.close();
    }
}

#[test]
fn a_newer_version_and_another_programs_database_are_refused_and_left_alone() {
    let cases = [
        ("PRAGMA application_id = 0x666f7664; PRAGMA user_version = 99; CREATE TABLE t (x)", "version 99"),
        ("CREATE TABLE bookmarks (url TEXT)", "another program"),
        ("PRAGMA application_id = 77", "another program"),
    ];
    for (sql, part) in cases {
        let (dir, path) = scratch();
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(sql).unwrap();
        drop(conn);
        let before = fs::read(&path).unwrap();
        let Err(error) = open(&path, NOW) else { panic!("{sql}: opened") };
        assert!(error.to_string().contains(part), "{error}");
        assert!(!error.is_transient());
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(entries_in(&dir), ["failoverd.db"]);
    }
}

#[test]
fn every_older_version_is_brought_up_to_date_in_order_with_its_rows() {
    for version in 0..=open::MIGRATIONS.len() {
        let (_dir, path) = scratch();
        let conn = Connection::open(&path).unwrap();
        for sql in &open::MIGRATIONS[..version] {
            conn.execute_batch(sql).unwrap();
        }
        if version > 0 {
            conn.execute_batch(&format!("PRAGMA application_id = 0x666f7664; PRAGMA user_version = {version}"))
                .unwrap();
            let body = serde_json::to_string(&snapshot(5)).unwrap();
            conn.execute("INSERT INTO snapshots VALUES ('web', 1, ?1)", [body]).unwrap();
        }
        drop(conn);
        if version < open::MIGRATIONS.len() && version > 0 {
            assert!(matches!(open_read_only(&path), Err(StoreError::Older { .. })));
        }
        let opened = open(&path, NOW).unwrap();
        assert_eq!(opened.restored.snapshots.len(), usize::from(version > 0), "from version {version}");
        commit(&opened.store, entry(1)).unwrap();
        let known =
            inside(&opened.store, |c| c.pragma_query_value(None, "user_version", |r| r.get::<_, i64>(0)).unwrap());
        assert_eq!(known, open::MIGRATIONS.len() as i64);
    }
}

#[test]
fn paths_that_cannot_be_opened_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let cases: [(PathBuf, &str); 3] = [
        (dir.path().join("not/there/failoverd.db"), "mkdir -p"),
        (dir.path().into(), "it is a directory"),
        ("/proc/failoverd.db".into(), "cannot be opened"),
    ];
    for (path, part) in cases {
        let Err(error) = open(&path, NOW) else { panic!("{} opened", path.display()) };
        assert!(error.to_string().contains(part), "{error}");
    }
    let Err(error) = open_read_only(&dir.path().join("none.db")) else { panic!("opened") };
    assert!(error.to_string().contains("failoverd run"), "{error}");
}

#[test]
fn a_full_disk_leaves_nothing_half_written_and_the_next_commit_works_when_there_is_room() {
    // SQLITE_FULL itself, made by a page limit: a small file system cannot be mounted everywhere.
    let (_dir, path) = scratch();
    let store = open(&path, NOW).unwrap().store;
    commit(&store, entry(1)).unwrap();
    let limit = |pages: &'static str| {
        inside(&store, move |c| {
            c.pragma_update_and_check(None, "max_page_count", pages, |r| r.get::<_, i64>(0)).unwrap()
        })
    };
    limit("1");
    let mut large = entry(2);
    large.transitions.push(transition(&"x".repeat(100_000)));
    let error = commit(&store, large.clone()).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }) && error.is_transient(), "{error}");
    assert!(error.to_string().contains("free space"), "{error}");
    // Neither the transition nor its notice nor its intent.
    assert_eq!(wait(store.history(None, 10)).unwrap().len(), 1);
    assert_eq!(wait(store.outbox_pending()).unwrap(), 1);
    assert_eq!(inside(&store, |c| c.query_row("SELECT count(*) FROM intents", [], |r| r.get::<_, i64>(0)).unwrap()), 1);
    limit("1000000");
    commit(&store, large).unwrap();
    assert_eq!(wait(store.outbox_pending()).unwrap(), 2);
    assert_eq!(store.stats().failures, 1);
}

#[test]
fn a_state_that_became_read_only_fails_each_commit_clearly_until_it_is_writable_again() {
    let (_dir, path) = scratch();
    let store = open(&path, NOW).unwrap().store;
    let read_only = |on: bool| inside(&store, move |c| c.pragma_update(None, "query_only", on).unwrap());
    read_only(true);
    for _ in 0..2 {
        let error = commit(&store, entry(1)).unwrap_err();
        assert!(matches!(error, StoreError::ReadOnly { .. }) && !error.is_transient(), "{error}");
    }
    assert_eq!(wait(store.outbox_pending()).unwrap(), 0);
    read_only(false);
    commit(&store, entry(1)).unwrap();
}

#[test]
fn the_outbox_keeps_order_within_a_notifier_and_lets_others_pass() {
    let (_dir, path) = scratch();
    let store = open(&path, NOW).unwrap().store;
    let notices = vec![notice("n1", &["ops", "audit"]), notice("n2", &["ops", "audit"]), notice("n3", &[])];
    commit(&store, JournalEntry { notices: notices.clone(), ..Default::default() }).unwrap();
    commit(&store, JournalEntry { notices, ..Default::default() }).unwrap();
    assert_eq!(wait(store.outbox_pending()).unwrap(), 4, "a known notice is not queued twice");
    let due = |at: u64| {
        let rows = wait(store.outbox_due(UnixMs(NOW.0 + at), 10)).unwrap();
        let named = rows.iter().map(|r| format!("{} {} {}", r.notifier, r.notice.id, r.attempts)).collect::<Vec<_>>();
        (rows, named)
    };
    let (rows, named) = due(0);
    assert_eq!(named, ["ops n1 0", "audit n1 0"]);
    assert_eq!((rows[0].first_at, rows[0].notice.clone()), (NOW, notice("n1", &["ops", "audit"])));
    let later = Delivery::Retry { at: UnixMs(NOW.0 + 5000), error: "HTTP 503".into() };
    wait(store.outbox_done(rows[0].id, later)).unwrap();
    wait(store.outbox_done(rows[1].id, Delivery::Delivered)).unwrap();
    let (rows, named) = due(4999);
    assert_eq!(named, ["audit n2 0"], "ops waits for its first notice");
    wait(store.outbox_done(rows[0].id, Delivery::Dead { error: "HTTP 404".into() })).unwrap();
    assert_eq!(wait(store.outbox_next(NOW)).unwrap(), Some(UnixMs(NOW.0 + 5000)));
    assert_eq!(wait(store.outbox_next(UnixMs(NOW.0 + 5000))).unwrap(), None);
    let a_day_before = UnixMs(NOW.0 - 86_400_000);
    assert_eq!(wait(store.outbox_due(a_day_before, 10)).unwrap().len(), 1, "a clock set back delays nothing");
    assert_eq!(due(5000).1, ["ops n1 1"]);
    assert_eq!((wait(store.outbox_pending()).unwrap(), wait(store.outbox_dead()).unwrap()), (2, 1));
    for _ in 0..2 {
        let (rows, _) = due(5000);
        wait(store.outbox_done(rows[0].id, Delivery::Delivered)).unwrap();
    }
    assert_eq!(wait(store.outbox_next(UnixMs(0))).unwrap(), None);
}

#[test]
fn rollups_of_one_minute_add_up_and_old_ones_go_after_fourteen_days() {
    let (_dir, path) = scratch();
    let store = open(&path, NOW).unwrap().store;
    let row = |minute: UnixMs, max: u32| Rollup {
        policy: policy("web"),
        target: TargetName::new("eu").unwrap(),
        minute,
        up: 2,
        down: 1,
        unknown: 0,
        latency_ms_sum: 30,
        latency_ms_max: max,
    };
    let day = |n: u64| UnixMs(NOW.0 + n * 86_400_000);
    store.rollups(vec![row(NOW, 20), row(day(2), 9)]);
    store.rollups(vec![row(NOW, 10)]);
    wait(store.outbox_pending()).unwrap();
    let view = open_read_only(&path).unwrap();
    let rows = view.rollups(&policy("web"), UnixMs(0)).unwrap();
    let both = Rollup { up: 4, down: 2, latency_ms_sum: 60, ..row(NOW, 20) };
    assert_eq!(rows, [both, row(day(2), 9)]);
    store.rollups(vec![row(day(15), 1)]);
    wait(store.outbox_pending()).unwrap();
    let minutes: Vec<UnixMs> = view.rollups(&policy("web"), UnixMs(0)).unwrap().iter().map(|r| r.minute).collect();
    assert_eq!(minutes, [day(2), day(15)]);
}

#[test]
fn a_view_reads_beside_the_writer_and_cannot_write() {
    let (_dir, path) = scratch();
    let store = open(&path, NOW).unwrap().store;
    let view = open_read_only(&path).unwrap();
    commit(&store, entry(1)).unwrap();
    assert_eq!(view.history(None, 10).unwrap().len(), 1);
    assert_eq!(view.restored().unwrap().open_intents, [intent("i1", None)]);
    assert_eq!((view.outbox_pending().unwrap(), view.outbox_dead().unwrap()), (1, 0));
    store.close();
    assert_eq!(open_read_only(&path).unwrap().restored().unwrap().snapshots, [snapshot(1)]);
}

#[test]
fn a_store_in_memory_works_like_a_file() {
    let opened = open_memory().unwrap();
    commit(&opened.store, entry(1)).unwrap();
    assert_eq!(wait(opened.store.outbox_pending()).unwrap(), 1);
}

#[test]
fn history_and_closed_intents_go_after_four_hundred_days_but_never_the_newest_or_an_open_intent() {
    let (_dir, path) = scratch();
    let store = open(&path, NOW).unwrap().store;
    let closed = intent("closed", Some(IntentOutcome::Committed));
    commit(&store, JournalEntry { intents: vec![closed, intent("open", None)], ..JournalEntry::default() }).unwrap();
    let many = (0..10_003).map(|n| transition(&format!("step {n}"))).collect();
    commit(&store, JournalEntry { transitions: many, ..JournalEntry::default() }).unwrap();
    store.close();
    let day = 86_400_000;
    for (days, transitions, intents) in [(399, 10_003, 2), (401, 10_000, 1)] {
        let store = open(&path, UnixMs(NOW.0 + days * day)).unwrap().store;
        let count = |sql: &'static str| inside(&store, move |c| c.query_row(sql, [], |r| r.get::<_, i64>(0)).unwrap());
        assert_eq!(count("SELECT count(*) FROM transitions"), transitions, "after {days} days");
        assert_eq!(count("SELECT count(*) FROM intents"), intents, "after {days} days");
        store.close();
    }
    assert_eq!(open(&path, NOW).unwrap().restored.open_intents.len(), 1);
}
