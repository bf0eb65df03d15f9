//! The command line: one file per command, which talks to runtime entry points and control only.
//!
//! Errors are printed once, here: `error: …` and, where there is one, `  next: …`.

pub mod check;
mod completions;
mod context;
pub mod demo;
mod doctor;
mod explain;
mod follow;
mod force;
mod history;
pub mod init;
mod line;
mod logging;
mod man;
mod moves;
mod notify_test;
mod once;
mod operate;
mod output;
mod plan;
pub mod probe;
mod release;
mod render;
mod run;
pub mod sandbox;
#[cfg(not(feature = "fuzzing"))]
mod saved;
#[cfg(feature = "fuzzing")]
pub mod saved;
pub mod schema;
mod status;
mod written;

use std::path::PathBuf;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::config;
use crate::control::client::AskError;
use crate::control::protocol::{Answer, Status};
use crate::domain::Policy;
use crate::runtime::unknown_name;

pub use context::Context;

/// Exit codes; the same everywhere, others script against them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    /// An error, or the command line is wrong.
    Error = 1,
    /// Something moved or would; only with `--detailed-exitcode`.
    Changes = 2,
    /// A safety rule refuses, or there is no candidate.
    Refused = 3,
    Config = 4,
    Provider = 5,
    /// Applied, contradicted and rolled back.
    RolledBack = 6,
    /// Blind, or unknown.
    Blind = 7,
}

impl Exit {
    /// The exit of a command that tells it as a number; one that is not ours is an error.
    fn from_code(code: u8) -> Exit {
        const ALL: [Exit; 8] = [
            Exit::Ok,
            Exit::Error,
            Exit::Changes,
            Exit::Refused,
            Exit::Config,
            Exit::Provider,
            Exit::RolledBack,
            Exit::Blind,
        ];
        ALL.get(usize::from(code)).copied().unwrap_or(Exit::Error)
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        std::process::ExitCode::from(exit as u8)
    }
}

/// Why a command ends without having done its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub exit: Exit,
    /// What happened and where; may have several lines.
    pub error: String,
    /// What to type or do next.
    pub next: Option<String>,
}

impl Failure {
    pub fn new(exit: Exit, error: impl std::fmt::Display) -> Failure {
        Failure { exit, error: error.to_string(), next: None }
    }

    pub fn error(error: impl std::fmt::Display) -> Failure {
        Failure::new(Exit::Error, error)
    }

    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Failure {
        self.next = Some(next.into());
        self
    }
}

/// How a command ends.
pub type Done = Result<Exit, Failure>;

/// DNS failover controller for Route 53: probes, confirms, writes with a fence, proves the move, tells people.
#[derive(Parser)]
#[command(name = "failoverd", version, long_version = crate::version::LONG, disable_help_subcommand = true, arg_required_else_help = true)]
struct Args {
    /// Configuration file [default: $FAILOVERD_CONFIG, ./failoverd.toml, /etc/failoverd/failoverd.toml]
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// How log lines look on stderr
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM")]
    log: logging::Form,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Watch, decide, move records and tell people, until SIGTERM
    Run(run::Args),
    /// One confirmed pass, for cron or EventBridge
    Once(once::Args),
    /// What a confirmed pass would do now, and why; writes nothing
    Plan(plan::Args),
    /// The state of every policy now
    Status(status::Args),
    /// Why a policy did or did not move
    Explain(explain::Args),
    /// What happened before
    History(history::Args),
    /// Stop automatic writes
    Freeze(operate::FreezeArgs),
    /// Allow automatic writes again
    Unfreeze(operate::FreezeArgs),
    /// Clear a lock-out, and the stop of automatic failback after a rollback
    Ack(operate::AckArgs),
    /// Take a record under control, or bring it in line with a target
    Adopt(operate::AdoptArgs),
    /// Move to a target: check, drain, write, prove; back again if the proof contradicts
    Switch(moves::SwitchArgs),
    /// Move to the best healthy target now, whatever soak, window and mode say
    Failback(moves::FailbackArgs),
    /// Keep a target empty; moves away from it when it is published
    Drain(moves::DrainArgs),
    /// Let a drained target be a destination again
    Undrain(operate::UndrainArgs),
    /// Break-glass: write a target whatever its health; works without daemon and state file
    Force(force::Args),
    /// Carry out what `plan --out` saved, if nothing has changed since
    Apply(moves::ApplyArgs),
    /// Give a record up: the fence says so, and nothing is written any more
    Release(release::Args),
    /// Take a record from another cluster
    Takeover(operate::TakeoverArgs),
    /// Probe the targets of a policy once, or any address with --url
    Probe(probe::ProbeArgs),
    /// Say everything that is wrong with the configuration; offline
    Check(check::CheckArgs),
    /// Look at zones, records, fences, targets and rehearsals now; writes nothing
    Doctor(doctor::Args),
    /// Write a first configuration to edit
    Init(init::InitArgs),
    /// The JSON Schema of a policy file or of the main file
    Schema(schema::SchemaArgs),
    /// Send a test notice to one notifier or to all
    NotifyTest(notify_test::NotifyTestArgs),
    /// A local Route 53 and name server to try policies against
    Sandbox(sandbox::SandboxArgs),
    /// See it work: a zone, three regions, a failure and the way back, all on this machine
    Demo(demo::DemoArgs),
    /// The manual: the main page to stdout, or a page for each command into a directory
    Man(man::ManArgs),
    /// What a shell needs to complete this command line
    Completions(completions::CompletionsArgs),
}

/// The whole command line, for those who check a line against it.
pub fn command() -> clap::Command {
    Args::command()
}

