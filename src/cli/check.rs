//! `failoverd check`: reads the whole configuration and says everything that is wrong with it.
//! Offline: no name is looked up, no secret is read, nothing is sent.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::config::{self, Config, ConfigErrors, Finding};
use crate::domain::{CheckKind, Policy};

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
        writeln!(out, "{:width$}  {}  {}", policy.id, records.join(", "), order(policy).join(" > "))?;
    }
    let (policies, warnings) = (config.policies.len(), config.warnings.len());
    let (policies, warnings) = (count(policies, "policy", "policies"), count(warnings, "warning", "warnings"));
    writeln!(out, "{policies}, 0 errors, {warnings}")
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
        "check": policy.targets.first().map(|t| CheckKind::name(&t.check.kind)),
        "config_hash": policy.config_hash,
    })
}
