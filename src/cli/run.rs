//! `failoverd run`: the daemon.

use crate::runtime::daemon::{self, Daemon};

use super::{Context, Done, Exit};

#[derive(clap::Args)]
pub struct Args {
    /// Do everything but writing; notices say "would have"
    #[arg(long)]
    observe: bool,
}

pub async fn run(context: &Context, args: Args) -> Done {
    let config = context.load_aloud()?;
    daemon::run(Daemon { config, observe: args.observe }).await?;
    Ok(Exit::Ok)
}
