//! `failoverd doctor`: everything a move would need, looked at now; writes nothing.

use std::time::Duration;

use serde::Serialize;

use crate::domain::time::human;
use crate::domain::{PolicyId, UnixMs};
use crate::engine::journal::RehearsalSnapshot;
use crate::runtime::doctor::{Finding, examine};

use super::output::{Cell, Format, JSON_VERSION, data, json, table, talk, word};
use super::{Context, Done, Exit, Failure, render};

/// Exit: 0 nothing found · 1 something to look at · 4 invalid configuration · 5 provider unreachable.
#[derive(clap::Args)]
#[command(after_help = "Example: failoverd doctor\n\nWhat is only in the files is told by `failoverd check`, offline.")]
pub struct Args {
    /// Longest time to look at the targets
    #[arg(long, default_value = "1m", value_parser = super::duration, value_name = "TIME")]
    deadline: Duration,

    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    at: UnixMs,
    provider_trouble: Option<&'a str>,
    findings: &'a [Finding],
    policies: Vec<Looked<'a>>,
}

#[derive(Serialize)]
struct Looked<'a> {
    policy: &'a PolicyId,
    live: &'a crate::engine::report::LiveState,
    rehearsal: Option<&'a RehearsalSnapshot>,
}

pub async fn run(context: &Context, args: Args) -> Done {
    let config = context.load()?;
    if let Some(line) = super::context::warnings(&config) {
        talk(&line);
    }
    if args.output == Format::Table {
        let policies = super::count(config.policies.len(), "policy", "policies");
        talk(&format!("looking at {policies}, writing nothing"));
    }
    let examined = examine(&config, args.deadline).await?;
    let reports = &examined.status.reports;
    match args.output {
        Format::Json => json(&Document {
            version: JSON_VERSION,
            at: examined.status.at,
            provider_trouble: examined.provider_trouble.as_deref(),
            findings: &examined.findings,
            policies: reports
                .iter()
                .map(|r| Looked { policy: &r.policy, live: &r.live, rehearsal: r.rehearsal.as_ref() })
                .collect(),
        }),
        Format::Table => {
            let rows: Vec<Vec<Cell>> = reports
                .iter()
                .map(|r| {
                    let findings = examined.findings.iter().filter(|f| f.policy.as_ref() == Some(&r.policy)).count();
                    let found =
                        if findings == 0 { "fine".to_owned() } else { super::count(findings, "finding", "findings") };
                    vec![
                        r.policy.to_string().into(),
                        render::live(&r.live).into(),
                        render::rehearsal(r.rehearsal.as_ref(), r.at).into(),
                        found.into(),
                    ]
                })
                .collect();
            data(&table(&["POLICY", "LIVE", "LAST REHEARSAL", "FOUND"], &rows));
            for finding in &examined.findings {
                let about = [finding.policy.as_ref().map(ToString::to_string), finding.record.clone()];
                let about: Vec<String> = about.into_iter().flatten().collect();
                data(&format!(
                    "\n{} {}: {}\n  next: {}\n",
                    word(&finding.kind),
                    about.join(" "),
                    finding.text,
                    finding.next
                ));
            }
        }
    }
    if let Some(why) = examined.provider_trouble {
        let text = format!("the provider gave no usable answer within {}: {why}", human(args.deadline));
        return Err(Failure::new(Exit::Provider, text)
            .next("look at the provider's address, the network and the credentials, then run this again"));
    }
    if examined.findings.is_empty() {
        talk("nothing found");
        return Ok(Exit::Ok);
    }
    Ok(Exit::Error)
}
