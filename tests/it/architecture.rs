//! The walls of the code, kept by reading it: who may import whom, what the pure rooms may use,
//! which words and macros do not occur. `faults` is a function over (path, text), so each rule
//! is proven below on a snippet that breaks it.

mod seeded;
mod source;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use source::Token;

/// Rooms that decide or name things: no I/O, no clock, no randomness, no logging, no hash order.
const PURE: [&str; 2] = ["domain", "engine"];
/// Crates a pure room may use.
const PURE_CRATES: [&str; 3] = ["serde", "sha2", "thiserror"];
/// What of `std` a pure room may use; a path must start with one of these.
const PURE_STD: &[&str] = &[
    "borrow",
    "cmp",
    "collections::BTreeMap",
    "collections::BTreeSet",
    "collections::BinaryHeap",
    "collections::VecDeque",
    "collections::binary_heap",
    "collections::btree_map",
    "collections::btree_set",
    "collections::vec_deque",
    "convert",
    "error::Error",
    "fmt",
    "hash::Hash",
    "iter",
    "mem",
    "net::IpAddr",
    "net::Ipv4Addr",
    "net::Ipv6Addr",
    "net::SocketAddr",
    "num",
    "ops",
    "path::PathBuf",
    "slice",
    "str",
    "string",
    "sync::Arc",
    "time::Duration",
    "vec",
];
/// Macros a pure room may call, besides its own.
const PURE_MACROS: &[&str] = &[
    "assert",
    "assert_eq",
    "concat",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "format",
    "format_args",
    "macro_rules",
    "matches",
    "stringify",
    "unreachable",
    "vec",
    "write",
    "writeln",
];
/// Methods of `Path` and `SocketAddr` that reach the world although the type is plain data.
const PURE_NOT_CALLED: &[&str] = &[
    "canonicalize",
    "exists",
    "is_dir",
    "is_file",
    "metadata",
    "read_dir",
    "read_link",
    "to_socket_addrs",
    "try_exists",
];

/// Rooms that touch the world; they do not know each other.
const ADAPTERS: [&str; 6] = ["api", "dns", "notify", "probe", "sandbox", "store"];
/// What an adapter may use of this crate, besides itself.
const ADAPTER_MAY_USE: [&str; 4] = ["domain", "engine", "secret", "telemetry"];

/// Where our own rules may be wrong on purpose; without the feature nothing of it is compiled.
const SEEDED_ROOMS: &[&str] = &["src/engine/", "src/seeded.rs", "src/lib.rs"];

/// Where the write half of a provider may be named: its home, the only holder, and the one
/// place that makes it and hands it over.
const WRITER_ROOMS: &[&str] = &["src/dns/", "src/runtime/executor.rs"];
/// Where the cloud vendor's crates may be named.
const VENDOR_ROOMS: &[&str] = &["src/dns/route53/", "src/dns/route53.rs"];
const CLOCK: &str = "src/runtime/clock.rs";
const NOT_OUR_WORDS: [&str; 5] = ["backend", "cooldown", "endpoint", "master", "slave"];
const MOST_LINES: usize = 600;

/// Every rule broken in a file, as `path:line: rule`.
fn faults(path: &str, text: &str) -> Vec<String> {
    let all = source::tokens(text);
    let test_file = path.starts_with("tests/") || path.ends_with("/tests.rs") || path.contains("/tests/");
    let code = if test_file { Vec::new() } else { source::without_tests(&all) };
    let room = room_of(path);
    let mut found = Vec::new();
    let mut fault = |line: usize, rule: String| found.push(format!("{path}:{line}: {rule}"));

    unfinished(&all, &mut fault);
    if !path.starts_with("src/") {
        return found;
    }
    if !text.starts_with("//!") {
        fault(1, "a file starts with `//!`: what it is for and what it never does".into());
    }
    if text.lines().count() > MOST_LINES {
        fault(MOST_LINES + 1, format!("more than {MOST_LINES} lines; split the room"));
    }
    words(&code, &mut fault);
    for token in &code {
        let word = token.text.as_str();
        if word == "ZoneWriter" && !within(path, WRITER_ROOMS) {
            fault(token.line, "only runtime/executor.rs holds a ZoneWriter".into());
        }
        if word == "seeded" && !within(path, SEEDED_ROOMS) {
            fault(token.line, "only the engine has seeded bugs".into());
        }
        if word.starts_with("aws_") && !within(path, VENDOR_ROOMS) {
            fault(token.line, format!("`{word}` outside dns/route53: nothing else names the vendor"));
        }
        if word == "disallowed_methods" && path != CLOCK {
            fault(token.line, format!("only {CLOCK} may lift a clippy ban on a method"));
        }
    }
    if PURE.contains(&room) {
        pure(path, &code, &mut fault);
    }
    if ADAPTERS.contains(&room) {
        for used in source::paths(&code) {
            if let Some(other) = crate_room(path, &used.parts)
                && other != room
                && !ADAPTER_MAY_USE.contains(&other.as_str())
            {
                fault(used.line, format!("adapter `{room}` may not use `{other}`; the runtime joins rooms"));
            }
        }
    }
    found
}

