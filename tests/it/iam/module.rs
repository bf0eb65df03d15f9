//! The policy as real Terraform makes it from `terraform/modules/policy`, and what the module says itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use failoverd::domain::RecordName;
use failoverd::engine::fence::fence_name;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::request::normal;
use crate::golden::root;

/// What `tests/run` says too.
const MISSING: &str = "terraform is missing (no Debian package has it): get 1.11.4 from https://developer.hashicorp.com/terraform/install and put it on PATH";

/// A copy of the module, where Terraform may leave its files.
pub struct Module {
    dir: TempDir,
}

impl Module {
    /// Applied with these inputs.
    pub fn applied(inputs: &Value) -> Module {
        Module::of("policy", inputs)
    }

    /// A module without a provider, applied with these inputs.
    pub fn of(name: &str, inputs: &Value) -> Module {
        let module = Module::with(name, inputs);
        let made = module.terraform(&["apply", "-auto-approve", "-input=false", "-no-color"]);
        assert!(made.status.success(), "{inputs:#}\n{}", text(&made));
        module
    }

    fn with(name: &str, inputs: &Value) -> Module {
        let module = Module { dir: tempfile::tempdir().unwrap() };
        copy(&root().join("terraform/modules").join(name), module.dir.path());
        std::fs::write(module.dir.path().join("inputs.auto.tfvars.json"), inputs.to_string()).unwrap();
        module
    }

    /// The controller's files by name, and the policy, that the modules make of one description together.
    pub fn of_policies(policies: &Value, settings: &Value) -> (Value, String) {
        let module = Module { dir: tempfile::tempdir().unwrap() };
        for name in ["config", "policy"] {
            let to = module.dir.path().join(name);
            std::fs::create_dir(&to).unwrap();
            copy(&root().join("terraform/modules").join(name), &to);
        }
        let main = r#"
            variable "policies" { type = any }
            variable "settings" { type = any }
            module "config" {
              source     = "./config"
              policies   = var.policies
              settings   = var.settings
              state_path = "failoverd.db"
            }
            module "policy" {
              source     = "./policy"
              zones      = module.config.zones
              delegation = module.config.asks_delegation
            }
            output "files" { value = module.config.files }
            output "policy_json" { value = module.policy.policy_json }
        "#;
        std::fs::write(module.dir.path().join("main.tf"), main).unwrap();
        let inputs = json!({"policies": policies, "settings": settings});
        std::fs::write(module.dir.path().join("inputs.auto.tfvars.json"), inputs.to_string()).unwrap();
        for line in [&["get", "-no-color"][..], &["apply", "-auto-approve", "-input=false", "-no-color"]] {
            let out = module.terraform(line);
            assert!(out.status.success(), "{inputs:#}\n{}", text(&out));
        }
        (module.output("files"), module.policy())
    }

    pub fn policy(&self) -> String {
        let out = self.terraform(&["output", "-raw", "policy_json"]);
        assert!(out.status.success(), "{}", text(&out));
        String::from_utf8(out.stdout).unwrap()
    }

    pub fn output(&self, name: &str) -> Value {
        serde_json::from_slice(&self.terraform(&["output", "-json", name]).stdout).unwrap()
    }

    fn terraform(&self, line: &[&str]) -> Output {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path).map(|dir| dir.join("terraform")).find(|file| file.is_file());
        let program: PathBuf = program.unwrap_or_else(|| panic!("{MISSING}"));
        Command::new(program)
            .args(line)
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.dir.path())
            .env("CHECKPOINT_DISABLE", "1")
            .env("TF_IN_AUTOMATION", "1")
            .current_dir(self.dir.path())
            .output()
            .unwrap()
    }
}

/// The policy for these inputs.
pub fn policy(inputs: &Value) -> String {
    Module::applied(inputs).policy()
}

/// Inputs for one zone.
pub fn zone(id: &str, name: &str, records: Value) -> Value {
    json!({"id": id, "name": name, "records": records})
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let name = entry.file_name().to_string_lossy().into_owned();
        if source.is_dir() && !name.starts_with('.') {
            std::fs::create_dir(&target).unwrap();
            copy(&source, &target);
        } else if source.is_file() && !name.starts_with('.') && !name.contains(".tfstate") {
            std::fs::copy(source, target).unwrap();
        }
    }
}

