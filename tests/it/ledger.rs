//! `tests/LEDGER.md` holds only what was run, at a commit, and `tests/soak` adds to it: killed, it goes on where it
//! was; stopped, it writes what is finished; nothing is counted twice and a failure is never left out.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::golden::root;
use crate::real::wait_until;

const COLUMNS: [&str; 14] = [
    "ended", "commit", "part", "range", "seeds", "hours", "faults", "kills", "states", "cases", "images", "core_s",
    "h/core_s", "result",
];
/// Each part and the column that counts it.
const PARTS: [(&str, &str); 5] =
    [("simulator", "seeds"), ("model", "states"), ("properties", "cases"), ("kills", "kills"), ("disk", "images")];

#[derive(Debug)]
struct Row {
    cells: Vec<String>,
}

impl Row {
    fn cell(&self, column: &str) -> &str {
        &self.cells[COLUMNS.iter().position(|c| *c == column).unwrap()]
    }

    fn number(&self, column: &str) -> f64 {
        self.cell(column).parse().unwrap_or(0.0)
    }

    fn range(&self) -> Option<(u64, u64)> {
        let (from, to) = self.cell("range").split_once("..")?;
        Some((from.parse().ok()?, to.parse().ok()?))
    }
}

fn row(line: &str) -> Result<Row, String> {
    let inner = line.strip_prefix("| ").and_then(|l| l.strip_suffix(" |")).ok_or("no row of a table")?;
    let row = Row { cells: inner.split('|').map(|cell| cell.trim().to_owned()).collect() };
    if row.cells.len() != COLUMNS.len() {
        return Err(format!("{} cells, not {}", row.cells.len(), COLUMNS.len()));
    }
    chrono::DateTime::parse_from_rfc3339(row.cell("ended")).map_err(|e| format!("ended: {e}"))?;
    let hash = row.cell("commit").trim_end_matches('+');
    if !(7..=40).contains(&hash.len()) || !hash.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err("a number without a commit".into());
    }
    let part = row.cell("part");
    let Some((_, unit)) = PARTS.iter().find(|(name, _)| *name == part) else {
        return Err(format!("unknown part {part:?}"));
    };
    for column in &COLUMNS[4..13] {
        let cell = row.cell(column);
        if !cell.is_empty() && !cell.parse::<f64>().is_ok_and(|n| n > 0.0) {
            return Err(format!("{column}: {cell:?} is no number above 0"));
        }
    }
    if !["model", "properties"].contains(&part) && row.range().is_none_or(|(from, to)| from >= to) {
        return Err(format!("range {:?}", row.cell("range")));
    }
    let amounts = COLUMNS[4..13].iter().filter(|column| !row.cell(column).is_empty()).count();
    match row.cell("result") {
        "ok" if row.number(unit) > 0.0 && row.number("core_s") > 0.0 => Ok(row),
        "ok" => Err(format!("{unit} or core_s are missing")),
        result if result.starts_with("failed: ") && result.contains("replay: ") && amounts == 0 => Ok(row),
        result => Err(format!("result {result:?} with {amounts} amounts")),
    }
}

/// The rows at the end of a ledger; every line below the table's head must be one.
fn rows(ledger: &str) -> Vec<Row> {
    let head = format!("\n## Runs\n\n| {} |\n|{}\n", COLUMNS.join(" | "), "---|".repeat(COLUMNS.len()));
    let (_, table) = ledger.split_once(&head).expect("the table is the end of the page");
    table.lines().map(|line| row(line).unwrap_or_else(|e| panic!("{line}\n{e}"))).collect()
}

fn committed() -> String {
    std::fs::read_to_string(root().join("tests/LEDGER.md")).unwrap()
}

