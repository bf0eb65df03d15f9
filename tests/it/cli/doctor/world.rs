//! One policy over two records with three witnesses: everything `doctor` asks for, to be broken and repaired.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::SystemTime;

use failoverd::domain::{Epoch, NotifierName, PolicyId, UnixMs};
use failoverd::engine::intent::{Intent, IntentId, Kind};
use failoverd::engine::journal::{JournalEntry, PolicySnapshot};
use failoverd::engine::notice::{Notice, NoticeKind, Severity};
use failoverd::store::{self, Delivery};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::cli::place::Place;
use crate::real::daemon::Said;
use crate::real::{dig, http};

/// The second record's label.
pub const API: &str = "api";
const FILES: [&str; 3] = ["failoverd.db", "failoverd.db-wal", "failoverd.db-shm"];

pub struct World {
    pub place: Place,
    /// The last two can be silenced.
    witnesses: Vec<(std::net::SocketAddr, Option<TcpListener>)>,
}

#[allow(clippy::disallowed_methods, reason = "a test writes what another clock would")]
pub fn now() -> UnixMs {
    UnixMs(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64)
}

impl World {
    /// Nothing is adopted yet.
    pub async fn new() -> World {
        let place = Place::new().await;
        place.sandbox.put(&format!("api.example.com 30 A {}", place.east.ip())).await.unwrap();
        let mut witnesses = vec![(place.sandbox.dns_addr(), None)];
        for _ in 0..2 {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            witnesses.push((listener.local_addr().unwrap(), Some(listener)));
        }
        let world = World { place, witnesses };
        let main = world.place.path().join("failoverd.toml");
        let tables: String = (0..)
            .zip(&world.witnesses)
            .map(|(i, (at, _))| format!("[[witness]]\nname = \"w{i}\"\ntcp = \"{at}\"\n"))
            .collect();
        let text = std::fs::read_to_string(&main).unwrap();
        let text = format!("cluster = \"default\"\n{text}[rehearsal]\nschedule = \"0 0 4 1 * *\"\n{tables}");
        std::fs::write(&main, text).unwrap();
        let web = world.place.path().join("policies/web.toml");
        let text = std::fs::read_to_string(&web).unwrap();
        let text =
            text.replace("[\"www.example.com\"]", "[\"www.example.com\", \"api.example.com\"]\nadopt = \"auto\"");
        std::fs::write(&web, text.replace("fall = 3", "fall = 3\nrise = 2")).unwrap();
        world
    }

    /// Adopted, and nothing is wrong.
    pub async fn adopted() -> World {
        let world = World::new().await;
        world.place.expect(&["once"], 0);
        world.found(&[], 0, "before anything is broken");
        world
    }

    /// Looks without a daemon, just after a pass; that is the one note that is always there.
    pub fn found(&self, ids: &[&str], exit: i32, what: &str) -> Said {
        let passed = !ids.contains(&"no-daemon");
        self.look(ids, if passed { &["timed-passes"] } else { &[] }, exit, what)
    }

    pub fn found_with_daemon(&self, ids: &[&str], exit: i32, what: &str) -> Said {
        self.look(ids, &[], exit, what)
    }

