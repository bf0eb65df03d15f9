//! What goes to stderr: log lines, and the talk and last words of a command, for a person or for a
//! machine. In JSON every line is one object, a panic's too. `RUST_LOG` has the last word on what
//! is logged.

use std::io::{IsTerminal as _, Write as _};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value};
use tracing_subscriber::EnvFilter;

use crate::domain::UnixMs;
use crate::runtime::clock::wall;

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

/// A machine reads stderr; set once, before anything is said.
static JSON: AtomicBool = AtomicBool::new(false);

/// Starts logging for this process. `level`: `info` is one line per change of state; a command that
/// prints what it found itself logs only what a person must know.
pub fn start(form: Form, level: &str) {
    choose(form);
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

/// From now on everything this process says takes this form, a panic included.
pub fn choose(form: Form) {
    if form == Form::Json && !JSON.swap(true, Ordering::Relaxed) {
        std::panic::set_hook(Box::new(|info| write(&panicked(info))));
    }
}

pub fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// The form a command line asks for that cannot be parsed as a whole.
pub fn asked(mut words: impl Iterator<Item = String>) -> Form {
    while let Some(word) = words.next() {
        if word == "--log=json" || (word == "--log" && words.next().as_deref() == Some("json")) {
            return Form::Json;
        }
    }
    Form::Text
}

/// Writes one object to stderr, of the same shape as a log line.
pub fn say(level: &str, message: &str, more: &[(&str, Value)]) {
    write(&line(wall(), level, message, more));
}

fn write(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

fn line(at: UnixMs, level: &str, message: &str, more: &[(&str, Value)]) -> String {
    let seconds = at.to_string();
    let timestamp = format!("{}.{:03}Z", seconds.trim_end_matches('Z'), at.0 % 1000);
    let mut object = Map::new();
    for (key, value) in [("timestamp", timestamp.as_str()), ("level", level), ("message", message)] {
        object.insert(key.into(), value.into());
    }
    object.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    Value::Object(object).to_string()
}

fn panicked(info: &PanicHookInfo<'_>) -> String {
    let text = info.payload_as_str().unwrap_or("no words");
    let place = info.location().map_or(Value::Null, |at| at.to_string().into());
    let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
    let message = format!("a defect of failoverd: {text}");
    line(wall(), "ERROR", &message, &[("location", place), ("thread", thread.into())])
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHILD: &str = "a_panic_in_json_is_one_object";

    #[test]
    fn a_line_has_the_shape_of_a_log_line() {
        let said = line(UnixMs(1_800_000_000_042), "ERROR", "two\nlines \"quoted\"", &[("exit", 4.into())]);
        assert_eq!(said.lines().count(), 1);
        let value: Value = serde_json::from_str(&said).unwrap();
        let want = serde_json::json!({
            "timestamp": "2027-01-15T08:00:00.042Z", "level": "ERROR", "message": "two\nlines \"quoted\"", "exit": 4
        });
        assert_eq!(value, want);
    }

    #[test]
    fn the_form_is_known_of_a_line_that_cannot_be_parsed() {
        for (line, form) in [
            ("run --nope --log json", Form::Json),
            ("--log=json frobnicate", Form::Json),
            ("--log text run", Form::Text),
            ("run --log", Form::Text),
            ("run", Form::Text),
        ] {
            assert_eq!(asked(line.split(' ').map(String::from)), form, "{line}");
        }
    }

    /// Runs itself once more as a process that panics, since the hook belongs to the whole process.
    #[test]
    fn a_panic_in_json_is_one_object() {
        let name = format!("cli::logging::tests::{CHILD}");
        if std::env::var_os("FORM").is_some_and(|form| form == *"json") {
            choose(Form::Json);
        }
        if std::env::var_os("FORM").is_some() {
            panic!("on\ntwo lines");
        }
        let run = |form: &str| {
            let mut command = std::process::Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", &name, "--nocapture", "--test-threads=1"]).env("FORM", form);
            let out = command.output().unwrap();
            assert_eq!(out.status.code(), Some(101), "{out:?}");
            String::from_utf8(out.stderr).unwrap()
        };
        let json = run("json");
        let lines: Vec<Value> =
            json.lines().filter(|l| !l.is_empty()).map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines.len(), 1, "{json}");
        assert_eq!(lines[0]["message"], "a defect of failoverd: on\ntwo lines");
        assert!(lines[0]["location"].as_str().unwrap().starts_with("src/cli/logging.rs:"), "{json}");
        assert!(run("text").contains("panicked at"));
    }
}
