//! `failoverd check`: reads the whole configuration and says everything that is wrong with it.
//! Offline: no name is looked up, no secret is read, nothing is sent.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::config::{self, Config, ConfigErrors, Finding};
use crate::domain::{CheckKind, Content, Policy};

use super::count;
use super::output::{self, Format, JSON_VERSION};

/// Exit code of an invalid configuration.
const INVALID: u8 = 4;

#[derive(clap::Args, Debug)]
pub struct CheckArgs {
    /// How the result is printed on stdout
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// Answers the exit code: 0 when the configuration is good, 4 when it is not.
pub fn run(args: &CheckArgs, config: Option<&Path>) -> u8 {
    let env = |name: &str| std::env::var(name).ok();
    let located = config::locate(config, &env);
    let read = match &located {
        Ok(located) => {
            output::talk(&format!("checking {} ({})", located.path.display(), located.why));
            config::load(&located.path, &env)
        }
        Err(errors) => Err(errors.clone()),
    };
    let mut out = std::io::stdout().lock();
    let told = match (args.output, &read) {
        (Format::Json, read) => writeln!(out, "{:#}", as_json(read)),
        (Format::Table, Ok(config)) => good(config, &mut out),
        (Format::Table, Err(errors)) => {
            output::talk(&errors.to_string());
            Ok(())
        }
    };
    match (told, read) {
        (Err(_), _) => 1,
        (Ok(()), Ok(_)) => 0,
        (Ok(()), Err(_)) => INVALID,
    }
}

fn good(config: &Config, out: &mut dyn Write) -> std::io::Result<()> {
    for warning in &config.warnings {
        output::talk(&warning.to_string());
    }
    let width = config.policies.iter().map(|p| p.id.as_str().len()).max().unwrap_or(0);
    for policy in &config.policies {
        let records: Vec<String> = policy.records.iter().map(ToString::to_string).collect();
        writeln!(out, "{:width$}  {}  {}  {}", policy.id, records.join(", "), published(policy), tiers(policy))?;
    }
    let (policies, warnings) = (config.policies.len(), config.warnings.len());
    let (policies, warnings) = (count(policies, "policy", "policies"), count(warnings, "warning", "warnings"));
    writeln!(out, "{policies}, 0 errors, {warnings}")
}

/// What a record holds, and of how many targets: `A, 2 answers (at least 1)`.
fn published(policy: &Policy) -> String {
    let types: Vec<String> = policy.record_types().iter().map(ToString::to_string).collect();
    let alias = if policy.targets.iter().any(|t| matches!(t.content, Content::Alias(_))) { "alias " } else { "" };
    let answers = match policy.answers {
        1 => String::new(),
        most => format!(", {most} answers (at least {})", policy.min_active),
    };
    format!("{alias}{}{answers}", types.join(" and "))
}

/// Names of the targets, the preferred first; those published together are joined by `+`.
fn tiers(policy: &Policy) -> String {
    if policy.answers == 1 {
        return order(policy).join(" > ");
    }
    let mut tiers: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    for target in &policy.targets {
        tiers.entry(target.priority).or_default().push(target.name.to_string());
    }
    let joined = |mut names: Vec<String>| {
        names.sort();
        names.join(" + ")
    };
    tiers.into_values().map(joined).collect::<Vec<_>>().join(" > ")
}

/// Names of the targets, the preferred first.
fn order(policy: &Policy) -> Vec<String> {
    let mut targets: Vec<_> = policy.targets.iter().map(|t| (t.priority, t.name.to_string())).collect();
    targets.sort();
    targets.into_iter().map(|(_, name)| name).collect()
}

fn as_json(read: &Result<Config, ConfigErrors>) -> Value {
    let (config, findings): (Option<&Config>, &[Finding]) = match read {
        Ok(config) => (Some(config), &config.warnings),
        Err(errors) => (None, &errors.findings),
    };
    json!({
        "version": JSON_VERSION,
        "valid": config.is_some(),
        "config": config.map(|c| c.path.display().to_string()),
        "policies": config.map(|c| c.policies.iter().map(policy).collect::<Vec<_>>()).unwrap_or_default(),
        "findings": findings,
    })
}

fn policy(policy: &Policy) -> Value {
    json!({
        "id": policy.id,
        "zone": policy.zone.to_string(),
        "records": policy.records,
        "targets": order(policy),
        "kind": policy.targets.first().map(|t| t.content.kind()),
        "answers": policy.answers,
        "min_active": policy.min_active,
        "check": policy.targets.first().map(|t| CheckKind::name(&t.check.kind)),
        "config_hash": policy.config_hash,
    })
}
