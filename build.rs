//! Which commit this binary is made from, for `--version`.
//!
//! `FAILOVERD_COMMIT` (and `FAILOVERD_COMMIT_DATE`) say it where there is no repository, as in a
//! tarball; else git is asked, for optimised builds only, so that work on the code is not rebuilt
//! for each commit. What cannot be known is called unknown.

use std::path::Path;
use std::process::Command;

const CODE: [&str; 4] = ["src", "build.rs", "Cargo.toml", "Cargo.lock"];

fn main() {
    for name in ["FAILOVERD_COMMIT", "FAILOVERD_COMMIT_DATE"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let optimised = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let (commit, date) = match given("FAILOVERD_COMMIT") {
        Some(commit) => (commit, given("FAILOVERD_COMMIT_DATE")),
        None => match optimised.then(from_git).flatten() {
            Some((commit, date)) => (commit, Some(date)),
            None => ("unknown".into(), None),
        },
    };
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=FAILOVERD_BUILD_COMMIT={commit}");
    println!("cargo:rustc-env=FAILOVERD_BUILD_DATE={}", date.as_deref().unwrap_or_default());
    let of = date.map(|date| format!(" of {date}")).unwrap_or_default();
    println!("cargo:rustc-env=FAILOVERD_BUILD_LINE=commit {commit}{of}");
}

fn given(name: &str) -> Option<String> {
    let text = std::env::var(name).ok()?;
    // One line each: what follows a line's end would be an instruction to cargo.
    let text = text.lines().next().unwrap_or_default().trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// The commit this very directory is the root of, and its date.
fn from_git() -> Option<(String, String)> {
    let here = std::env::var("CARGO_MANIFEST_DIR").ok()?;
    let root = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&root).canonicalize().ok()? != Path::new(&here).canonicalize().ok()? {
        return None;
    }
    let branch = git(&["rev-parse", "--symbolic-full-name", "HEAD"])?;
    for name in ["HEAD", "packed-refs", &branch] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists()) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    // Whether the code differs from the commit is asked again when the code changes.
    for path in CODE {
        println!("cargo:rerun-if-changed={path}");
    }
    let head = git(&["show", "--no-patch", "--format=%h %cs", "--abbrev=12", "HEAD"])?;
    let (commit, date) = head.split_once(' ')?;
    let changed = git(&[&["status", "--porcelain", "--"][..], &CODE].concat())?;
    let mark = if changed.is_empty() { "" } else { "-dirty" };
    Some((format!("{commit}{mark}"), date.to_owned()))
}

fn git(line: &[&str]) -> Option<String> {
    let out = Command::new("git").args(line).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    out.status.success().then(|| text.trim().to_owned())
}
