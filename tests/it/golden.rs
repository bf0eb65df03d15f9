//! Texts kept in files: what a person or a script sees may change only on purpose.
//!
//! `UPDATE=1 cargo test` writes the files anew; the change is then read in the diff of the commit.

#![allow(dead_code, reason = "areas use what they need of it")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Root of the repository, where paths of golden files start.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Compares `actual` with the file at `path` (relative to the repository's root); with `UPDATE=1`
/// writes it instead.
pub fn check(path: &Path, actual: &str) {
    if let Err(report) = compare(path, actual) {
        panic!("{report}");
    }
}

/// Like [`check`], but hands the difference back, for tests that look at many files at once.
pub fn compare(path: &Path, actual: &str) -> Result<(), String> {
    let file = root().join(path);
    if std::env::var_os("UPDATE").is_some_and(|v| v == "1") {
        if let Some(dir) = file.parent() {
            std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        }
        return std::fs::write(&file, actual).map_err(|e| format!("{}: {e}", file.display()));
    }
    let expected = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(e) => {
            return Err(format!("{}: {e}\nrun again with UPDATE=1 to write:\n{actual}", path.display()));
        }
    };
    if expected == actual { Ok(()) } else { Err(difference(path, &expected, actual)) }
}

fn difference(path: &Path, expected: &str, actual: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), actual.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let most = old.len().min(new.len()) - head;
    let tail = old.iter().rev().zip(new.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    let mut text = format!("{} differs from line {} (UPDATE=1 writes it anew):\n", path.display(), head + 1);
    for line in &old[head..old.len() - tail] {
        let _ = writeln!(text, "- {line}");
    }
    for line in &new[head..new.len() - tail] {
        let _ = writeln!(text, "+ {line}");
    }
    text
}

#[test]
fn a_difference_names_only_the_lines_that_differ() {
    assert_eq!(
        difference(Path::new("x.txt"), "a\nb\nc\n", "a\nB\nc\n"),
        "x.txt differs from line 2 (UPDATE=1 writes it anew):\n- b\n+ B\n"
    );
}
