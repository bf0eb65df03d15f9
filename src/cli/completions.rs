//! `failoverd completions`: what a shell needs to complete the command line.

use clap::Command;
use clap_complete::{Shell, generate};

use super::output::data;
use super::{Done, Exit};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum For {
    Bash,
    Zsh,
    Fish,
}

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  failoverd completions bash > ~/.local/share/bash-completion/completions/failoverd\n  \
    failoverd completions zsh > /usr/local/share/zsh/site-functions/_failoverd\n  \
    failoverd completions fish > ~/.config/fish/completions/failoverd.fish"
)]
pub struct CompletionsArgs {
    #[arg(value_enum)]
    shell: For,
}

pub fn run(mut command: Command, args: &CompletionsArgs) -> Done {
    let shell = match args.shell {
        For::Bash => Shell::Bash,
        For::Zsh => Shell::Zsh,
        For::Fish => Shell::Fish,
    };
    let mut text = Vec::new();
    generate(shell, &mut command, "failoverd", &mut text);
    data(&String::from_utf8_lossy(&text));
    Ok(Exit::Ok)
}
