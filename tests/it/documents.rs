//! The documents say what the program does: every notice, rule, exit code and finding has its line
//! and nothing else has; every command line in them is one; every link leads somewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use failoverd::cli;
use failoverd::engine::notice::NoticeKind;
use failoverd::engine::report::Rule;
use failoverd::runtime::doctor::{KNOWN, Known};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::golden::root;

mod fence;
mod procedures;

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The part of a document below `## title`.
fn section<'t>(document: &'t str, title: &str) -> &'t str {
    let head = format!("\n## {title}\n");
    let (_, rest) = document.split_once(&head).unwrap_or_else(|| panic!("no section {title:?}"));
    rest.split("\n## ").next().unwrap()
}

/// First cells of a section's table, without backticks.
fn rows(document: &str, title: &str) -> Vec<String> {
    let lines = section(document, title).lines().filter(|l| l.starts_with('|'));
    lines.skip(2).map(|l| l.split('|').nth(1).unwrap().trim().trim_matches('`').to_owned()).collect()
}

/// Variants of `name` as its source lists them, in words joined by `between`.
fn variants(source: &str, name: &str, between: char) -> Vec<String> {
    let source = text(source);
    let (_, rest) = source.split_once(&format!("pub enum {name} {{\n")).unwrap();
    let body = rest.split("\n}").next().unwrap();
    let is_name = |l: &str| l.starts_with(|c: char| c.is_ascii_uppercase());
    let names = body.lines().map(str::trim).filter(|l| is_name(l)).map(|l| l.split([',', ' ']).next().unwrap());
    let spelt = |name: &str| {
        let mut words = String::new();
        for c in name.chars() {
            if c.is_ascii_uppercase() && !words.is_empty() {
                words.push(between);
            }
            words.push(c.to_ascii_lowercase());
        }
        words
    };
    names.map(spelt).collect()
}

/// Each has one row, in the order of the program.
fn has_rows(title: &str, wanted: &[String]) {
    let found = rows(&text("docs/operations.md"), title);
    let (has, wants): (BTreeSet<&String>, BTreeSet<&String>) = (found.iter().collect(), wanted.iter().collect());
    let missing: Vec<_> = wants.difference(&has).collect();
    let unknown: Vec<_> = has.difference(&wants).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "docs/operations.md, {title}: missing {missing:?}, unknown {unknown:?}"
    );
    assert_eq!(found.len(), wanted.len(), "docs/operations.md, {title}: something is there twice");
}

fn is_spelt<T: DeserializeOwned>(words: &[String]) {
    for word in words {
        serde_json::from_value::<T>(Value::from(word.as_str())).unwrap_or_else(|e| panic!("{word}: {e}"));
    }
}

#[test]
fn the_runbook_has_every_notice_rule_exit_code_and_finding_and_no_other() {
    let notices = variants("src/engine/notice.rs", "NoticeKind", '_');
    is_spelt::<NoticeKind>(&notices);
    has_rows("Notices", &notices);
    let rules = variants("src/engine/report.rs", "Rule", '-');
    is_spelt::<Rule>(&rules);
    has_rows("Refusals", &rules);
    has_rows("What doctor finds", &KNOWN.iter().map(|known| known.id.to_owned()).collect::<Vec<_>>());
    for Known { id, severity, .. } in KNOWN {
        let severity = format!("{severity:?}").to_lowercase();
        let row = format!("| `{id}` | {severity} | ");
        assert!(text("docs/operations.md").contains(&row), "docs/operations.md lacks {row}");
    }
    let alerts = text("docs/alerts.yml");
    let alerts = alerts.lines().filter_map(|l| l.trim().strip_prefix("- alert: ")).map(str::to_owned);
    has_rows("Alerts", &alerts.collect::<Vec<_>>());
    let exits = 0..=cli::Exit::Blind as u8;
    has_rows("Exit codes", &exits.map(|code| code.to_string()).collect::<Vec<_>>());
    assert!(notices.len() > 30 && rules.len() > 30, "the sources were read");
}

/// Every document that people read.
fn documents() -> Vec<PathBuf> {
    let mut list = Vec::new();
    let mut dirs = vec![root(), root().join("docs"), root().join("policies"), root().join("terraform")];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().map(|e| e.unwrap().path()) {
            let deeper =
                dir != root() && entry.is_dir() && !entry.file_name().unwrap().to_string_lossy().starts_with('.');
            match entry.extension() {
                Some(e) if e == "md" => list.push(entry),
                _ if deeper => dirs.push(entry),
                _ => {}
            }
        }
    }
    list.sort();
    list
}

/// Commands of a document: lines of its code blocks and spans that begin with the program's name.
/// What the program itself says about a command (`error`, a prompt's answer) does not.
fn commands(document: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (i, part) in document.split("```").enumerate() {
        let pieces: Vec<&str> =
            if i % 2 == 1 { part.lines().collect() } else { part.split('`').skip(1).step_by(2).collect() };
        for piece in pieces {
            let line = piece.trim().trim_start_matches("$ ").split(" # ").next().unwrap();
            for one in line.split("&&").flat_map(|l| l.split(" | ")).map(str::trim) {
                if one == "failoverd" || one.starts_with("failoverd ") {
                    found.push(one.replace('\n', " "));
                }
            }
        }
    }
    found
}

/// As a shell would split it; only double quotes are known.
fn words(line: &str) -> Vec<String> {
    let (mut list, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => list.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    list.push(word);
    list.retain(|w| !w.is_empty());
    list
}

/// A command that is only named, without arguments, must exist; one with arguments must be right.
fn wrong(line: &str) -> Option<String> {
    let words = words(line);
    if let [_, name] = words.as_slice()
        && cli::command().find_subcommand(name).is_some()
    {
        return None;
    }
    if words.len() == 1 {
        return None;
    }
    match cli::command().try_get_matches_from(&words) {
        Ok(_) => None,
        Err(e) if !e.use_stderr() => None,
        Err(e) => Some(format!("{line}\n  {e}")),
    }
}

#[test]
fn every_command_line_in_the_documents_is_one() {
    let mut bad = Vec::new();
    let mut count = 0;
    for path in documents() {
        for line in commands(&std::fs::read_to_string(&path).unwrap()) {
            count += 1;
            bad.extend(wrong(&line).map(|e| format!("{}: {e}", path.display())));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    assert!(count > 100, "only {count} command lines were found");
    for line in ["failoverd swich web --to a", "failoverd switch web", "failoverd freeze web", "failoverd status --now"]
    {
        assert!(wrong(line).is_some(), "{line}");
    }
}

/// The anchor of a heading, as code hosts make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
}

fn anchors(path: &Path) -> BTreeSet<String> {
    let document = std::fs::read_to_string(path).unwrap();
    let outside = document.split("```").step_by(2).collect::<String>();
    outside.lines().filter(|l| l.starts_with('#')).map(|l| anchor(l.trim_start_matches('#'))).collect()
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let mut bad = Vec::new();
    for path in documents() {
        let document = std::fs::read_to_string(&path).unwrap();
        let prose = document.split("```").step_by(2).collect::<String>();
        for link in prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("https://") || link.starts_with("http://") {
                continue;
            }
            let (file, part) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let is_there = target.exists() && (part.is_empty() || anchors(&target).contains(part));
            if !is_there {
                bad.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}
