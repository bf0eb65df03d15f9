//! What must hold after any accident, read from outside: the provider's history, the state file
//! and what the receiver was sent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use failoverd::domain::UnixMs;
use failoverd::engine::fence::{FenceKind, FenceValue, unquote};
use failoverd::engine::intent::{Intent, IntentOutcome, Kind};
use failoverd::engine::notice::{Notice, NoticeKind};
use failoverd::sandbox::{HistoryEntry, HistoryResult};
use rusqlite::{Connection, OpenFlags};

use super::scene::Scene;
use crate::notify::receiver::Request;

pub struct Ledger {
    pub intents: Vec<Intent>,
    pub notices: Vec<Notice>,
    /// Rows of the outbox, dead letters included.
    pub owed: i64,
}

impl Ledger {
    /// Reads the state file with SQLite alone, so that the store under test is not asked about itself.
    pub fn read(scene: &Scene) -> Ledger {
        Ledger::of(&scene.place.path().join("failoverd.db"))
    }

    /// Panics when an intent has no outcome.
    pub fn of(file: &Path) -> Ledger {
        let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let bodies = |table: &str| -> Vec<String> {
            let mut rows = db.prepare(&format!("SELECT body FROM {table} ORDER BY rowid")).unwrap();
            rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        let intents = bodies("intents").iter().map(|body| serde_json::from_str(body).unwrap()).collect();
        let notices = bodies("notices").iter().map(|body| serde_json::from_str(body).unwrap()).collect();
        let open: i64 = db.query_row("SELECT count(*) FROM intents WHERE outcome IS NULL", [], |r| r.get(0)).unwrap();
        assert_eq!(open, 0, "an intent has no outcome");
        let owed = db.query_row("SELECT count(*) FROM outbox", [], |r| r.get(0)).unwrap();
        Ledger { intents, notices, owed }
    }

    /// The outcome of every write that would have moved the record, oldest first.
    pub fn outcomes(&self, kind: Kind) -> Vec<&IntentOutcome> {
        self.intents.iter().filter(|i| i.kind == kind).filter_map(|i| i.outcome.as_ref()).collect()
    }

    fn told(&self, kind: NoticeKind) -> usize {
        self.notices.iter().filter(|notice| notice.kind == kind).count()
    }
}

/// One write that the provider took.
pub struct Batch {
    pub at: UnixMs,
    pub fence: FenceValue,
    /// What the name's A record said from then on.
    pub published: BTreeSet<String>,
}

impl Batch {
    pub fn is(&self, kind: Kind) -> bool {
        self.fence.kind == FenceKind::Known(kind)
    }
}

/// Panics unless the record was moved exactly to `moves`, one after the other, every intent has
/// its one outcome and agrees with the zone, and every notice arrived.
pub fn check(scene: &Scene, moves: &[IpAddr], kills: usize) -> Ledger {
    let ledger = Ledger::read(scene);
    let history = scene.place.sandbox.history();
    let batches = accepted(&scene.name, &scene.zone, &history);
    let story = || {
        let told: Vec<String> = ledger.notices.iter().map(|n| format!("{:?} {}", n.kind, n.title)).collect();
        format!("{history:#?}\n{:#?}\n{told:#?}", ledger.intents)
    };

    one_after_the_other(&batches, &story);
    let moved: Vec<BTreeSet<String>> = batches
        .windows(2)
        .filter(|pair| pair[0].published != pair[1].published)
        .map(|pair| pair[1].published.clone())
        .collect();
    let wanted: Vec<BTreeSet<String>> = moves.iter().map(|to| BTreeSet::from([to.to_string()])).collect();
    assert_eq!(moved, wanted, "moves of the record\n{}", story());

    // What the journal says was applied is what the zone took, and nothing else.
    let burns = batches.iter().filter(|batch| batch.is(Kind::Burn)).count();
    let applied: BTreeSet<&str> = ledger
        .intents
        .iter()
        .filter(|intent| intent.outcome.as_ref().is_some_and(applied))
        .map(|intent| intent.id.0.as_str())
        .collect();
    let in_zone: BTreeSet<&str> =
        batches.iter().filter(|batch| !batch.is(Kind::Burn)).map(|batch| batch.fence.attempt.as_str()).collect();
    assert_eq!(applied, in_zone, "applied by the journal, and by the zone ({burns} burns)\n{}", story());

    assert_eq!(ledger.owed, 0, "a notice was not delivered\n{}", story());
    for kind in [NoticeKind::Moving, NoticeKind::Moved] {
        assert_eq!(ledger.told(kind), moves.len(), "notices {kind:?}\n{}", story());
    }
    deliveries(&scene.sink.requests(), &ledger.notices, kills);
    ledger
}

/// Every write replaced the one before it: epochs grow, a burn keeps its epoch and moves nothing,
/// no attempt was applied twice.
pub fn one_after_the_other(batches: &[Batch], story: &dyn Fn() -> String) {
    for pair in batches.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        if after.is(Kind::Burn) {
            assert_eq!(after.fence.epoch, before.fence.epoch, "a burn keeps the epoch\n{}", story());
            assert_eq!(after.published, before.published, "a burn moves nothing\n{}", story());
        } else {
            assert!(after.fence.epoch > before.fence.epoch, "the epoch must grow\n{}", story());
        }
    }
    let attempts: BTreeSet<&str> = batches.iter().map(|batch| batch.fence.attempt.as_str()).collect();
    assert_eq!(attempts.len(), batches.len(), "an attempt was applied twice\n{}", story());
}

