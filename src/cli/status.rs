//! `failoverd status`: the state of every policy now, from the daemon, else what the state file remembers.

use std::io::IsTerminal as _;
use std::time::Duration;

use serde::Serialize;

use crate::control::client::{AskError, ask};
use crate::control::protocol::{Request, Status};
use crate::engine::journal::{PolicySnapshot, Restored};
use crate::engine::report::Report;
use crate::store;

use super::output::{Format, JSON_VERSION, data, json, talk};
use super::{Context, Done, Exit, Failure, render};

/// Between two looks of `--watch`.
const WATCH: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  failoverd status\n  failoverd status web --watch\n  failoverd status -o json | jq .reports"
)]
pub struct Args {
    /// Only this policy
    policy: Option<String>,

    #[arg(short, long, value_enum, default_value_t)]
    output: Format,

    /// Look again each second until interrupted: drawn anew on a terminal, else one output for
    /// each change
    #[arg(long)]
    watch: bool,
}

#[derive(Serialize)]
#[serde(tag = "source", rename_all = "snake_case")]
enum Document<'a> {
    Daemon {
        version: u32,
        #[serde(flatten)]
        status: &'a Status,
    },
    /// No daemon runs; this is what it remembered last.
    StateFile { version: u32, snapshots: &'a [PolicySnapshot], open_intents: usize },
}

pub async fn run(context: &Context, args: Args) -> Done {
    let reach = context.reach()?;
    let redraws = args.watch && args.output == Format::Table && std::io::stdout().is_terminal();
    let clear = || {
        if redraws {
            // Top left, and everything below is gone.
            data("\u{1b}[H\u{1b}[2J");
        }
    };
    let mut last = None;
    loop {
        match ask(&reach.state, Request::Status { policy: args.policy.clone() }).await {
            Ok(answer) => {
                let status = super::expect_status(answer)?;
                let now = Some(essence(&status.reports));
                if redraws || last != now {
                    clear();
                    reach.warn_of_old();
                    show(&status, args.output);
                }
                last = now;
            }
            Err(AskError::NoDaemon(state)) => {
                let restored = remembered(&reach.valid()?.state)?;
                let now = Some(format!("{:?}", restored.snapshots));
                if redraws || last != now {
                    clear();
                    talk(&format!("no daemon is running for {state}; this is what its state file remembers"));
                    show_remembered(&restored, args.policy.as_deref(), args.output);
                }
                last = now;
            }
            Err(error) => return Err(super::ask_failed(error)),
        }
        if !args.watch {
            return Ok(Exit::Ok);
        }
        tokio::select! {
            () = tokio::time::sleep(WATCH) => {}
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Ok),
        }
    }
}

/// What `status` would show without what only time changes.
fn essence(reports: &[Report]) -> String {
    let timeless = |report: &Report| {
        let mut report = report.clone();
        report.brakes.hold_down = report.brakes.hold_down.map(|_| Duration::from_secs(1));
        report.at = report.rehearsal.as_ref().map_or(report.at, |r| r.at);
        for target in &mut report.targets {
            target.failures = target.failures.min(target.fall);
        }
        for refusal in &mut report.refusals {
            refusal.text.clear();
            refusal.change.clear();
        }
        report
    };
    render::status(&reports.iter().map(timeless).collect::<Vec<_>>())
}

fn show(status: &Status, format: Format) {
    match format {
        Format::Json => json(&Document::Daemon { version: JSON_VERSION, status }),
        Format::Table => {
            let observe = if status.observe { ", observing: writes nothing" } else { "" };
            talk(&format!("{}/{} at {}{observe}", status.cluster, status.instance, status.at));
            data(&render::status(&status.reports));
        }
    }
}

fn show_remembered(restored: &Restored, policy: Option<&str>, format: Format) {
    let snapshots: Vec<PolicySnapshot> =
        restored.snapshots.iter().filter(|s| policy.is_none_or(|name| s.policy.as_str() == name)).cloned().collect();
    match format {
        Format::Json => json(&Document::StateFile {
            version: JSON_VERSION,
            snapshots: &snapshots,
            open_intents: restored.open_intents.len(),
        }),
        Format::Table => {
            data(&render::snapshots(&snapshots));
            if !restored.open_intents.is_empty() {
                talk(&format!(
                    "{} writes wait for their outcome; `failoverd run` or `once` resolves them",
                    restored.open_intents.len()
                ));
            }
        }
    }
}

fn remembered(state: &std::path::Path) -> Result<Restored, Failure> {
    if !state.exists() {
        return Err(Failure::error(format!("no daemon is running and there is no state file {}", state.display()))
            .next("failoverd plan shows what a pass would do; failoverd run starts the daemon"));
    }
    store::open_read_only(state).and_then(|view| view.restored()).map_err(Failure::error)
}
