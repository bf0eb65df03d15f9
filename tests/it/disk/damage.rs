//! Damaged state files: whatever they hold, a daemon starts from them within 5 s, nothing of them
//! is deleted, the record stays where it is, and a dead target is left.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use failoverd::engine::journal::Restored;
use failoverd::runtime::clock::wall;
use failoverd::store;
use tokio::time::{Instant, sleep};

use crate::crash::stage::{Plan, Stage};
use crate::lost::dice::{Dice, figure};
use crate::lost::ledger::one_after_the_other;
use crate::real::PATIENCE;
use crate::servers::Mode;

use super::images::{Files, install, read_files, with};
use super::{START, scratch};

const PAGE: usize = 4096;

/// Spoils one file of `files` and says how.
fn spoil(files: &mut Files, dice: &mut Dice) -> String {
    let has_log = files[1].as_ref().is_some_and(|log| log.len() > PAGE);
    let which = usize::from(has_log && dice.percent(40));
    let name = ["the database", "the log"][which];
    let Some(bytes) = files[which].as_mut().filter(|bytes| !bytes.is_empty()) else { return "nothing".into() };
    let pages = bytes.len().div_ceil(PAGE);
    let flip = |bytes: &mut Vec<u8>, below: usize, dice: &mut Dice| {
        let (at, bit) = (dice.index(below), dice.within(0..8));
        bytes[at] ^= 1 << bit;
        at
    };
    let what = match dice.within(0..100) {
        0..40 => {
            let at = flip(bytes, bytes.len(), dice);
            format!("one bit of byte {at}")
        }
        // The header decides what the rest is taken for.
        40..55 => {
            let below = bytes.len().min(100);
            let at = flip(bytes, below, dice);
            format!("one bit of byte {at} of the header")
        }
        55..65 => {
            let bits = dice.within(2..200);
            for _ in 0..bits {
                flip(bytes, bytes.len(), dice);
            }
            format!("{bits} bits")
        }
        65..75 => {
            let page = dice.index(pages);
            let end = bytes.len().min((page + 1) * PAGE);
            bytes[page * PAGE..end].fill(0);
            format!("page {page} is zeroes")
        }
        75..82 => {
            let page = dice.index(pages);
            let end = bytes.len().min((page + 1) * PAGE);
            bytes[page * PAGE..end].fill_with(|| dice.roll() as u8);
            format!("page {page} is noise")
        }
        82..90 => {
            let length = dice.index(bytes.len());
            bytes.truncate(length);
            format!("cut to {length} bytes")
        }
        90..97 => {
            let (one, other) = (dice.index(pages), dice.index(pages));
            for k in 0..PAGE {
                let (a, b) = (one * PAGE + k, other * PAGE + k);
                if a < bytes.len() && b < bytes.len() {
                    bytes.swap(a, b);
                }
            }
            format!("pages {one} and {other} are swapped")
        }
        _ => {
            bytes.fill_with(|| dice.roll() as u8);
            "all of it is noise".into()
        }
    };
    format!("{name}: {what}")
}

/// What a daemon makes of a state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// It does not notice, or what is damaged does not matter to it.
    Same,
    /// It is moved aside and made anew.
    Aside,
    /// It reads something else than was written.
    Different,
    /// It is empty: made anew.
    Anew,
}

/// Opens `files` as a start would; panics when that fails, is slow or deletes anything.
fn open(files: &Files, state: &Path, good: &Restored, how: &str) -> Verdict {
    install(files, state);
    let begun = Instant::now();
    let opened = store::open(state, wall()).unwrap_or_else(|e| panic!("{how}: a start is refused: {e}"));
    let took = begun.elapsed();
    assert!(took < START, "{how}: opened after {took:?}");
    opened.store.close();
    let note = opened.note.unwrap_or_default();
    let dir = state.parent().unwrap();
    let aside = || std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let kept = aside().find(|path| path.to_string_lossy().contains(".corrupt-") && !is_tail(path));
    match (note.contains("moved aside"), kept) {
        (true, Some(kept)) => {
            assert!(std::fs::read(&kept).ok() == files[0], "{how}: what was moved aside is not what was there");
            assert_eq!(opened.restored, Restored::default());
            aside().filter(|path| path.to_string_lossy().contains(".corrupt-")).for_each(|path| {
                std::fs::remove_file(path).unwrap();
            });
            Verdict::Aside
        }
        (false, None) if note.contains("made a new one") => Verdict::Anew,
        (false, None) if opened.restored == *good => Verdict::Same,
        (false, None) => Verdict::Different,
        (said, kept) => panic!("{how}: said {said}, kept {kept:?}: {note}"),
    }
}