/// Every accepted batch that names the fence of `name`, which is `www` in `zone`; a name that ever
/// has no address is a failure.
pub fn accepted(name: &str, zone: &str, history: &[HistoryEntry]) -> Vec<Batch> {
    let (name, fence_name) = (format!("{name}."), format!("www._failoverd.{zone}."));
    let mut published = BTreeSet::new();
    let mut batches = Vec::new();
    for entry in history.iter().filter(|entry| matches!(entry.result, HistoryResult::Accepted { .. })) {
        let mut fence = None;
        for change in &entry.changes {
            match (change.rtype.as_str(), change.action.as_str()) {
                ("A", "DELETE") if change.name == name => published.clear(),
                ("A", _) if change.name == name => published = change.values.iter().cloned().collect(),
                ("TXT", "CREATE") if change.name == fence_name => {
                    fence = Some(FenceValue::parse(&unquote(&change.values[0]).unwrap()).unwrap());
                }
                _ => {}
            }
        }
        assert!(!published.is_empty(), "the name was emptied: {entry:#?}");
        batches.extend(fence.map(|fence| Batch { at: entry.at, fence, published: published.clone() }));
    }
    batches
}

/// All that was queued arrived; what arrived twice says so by its id and is the same notice, and a
/// kill is the reason for at most one such copy.
pub fn deliveries(requests: &[Arc<Request>], notices: &[Notice], kills: usize) {
    let mut arrived: BTreeMap<String, Vec<serde_json::Value>> = BTreeMap::new();
    for request in requests {
        let id = request.header("webhook-id").to_owned();
        arrived.entry(id).or_default().push(request.json());
    }
    let ids: Vec<&str> = arrived.values().map(|copies| copies[0]["data"]["id"].as_str().unwrap()).collect();
    let distinct: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(distinct.len(), ids.len(), "one notice came under two webhook ids");
    let queued: BTreeSet<&str> = notices.iter().map(|notice| notice.id.as_str()).collect();
    assert_eq!(distinct, queued, "notices that arrived, and those in the state file");
    let copies = requests.len() - arrived.len();
    assert!(copies <= kills, "{copies} copies of notices after {kills} kills");
    for (id, copies) in &arrived {
        assert!(copies.iter().all(|copy| *copy == copies[0]), "copies of {id} differ: {copies:#?}");
    }
}

/// The write reached the zone.
pub fn applied(outcome: &IntentOutcome) -> bool {
    matches!(outcome, IntentOutcome::Committed | IntentOutcome::AppliedSyncUnknown)
}
