//! `failoverd release`: gives a managed record up, or retires a fence that no policy manages.

use crate::control::client::{AskError, ask, person};
use crate::control::protocol::{Answer, Request};
use crate::domain::{RecordName, ZoneId, ZoneRef};
use crate::runtime::orphan::{RetireError, Said, retire};

use super::operate::{Errand, Follow, carry_out};
use super::output::data;
use super::{Context, Done, Exit, Failure};

/// Exit: 0 released · 3 refused by a rule · 5 provider unreachable · 7 unknown whether it was written.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  failoverd release web --reason \"moves to another tool\"\n  \
    failoverd release --orphan old.example.com       a fence that `failoverd doctor` listed")]
#[command(group = clap::ArgGroup::new("what").required(true).args(["policy", "orphan"]))]
pub struct Args {
    policy: Option<String>,

    /// Retire the fence of this record, which no policy manages any more
    #[arg(long, value_name = "RECORD", value_parser = RecordName::new)]
    orphan: Option<RecordName>,

    /// Name or id of the zone that holds the orphan, when no policy is in it
    #[arg(long, value_name = "ZONE", requires = "orphan")]
    zone: Option<String>,

    /// No instance manages the orphan's record, although another one wrote its fence
    #[arg(long, requires = "orphan")]
    nobody_manages_it: bool,

    /// Why, for those who find it later
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

pub async fn run(context: &Context, args: Args) -> Done {
    match (args.policy, args.orphan) {
        (Some(policy), _) => {
            let request = Request::Release { policy, reason: args.reason };
            carry_out(context, Errand { follow: Follow::Fence, ..Errand::brief(request) }).await
        }
        (None, Some(record)) => {
            let said = Said { by: person(), reason: args.reason, nobody_manages_it: args.nobody_manages_it };
            orphan(context, &record, args.zone.as_deref(), said).await
        }
        (None, None) => Err(Failure::error("name a policy, or a record with --orphan").next("failoverd doctor")),
    }
}

async fn orphan(context: &Context, record: &RecordName, zone: Option<&str>, said: Said) -> Done {
    let reach = context.reach()?;
    // A daemon may still run with a policy that the files have no more.
    match ask(&reach.state, Request::Status { policy: None }).await {
        Ok(Answer::Status(status)) => {
            if let Some(report) = status.reports.iter().find(|r| r.records.contains(record)) {
                let text = format!("the daemon manages {record} by policy {}", report.policy);
                return Err(Failure::new(Exit::Refused, text)
                    .next("take the policy out of the configuration and reload the daemon (SIGHUP) first"));
            }
        }
        Ok(other) => return Err(super::unexpected(&other)),
        Err(AskError::NoDaemon(_)) => {}
        Err(error) => return Err(super::ask_failed(error)),
    }
    let zone = zone.map(|text| match RecordName::new(text) {
        Ok(name) if text.contains('.') => ZoneRef { name: Some(name), id: None },
        _ => ZoneRef { name: None, id: Some(ZoneId::new(text)) },
    });
    match retire(reach.valid()?, record, zone.as_ref(), said).await {
        Ok(text) => {
            data(&format!("{text}\n"));
            Ok(Exit::Ok)
        }
        Err(error) => {
            let error = match error {
                RetireError::Start(error) => return Err(error.into()),
                RetireError::Daemon(error) => return Err(super::ask_failed(error)),
                error => error,
            };
            let exit = match &error {
                RetireError::Connect(_) => Exit::Config,
                RetireError::Refused(_) => Exit::Refused,
                RetireError::Provider(_) => Exit::Provider,
                RetireError::Unknown(_) => Exit::Blind,
                RetireError::Start(_) | RetireError::Daemon(_) | RetireError::Journal(_) => Exit::Error,
            };
            Err(Failure::new(exit, error).next("failoverd doctor"))
        }
    }
}
