//! `failoverd once`: one confirmed pass, for cron or EventBridge.

use std::time::Duration;

use crate::domain::time::human;
use crate::engine::report::{PolicyState, Report, Settled};
use crate::runtime::once;

use super::output::{data, json_line, talk};
use super::{Context, Done, Exit, Failure, logging, render};

/// Exit: 0 · 2 moved (with --detailed-exitcode) · 3 failing, but refused or no candidate · 5 provider
/// unreachable · 6 rolled back · 7 blind or not judged in time.
#[derive(clap::Args)]
#[command(
    after_help = "Example, each minute from cron: failoverd -c /etc/failoverd/failoverd.toml once --deadline 50s\n\n\
    Soak counts over passes while no gap between two of them is longer than soak.\n\
    With --log json stdout has one JSON object for each policy, and the log ends with `pass ended`."
)]
pub struct Args {
    /// Longest time the pass may take
    #[arg(long, default_value = "5m", value_parser = super::duration, value_name = "TIME")]
    deadline: Duration,

    /// Exit with 2 when something moved
    #[arg(long)]
    detailed_exitcode: bool,
}

pub async fn run(context: &Context, args: Args) -> Done {
    let mut result = "failed";
    let exit = match pass(context, args, &mut result).await {
        Ok(exit) => exit,
        Err(failure) => super::complain(&failure),
    };
    // The last line, whatever happened: schedulers and alarms look for it.
    tracing::info!(result, exit = exit as u8, version = crate::version::VERSION, "pass ended");
    Ok(exit)
}

async fn pass(context: &Context, args: Args, result: &mut &'static str) -> Done {
    let config = context.load_aloud()?;
    let passed = once::pass(&config, args.deadline).await?;
    *result = if passed.stopped { "stopped" } else { word(passed.settled) };
    passed.notes.iter().for_each(|note| talk(note));
    if logging::is_json() {
        passed.status.reports.iter().for_each(json_line);
    } else {
        data(&render::status(&passed.status.reports));
    }
    if passed.notices_left > 0 {
        talk(&format!("{} notices could not be delivered yet; the next pass sends them", passed.notices_left));
    }
    if passed.stopped {
        return Err(Failure::error("stopped by a signal before the pass was over").next("failoverd once"));
    }
    let pass = Pass {
        settled: passed.settled,
        reports: &passed.status.reports,
        provider_trouble: passed.provider_trouble.as_deref(),
        deadline: args.deadline,
    };
    pass.verdict(args.detailed_exitcode)
}

/// The result of a pass in one word, as logged.
fn word(settled: Settled) -> &'static str {
    match settled {
        Settled::No => "not-judged",
        Settled::Quiet => "quiet",
        Settled::Moved => "moved",
        Settled::RolledBack => "rolled-back",
        Settled::Refused => "refused",
        Settled::Blind => "blind",
        Settled::Provider => "provider-unreachable",
    }
}

/// How a pass over all policies ended, observing or not.
pub struct Pass<'a> {
    pub settled: Settled,
    pub reports: &'a [Report],
    pub provider_trouble: Option<&'a str>,
    pub deadline: Duration,
}

impl Pass<'_> {
    /// The exit code; with `detailed` a move has its own.
    pub fn verdict(&self, detailed: bool) -> Done {
        let failure = match self.settled {
            Settled::Quiet => return Ok(Exit::Ok),
            Settled::Moved if detailed => return Ok(Exit::Changes),
            Settled::Moved => return Ok(Exit::Ok),
            Settled::RolledBack => Failure::new(Exit::RolledBack, "a move was contradicted and rolled back")
                .next(self.explain(|r| r.last_move.is_some())),
            Settled::Refused => Failure::new(Exit::Refused, "an active target is failing and the move is refused")
                .next(self.explain(|r| r.wanted.is_some() && !r.refusals.is_empty())),
            Settled::Blind => {
                Failure::new(Exit::Blind, "this machine cannot see enough of the network to judge; nothing was moved")
                    .next("look at this machine's own network and at the witnesses")
            }
            Settled::Provider => self.provider(),
            Settled::No => match self.provider_trouble {
                Some(_) => self.provider(),
                None => Failure::new(
                    Exit::Blind,
                    format!("not every policy could be judged within {}", human(self.deadline)),
                )
                .next(self.explain(|r| r.state == PolicyState::Starting || r.state == PolicyState::Doubt)),
            },
        };
        Err(failure)
    }

    fn provider(&self) -> Failure {
        let first = self.reports.iter().flat_map(|r| &r.refusals).next().map(|refusal| refusal.text.as_str());
        let why = self.provider_trouble.or(first).unwrap_or("it could not be reached or refused us");
        Failure::new(Exit::Provider, format!("the provider gave no usable answer: {why}"))
            .next("look at the provider's address, the network and the credentials, then run this again")
    }

    /// The command that tells more about the first policy which `about` holds for.
    fn explain(&self, about: impl Fn(&Report) -> bool) -> String {
        let found = self.reports.iter().find(|r| about(r)).or(self.reports.first());
        format!("failoverd explain {}", found.map_or("POLICY", |r| r.policy.as_str()))
    }
}
