//! `failoverd history`: what happened before, oldest first.

use serde::Serialize;

use crate::control::client::{AskError, ask};
use crate::control::protocol::{Answer, Request};
use crate::domain::PolicyId;
use crate::engine::journal::Transition;
use crate::store;

use super::output::{Format, JSON_VERSION, data, json, talk};
use super::{Context, Done, Exit, Failure, render};

#[derive(clap::Args)]
pub struct Args {
    /// Only this policy
    policy: Option<String>,

    /// At most this many, the newest
    #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,

    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    transitions: &'a [Transition],
}

pub async fn run(context: &Context, args: Args) -> Done {
    let reach = context.reach()?;
    let request = Request::History { policy: args.policy.clone(), limit: args.limit };
    let transitions = match ask(&reach.state, request).await {
        Ok(Answer::History { transitions }) => transitions,
        Ok(other) => return Err(super::unexpected(&other)),
        Err(AskError::NoDaemon(_)) => {
            let policy = args.policy.as_deref().map(PolicyId::new).transpose().map_err(Failure::error)?;
            let view = store::open_read_only(&reach.valid()?.state).map_err(Failure::error)?;
            let mut found = view.history(policy.as_ref(), args.limit).map_err(Failure::error)?;
            found.reverse();
            found
        }
        Err(error) => return Err(super::ask_failed(error)),
    };
    match args.output {
        Format::Json => json(&Document { version: JSON_VERSION, transitions: &transitions }),
        Format::Table if transitions.is_empty() => talk("nothing has happened yet"),
        Format::Table => data(&render::history(&transitions)),
    }
    Ok(Exit::Ok)
}
