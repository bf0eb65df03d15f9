//! `tests/FAULTS.md` binds each fault to tests that there are: every row 1 to 29, every name and every scenario in it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::golden::root;

const FAULTS: usize = 29;

/// Where tests live, and what of a file's path is no part of a test's name.
const ROOMS: [&str; 3] = ["tests/it", "tests/sim", "src"];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        match entry.extension() {
            Some(extension) if extension == "rs" => found.push(entry),
            _ if entry.is_dir() => sources(&entry, found),
            _ => {}
        }
    }
}

/// Names of the tests of a source: functions marked as such, and those that a macro makes of a list
/// (`name: …,` or `room::name,` on a line of their own).
fn names(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut marked = false;
    for line in source.lines().map(str::trim) {
        let function = line.trim_start_matches("pub ").trim_start_matches("async ").strip_prefix("fn ");
        if line.starts_with("#[") {
            marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        } else if let Some(rest) = function {
            if marked {
                found.extend(rest.split('(').next().map(str::to_owned));
            }
            marked = false;
        } else if let Some(entry) = line.strip_suffix(',') {
            let entry = entry.split(": \"").next().unwrap();
            if entry.contains('_')
                && entry.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:".contains(c))
            {
                found.push(entry.to_owned());
            }
        }
    }
    found
}

/// Every test as `room::file::name`.
fn tests() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for room in ROOMS {
        let base = root().join(room);
        let mut files = Vec::new();
        sources(&base, &mut files);
        for file in files {
            let inner = file.strip_prefix(&base).unwrap().with_extension("");
            let module: Vec<String> = inner.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            let module = module.join("::").trim_end_matches("::mod").to_owned();
            let source = std::fs::read_to_string(&file).unwrap();
            all.extend(names(&source).iter().map(|name| format!("{module}::{name}")));
        }
    }
    all
}

/// Numbers of the text scenarios.
fn scenarios() -> BTreeSet<String> {
    let entries = std::fs::read_dir(root().join("tests/it/scenarios")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.split_once('-').map(|(number, _)| number.to_owned())).collect()
}

/// What is wrong with a table of faults.
fn wrong(document: &str, tests: &BTreeSet<String>, scenarios: &BTreeSet<String>) -> Vec<String> {
    let mut bad = Vec::new();
    let rows: Vec<Vec<&str>> = document
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| #"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let numbers: Vec<String> = rows.iter().map(|row| row[0].to_owned()).collect();
    let wanted: Vec<String> = (1..=FAULTS).map(|n| n.to_string()).collect();
    if numbers != wanted {
        bad.push(format!("the rows are {numbers:?}, not 1 to {FAULTS}"));
    }
    for row in &rows {
        let [number, fault, promise, held] = row.as_slice() else {
            bad.push(format!("{row:?} has not four cells"));
            continue;
        };
        if fault.is_empty() || promise.is_empty() {
            bad.push(format!("{number}: no fault or no promise"));
        }
        let mut bound = 0;
        for name in held.split('`').skip(1).step_by(2) {
            bound += 1;
            if !tests.contains(name) {
                bad.push(format!("{number}: there is no test `{name}`"));
            }
        }
        // Names may hold the word too.
        let words = held.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for list in words.split("scenario").skip(1) {
            let list = list.trim_start_matches('s').split([';', '.', '`']).next().unwrap();
            for scenario in list.split([',', ' ']).filter(|word| !word.is_empty()) {
                bound += 1;
                if !scenarios.contains(scenario) {
                    bad.push(format!("{number}: there is no scenario {scenario}"));
                }
            }
        }
        let reason = |cell: &str| cell.split("not covered: ").skip(1).any(|reason| reason.len() > 20);
        if bound == 0 && !reason(promise) && !reason(held) {
            bad.push(format!("{number}: bound to no test, and not listed as not covered with the reason"));
        }
        if (promise.contains("not covered") || held.contains("not covered")) && !reason(promise) && !reason(held) {
            bad.push(format!("{number}: not covered, and no reason"));
        }
    }
    bad
}

#[test]
fn every_fault_is_bound_to_tests_that_exist_or_says_why_not() {
    let document = std::fs::read_to_string(root().join("tests/FAULTS.md")).unwrap();
    let (tests, scenarios) = (tests(), scenarios());
    assert!(tests.len() > 400 && scenarios.len() > 150, "{} tests, {} scenarios", tests.len(), scenarios.len());
    let bad = wrong(&document, &tests, &scenarios);
    assert!(bad.is_empty(), "{}", bad.join("\n"));

    let broken = [
        ("| 12 |", "| 13 |", "the rows are"),
        ("scenarios 01, 38;", "scenarios 01, 999;", "there is no scenario 999"),
        ("`simulator::seeds` |", "`simulator::sheds` |", "there is no test `simulator::sheds`"),
        ("`crash::after_the_burn_is_sent`", "`crash::after_the_burn`", "there is no test `crash::after_the_burn`"),
        ("there are no leases and no watches. In", "x", ""),
        (
            "not covered: it would be a statement about one loss model, the rule is tested instead",
            "not covered",
            "no reason",
        ),
    ];
    for (from, to, expected) in broken {
        assert!(document.contains(from), "{from}");
        let bad = wrong(&document.replacen(from, to, 1), &tests, &scenarios);
        assert!(bad.iter().any(|line| line.contains(expected)) != expected.is_empty(), "{from} -> {to}: {bad:?}");
    }
}

#[test]
fn what_the_ledger_found_is_kept_by_tests_that_exist() {
    let ledger = std::fs::read_to_string(root().join("tests/LEDGER.md")).unwrap();
    let (tests, scenarios) = (tests(), scenarios());
    let (_, found) = ledger.split_once("\n## What was found\n").unwrap();
    let found = found.split("\n## ").next().unwrap();
    for line in found.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let kept = line.trim_matches('|').split('|').nth(4).unwrap_or_else(|| panic!("{line}")).trim();
        let tested = kept.split('`').skip(1).step_by(2).any(|name| tests.contains(name));
        let played = kept.strip_prefix("scenario ").is_some_and(|number| scenarios.contains(number));
        assert!(tested || played, "{line}: {kept:?} is no test and no scenario");
    }
}
