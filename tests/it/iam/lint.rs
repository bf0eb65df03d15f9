//! parliament, the independent reader of IAM policies, over every document the module makes.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::module::{Module, policy, zone};
use crate::ministack;

/// What parliament found; empty when nothing.
fn found(document: &str) -> String {
    let mut child = Command::new(ministack::tool("parliament"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(document.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(i32::from(!said.is_empty())), "{said}{}", String::from_utf8_lossy(&out.stderr));
    said
}

#[test]
fn every_document_is_clean_and_a_misspelt_one_is_not() {
    let records = json!([{"name": "www.example.com"}, {"name": "*.example.com", "types": ["A", "AAAA"]}]);
    let mut named = zone("Z1", "example.com", records.clone());
    named["by_name"] = json!(true);
    named["retired"] = json!(["old.example.com"]);
    let swap = json!([{"name": "cdn.example.org", "types": ["CNAME"], "write": "swap"}]);
    let inputs: Vec<Value> = vec![
        json!({"zones": [zone("Z1", "example.com", records)]}),
        json!({"zones": [named, zone("Z2", "example.org", swap)]}),
        json!({"zones": [zone("Z1", "example.com", json!([]))], "observe": true}),
        json!({"zones": [zone("Z1", "example.com", json!([{"name": "example.com"}]))], "partition": "aws-us-gov"}),
    ];
    for inputs in &inputs {
        assert_eq!(found(&policy(inputs)), "", "{inputs:#}");
    }
    let whole = policy(&inputs[1]);
    for (right, wrong, named) in [
        ("route53:GetChange\"", "route53:GetChanges\"", "Unknown action route53:GetChanges"),
        ("NormalizedRecordNames", "NormalisedRecordNames", "Unknown condition"),
        ("ForAnyValue:StringLike", "ForAnyValue:StringIsLike", "condition operator is unknown"),
        ("change/*", "hostedzone/*", "No resources match"),
    ] {
        assert!(whole.contains(right), "{right}");
        let said = found(&whole.replace(right, wrong));
        assert!(said.contains(named), "{wrong}: {said}");
    }
}

/// What the services themselves may do: read their secrets, write their log, show that they live.
#[test]
fn the_documents_of_the_services_are_clean() {
    let secrets = json!({
        "SLACK_WEBHOOK_URL": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:slack-AbCdEf",
        "TOKEN": "arn:aws:ssm:eu-west-1:123456789012:parameter/failoverd/token",
    });
    let files = json!({"failoverd.toml": "instance = \"a\"\n"});
    let binary = json!({"url": "https://releases.example.com/failoverd", "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"});
    let image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ops/failoverd@sha256:00";
    for (module, output, inputs) in [
        (
            "container",
            "execution_policy_json",
            json!({"image": image, "log_group": "/failoverd/web", "region": "eu-west-1", "files": files, "secrets": secrets}),
        ),
        (
            "boot",
            "instance_policy_json",
            json!({"name": "web", "binary": binary, "region": "eu-west-1", "files": files, "secrets": secrets}),
        ),
    ] {
        let made = Module::of(module, &inputs).output(output);
        let document = made.as_str().unwrap();
        assert!(
            document.contains("secret:slack-AbCdEf") && document.contains("parameter/failoverd/token"),
            "{document}"
        );
        assert_eq!(found(document), "", "{document}");
    }
}