fn is_tail(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.ends_with("-wal") || name.ends_with("-shm") || name.ends_with("-journal")
}

/// State files with a history: killed in the middle of a move, killed at rest, ended in order.
struct Past {
    stage: Stage,
    files: Vec<Files>,
    /// How long this machine takes for a start from a sound file, now.
    usual: Duration,
}

async fn past() -> Past {
    let mut stage = Stage::new(Plan { pair: false, failback: false }).await;
    let mut files = Vec::new();
    stage.start(0, None);
    rest(&stage).await;
    for east in [true, false, true, false] {
        leave(&mut stage, east).await;
    }
    stage.kill(0);
    files.push(read_files(&stage.instances[0].state));
    stage.start(0, Some("after-intent-commit"));
    stage.set(true, false, Mode::Refuse).await;
    let begun = Instant::now();
    while !stage.is_dead(0) {
        assert!(begun.elapsed() < PATIENCE, "it does not die\n{}", stage.story());
        sleep(Duration::from_millis(10)).await;
    }
    stage.kill(0);
    stage.set(true, true, Mode::Ok).await;
    files.push(read_files(&stage.instances[0].state));
    let begun = Instant::now();
    stage.start(0, None);
    stage.instances[0].daemon.as_mut().unwrap().wait_log("ready socket=");
    let usual = begun.elapsed();
    rest(&stage).await;
    stage.end(0);
    files.push(read_files(&stage.instances[0].state));
    Past { stage, files, usual }
}

async fn wait(stage: &Stage, what: &str, mut look: impl AsyncFnMut(&Stage) -> bool) {
    let begun = Instant::now();
    while !look(stage).await {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}\n{}", stage.story());
        sleep(Duration::from_millis(10)).await;
    }
}

async fn rest(stage: &Stage) {
    wait(stage, "at rest", async |stage| stage.unrest(0).await.is_none()).await;
}