    /// Exactly these findings and this exit, in both forms.
    fn look(&self, ids: &[&str], always: &[&str], exit: i32, what: &str) -> Said {
        let before = self.place.writes();
        let said = self.place.say(&["doctor", "-o", "json", "--deadline", "4s"]);
        let document: Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{what}: {e}: {said:#?}"));
        let findings = document["findings"].as_array().unwrap();
        let found: BTreeSet<&str> = findings.iter().map(|f| f["id"].as_str().unwrap()).collect();
        let wanted: BTreeSet<&str> = ids.iter().chain(always).copied().collect();
        assert_eq!(found, wanted, "{what}: {document:#}");
        assert_eq!(said.code, Some(exit), "{what}: {said:#?}");
        assert_eq!(self.place.writes(), before, "{what}: a look writes nothing");
        let refused =
            findings.iter().any(|f| f["severity"] == "critical" && f["policy"] == "web" && f["id"] != "active-down");
        if refused {
            assert_eq!(document["policies"][0]["sent"], false, "{what}: {document:#}");
        }
        if ids.iter().any(|id| matches!(*id, "no-daemon" | "daemon-silent")) {
            assert_eq!(document["policies"][0]["sent"], false, "{what}: {document:#}");
        }
        if exit == 0 {
            assert_eq!(document["policies"][0]["sent"], true, "{what}: {document:#}");
        }
        if ids.is_empty() || ids.contains(&"not-adopted") || exit == 5 {
            let said = self.place.say(&["doctor", "--deadline", "4s"]);
            assert_eq!(said.code, Some(exit), "{what}: {said:#?}");
            return said;
        }
        said
    }

    /// The set that publishes east at `label`.
    pub fn east_at(&self, label: &str) -> String {
        format!("{label}.example.com 30 A {}", self.place.east.ip())
    }

    /// The value of a record's fence, with its quotes.
    pub fn fence(&self, label: &str) -> String {
        dig(self.place.sandbox.dns_addr(), &format!("{label}._failoverd.example.com"), "TXT").join(" , ")
    }

    pub async fn put_fence(&self, label: &str, value: Option<String>) {
        let name = format!("{label}._failoverd.example.com");
        match value {
            Some(value) => self.place.sandbox.put(&format!("{name} 60 TXT {value}")).await.unwrap(),
            None => self.delete(&format!("{name} 60 TXT {}", self.fence(label))),
        }
    }

    /// Deletes one set, given as it was put.
    pub fn delete(&self, set: &str) {
        let fields: Vec<&str> = set.splitn(4, ' ').collect();
        let [name, ttl, rtype, value] = fields.as_slice() else { panic!("{set}") };
        let body = format!(
            "<ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><ChangeBatch>\
             <Changes><Change><Action>DELETE</Action><ResourceRecordSet><Name>{name}</Name><Type>{rtype}</Type>\
             <TTL>{ttl}</TTL><ResourceRecords><ResourceRecord><Value>{value}</Value></ResourceRecord></ResourceRecords>\
             </ResourceRecordSet></Change></Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
        );
        let id = self.place.sandbox.zone_id("example.com").unwrap();
        let api = self.place.sandbox.api_url().trim_start_matches("http://").parse().unwrap();
        let (status, answer) = http::post(api, &format!("/2013-04-01/hostedzone/{id}/rrset/"), &body);
        assert_eq!(status, 200, "{set}: {answer}");
    }

    pub fn silence(&mut self, witness: usize) {
        self.witnesses[witness].1 = None;
    }

    pub async fn hear(&mut self, witness: usize) {
        let (at, listener) = &mut self.witnesses[witness];
        *listener = Some(TcpListener::bind(*at).await.unwrap());
    }

    pub fn keep_state(&self) -> Kept {
        Kept::of(FILES.iter().map(|name| self.place.path().join(name)))
    }

    /// Changes what the state file remembers of the policy.
    pub async fn remember(&self, change: fn(&mut PolicySnapshot)) {
        let opened = store::open(&self.place.path().join("failoverd.db"), now()).unwrap();
        let mut snapshot = opened.restored.snapshots[0].clone();
        snapshot.at = now();
        change(&mut snapshot);
        opened.store.commit(1, JournalEntry { snapshots: vec![snapshot], ..JournalEntry::default() }, |r| r.unwrap());
        opened.store.flush().await.unwrap();
        opened.store.close();
    }

    pub async fn open_intent_and_dead_notice(&self) {
        let opened = store::open(&self.place.path().join("failoverd.db"), now()).unwrap();
        let policy = PolicyId::new("web").unwrap();
        let intent = Intent {
            id: IntentId("x-1".into()),
            policy: policy.clone(),
            kind: Kind::Failover,
            epoch: Epoch(2),
            from: vec![],
            to: vec![],
            before: vec![],
            after: vec![],
            decided_at: now(),
            signed_at: None,
            change_id: None,
            outcome: None,
        };
        let notice = Notice {
            id: "n1".into(),
            kind: NoticeKind::Moved,
            severity: Severity::Info,
            at: now(),
            cluster: failoverd::domain::ClusterName::new("default").unwrap(),
            instance: failoverd::domain::InstanceName::new("a").unwrap(),
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
        };
        let entry = JournalEntry { intents: vec![intent], notices: vec![notice], ..JournalEntry::default() };
        opened.store.commit(1, entry, |r| r.unwrap());
        let row = opened.store.outbox_due(now(), 1).await.unwrap().remove(0);
        opened.store.outbox_done(row.id, Delivery::Dead { error: "404".into() }).await.unwrap();
        opened.store.close();
    }

    /// Replaces one part of a file.
    pub fn edit(&self, file: &str, from: &str, to: &str) -> Kept {
        let path = self.place.path().join(file);
        let kept = Kept::of([path.clone()]);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from}: {text}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        kept
    }

    pub fn append(&self, file: &str, more: &str) -> Kept {
        let path = self.place.path().join(file);
        let kept = Kept::of([path.clone()]);
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + more).unwrap();
        kept
    }

    pub fn without_witnesses(&self) -> Kept {
        let path = self.place.path().join("failoverd.toml");
        let kept = Kept::of([path.clone()]);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.split("[[witness]]").next().unwrap()).unwrap();
        kept
    }
}

/// Files as they were.
pub struct Kept(Vec<(PathBuf, Option<Vec<u8>>)>);

impl Kept {
    fn of(paths: impl IntoIterator<Item = PathBuf>) -> Kept {
        Kept(paths.into_iter().map(|path| (path.clone(), std::fs::read(path).ok())).collect())
    }

    pub fn put_back(self) {
        for (path, bytes) in self.0 {
            match bytes {
                Some(bytes) => std::fs::write(path, bytes).unwrap(),
                None => drop(std::fs::remove_file(path)),
            }
        }
    }
}
