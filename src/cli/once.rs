//! `failoverd once`: one confirmed pass, for cron or EventBridge.

use std::time::Duration;

use crate::engine::report::{Report, Settled};
use crate::runtime::once;

use super::output::{data, talk};
use super::{Context, Done, Exit, Failure, render};

#[derive(clap::Args)]
pub struct Args {
    /// Longest time the pass may take
    #[arg(long, default_value = "5m", value_parser = super::duration, value_name = "TIME")]
    deadline: Duration,

    /// Exit with 2 when something moved
    #[arg(long)]
    detailed_exitcode: bool,
}

pub async fn run(context: &Context, args: Args) -> Done {
    let config = context.load()?;
    let passed = once::pass(&config, args.deadline).await?;
    data(&render::status(&passed.status.reports));
    if passed.notices_left > 0 {
        talk(&format!("{} notices could not be delivered yet; the next pass sends them", passed.notices_left));
    }
    verdict(passed.settled, &passed.status.reports, args.deadline, args.detailed_exitcode)
}

/// The exit code of one pass.
pub fn verdict(settled: Settled, reports: &[Report], deadline: Duration, detailed: bool) -> Done {
    let first = |wanted: bool| {
        let mut names =
            reports.iter().filter(|r| r.wanted.is_some() == wanted || !wanted).map(|r| r.policy.to_string());
        names.next().unwrap_or_else(|| "POLICY".into())
    };
    match settled {
        Settled::Quiet => Ok(Exit::Ok),
        Settled::Moved if detailed => Ok(Exit::Changes),
        Settled::Moved => Ok(Exit::Ok),
        Settled::RolledBack => Err(Failure::new(Exit::RolledBack, "a move was contradicted and rolled back")
            .next(format!("failoverd explain {}", first(false)))),
        Settled::Refused => Err(Failure::new(Exit::Refused, "an active target is failing and the move is refused")
            .next(format!("failoverd explain {}", first(true)))),
        Settled::Blind => {
            Err(Failure::new(Exit::Blind, "this machine cannot see enough of the network to judge; nothing was moved")
                .next("look at this machine's own network and at the witnesses"))
        }
        Settled::Provider => {
            let why = provider_trouble(reports);
            Err(Failure::new(Exit::Provider, format!("the provider could not be reached or refused us{why}"))
                .next("look at the provider's address, the network and the credentials, then run this again"))
        }
        Settled::No => Err(Failure::new(
            Exit::Blind,
            format!("not every policy could be judged within {}", crate::domain::time::human(deadline)),
        )
        .next(format!("failoverd explain {}, or a longer --deadline", first(false)))),
    }
}

fn provider_trouble(reports: &[Report]) -> String {
    reports.iter().flat_map(|r| &r.refusals).next().map_or_else(String::new, |refusal| format!(": {}", refusal.text))
}
