//! `failoverd man`: the manual, made from the command line itself, one page for each command.

use std::path::PathBuf;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::version;

use super::output::data;
use super::{Done, Exit, Failure};

/// What the main page tells beside options and commands. README.md has the same tables.
const EXITS: [(&str, &str); 8] = [
    ("0", "ok"),
    ("1", "an error, or the command line is wrong"),
    ("2", "something moved or would; only with --detailed-exitcode"),
    ("3", "a safety rule refuses, or there is no candidate"),
    ("4", "the configuration is invalid"),
    ("5", "the provider cannot be reached or refuses us"),
    ("6", "applied, contradicted and rolled back"),
    ("7", "blind, or unknown"),
];
const ENVIRONMENT: [(&str, &str); 5] = [
    ("FAILOVERD_CONFIG", "the configuration file, when -c does not name it"),
    ("STATE_DIRECTORY", "where failoverd.db is kept, when the configuration does not say; systemd sets it"),
    ("RUST_LOG", "what is logged, e.g. info or failoverd::probe=debug"),
    ("NO_COLOR", "set to anything: no colour"),
    ("AWS_*", "credentials and region, as every AWS tool reads them"),
];
const FILES: [(&str, &str); 3] = [
    ("/etc/failoverd/failoverd.toml", "the main configuration file"),
    ("/etc/failoverd/policies/*.toml", "one policy each, where the main file says so"),
    ("/var/lib/failoverd/failoverd.db", "journal, brakes and undelivered notices, under the systemd unit"),
];

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  failoverd man | man -l -\n  failoverd man ~/.local/share/man/man1 && man failoverd-switch"
)]
pub struct ManArgs {
    /// Write every page into this directory, which is made; without it the main page goes to stdout
    dir: Option<PathBuf>,
}

pub fn run(mut command: Command, args: &ManArgs) -> Done {
    command.build();
    let failed = |what: String| move |error| Failure::error(format!("cannot write {what}: {error}"));
    let Some(dir) = &args.dir else {
        let page = page(&command).map_err(failed("the page".into()))?;
        data(&page);
        return Ok(Exit::Ok);
    };
    std::fs::create_dir_all(dir).map_err(failed(dir.display().to_string()))?;
    for one in std::iter::once(&command).chain(command.get_subcommands()) {
        let path = dir.join(format!("{}.1", name(one)));
        let failed = failed(path.display().to_string());
        page(one).and_then(|page| std::fs::write(&path, page)).map_err(failed)?;
    }
    Ok(Exit::Ok)
}

/// `failoverd`, `failoverd-run`
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command) -> std::io::Result<String> {
    let main = command.has_subcommands();
    let man = Man::new(command.clone().after_help(None))
        .date(version::DATE)
        .source(format!("failoverd {}", version::VERSION))
        .manual("failoverd");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if main {
        man.render_subcommands_section(&mut text)?;
    }
    let mut more = Roff::new();
    if main {
        table(&mut more, "EXIT STATUS", &EXITS);
        table(&mut more, "ENVIRONMENT", &ENVIRONMENT);
        table(&mut more, "FILES", &FILES);
    }
    if let Some(notes) = command.get_after_help() {
        more.control("SH", ["NOTES"]).control("nf", []);
        for line in notes.to_string().lines() {
            more.text([roman(line)]);
        }
        more.control("fi", []);
    }
    if !main {
        more.control("SH", ["SEE ALSO"]).text([bold("failoverd"), roman("(1)")]);
    }
    more.to_writer(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn table(page: &mut Roff, title: &str, rows: &[(&str, &str)]) {
    page.control("SH", [title]);
    for (key, text) in rows {
        page.control("TP", []).text([bold(*key)]).text([roman(*text)]);
    }
}
