//! `failoverd explain POLICY`: rule, evidence, counters, brakes, and what would change the answer.

use std::time::Duration;

use serde::Serialize;

use crate::control::client::{AskError, ask};
use crate::control::protocol::Request;
use crate::engine::report::Report;
use crate::runtime::plan;

use super::output::{Format, JSON_VERSION, data, json, talk};
use super::{Context, Done, Exit, Failure, render};

#[derive(clap::Args)]
pub struct Args {
    policy: String,

    #[arg(short, long, value_enum, default_value_t)]
    output: Format,

    /// Longest time to look when no daemon runs
    #[arg(long, default_value = "1m", value_parser = super::duration, value_name = "TIME")]
    deadline: Duration,
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    report: &'a Report,
}

pub async fn run(context: &Context, args: Args) -> Done {
    let reach = context.reach()?;
    let status = match ask(&reach.state, Request::Explain { policy: args.policy.clone() }).await {
        Ok(answer) => {
            reach.warn_of_old();
            super::expect_status(answer)?
        }
        Err(AskError::NoDaemon(_)) => {
            talk("no daemon is running; looking from here, writing nothing");
            let mut config = reach.config()?;
            super::keep_only(&mut config.policies, &args.policy)?;
            plan::observe(&config, args.deadline).await?.status
        }
        Err(error) => return Err(super::ask_failed(error)),
    };
    let Some(report) = status.reports.first() else {
        return Err(Failure::error(format!("there is no report about `{}`", args.policy)).next("failoverd status"));
    };
    match args.output {
        Format::Json => json(&Document { version: JSON_VERSION, report }),
        Format::Table => data(&render::explain(report)),
    }
    Ok(Exit::Ok)
}