/// Runs the command line of this process.
pub fn run() -> Exit {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) if error.use_stderr() && logging::asked(std::env::args()) == logging::Form::Json => {
            logging::choose(logging::Form::Json);
            let text = error.render().to_string();
            return complain(&Failure::error(text.trim_start_matches("error: ").trim_end()));
        }
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Error } else { Exit::Ok };
        }
    };
    let level = match args.command {
        Command::Run(_) | Command::Once(_) => "info",
        Command::Force(_) => "warn",
        _ => "error",
    };
    logging::start(args.log, level);
    if let Err(error) = crate::runtime::no_core::leave_no_core() {
        tracing::warn!(%error, "a crash could leave a core with secrets in it; set `ulimit -c 0`");
    }
    let context = Context::new(args.config);
    raise_file_limit();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&Failure::error(format!("cannot start threads: {error}"))),
    };
    let done = runtime.block_on(async {
        match args.command {
            Command::Run(args) => run::run(&context, args).await,
            Command::Once(args) => once::run(&context, args).await,
            Command::Plan(args) => plan::run(&context, args).await,
            Command::Status(args) => status::run(&context, args).await,
            Command::Explain(args) => explain::run(&context, args).await,
            Command::History(args) => history::run(&context, args).await,
            Command::Freeze(args) => operate::freeze(&context, args).await,
            Command::Unfreeze(args) => operate::unfreeze(&context, args).await,
            Command::Ack(args) => operate::ack(&context, args).await,
            Command::Adopt(args) => operate::adopt(&context, args).await,
            Command::Switch(args) => moves::switch(&context, args).await,
            Command::Failback(args) => moves::failback(&context, args).await,
            Command::Drain(args) => moves::drain(&context, args).await,
            Command::Undrain(args) => operate::undrain(&context, args).await,
            Command::Force(args) => force::run(&context, args).await,
            Command::Apply(args) => moves::apply(&context, args).await,
            Command::Release(args) => release::run(&context, args).await,
            Command::Takeover(args) => operate::takeover(&context, args).await,
            Command::Probe(args) => Ok(Exit::from_code(probe::run(&args, context.path()).await)),
            Command::Demo(args) => Ok(Exit::from_code(demo::run(args).await)),
            Command::Check(args) => Ok(Exit::from_code(check::run(&args, context.path()))),
            Command::Doctor(args) => doctor::run(&context, args).await,
            Command::Init(args) => Ok(Exit::from_code(init::run(&args))),
            Command::Schema(args) => Ok(Exit::from_code(schema::run(&args))),
            Command::NotifyTest(args) => notify_test::run(&context, args).await,
            Command::Man(args) => man::run(Args::command(), &args),
            Command::Completions(args) => completions::run(Args::command(), &args),
            Command::Sandbox(args) => Ok(Exit::from_code(sandbox::run(args).await)),
        }
    });
    // Whatever still waits (a look-up by the system's resolver, say) is not waited for.
    runtime.shutdown_background();
    match done {
        Ok(exit) => exit,
        Err(failure) => complain(&failure),
    }
}

/// Every probe is a socket: takes as many open files as the machine allows us.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Without it fewer probes run at once; no reason not to start.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
}

/// Says why a command failed; the exit code is its own.
fn complain(failure: &Failure) -> Exit {
    if logging::is_json() {
        let mut more = vec![("exit", (failure.exit as u8).into())];
        more.extend(failure.next.clone().map(|next| ("next", next.into())));
        logging::say("ERROR", &failure.error, &more);
        return failure.exit;
    }
    let red = output::colour(anstyle::AnsiColor::Red).bold();
    output::talk(&format!("{} {}", output::paint("error:", red), failure.error));
    if let Some(next) = &failure.next {
        output::talk(&format!("  {} {next}", output::paint("next:", anstyle::Style::new().bold())));
    }
    failure.exit
}

/// The reports of an answer, or why there are none.
fn expect_status(answer: Answer) -> Result<Status, Failure> {
    match answer {
        Answer::Status(status) => Ok(status),
        other => Err(unexpected(&other)),
    }
}

fn unexpected(answer: &Answer) -> Failure {
    match answer {
        Answer::Error { text } | Answer::Refused { text } => Failure::error(text),
        _ => Failure::error("the daemon gave an answer to another question")
            .next("use the failoverd of the same release as the daemon"),
    }
}

fn ask_failed(error: AskError) -> Failure {
    let next = match &error {
        AskError::NotAllowed(_) => Some("run this as the user of the daemon, for example with sudo -u failoverd"),
        AskError::NoDaemon(_) => Some("failoverd run"),
        AskError::Timeout | AskError::Broken(_) => None,
    };
    let failure = Failure::error(error);
    match next {
        Some(next) => failure.next(next),
        None => failure,
    }
}

/// Leaves the one policy named `name`.
fn keep_only(policies: &mut Vec<Policy>, name: &str) -> Result<(), Failure> {
    let names: Vec<String> = policies.iter().map(|p| p.id.to_string()).collect();
    policies.retain(|p| p.id.as_str() == name);
    if policies.is_empty() {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        return Err(Failure::error(unknown_name("policy", name, &names)));
    }
    Ok(())
}

/// `1 policy`, `3 policies`.
fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Reads `90s`, `5m`, `1h30m` or `250ms`, as in a policy.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    config::duration(text).map_err(|advice| format!("{}; {}", advice.what, advice.fix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_configuration_may_be_named_before_or_after_the_command() {
        for line in [["failoverd", "-c", "x.toml", "status"], ["failoverd", "status", "-c", "x.toml"]] {
            let args = Args::try_parse_from(line).unwrap();
            assert_eq!(args.config, Some(PathBuf::from("x.toml")));
        }
    }
}