#[test]
fn every_row_of_the_ledger_has_its_commit_its_part_and_what_was_run() {
    let ledger = committed();
    println!("{} rows", rows(&ledger).len());
    for column in COLUMNS {
        assert!(ledger.contains(&format!("\n| {column} | ")), "{column} is not explained");
    }
    for (part, _) in PARTS {
        assert!(ledger.contains(&format!("`{part}`:")), "{part} is not explained");
    }
    let good = "| 2026-11-21T13:08:39Z | af15133b02 | simulator | 0..20 | 20 | 120 | 7 |  |  |  |  | 8.2 | 14.6 | ok |";
    assert!(row(good).is_ok());
    let failed =
        "| 2026-11-21T13:08:39Z | af15133b02+ | kills | 0..20 |  |  |  |  |  |  |  |  |  | failed: x; replay: y |";
    assert!(row(failed).is_ok());
    let bad = [
        (good.replace("af15133b02", ""), "without a commit"),
        (good.replace("af15133b02", "main"), "without a commit"),
        (good.replace("2026-11-21T13:08:39Z", "yesterday"), "ended"),
        (good.replace("simulator", "dreams"), "unknown part"),
        (good.replace("| 20 |", "| about 20 |"), "no number"),
        (good.replace("| 20 |", "|  |"), "are missing"),
        (good.replace("| 8.2 |", "|  |"), "are missing"),
        (good.replace("0..20", "20..20"), "range"),
        (good.replace("| ok |", "| fine |"), "result"),
        (good.replace("| 7 |", "|"), "cells"),
        (good.replace("| ok |", "| failed: x; replay: y |"), "with 5 amounts"),
        (failed.replace("; replay: y", ""), "result"),
    ];
    for (line, expected) in bad {
        let error = row(&line).expect_err(&line);
        assert!(error.contains(expected), "{line}: {error}");
    }
}

/// A soak of its own, with a script in place of the simulator that does what files beside it say.
struct Bench {
    dir: tempfile::TempDir,
}