/// `domain` for `src/domain/id.rs`, `secret` for `src/secret.rs`.
fn room_of(path: &str) -> &str {
    let inner = path.trim_start_matches("src/");
    inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs")
}

fn within(path: &str, rooms: &[&str]) -> bool {
    rooms.iter().any(|r| path == *r || (r.ends_with('/') && path.starts_with(r)))
}

/// The room of this crate a path leads to; `None` when it leads elsewhere.
fn crate_room(path: &str, parts: &[String]) -> Option<String> {
    let file = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    let mut here: Vec<String> = file.split('/').map(String::from).collect();
    let mut rest = parts.iter().map(String::as_str).peekable();
    match rest.peek().copied()? {
        "crate" | "failoverd" => {
            rest.next();
            here.clear();
        }
        "self" => {
            rest.next();
        }
        "super" => {}
        _ => return None,
    }
    while rest.next_if_eq(&"super").is_some() {
        here.pop();
    }
    here.extend(rest.map(String::from));
    here.into_iter().next()
}

fn pure(path: &str, code: &[Token], fault: &mut impl FnMut(usize, String)) {
    let room = room_of(path);
    let paths = source::paths(code);
    let mut known: BTreeSet<&str> = paths.iter().filter_map(|p| p.imported_as.as_deref()).collect();
    let mut macros: BTreeSet<&str> = PURE_MACROS.iter().copied().collect();
    for pair in code.windows(3) {
        let [a, b, c] = pair else { continue };
        if a.text == "mod" {
            known.insert(&b.text);
        }
        if a.text == "macro_rules" && b.text == "!" {
            macros.insert(&c.text);
        }
    }
    for used in &paths {
        let [first, rest @ ..] = used.parts.as_slice() else { continue };
        let whole = used.parts.join("::");
        let allowed = match first.as_str() {
            "std" | "core" | "alloc" => {
                let rest = rest.join("::");
                PURE_STD.iter().any(|a| rest.strip_prefix(a).is_some_and(|r| r.is_empty() || r.starts_with("::")))
            }
            // A seeded bug is plain data, `false` for the compiler, and must stand where the rule stands.
            "crate" | "self" | "super" => crate_room(path, &used.parts).is_none_or(|r| {
                (PURE.contains(&r.as_str()) && (r == room || room != "domain")) || (r == "seeded" && room == "engine")
            }),
            name => {
                let local = known.contains(name) && used.imported_as.is_none()
                    || name.starts_with(char::is_uppercase)
                    || code.windows(2).any(|w| w[0].text == "mod" && w[1].text == name)
                    || PRIMITIVES.contains(&name);
                local || PURE_CRATES.contains(&name)
            }
        };
        if !allowed {
            fault(used.line, format!("`{whole}` is not on the allow-list of the pure room `{room}`"));
        }
    }
    for (i, token) in code.iter().enumerate() {
        let next = code.get(i + 1).map_or("", |t| t.text.as_str());
        let before = i.checked_sub(1).map_or("", |k| code[k].text.as_str());
        match token.text.as_str() {
            word @ ("async" | "await") => fault(token.line, format!("`{word}` in the pure room `{room}`")),
            word @ ("HashMap" | "HashSet" | "RandomState") => {
                fault(token.line, format!("`{word}` in the pure room `{room}`: its order is not repeatable"));
            }
            // An operator, not a macro.
            "if" | "while" | "match" | "return" | "in" | "else" => {}
            word if next == "!" && token.is_word() && !macros.contains(word) && code.get(i + 2).is_some_and(opens) => {
                fault(token.line, format!("macro `{word}!` is not on the allow-list of the pure room `{room}`"));
            }
            word if before == "." && PURE_NOT_CALLED.contains(&word) => {
                fault(token.line, format!("`.{word}` in the pure room `{room}` reaches the world"));
            }
            _ => {}
        }
    }
}

const PRIMITIVES: &[&str] = &[
    "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "str", "u8", "u16", "u32", "u64", "u128",
    "usize",
];