/// The record publishes that target, it dies, the record goes to the other one.
async fn leave(stage: &mut Stage, east: bool) {
    assert_eq!(stage.publishes_east(), east, "{}", stage.story());
    stage.set(east, false, Mode::Refuse).await;
    wait(stage, "the dead target is left", async |stage| stage.publishes_east() != east).await;
    stage.set(east, true, Mode::Ok).await;
    rest(stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_state_file_never_stops_a_start_nor_moves_a_record() {
    let wanted = figure("DISK_IMAGES", 400);
    let seed = figure("DISK_SEED", 20_261_121);
    println!("DISK_SEED={seed} DISK_IMAGES={wanted}");
    let begun = Instant::now();
    let Past { mut stage, files, usual } = past().await;
    let scratch = scratch();
    let state = scratch.path().join("image.db");
    let good: Vec<Restored> = files
        .iter()
        .map(|files| {
            install(files, &state);
            let opened = store::open(&state, wall()).unwrap();
            opened.store.close();
            opened.restored
        })
        .collect();
    assert!(good.iter().any(|good| !good.open_intents.is_empty()), "one of them has an open write");
    let mut verdicts: BTreeMap<Verdict, u64> = BTreeMap::new();
    let mut chosen: Vec<(String, Files)> = Vec::new();
    for n in 0..wanted {
        let mut dice = Dice::of(seed, &[n]);
        let which = dice.index(files.len());
        let mut spoilt = files[which].clone();
        let how = format!("DISK_SEED={seed} image {n} of past {which}, {}", spoil(&mut spoilt, &mut dice));
        let verdict = open(&spoilt, &state, &good[which], &how);
        *verdicts.entry(verdict).or_default() += 1;
        // What reads differently without a word is worth a real start; of the rest, a few.
        let (share, most) = if verdict == Verdict::Different { (100, 4 + wanted / 100) } else { (2, 6 + wanted / 500) };
        if dice.percent(share) && (chosen.len() as u64) < most {
            chosen.push((format!("{verdict:?}: {how}"), spoilt));
        }
    }
    println!("{verdicts:?}");
    assert!(verdicts.contains_key(&Verdict::Aside) && verdicts.contains_key(&Verdict::Same), "{verdicts:?}");
    for (how, spoilt) in &chosen {
        start_from(&mut stage, spoilt, how, START.max(usual * 4)).await;
    }
    println!(
        "ledger: {{\"part\":\"disk\",\"what\":\"damage\",\"seed\":{seed},\"images\":{wanted},\"started\":{},\"seconds\":{:.0}}}",
        chosen.len(),
        begun.elapsed().as_secs_f64()
    );
}

/// Bytes of the header that decide whether a file is ours, of our version and writable, and of a
/// form that is known: a person cannot be asked to look each time that one of them flips.
#[tokio::test(flavor = "multi_thread")]
async fn one_bit_of_the_header_never_makes_our_file_another_programs() {
    let scratch = scratch();
    let state = scratch.path().join("image.db");
    store::open(&state, wall()).unwrap().store.close();
    let good = read_files(&state);
    for at in (18..20).chain(44..48).chain(56..64).chain(68..72) {
        for bit in 0..8 {
            let mut files = good.clone();
            files[0].as_mut().unwrap()[at] ^= 1 << bit;
            let verdict = open(&files, &state, &Restored::default(), &format!("bit {bit} of byte {at}"));
            let decides = matches!(at, 60..64 | 68..72);
            assert!(!decides || verdict == Verdict::Aside, "bit {bit} of byte {at}: {verdict:?}");
        }
    }
    // What is really another program's, or newer, is refused and stays as it is.
    for (sql, part) in [
        ("CREATE TABLE bookmarks (url TEXT); PRAGMA application_id = 77", "another program"),
        (
            "PRAGMA application_id = 0x666f7664; PRAGMA user_version = 9; CREATE TABLE meta (key TEXT, value TEXT); \
          INSERT INTO meta VALUES ('version', '9')",
            "version 9",
        ),
    ] {
        install(&Files::default(), &state);
        rusqlite::Connection::open(&state).unwrap().execute_batch(sql).unwrap();
        let before = std::fs::read(&state).unwrap();
        let Err(error) = store::open(&state, wall()) else { panic!("{sql}: opened") };
        assert!(error.to_string().contains(part), "{error}");
        assert!(std::fs::read(&state).unwrap() == before);
    }
}

/// The real binary on a damaged file: it starts, the record stays, a dead target is left.
async fn start_from(stage: &mut Stage, files: &Files, how: &str, longest: Duration) {
    stage.note(how);
    let state = stage.instances[0].state.clone();
    install(files, &state);
    let (east, before) = (stage.publishes_east(), stage.batches().len());
    let told = pages(stage);
    let begun = Instant::now();
    stage.start(0, None);
    stage.instances[0].daemon.as_mut().unwrap().wait_log("ready socket=");
    assert!(begun.elapsed() < longest, "ready after {:?}\n{}", begun.elapsed(), stage.story());
    rest(stage).await;
    let stayed = stage.batches()[before..].iter().all(|batch| stage.is_east(&batch.published) == Some(east));
    assert!(stayed, "the record was moved for nothing\n{}", stage.story());
    leave(stage, east).await;
    let said = stage.instances[0].daemon.as_ref().unwrap().lines_with("moved aside").len();
    stage.end(0);
    assert_eq!(pages(stage) - told, said.min(1), "a person is told once when it was moved aside\n{}", stage.story());
    one_after_the_other(&stage.batches(), &|| stage.story());
    for entry in std::fs::read_dir(state.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains(".corrupt-") {
            assert!(said > 0, "moved aside without a word\n{}", stage.story());
            std::fs::remove_file(path).unwrap();
        }
    }
    let _ = std::fs::remove_file(with(&state, "-shm"));
}

/// Notices of a state begun anew that arrived.
fn pages(stage: &Stage) -> usize {
    let is_page = |json: &serde_json::Value| {
        json["type"] == "failoverd.store_trouble" && json["data"]["why"][0].as_str().unwrap().contains("moved aside")
    };
    stage.sink.requests().iter().filter(|request| is_page(&request.json())).count()
}
