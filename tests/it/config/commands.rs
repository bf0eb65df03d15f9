//! `check`, `schema` and `init` through the real binary.

use std::path::Path;
use std::process::{Command, Output};

use super::tree;
use crate::golden;

fn failoverd(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_failoverd"))
        .args(arguments)
        .current_dir(dir)
        .env_clear()
        .env("NO_COLOR", "1")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn what_init_writes_is_checked_without_an_error_or_a_warning_and_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let first = failoverd(dir.path(), &["init", "here"]);
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    assert!(text(&first.stderr).ends_with("then type: failoverd check --config here/failoverd.toml\n"));

    let policy = dir.path().join("here/policies/web.toml");
    let mine = std::fs::read_to_string(&policy).unwrap().replace("\"5m\"", "\"6m\"");
    std::fs::write(&policy, &mine).unwrap();
    let second = failoverd(dir.path(), &["init", "here"]);
    assert_eq!(second.status.code(), Some(0));
    assert!(text(&second.stdout).contains("kept  here/policies/web.toml (it was there)"));
    assert_eq!(std::fs::read_to_string(&policy).unwrap(), mine);

    let check = failoverd(dir.path(), &["check", "--config", "here/failoverd.toml"]);
    assert_eq!(check.status.code(), Some(0), "{}", text(&check.stderr));
    assert_eq!(text(&check.stdout), "web  www.example.com  A  us-east-1 > eu-west-1\n1 policy, 0 errors, 0 warnings\n");
}

#[test]
fn check_of_a_bad_configuration_exits_4_and_leaves_stdout_to_data() {
    let policy = std::fs::read_to_string(golden::root().join("policies/active-standby.toml")).unwrap();
    let dir = tree(&[("failoverd.toml", ""), ("policies/web.toml", &policy.replace("ttl ", "tll "))]);
    let check = failoverd(dir.path(), &["check"]);
    assert_eq!((check.status.code(), check.stdout.len()), (Some(4), 0));
    let said = text(&check.stderr);
    assert!(said.starts_with("checking failoverd.toml (found in this directory)\n"), "{said}");
    assert!(said.contains("policies/web.toml:8:1: error: unknown key `tll`"), "{said}");
    assert!(said.contains("did you mean `ttl`?"), "{said}");

    let check = failoverd(dir.path(), &["check", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&check.stdout).unwrap();
    assert_eq!((check.status.code(), &json["valid"]), (Some(4), &serde_json::json!(false)));
    let error = json["findings"].as_array().unwrap().iter().find(|f| f["severity"] == "error").unwrap();
    assert_eq!((&error["line"], &error["column"]), (&serde_json::json!(8), &serde_json::json!(1)));

    std::fs::write(dir.path().join("policies/web.toml"), &policy).unwrap();
    assert_eq!(failoverd(dir.path(), &["check"]).status.code(), Some(0), "the cause removed");
}

#[test]
fn the_summary_says_what_each_record_holds_and_of_how_many_targets() {
    let dir = tempfile::tempdir().unwrap();
    let main = format!("policies = \"{}/*.toml\"\n", golden::root().join("policies").display());
    std::fs::write(dir.path().join("failoverd.toml"), main).unwrap();
    let check = failoverd(dir.path(), &["check"]);
    assert_eq!(check.status.code(), Some(0), "{}", text(&check.stderr));
    golden::check(Path::new("tests/golden/config/shipped-policies.txt"), &text(&check.stdout));

    let check = failoverd(dir.path(), &["check", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&check.stdout).unwrap();
    let policies = json["policies"].as_array().unwrap();
    let of = |id: &str| policies.iter().find(|p| p["id"] == id).unwrap();
    for (id, kind, answers, least) in
        [("several-answers", "addresses", 3, 2), ("load-balancer-alias", "alias", 1, 1), ("heartbeat", "host", 1, 1)]
    {
        let policy = of(id);
        assert_eq!(
            (&policy["kind"], &policy["answers"], &policy["min_active"]),
            (&kind.into(), &answers.into(), &least.into())
        );
    }
}

#[test]
fn without_any_configuration_the_next_command_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let check = failoverd(dir.path(), &["check"]);
    assert_eq!(check.status.code(), Some(4));
    assert!(text(&check.stderr).contains("`failoverd init`"), "{}", text(&check.stderr));
}

#[test]
fn schema_prints_what_lies_beside_the_shipped_policies() {
    let dir = tempfile::tempdir().unwrap();
    for (which, file) in [("policy", "policies/policy.schema.json"), ("main", "policies/main.schema.json")] {
        let printed = failoverd(dir.path(), &["schema", which]);
        assert_eq!(printed.status.code(), Some(0));
        golden::check(Path::new(file), &text(&printed.stdout));
    }
}
