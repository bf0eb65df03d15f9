//! The JSON Schema and the reader see the same files as good and bad.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use failoverd::config::schema;
use serde_json::Value;

use super::corpus::{INVALID_MAIN, INVALID_POLICIES, VALID_MAIN, VALID_POLICIES};
use super::sorted;
use crate::golden;

/// Defects that only the reader can see, and why a schema cannot.
const READER_ONLY: &[(&str, &[&str])] = &[
    (
        "a pattern compares no quantities",
        &[
            "check-max-body-out-of-range",
            "confirm-out-of-range",
            "duration-out-of-range",
            "failover-flap-budget-too-small",
            "observe-too-short",
            "reconcile-too-long",
            "check-status-backwards",
        ],
    ),
    ("3.0 is an integer in JSON", &["type-fall-float"]),
    (
        "another grammar inside a string",
        &[
            "check-body-regex",
            "check-schedule-never",
            "check-schedule-nonsense",
            "main-rehearsal-never-fires",
            "failback-window-timezone",
            "main-policies-pattern",
            "main-notifier-url-user",
            "record-reserved",
        ],
    ),
    (
        "one key looks at the value of another",
        &[
            "check-fast-longer-than-interval",
            "check-head-with-body",
            "check-host-missing-for-wildcard",
            "check-http-with-sni",
            "check-tcp-with-path",
            "check-tcp-without-port",
            "answers-of-aliases",
            "answers-of-hosts",
            "batch-too-large-aliases",
            "batch-too-large-several-answers",
            "check-heartbeat-with-path",
            "check-heartbeat-with-tls",
            "check-heartbeat-without-port",
            "check-http-with-send",
            "check-https-with-receive",
            "check-tcp-receive-alone",
            "check-tcp-send-alone",
            "min-active-above-answers",
            "min-active-above-one-answer",
            "target-alias-loop",
            "target-host-at-apex",
            "target-host-loop",
            "target-host-loop-second-record",
            "target-check-tcp-with-path",
            "record-not-full",
            "record-outside-zone",
            "record-twice",
            "fence-name-too-long",
            "batch-too-large",
            "main-api-open",
            "main-api-open-v6",
            "main-notifier-slack-secret",
        ],
    ),
    (
        "members of one list look at each other",
        &[
            "target-address-twice",
            "target-address-twice-in-one",
            "target-families-differ",
            "target-name-twice",
            "answers-above-best-tier-by-half",
            "min-active-above-best-tier",
            "target-alias-twice",
            "target-host-twice",
            "target-kinds-differ-alias",
            "target-kinds-differ-host",
            "target-priority-mixed",
            "main-notifier-name-twice",
            "main-witness-address-twice",
            "main-witness-name-twice",
        ],
    ),
    ("two files, or a file's name", &["Bad_Name", "notify-unknown", "main-policies-none", "main-fence-value-too-long"]),
];

fn json(path: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(golden::root().join(path)).unwrap();
    toml::from_str::<toml::Table>(&text).ok().and_then(|table| serde_json::to_value(table).ok())
}

fn accepted(schema: &Value, path: &Path) -> Option<bool> {
    let validator = jsonschema::draft202012::new(schema).unwrap();
    json(path).map(|value| validator.is_valid(&value))
}

fn mains(dir: &str) -> Vec<PathBuf> {
    sorted(Path::new(dir), "")
        .into_iter()
        .map(|p| p.join("failoverd.toml"))
        .filter(|p| golden::root().join(p).is_file())
        .collect()
}

#[test]
fn what_the_reader_accepts_the_schema_accepts() {
    let (policy, main) = (schema::policy(), schema::main());
    for path in sorted(Path::new(VALID_POLICIES), ".toml").iter().chain(&sorted(Path::new("policies"), ".toml")) {
        assert_eq!(accepted(&policy, path), Some(true), "{}", path.display());
    }
    for path in mains(VALID_MAIN) {
        assert_eq!(accepted(&main, &path), Some(true), "{}", path.display());
    }
}

#[test]
fn every_key_is_given_in_some_valid_file() {
    let files = |dir: &str, named: fn(&str) -> Vec<PathBuf>| named(dir);
    let policies = files(VALID_POLICIES, |dir| sorted(Path::new(dir), ".toml"));
    for (schema, paths) in [(schema::policy(), policies), (schema::main(), files(VALID_MAIN, mains))] {
        let mut given = BTreeSet::new();
        paths.iter().filter_map(|p| json(p)).for_each(|file| keys("", &file, &mut given));
        let mut known = BTreeSet::new();
        properties("", &schema, &mut known);
        let missing: Vec<&String> = known.difference(&given).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert!(known.len() > 30);
    }
}

/// Paths of the keys of a file; members of a list go by the list's own path.
fn keys(path: &str, value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                into.insert(format!("{path}{key}"));
                keys(&format!("{path}{key}."), value, into);
            }
        }
        Value::Array(list) => list.iter().for_each(|one| keys(path, one, into)),
        _ => {}
    }
}

/// Paths of the keys of a schema, but for those of a target's own check, which are those of `[check]`.
fn properties(path: &str, schema: &Value, into: &mut BTreeSet<String>) {
    if path == "target.check." {
        return;
    }
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        into.insert(format!("{path}{key}"));
        properties(&format!("{path}{key}."), inner, into);
        properties(&format!("{path}{key}."), &inner["items"], into);
        for one in inner["anyOf"].as_array().into_iter().flatten() {
            properties(&format!("{path}{key}."), one, into);
        }
    }
}

#[test]
fn what_the_reader_refuses_the_schema_refuses_but_for_what_it_cannot_express() {
    let (policy, main) = (schema::policy(), schema::main());
    let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    let policies = sorted(Path::new(INVALID_POLICIES), ".toml").into_iter().map(|p| (accepted(&policy, &p), name(&p)));
    let mains = mains(INVALID_MAIN).into_iter().map(|p| (accepted(&main, &p), name(p.parent().unwrap())));
    let mut passed: Vec<String> = policies.chain(mains).filter(|(ok, _)| *ok == Some(true)).map(|(_, n)| n).collect();
    passed.sort();
    let mut listed: Vec<String> =
        READER_ONLY.iter().flat_map(|(_, names)| names.iter().map(ToString::to_string)).collect();
    listed.sort();
    assert_eq!(passed, listed);
}

#[test]
fn the_schemas_in_the_repository_are_those_of_the_program() {
    let text = |schema: Value| format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
    golden::check(Path::new("policies/policy.schema.json"), &text(schema::policy()));
    golden::check(Path::new("policies/main.schema.json"), &text(schema::main()));
}
