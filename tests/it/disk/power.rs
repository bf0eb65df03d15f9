//! Power cuts instead of kills: the storm of `crash::storm`, but whenever a daemon dies its disk
//! becomes one of those that a power cut may leave, and many more of them are looked at.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use failoverd::engine::fence::{FenceKind, FenceValue, unquote};
use failoverd::engine::intent::Kind;
use failoverd::runtime::clock::wall;
use failoverd::store;
use rusqlite::{Connection, OpenFlags};
use tokio::time::Instant;

use crate::crash::stage::Stage;
use crate::crash::storm::{Orders, Undertaker, rage};
use crate::lost::dice::{Dice, figure};

use super::images::{Disk, Files, Op, install, read_diary};
use super::{START, scratch, shim};

/// Images looked at for each death, besides the one that the next daemon finds.
const EACH: usize = 24;

#[derive(Default)]
struct Seen {
    images: AtomicUsize,
    /// Deaths at which a disk that forgot every sync would have lost something promised.
    telling: AtomicUsize,
}

#[test]
fn after_a_power_cut_nothing_that_was_promised_is_lost() {
    let wanted = figure("DISK_IMAGES", 600) as usize;
    let seed = figure("DISK_SEED", 20_261_121);
    println!("DISK_SEED={seed} DISK_IMAGES={wanted}");
    let (seen, began) = (Seen::default(), Instant::now());
    let count = rage(&Orders {
        seed,
        lanes: figure("KILL_LANES", 4),
        shim: Some(shim()),
        enough: &|_| seen.images.load(Ordering::SeqCst) >= wanted,
        hire: &|stage| Box::new(Cuts::new(stage, &seen)),
    });
    let read = |figure: &AtomicUsize| figure.load(Ordering::SeqCst);
    println!(
        "ledger: {{\"part\":\"disk\",\"what\":\"power cuts\",\"seed\":{seed},\"images\":{},\"cuts\":{},\"moves\":{},\
         \"seconds\":{:.0}}}",
        read(&seen.images),
        read(&count.kills),
        read(&count.moves),
        began.elapsed().as_secs_f64()
    );
    assert!(read(&seen.telling) > 0, "no power cut came after a promise: nothing was tried");
}

/// What a state file must hold, for something outside knows of it.
struct Promises {
    /// Writes on the wire: their intents.
    attempts: BTreeSet<String>,
    /// Notices that arrived.
    notices: BTreeSet<String>,
}

impl Promises {
    fn of(stage: &Stage, which: usize) -> Promises {
        let name = stage.instances[which].name;
        let attempts = stage.place.sandbox.history().into_iter().flat_map(|entry| entry.changes).filter_map(|change| {
            let value = change.values.first().filter(|_| change.rtype == "TXT" && change.action == "CREATE")?;
            let fence = FenceValue::parse(&unquote(value)?).ok()?;
            let ours = fence.instance.as_str() == name && fence.kind != FenceKind::Known(Kind::Burn);
            ours.then_some(fence.attempt)
        });
        let requests = stage.sink.requests();
        let notices = requests
            .iter()
            .map(|request| request.json()["data"].clone())
            .filter_map(|data| (data["instance"] == name).then(|| data["id"].as_str().unwrap().to_owned()));
        Promises { attempts: attempts.collect(), notices: notices.collect() }
    }

    /// What of them `files` has forgotten; panics when a daemon could not start from it.
    fn missing_from(&self, files: &Files, state: &PathBuf, stage: &Stage) -> Vec<String> {
        install(files, state);
        let begun = Instant::now();
        let opened = store::open(state, wall()).unwrap_or_else(|e| panic!("{e}\n{}", stage.story()));
        let took = begun.elapsed();
        assert!(took < START, "opened after {took:?}");
        let note = opened.note.unwrap_or_default();
        assert!(!note.contains("damaged"), "{note}\n{}", stage.story());
        opened.store.close();
        let db = Connection::open_with_flags(state, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let ids = |table: &str| -> BTreeSet<String> {
            let mut rows = db.prepare(&format!("SELECT id FROM {table}")).unwrap();
            rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        let (intents, notices) = (ids("intents"), ids("notices"));
        let attempts = self.attempts.difference(&intents).map(|id| format!("intent {id}"));
        attempts.chain(self.notices.difference(&notices).map(|id| format!("notice {id}"))).collect()
    }
}

/// Cuts the power of whoever dies.
struct Cuts<'a> {
    seen: &'a Seen,
    /// What each instance's disk held after its last power cut.
    base: Vec<Files>,
    scratch: tempfile::TempDir,
}

impl Cuts<'_> {
    fn new<'a>(stage: &Stage, seen: &'a Seen) -> Cuts<'a> {
        Cuts { seen, base: vec![Files::default(); stage.instances.len()], scratch: scratch() }
    }
}

impl Undertaker for Cuts<'_> {
    fn bury(&mut self, stage: &mut Stage, which: usize, dice: &mut Dice) {
        let diary = stage.instances[which].diary();
        let ops = read_diary(&diary);
        let disk = Disk::after(&self.base[which], &ops);
        let promises = Promises::of(stage, which);
        let state = self.scratch.path().join("image.db");
        let next = disk.image(dice);
        let images: Vec<Files> = (0..EACH).map(|n| if n == 0 { disk.least() } else { disk.image(dice) }).collect();
        for image in images.iter().chain([&next]) {
            let missing = promises.missing_from(image, &state, stage);
            assert!(missing.is_empty(), "a power cut loses {missing:?}\n{}", stage.story());
            self.seen.images.fetch_add(1, Ordering::SeqCst);
        }
        // The same look must find something missing where syncs are only pretended.
        let unsynced: Vec<Op> = ops.into_iter().filter(|op| !matches!(op, Op::Sync { .. })).collect();
        let liar = Disk::after(&self.base[which], &unsynced).least();
        if !promises.missing_from(&liar, &state, stage).is_empty() {
            self.seen.telling.fetch_add(1, Ordering::SeqCst);
        }
        let name = stage.instances[which].name;
        stage.note(format!("the power of {name} is cut"));
        install(&next, &stage.instances[which].state);
        self.base[which] = next;
        let _ = std::fs::remove_file(diary);
    }
}
