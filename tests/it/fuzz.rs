//! The corpora of the fuzz targets, replayed: what fuzzing found once stays found. The targets themselves are
//! `fuzz/src/lib.rs`; fuzzing is by hand (CONTRIBUTING.md).

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::golden::root;
use crate::lost::dice::{Dice, figure};

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use targets::{TARGETS, Target};

/// Of one corpus; what fuzzing adds is minimised before it is committed.
const MOST_FILES: usize = 300;
const MOST_BYTES: usize = 500 << 10;

/// Runs every file of a corpus through its target. An error names each file that fails.
fn replay(corpus: &Path, target: Target) -> Result<usize, String> {
    let entries = std::fs::read_dir(corpus).map_err(|e| format!("{}: {e}", corpus.display()))?;
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut bad, mut understood, mut bytes) = (String::new(), 0, 0);
    for file in &files {
        let data = std::fs::read(file).unwrap();
        bytes += data.len();
        match catch_unwind(AssertUnwindSafe(|| target(&data))) {
            Ok(known) => understood += usize::from(known),
            Err(panic) => {
                let why = panic.downcast_ref::<String>().map(String::as_str);
                let why = why.or(panic.downcast_ref::<&str>().copied()).unwrap_or("it panics");
                writeln!(bad, "{}: {why}", file.display()).unwrap();
            }
        }
    }
    match (files.len(), understood) {
        _ if !bad.is_empty() => Err(bad),
        (0, _) => Err(format!("{}: no file", corpus.display())),
        (_, 0) => Err(format!("{}: nothing in it is understood", corpus.display())),
        (all, known) if all == known => Err(format!("{}: nothing in it is refused", corpus.display())),
        (all, _) if all > MOST_FILES || bytes > MOST_BYTES => {
            Err(format!("{}: {all} files of {bytes} bytes; minimise it (cargo fuzz cmin)", corpus.display()))
        }
        (all, _) => Ok(all),
    }
}

#[test]
fn every_corpus_goes_through_its_target() {
    let mut bad = String::new();
    for (name, target) in TARGETS {
        match replay(&root().join("fuzz/corpus").join(name), target) {
            Ok(files) => println!("{name}: {files} files"),
            Err(why) => writeln!(bad, "{name}: {why}").unwrap(),
        }
    }
    assert!(bad.is_empty(), "{bad}");
}

/// A file with a few bytes changed, cut out, doubled, or taken from another.
fn mutated(data: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    const TELLING: &[u8] = b"\0\x01\x02\x03\n\r\t \"'\\,.:;=<>[]{}&#%0189aZ\x7f\x80\xc0\xe2\xff";
    let mut data = data.to_vec();
    for _ in 0..dice.within(1..5) {
        let at = dice.index(data.len() + 1);
        let end = (at + dice.index(24)).min(data.len());
        let byte = *dice.pick(TELLING);
        match dice.index(6) {
            0 => data.insert(at, byte),
            1 => drop(data.drain(at..end)),
            2 => {
                let again = data[at..end].repeat(dice.index(40));
                data.splice(at..at, again);
            }
            3 => {
                let from = dice.index(other.len() + 1);
                let to = (from + dice.index(64)).min(other.len());
                data.splice(at..end, other[from..to].iter().copied());
            }
            4 if at < data.len() => data[at] ^= 1 << dice.index(8),
            _ if at < data.len() => data[at] = byte,
            _ => {}
        }
    }
    data
}

/// Blind, for the days between two fuzzings: FUZZ_ROUNDS mutants of every file, 20 without it.
#[test]
fn the_neighbours_of_every_corpus_keep_the_promises_too() {
    let rounds = figure("FUZZ_ROUNDS", 20);
    let mut bad = String::new();
    for (name, target) in TARGETS {
        let entries = std::fs::read_dir(root().join("fuzz/corpus").join(name)).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let files: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
        let mut dice = Dice::new(figure("FUZZ_SEED", 20_261_121));
        let (mut tried, mut understood) = (0, 0);
        for file in &files {
            for _ in 0..rounds {
                let other = dice.pick(&files);
                let data = mutated(file, other, &mut dice);
                tried += 1;
                match catch_unwind(AssertUnwindSafe(|| target(&data))) {
                    Ok(known) => understood += usize::from(known),
                    Err(_) => writeln!(bad, "{name}: {}", data.escape_ascii()).unwrap(),
                }
            }
        }
        println!("{name}: {tried} mutants, {understood} of them understood");
    }
    assert!(bad.is_empty(), "{bad}");
}

#[test]
fn every_target_has_its_corpus_its_program_and_no_other_is_there() {
    let listed = |dir: &str| -> Vec<String> {
        let entries = std::fs::read_dir(root().join("fuzz").join(dir)).unwrap();
        let stem = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
        let mut names: Vec<String> = entries.map(|entry| stem(&entry.unwrap().path())).collect();
        names.sort();
        names
    };
    let mut names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(listed("corpus"), names);
    assert_eq!(listed("fuzz_targets"), names);
    let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for name in names {
        assert!(manifest.contains(&format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\n")), "{name}");
        let program = std::fs::read_to_string(root().join(format!("fuzz/fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("failoverd_fuzz::{name}(data)")), "{program}");
    }
}

/// Panics, as a broken promise does, at what has `bad` in it; understands what has `good`.
fn planted(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    assert!(!text.contains("bad"), "a promise is broken");
    text.contains("good")
}

#[test]
fn a_corpus_that_proves_nothing_or_breaks_a_promise_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let refused = |expected: &str| {
        let why = replay(dir.path(), planted).unwrap_err();
        assert!(why.contains(expected), "{why}");
    };
    refused("no file");
    put("1", "good");
    refused("nothing in it is refused");
    put("2", "x");
    assert_eq!(replay(dir.path(), planted), Ok(2));
    put("3", "bad");
    refused("3: a promise is broken");
    put("3", &"x".repeat(MOST_BYTES));
    refused("minimise it");
    std::fs::remove_file(dir.path().join("3")).unwrap();
    std::fs::remove_file(dir.path().join("1")).unwrap();
    refused("nothing in it is understood");
    assert!(replay(&dir.path().join("none"), planted).is_err());
}