fn opens(token: &Token) -> bool {
    matches!(token.text.as_str(), "(" | "[" | "{")
}

fn unfinished(code: &[Token], fault: &mut impl FnMut(usize, String)) {
    for (i, token) in code.iter().enumerate() {
        let after = |k: usize| code.get(i + k).map_or("", |t| t.text.as_str());
        if matches!(token.text.as_str(), "todo" | "unimplemented") && after(1) == "!" {
            fault(token.line, format!("`{}!` is not finished work", token.text));
        }
        if token.text == "#" && after(1) == "[" && after(2) == "ignore" {
            fault(token.line, "`#[ignore]`: no test is skipped".into());
        }
    }
}

fn words(code: &[Token], fault: &mut impl FnMut(usize, String)) {
    for token in code.iter().filter(|t| t.is_word()) {
        let ours = token.text.to_lowercase().replace("endpoint_url", "").replace("endpointurl", "");
        if let Some(word) = NOT_OUR_WORDS.iter().find(|w| ours.contains(*w)) {
            fault(token.line, format!("`{}`: \"{word}\" is not one of our words", token.text));
        }
    }
}

#[test]
fn every_file_keeps_the_walls() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for dir in ["src", "tests", "benches", "fuzz"] {
        rust_files(&root.join(dir), &mut files);
    }
    files.sort();
    let mut found = Vec::new();
    let mut rooms = BTreeSet::new();
    for file in &files {
        let path = file.strip_prefix(root).unwrap().to_str().unwrap();
        rooms.insert(room_of(path).to_string());
        found.extend(faults(path, &std::fs::read_to_string(file).unwrap()));
    }
    for room in PURE.iter().chain(&["api", "dns", "notify", "probe", "sandbox", "store", "runtime"]) {
        assert!(rooms.contains(*room), "the room src/{room} is gone or was not read");
    }
    assert!(found.is_empty(), "{} walls broken:\n{}", found.len(), found.join("\n"));
}

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|n| n != "target") {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

#[test]
fn every_rule_refuses_what_it_is_for() {
    let long = "//! x\n".repeat(MOST_LINES + 1);
    let cases: &[(&str, &str, &str)] = &[
        ("src/engine/a.rs", "use std::net::TcpStream;", "std::net::TcpStream"),
        ("src/engine/a.rs", "use std::{fmt, io::{self, Read}};", "std::io"),
        ("src/engine/a.rs", "fn f() { let x = std::time::Instant::now(); }", "std::time::Instant"),
        ("src/engine/a.rs", "use std::time::*;", "std::time::*"),
        ("src/engine/a.rs", "use std::time;", "std::time"),
        ("src/domain/a.rs", "fn f() { std::env::var(\"X\"); }", "std::env::var"),
        ("src/domain/a.rs", "fn f() { std::fs::read(p); }", "std::fs::read"),
        ("src/domain/a.rs", "use std::sync::Mutex;", "std::sync::Mutex"),
        ("src/domain/a.rs", "use std::thread;", "std::thread"),
        ("src/engine/a.rs", "use std::process::Command;", "std::process::Command"),
        ("src/engine/a.rs", "use std::collections::HashMap;", "std::collections::HashMap"),
        ("src/engine/a.rs", "use super::x; fn f(m: x::HashSet<u8>) {}", "`HashSet`"),
        ("src/engine/a.rs", "use tokio::time::sleep;", "tokio::time::sleep"),
        ("src/engine/a.rs", "fn f() { rand::random() + getrandom::u64() }", "getrandom::u64"),
        ("src/engine/a.rs", "use tracing::info;", "tracing::info"),
        ("src/engine/a.rs", "use chrono as c; fn f() { c::Utc::now(); }", "chrono"),
        ("src/engine/a.rs", "use crate::runtime::clock;", "crate::runtime::clock"),
        ("src/engine/sub/a.rs", "use super::super::super::store::Store;", "super::super::super::store"),
        ("src/domain/mod.rs", "use super::probe;", "super::probe"),
        ("src/domain/a.rs", "use crate::engine::Fleet;", "crate::engine::Fleet"),
        ("src/engine/a.rs", "async fn f() {}", "`async`"),
        ("src/engine/a.rs", "fn f() { x.await }", "`await`"),
        ("src/engine/a.rs", "fn f() { println!(\"x\") }", "macro `println!`"),
        ("src/engine/a.rs", "fn f() { include_str!(\"x\") }", "macro `include_str!`"),
        ("src/domain/a.rs", "fn f(p: &std::path::PathBuf) { p.exists() }", "`.exists`"),
        ("src/probe/a.rs", "use crate::dns::query;", "adapter `probe` may not use `dns`"),
        ("src/dns/route53/a.rs", "use super::super::super::store;", "adapter `dns` may not use `store`"),
        ("src/store/a.rs", "fn f() { crate::runtime::clock::now() }", "adapter `store` may not use `runtime`"),
        ("src/cli/a.rs", "use crate::dns::ZoneWriter;", "ZoneWriter"),
        ("src/runtime/once.rs", "fn f(w: Box<dyn ZoneWriter>) {}", "ZoneWriter"),
        ("src/runtime/a.rs", "use aws_sdk_route53::Client;", "`aws_sdk_route53` outside"),
        ("src/sandbox/a.rs", "use aws_config::load;", "`aws_config` outside"),
        ("src/dns/a.rs", "#[allow(clippy::disallowed_methods)] fn f() {}", "lift a clippy ban"),
        ("src/store/a.rs", "fn f() { if crate::seeded::seeded(B) {} }", "seeded bugs"),
        ("src/domain/a.rs", "use crate::seeded::Bug;", "crate::seeded::Bug"),
        ("src/cli/a.rs", "struct ProbeEndpoint;", "\"endpoint\""),
        ("src/cli/a.rs", "fn cooldown_left() {}", "\"cooldown\""),
        ("src/cli/a.rs", "enum Role { Master, Slave }", "\"slave\""),
        ("src/cli/a.rs", "let x = backend;", "\"backend\""),
        ("src/cli/a.rs", "fn f() { todo!() }", "`todo!`"),
        ("src/cli/a.rs", "#[cfg(test)] mod tests { fn f() { unimplemented!() } }", "`unimplemented!`"),
        ("tests/it/a.rs", "#[test] #[ignore] fn f() {}", "`#[ignore]`"),
        ("tests/it/a.rs", "#[test] #[ignore = \"slow\"] fn f() {}", "`#[ignore]`"),
    ];
    for (path, code, expected) in cases {
        let found = faults(path, &format!("//! x\n{code}"));
        assert!(
            found.iter().any(|f| f.starts_with(&format!("{path}:2: ")) && f.contains(expected)),
            "{code}: {found:?}"
        );
    }
    for (text, expected) in [("use std::fmt;\n", "a file starts with `//!`"), (long.as_str(), "more than 600 lines")] {
        let found = faults("src/cli/a.rs", text);
        assert!(found.len() == 1 && found[0].contains(expected), "{found:?}");
    }
}

#[test]
fn what_is_allowed_is_not_refused() {
    let cases: &[(&str, &str)] = &[
        (
            "src/engine/a.rs",
            "use std::collections::{BTreeMap, btree_map::Entry}; use std::{fmt, net::{IpAddr, SocketAddr}, time::Duration};
             use serde::{Deserialize, Serialize}; use sha2::{Digest, Sha256}; use crate::domain::{Policy, policy::Target};
             use crate::seeded::{Bug, seeded}; use super::intent::{self, Kind}; mod inner; pub use inner::Thing; pub use Kind::*;
             #[derive(thiserror::Error)] enum E { A } macro_rules! mine { () => {} } mine!();
             fn f() -> std::fmt::Result { intent::new(); u64::from(1u32); Duration::from_secs(1); std::mem::take(x); write!(f, \"HashMap async\"); if !(a) {} }
             #[cfg(test)] mod tests { use std::time::Instant; fn f() { println!(\"x\") } }",
        ),
        ("src/engine/tests.rs", "use std::time::Instant; use proptest::prelude::*;"),
        ("src/probe/a.rs", "use crate::domain::Outcome; use crate::secret::Secret; use super::http; use crate::probe::tcp; use tokio::net::TcpStream;"),
        ("src/runtime/executor.rs", "use crate::dns::ZoneWriter; use crate::probe; use crate::store;"),
        ("src/dns/route53/client.rs", "use aws_sdk_route53::Client; fn f(c: C) { c.endpoint_url(\"http://x\") }"),
        ("src/runtime/clock.rs", "#[allow(clippy::disallowed_methods)] fn now() -> std::time::Instant { Instant::now() }"),
        ("src/cli/a.rs", "// the endpoint of the master\nfn f() -> &'static str { \"backend\" }"),
        ("tests/it/a.rs", "use failoverd::dns::ZoneWriter; use std::time::Instant;"),
    ];
    for (path, code) in cases {
        assert_eq!(faults(path, &format!("//! x\n{code}")), Vec::<String>::new(), "{code}");
    }
}
