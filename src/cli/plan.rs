//! `failoverd plan`: what a confirmed pass would do now, and why. Writes nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::control::protocol::Status;
use crate::domain::UnixMs;
use crate::engine::report::{LiveState, Report, Settled};
use crate::runtime::plan::{self, Observed};

use super::once::Pass;
use super::output::{Format, JSON_VERSION, data, json, talk};
use super::{Context, Done, Failure, render, saved};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  failoverd plan\n  failoverd plan web --out web.plan && failoverd apply web.plan")]
pub struct Args {
    /// Only this policy
    policy: Option<String>,

    /// Longest time the look may take
    #[arg(long, default_value = "1m", value_parser = super::duration, value_name = "TIME")]
    deadline: Duration,

    /// Exit with 2 when something would move
    #[arg(long)]
    detailed_exitcode: bool,

    /// Save the one move that would be made, for `failoverd apply FILE` within 15 minutes
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    at: UnixMs,
    settled: Settled,
    changes: usize,
    policies: Vec<Planned<'a>>,
}

#[derive(Serialize)]
struct Planned<'a> {
    /// The move would be made now.
    change: bool,
    report: &'a Report,
}

pub async fn run(context: &Context, args: Args) -> Done {
    let mut config = context.load()?;
    if let Some(line) = super::context::warnings(&config) {
        talk(&line);
    }
    if let Some(name) = &args.policy {
        super::keep_only(&mut config.policies, name)?;
    }
    if args.output == Format::Table {
        talk(&format!(
            "looking: probing {}, writing nothing",
            super::count(config.policies.len(), "policy", "policies")
        ));
    }
    let observed = plan::observe(&config, args.deadline).await?;
    let reports = &observed.status.reports;
    let changes = reports.iter().filter(|r| render::changes(r)).count();
    match args.output {
        Format::Json => json(&Document {
            version: JSON_VERSION,
            at: observed.status.at,
            settled: observed.settled,
            changes,
            policies: reports.iter().map(|report| Planned { change: render::changes(report), report }).collect(),
        }),
        Format::Table => {
            for report in reports {
                data(&format!("{}\n", render::plan(report)));
            }
            let refused = reports.iter().filter(|r| r.wanted.is_some() && !render::changes(r)).count();
            let unread = reports.iter().filter(|r| r.wanted.is_none() && r.live == LiveState::NotRead).count();
            let unread_text = if unread > 0 { format!("{unread} not read, ") } else { String::new() };
            data(&format!(
                "Plan: {changes} to change, {refused} refused, {unread_text}{} as they are.\n",
                reports.len() - changes - refused - unread
            ));
        }
    }
    if let Some(path) = &args.out {
        save(&observed, path)?;
    }
    let pass = Pass {
        settled: observed.settled,
        reports,
        provider_trouble: observed.provider_trouble.as_deref(),
        deadline: args.deadline,
    };
    pass.verdict(args.detailed_exitcode)
}

/// Saves the one move there is; without a move there is no file.
fn save(observed: &Observed, path: &Path) -> Result<(), Failure> {
    match observed.saved.as_slice() {
        [] => talk(&format!("nothing would be moved now, so {} was not written", path.display())),
        [one] => {
            let Status { cluster, instance, .. } = &observed.status;
            saved::Plan::new(one, cluster, instance).write(path)?;
            talk(&format!("saved; within 15 minutes: failoverd apply {}", path.display()));
        }
        [first, ..] => {
            let text = format!("{} policies would move, and a file holds one", observed.saved.len());
            return Err(Failure::error(text).next(format!("failoverd plan {} --out {}", first.policy, path.display())));
        }
    }
    Ok(())
}
