//! Where log lines go: stderr, for a person or for a machine. `RUST_LOG` has the last word.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    #[default]
    Text,
    Json,
}

/// Crates below us that talk too much.
const QUIET: &str = "aws_config=warn,aws_runtime=warn,aws_smithy_runtime=warn,aws_sdk_route53=warn,\
    aws_credential_types=warn,hyper=warn,hyper_util=warn,h2=warn,rustls=warn,reqwest=warn,hickory_server=warn,\
    hickory_proto=warn,hickory_net=warn,hickory_resolver=warn";

/// Starts logging for this process. `level`: `info` is one line per change of state; a command that
/// prints what it found itself logs only what a person must know.
pub fn start(form: Form, level: &str) {
    let default = format!("{level},{QUIET}");
    let filter = std::env::var("RUST_LOG")
        .ok()
        .filter(|text| !text.trim().is_empty())
        .and_then(|text| EnvFilter::try_new(text).ok())
        .unwrap_or_else(|| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match form {
        Form::Json => builder.json().flatten_event(true).with_target(false).try_init(),
        Form::Text => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
            builder.with_ansi(colour).with_target(false).try_init()
        }
    };
    // A second start within one process keeps the first.
    let _ = started;
}