fn text(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

#[test]
fn its_own_tests_pass() {
    let module = Module { dir: tempfile::tempdir().unwrap() };
    copy(&root().join("terraform/modules/policy"), module.dir.path());
    let out = module.terraform(&["test", "-no-color"]);
    let said = text(&out);
    assert!(out.status.success() && said.contains(" 0 failed"), "{said}");
    // One that must fail does.
    let main = module.dir.path().join("main.tf");
    let wrong = std::fs::read_to_string(&main).unwrap().replace("\"_any\"", "\"any\"");
    std::fs::write(main, wrong).unwrap();
    assert!(!module.terraform(&["test", "-no-color"]).status.success());
}

/// The statements in docs/aws.md are those of this module, so that the page cannot fall behind it.
#[test]
fn the_page_shows_what_it_makes() {
    let page = std::fs::read_to_string(root().join("docs/aws.md")).unwrap();
    let shown: Vec<&str> = page.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let record = json!([{"name": "www.example.com"}]);
    let made = Module::applied(&json!({"zones": [zone("Z0123456789ABCDEFGHIJ", "example.com", record)]}));
    let statements = made.output("statements");
    assert_eq!(shown.len(), 2);
    for (text, made) in shown.iter().zip(statements.as_array().unwrap()) {
        assert_eq!(&serde_json::from_str::<Value>(text).unwrap(), made);
    }
    // Every action that the program names in a denial has a row, and no other.
    let mut called = Vec::new();
    let name = regex::Regex::new(r#""((?:Get|List|Change)[A-Z][A-Za-z]+)""#).unwrap();
    for file in ["reader.rs", "writer.rs"] {
        let source = std::fs::read_to_string(root().join("src/dns/route53").join(file)).unwrap();
        called.extend(name.captures_iter(&source).map(|c| format!("`route53:{}`", &c[1])));
    }
    called.sort();
    called.dedup();
    let mut rows: Vec<String> = page
        .lines()
        .filter_map(|l| l.strip_prefix("| `route53:"))
        .map(|l| format!("`route53:{}`", l.split('`').next().unwrap()))
        .collect();
    rows.sort();
    assert_eq!(rows, called);
}

#[test]
fn it_names_records_and_fences_as_the_controller_and_iam_do() {
    let names = [
        "www.example.com",
        "WWW.Example.COM.",
        "example.com",
        "*.example.com",
        "*.shop.example.com",
        "\\052.Deep.shop.example.com.",
        "a-b.c_d.example.com",
        "_sip._tcp.example.com",
        "any.example.com",
    ];
    for name in names {
        let (record, apex) = (RecordName::new(name).unwrap(), RecordName::new("example.com").unwrap());
        let made = Module::applied(&json!({"zones": [zone("Z1", "Example.com.", json!([{"name": name}]))]}));
        let fence = fence_name(&record, &apex).unwrap().to_string();
        assert_eq!(made.output("names"), json!({"Z1": {record.as_str(): {"iam": normal(name), "fence": fence}}}));
        let listed = made.output("statements")[0]["Condition"]["ForAllValues:StringEquals"]
            ["route53:ChangeResourceRecordSetsNormalizedRecordNames"]
            .clone();
        let mut both = vec![normal(record.as_str()), normal(&fence)];
        both.sort();
        assert_eq!(listed, json!(both), "{name}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_a_sentence() {
    let record = |name: &str| json!([{"name": name}]);
    let many: Vec<Value> = (0..120).map(|n| json!({"name": format!("service-{n}.example.com")})).collect();
    for (inputs, said) in [
        (
            json!({"zones": [zone("Z1", "example.com", record("www"))]}),
            "Write the full name, www.example.com and not www",
        ),
        (json!({"zones": [zone("Z1", "example.com", record("www.example.org"))]}), "A record is not in its zone"),
        (json!({"zones": [zone("hostedzone/Z1", "example.com", record("www.example.com"))]}), "bare hosted zone id"),
        (
            json!({"zones": [zone("Z1", "example.com", record("www._failoverd.example.com"))]}),
            "follow from the records",
        ),
        (json!({"zones": [zone("Z1", "example.com", json!([]))]}), "A zone has no records"),
        (
            json!({"zones": [zone("Z1", "example.com", json!([{"name": "example.com", "types": ["CNAME"]}]))]}),
            "The zone's own name cannot be a CNAME",
        ),
        (
            json!({"zones": [zone("Z1", "example.com", json!(many))]}),
            "IAM takes 6144 in a managed policy. Attach it inline (attach = \"inline\", 10240). Never split one zone",
        ),
        (
            json!({"zones": [zone("Z1", "example.com", json!(many)), zone("Z2", "example.org", record("example.org"))], "attach": "inline"}),
            "Call this module once for each zone (for_each)",
        ),
    ] {
        let out = Module::with("policy", &inputs).terraform(&["plan", "-input=false", "-no-color"]);
        // Terraform wraps its lines.
        let told = text(&out).split_whitespace().filter(|w| *w != "│").collect::<Vec<_>>().join(" ");
        assert!(!out.status.success() && told.contains(said), "{said}: {told}");
    }
}

#[test]
fn a_missing_terraform_ends_the_test_command_with_where_to_get_it() {
    let dir = tempfile::tempdir().unwrap();
    let run = || {
        let line = "PATH=\"$1\"; shift; exec \"$BASH\" \"$@\"";
        let mut command = Command::new("bash");
        command.args(["-c", line, "bash"]).arg(dir.path()).arg(root().join("tests/run"));
        let out = command.output().unwrap();
        assert_eq!(out.status.code(), Some(1), "{}", text(&out));
        text(&out)
    };
    let link = |name: &str| {
        let found =
            std::env::split_paths(&std::env::var_os("PATH").unwrap()).map(|d| d.join(name)).find(|f| f.is_file());
        std::os::unix::fs::symlink(found.unwrap(), dir.path().join(name)).unwrap();
    };
    ["dirname", "sed", "sort", "head"].into_iter().for_each(link);
    let said = run();
    assert!(said.contains(MISSING), "{said}");
    // An old one is as good as none.
    let fake = dir.path().join("terraform");
    let write = |version: &str| {
        let script = format!("#!/bin/sh\necho '{{\"terraform_version\": \"{version}\"}}'\n");
        std::fs::write(&fake, script).unwrap();
        std::fs::set_permissions(&fake, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    write("1.6.6");
    let said = run();
    assert!(said.contains("terraform is 1.6.6, the tests need 1.11.0 or newer"), "{said}");
    write("1.11.4");
    let said = run();
    assert!(!said.contains("terraform") && said.contains("no Rust toolchain found"), "{said}");
}