const FAKE: &str = r#"#!/bin/bash
here=$(dirname "$0") from=${SIM_SEEDS%..*} to=${SIM_SEEDS#*..}
[ "$*" = "simulator::seeds --exact --nocapture" ] && [ "$SIM_HOURS" = 6 ] && [ -z "$PROPTEST_CASES" ] || exit 9
echo "$from $to $$" >>"$here/begun"
[ ! -e "$here/hang" ] || { echo "$from $to" >>"$here/hung"; exec sleep 60; }
for ((i = 0; i < 20000; i++)); do :; done
if [ -e "$here/fail" ]; then echo "I1 is broken"; exit 101; fi
echo "$from $to" >>"$here/ended"
[ -e "$here/silent" ] || echo "test simulator::seeds ... ledger: {\"part\":\"simulator\",\"seeds\":$((to - from)),\"hours\":$((6 * (to - from))),\"faults\":3}"
"#;

impl Bench {
    fn new() -> Bench {
        let bench = Bench { dir: tempfile::tempdir().unwrap() };
        std::fs::write(bench.path("fake"), FAKE).unwrap();
        std::fs::set_permissions(bench.path("fake"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let ledger = committed();
        let empty =
            ledger.lines().filter(|line| !line.starts_with("| 2")).fold(String::new(), |text, l| text + l + "\n");
        std::fs::write(bench.path("LEDGER.md"), empty).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(root().join("tests/soak"));
        command.args(args).arg("--ledger").arg(self.path("LEDGER.md"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).env("PROPTEST_CASES", "7");
        command
    }

    /// Ends after `chunks`, or by itself a minute later.
    fn soak(&self, chunks: u32) -> Command {
        let chunks = chunks.to_string();
        let mut command = self.command(&["simulator", "--for", "60s", "--chunks", &chunks]);
        command.arg("--binary").arg(self.path("fake")).arg("--state").arg(self.path("state"));
        command
    }

    fn run(&self, chunks: u32, code: i32) -> Output {
        let output = self.soak(chunks).output().unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(output.status.code(), Some(code), "{}{}", said(&output.stdout), said(&output.stderr));
        output
    }

    /// A soak that has a chunk in flight which does not end.
    fn hanging(&self) -> Child {
        self.touch("hang");
        let soak = self.soak(5).spawn().unwrap();
        wait_until("a chunk hangs", || !self.ranges("hung").is_empty());
        soak
    }

    /// From now on no chunk of the soak that runs ends, and one such is in flight.
    fn hang(&self) {
        let hung = self.ranges("hung").len();
        self.touch("hang");
        wait_until("a chunk hangs", || self.ranges("hung").len() > hung);
    }

    fn touch(&self, name: &str) {
        std::fs::write(self.path(name), "").unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap();
    }

    fn rows(&self) -> Vec<Row> {
        rows(&std::fs::read_to_string(self.path("LEDGER.md")).unwrap())
    }

    fn lines(&self, file: &str) -> Vec<Vec<u64>> {
        let text = std::fs::read_to_string(self.path(file)).unwrap_or_default();
        text.lines().map(|line| line.split(' ').map(|n| n.parse().unwrap()).collect()).collect()
    }

    fn ranges(&self, file: &str) -> Vec<(u64, u64)> {
        self.lines(file).iter().map(|numbers| (numbers[0], numbers[1])).collect()
    }

    /// The ledger counts exactly the chunks that ended, each once, without a gap.
    fn is_exact(&self) {
        let mut ended = self.ranges("ended");
        ended.sort_unstable();
        assert!(ended.windows(2).all(|pair| pair[0].1 == pair[1].0) && ended[0].0 == 0, "{ended:?}");
        let (seeds, chunks) = (ended.last().unwrap().1 as f64, ended.len() as f64);
        let sum = |column| self.rows().iter().map(|row| row.number(column)).sum::<f64>();
        assert_eq!((sum("seeds"), sum("hours"), sum("faults")), (seeds, 6.0 * seeds, 3.0 * chunks));
    }
}

#[test]
fn a_soak_that_was_killed_goes_on_and_counts_nothing_twice() {
    let bench = Bench::new();
    bench.run(2, 0);
    assert_eq!(bench.rows().len(), 1);
    bench.is_exact();

    // Killed with a chunk finished that no row holds yet, and one in flight.
    let mut soak = bench.soak(100_000).spawn().unwrap();
    wait_until("a chunk has ended", || bench.ranges("ended").len() > 2);
    bench.hang();
    soak.kill().unwrap();
    soak.wait().unwrap();
    let orphan = bench.lines("begun").last().unwrap()[2];
    kill_process(Pid::from_raw(orphan as i32).unwrap(), Signal::KILL).unwrap();
    assert_eq!(bench.rows().len(), 1, "nothing is written of what did not end");
    let cut = *bench.ranges("begun").last().unwrap();
    bench.remove("hang");
    bench.run(2, 0);
    let begun = bench.ranges("begun");
    assert_eq!(begun.iter().filter(|range| **range == cut).count(), 2, "what was in flight is run again: {begun:?}");
    assert_eq!(bench.rows().len(), 2);
    bench.is_exact();

    // Killed between the row and the note that it is written: the row is there once.
    let before = std::fs::read_to_string(bench.path("LEDGER.md")).unwrap();
    let last = before.lines().last().unwrap();
    let state = std::fs::read_to_string(bench.path("state/state.json")).unwrap();
    let unsure = state.replace("\"rows\": []", &format!("\"rows\": [{}]", serde_json::Value::from(last)));
    assert_ne!(state, unsure);
    std::fs::write(bench.path("state/state.json"), &unsure).unwrap();
    bench.run(1, 0);
    bench.is_exact();
    // Without the row it is written late, not lost.
    std::fs::write(bench.path("LEDGER.md"), before.replace(&format!("{last}\n"), "")).unwrap();
    std::fs::write(bench.path("state/state.json"), &unsure).unwrap();
    bench.remove("ended");
    bench.run(1, 0);
    assert!(std::fs::read_to_string(bench.path("LEDGER.md")).unwrap().contains(last));

    // On another machine, without the state, it does not begin at the same seeds again.
    let highest = bench.rows().iter().map(|row| row.range().unwrap().1).max().unwrap();
    std::fs::remove_dir_all(bench.path("state")).unwrap();
    bench.run(1, 0);
    assert_eq!(bench.ranges("begun").last().unwrap().0, highest);
}

#[test]
fn a_soak_that_is_told_to_stop_writes_what_is_finished() {
    let bench = Bench::new();
    for signal in [Signal::INT, Signal::TERM] {
        let ended = bench.ranges("ended").len();
        let mut soak = bench.soak(100_000).spawn().unwrap();
        wait_until("some chunks have ended", || bench.ranges("ended").len() >= ended + 2);
        bench.hang();
        kill_process(Pid::from_child(&soak), signal).unwrap();
        assert!(soak.wait().unwrap().success(), "{signal:?}");
        bench.remove("hang");
        let begun = bench.lines("begun");
        let alive = |pid: u64| std::path::Path::new(&format!("/proc/{pid}")).exists();
        wait_until("what was in flight is gone", || !alive(begun.last().unwrap()[2]));
        // What was cut off is the next soak's first chunk.
        bench.run(1, 0);
        bench.is_exact();
    }
    assert_eq!(bench.rows().len(), 4);
}

#[test]
fn a_chunk_that_fails_stands_in_the_ledger_with_its_replay() {
    let bench = Bench::new();
    bench.run(1, 0);
    for (flaw, reason) in [("fail", "failed: exit 101; "), ("silent", "failed: no line says how many seeds were run; ")]
    {
        bench.touch(flaw);
        let output = bench.run(3, 1);
        let failed = bench.rows().pop().unwrap();
        let failures = bench.rows().into_iter().filter(|row| row.cell("result").starts_with(reason)).count();
        assert_eq!(failures, 1, "{failed:?}");
        let (from, to) = *bench.ranges("begun").last().unwrap();
        let replay =
            format!("replay: SIM_SEEDS={from}..{to} SIM_HOURS=6 SIM_JOBS=1 cargo test --release --test sim -- ");
        assert!(String::from_utf8_lossy(&output.stdout).contains(&replay));
        let written = bench.rows().into_iter().any(|row| row.cell("result").contains(&replay));
        assert!(written, "{:?}", bench.rows());
        if flaw == "silent" {
            // The script ended well, the soak could not know.
            let ended = std::fs::read_to_string(bench.path("ended")).unwrap();
            std::fs::write(bench.path("ended"), ended.replace(&format!("{from} {to}\n"), "")).unwrap();
        }
        bench.is_exact();
        bench.remove(flaw);
        bench.run(2, 0);
        assert!(bench.ranges("ended").contains(&(from, to)), "it is run again first");
        bench.is_exact();
    }
}

#[test]
fn a_soak_refuses_what_would_spoil_the_ledger() {
    let bench = Bench::new();
    let fake = bench.path("fake");
    let fake = fake.to_str().unwrap();
    let cases: [(&[&str], &str); 4] = [
        (&["simulator"], "--for TIME is missing"),
        (&["simulator", "--for", "a while"], "no time like 1h30m"),
        (&["dreams", "--for", "1s"], "there is no part 'dreams'"),
        (&["simulator", "--for", "1s", "--binary", fake], "--binary is not what the commit says"),
    ];
    for (args, expected) in cases {
        let output = bench.command(args).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && err.contains(expected), "{args:?}: {err}");
    }
    // Two at once would count the same seeds.
    let mut soak = bench.hanging();
    let output = bench.run(1, 1);
    assert!(String::from_utf8_lossy(&output.stderr).contains("another soak works in"));
    kill_process(Pid::from_child(&soak), Signal::TERM).unwrap();
    assert!(soak.wait().unwrap().success());
    bench.remove("hang");
    bench.run(1, 0);
    bench.is_exact();
}

/// Whoever has sized a run by hand does not size the test command with it.
#[test]
fn the_test_command_always_runs_its_own_sizes() {
    let script = std::fs::read_to_string(root().join("tests/run")).unwrap();
    let line = script.lines().find(|line| line.starts_with("unset ")).unwrap();
    let sizes = [
        "SIM_SEEDS",
        "SIM_HOURS",
        "MODEL_STATES",
        "KILLS",
        "KILL_SEED",
        "DISK_IMAGES",
        "PROPERTY_CASES",
        "PROPTEST_CASES",
    ];
    let left = |before: &str| {
        let mut bash = Command::new("bash");
        bash.args(["-euc", &format!("{before}\nenv")]).envs(sizes.map(|name| (name, "7")));
        let output = bash.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let env = String::from_utf8(output.stdout).unwrap();
        sizes.iter().filter(|name| env.contains(&format!("\n{name}=")) || env.starts_with(&format!("{name}="))).count()
    };
    assert_eq!(left(line), 0, "{line}");
    assert_eq!(left(""), sizes.len());
}
