//! `failoverd probe`: one probe of each address, every phase shown. Counts nothing, moves nothing.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use futures_util::future::join_all;
use serde_json::{Value, json};
use url::{Host, Url};

use crate::config;
use crate::domain::{
    AddressSet, Cadence, Check, CheckKind, Content, Expect, HttpCheck, Outcome, StatusRange, TcpCheck, TlsCheck,
};
use crate::probe::{ProbeReport, Prober};

/// Probe the targets of a policy once, or any address with --url
#[derive(Args, Clone, Debug)]
pub struct ProbeArgs {
    /// Policy whose targets are probed, with its own checks
    #[arg(required_unless_present = "url")]
    pub policy: Option<String>,
    /// Only this target of it
    pub target: Option<String>,
    /// Probe this instead of a policy: http://, https:// or tcp://host:port
    #[arg(long, value_name = "URL", conflicts_with = "policy")]
    pub url: Option<String>,
    /// Where --url is dialled; names are never resolved. Default: the address in the URL
    #[arg(long, value_name = "IP", conflicts_with = "policy")]
    pub address: Vec<IpAddr>,
    /// Total deadline of a probe of --url
    #[arg(long, value_name = "DURATION", default_value = "2s", conflicts_with = "policy", value_parser = super::sandbox::duration)]
    pub timeout: Duration,
    /// CA bundle (PEM) for --url instead of the system's
    #[arg(long, value_name = "FILE", conflicts_with = "policy")]
    pub ca_file: Option<PathBuf>,
    /// Accept any certificate from --url
    #[arg(long, conflicts_with = "policy")]
    pub insecure: bool,
    #[arg(short, long, value_enum, default_value_t = ProbeOutput::Table)]
    pub output: ProbeOutput,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeOutput {
    Table,
    Json,
}

/// One target to be probed.
struct Asked {
    policy: Option<String>,
    target: Option<String>,
    check: Check,
    content: Content,
}

struct Row {
    policy: Option<String>,
    target: Option<String>,
    check: &'static str,
    report: ProbeReport,
}

/// What stops a command before it did anything.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0}")]
    Config(#[from] config::ConfigErrors),
    #[error("there is no policy `{name}`; there are: {known}")]
    NoPolicy { name: String, known: String },
    #[error("policy `{policy}` has no target `{name}`; it has: {known}")]
    NoTarget { policy: String, name: String, known: String },
    #[error("`{0}` is no URL to probe; write http://host/path, https://host/path or tcp://host:port")]
    Url(String),
    #[error("a probe resolves no names: say where `{0}` is, with `--address IP`")]
    NoAddress(String),
}

/// Exit code: 0 all up, 1 one down (or a wrong argument), 7 unknown, 4 invalid configuration.
pub async fn run(args: &ProbeArgs, config: Option<&Path>) -> u8 {
    let asked = match &args.url {
        Some(url) => ad_hoc(args, url).map(|one| vec![one]),
        None => configured(args, config),
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(Refused::Config(errors)) => {
            anstream::eprintln!("{errors}");
            return 4;
        }
        Err(refused) => {
            anstream::eprintln!("error: {refused}");
            return 1;
        }
    };
    let prober = Prober::new();
    let reports = join_all(asked.iter().map(|one| prober.probe_target(&one.check, &one.content))).await;
    let rows: Vec<Row> = asked
        .iter()
        .zip(reports)
        .flat_map(|(one, report)| {
            report.addresses.into_iter().map(|report| Row {
                policy: one.policy.clone(),
                target: one.target.clone(),
                check: one.check.kind.name(),
                report,
            })
        })
        .collect();
    let text = match args.output {
        ProbeOutput::Table => table(&rows),
        ProbeOutput::Json => format!("{}\n", as_json(&rows)),
    };
    // Whoever closed our output does not want it; the exit code still tells.
    let _ = anstream::stdout().write_all(text.as_bytes());
    worst(&rows)
}

fn worst(rows: &[Row]) -> u8 {
    let any = |wanted: fn(&Outcome) -> bool| rows.iter().any(|row| wanted(&row.report.outcome));
    if any(|outcome| matches!(outcome, Outcome::Down(_))) {
        1
    } else if any(|outcome| matches!(outcome, Outcome::Unknown(_))) {
        7
    } else {
        0
    }
}

fn configured(args: &ProbeArgs, path: Option<&Path>) -> Result<Vec<Asked>, Refused> {
    let env = |name: &str| std::env::var(name).ok();
    let located = config::locate(path, &env)?;
    anstream::eprintln!("config: {} ({})", located.path.display(), located.why);
    let config = config::load(&located.path, &env)?;
    let wanted = args.policy.as_deref().unwrap_or_default();
    let list = |names: Vec<&str>| names.join(", ");
    let Some(policy) = config.policies.iter().find(|policy| policy.id.as_str() == wanted) else {
        let known = list(config.policies.iter().map(|policy| policy.id.as_str()).collect());
        return Err(Refused::NoPolicy { name: wanted.into(), known });
    };
    let targets = policy.targets.iter().filter(|t| args.target.as_deref().is_none_or(|name| t.name.as_str() == name));
    let asked: Vec<Asked> = targets
        .map(|target| Asked {
            policy: Some(policy.id.to_string()),
            target: Some(target.name.to_string()),
            check: target.check.clone(),
            content: target.content.clone(),
        })
        .collect();
    if asked.is_empty() {
        let known = list(policy.targets.iter().map(|target| target.name.as_str()).collect());
        let name = args.target.clone().unwrap_or_default();
        return Err(Refused::NoTarget { policy: wanted.into(), name, known });
    }
    Ok(asked)
}

/// A check with the defaults of a policy, made of a URL.
fn ad_hoc(args: &ProbeArgs, text: &str) -> Result<Asked, Refused> {
    let wrong = || Refused::Url(text.into());
    let url = Url::parse(text).map_err(|_| wrong())?;
    // `url` reads an address in a scheme it does not know (tcp) as a name.
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
    let literal = match Host::parse(host).map_err(|_| wrong())? {
        Host::Ipv4(ip) => Some(IpAddr::V4(ip)),
        Host::Ipv6(ip) => Some(IpAddr::V6(ip)),
        Host::Domain(_) => None,
    };
    let port = url.port_or_known_default().ok_or_else(wrong)?;
    let addresses = if args.address.is_empty() { literal.into_iter().collect() } else { args.address.clone() };
    let addresses = AddressSet::new(addresses).map_err(|_| Refused::NoAddress(host.into()))?;
    let http = |tls: Option<TlsCheck>| {
        CheckKind::Http(Box::new(HttpCheck {
            tls,
            port,
            host: url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
            path: url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path())),
            method: "GET".into(),
            headers: Default::default(),
            expect: Expect { status: vec![StatusRange { from: 200, to: 299 }], body: None, json: Default::default() },
            redirects: 0,
            max_body: 64 * 1024,
        }))
    };
    let kind = match url.scheme() {
        "http" => http(None),
        "https" => http(Some(TlsCheck {
            sni: host.trim_matches(['[', ']']).to_owned(),
            verify: !args.insecure,
            ca_file: args.ca_file.clone(),
            min_cert_days: None,
        })),
        "tcp" => CheckKind::Tcp(TcpCheck { port, exchange: None }),
        _ => return Err(wrong()),
    };
    let check = Check {
        kind,
        cadence: Cadence::Every(Duration::from_secs(5)),
        fast_interval: Duration::from_secs(1),
        timeout: args.timeout,
        fall: 3,
        rise: 2,
        settle: 1,
        confirm: Duration::from_secs(8),
    };
    Ok(Asked { policy: None, target: None, check, content: Content::Addresses(addresses) })
}

/// A line per address; `-` for a phase that was not finished.
fn table(rows: &[Row]) -> String {
    let phase = |d: Option<Duration>| d.map_or_else(|| "-".into(), |d| format!("{:.1}ms", ms(d)));
    let head = ["TARGET", "ADDRESS", "CHECK", "CONNECT", "TLS", "FIRST BYTE", "BODY", "TOTAL", "CERT", "RESULT"];
    let mut lines = vec![head.map(String::from)];
    lines.extend(rows.iter().map(|row| {
        let ProbeReport { address, outcome, phases, cert_days, detail, .. } = &row.report;
        [
            row.target.clone().unwrap_or_else(|| "-".into()),
            address.to_string(),
            row.check.into(),
            phase(phases.connect),
            phase(phases.tls),
            phase(phases.first_byte),
            phase(phases.body),
            phase(Some(phases.total)),
            cert_days.map_or_else(|| "-".into(), |days| format!("{days}d")),
            format!("{}: {detail}", state(*outcome).0),
        ]
    }));
    let mut text = String::new();
    for line in &lines {
        let mut cells = String::new();
        for (column, cell) in line.iter().enumerate() {
            let width = lines.iter().filter_map(|l| l.get(column)).map(|c| c.chars().count()).max().unwrap_or(0);
            let _ = write!(cells, "{cell:width$}  ");
        }
        let _ = writeln!(text, "{}", cells.trim_end());
    }
    text
}

fn as_json(rows: &[Row]) -> Value {
    let phase = |d: Option<Duration>| d.map(ms);
    let probes: Vec<Value> = rows
        .iter()
        .map(|Row { policy, target, check, report }| {
            let (state, reason) = state(report.outcome);
            json!({
                "policy": policy,
                "target": target,
                "address": report.address,
                "check": check,
                "outcome": state,
                "reason": reason,
                "detail": report.detail,
                "status": report.status,
                "cert_days": report.cert_days,
                "body_bytes": report.body_bytes,
                "phases_ms": {
                    "connect": phase(report.phases.connect),
                    "tls": phase(report.phases.tls),
                    "first_byte": phase(report.phases.first_byte),
                    "body": phase(report.phases.body),
                    "total": ms(report.phases.total),
                },
            })
        })
        .collect();
    let outcome = match worst(rows) {
        0 => "up",
        1 => "down",
        _ => "unknown",
    };
    json!({ "version": 1, "outcome": outcome, "probes": probes })
}

/// `("down", "connect_refused")`: the names of the domain's own serialisation.
fn state(outcome: Outcome) -> (&'static str, Option<String>) {
    let name = |value: Result<Value, serde_json::Error>| match value {
        Ok(Value::String(name)) => Some(name),
        Ok(Value::Object(map)) => map.keys().next().cloned(),
        _ => None,
    };
    match outcome {
        Outcome::Up => ("up", None),
        Outcome::Down(reason) => ("down", name(serde_json::to_value(reason))),
        Outcome::Unknown(reason) => ("unknown", name(serde_json::to_value(reason))),
    }
}

/// Milliseconds with microseconds behind the point.
fn ms(d: Duration) -> f64 {
    (d.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::domain::{DownReason, UnknownReason};
    use crate::probe::Phases;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        probe: ProbeArgs,
    }

    fn args(line: &[&str]) -> ProbeArgs {
        Cli::try_parse_from([&["probe"], line].concat()).map(|cli| cli.probe).unwrap()
    }

    fn row(target: Option<&str>, outcome: Outcome, phases: Phases, detail: &str) -> Row {
        let report = ProbeReport {
            address: "192.0.2.10".parse().unwrap(),
            outcome,
            phases,
            status: Some(503),
            cert_days: phases.tls.map(|_| 41),
            body_bytes: 2,
            detail: detail.into(),
        };
        Row { policy: target.map(|_| "web".into()), target: target.map(Into::into), check: "https", report }
    }

    fn rows() -> Vec<Row> {
        let us = |us: u64| Some(Duration::from_micros(us));
        let whole = Phases {
            connect: us(1250),
            tls: us(9_900),
            first_byte: us(800),
            body: us(10),
            total: Duration::from_millis(12),
        };
        let cut = Phases { connect: us(900), total: Duration::from_secs(2), ..Phases::default() };
        vec![
            row(Some("us-east-1"), Outcome::Up, whole, "status 200 after 12ms"),
            row(Some("eu"), Outcome::Down(DownReason::TlsTimeout), cut, "TLS handshake timeout after 2000ms"),
        ]
    }

    #[test]
    fn the_table_shows_every_phase_of_every_address() {
        let expected = "\
TARGET     ADDRESS     CHECK  CONNECT  TLS    FIRST BYTE  BODY   TOTAL     CERT  RESULT
us-east-1  192.0.2.10  https  1.2ms    9.9ms  0.8ms       0.0ms  12.0ms    41d   up: status 200 after 12ms
eu         192.0.2.10  https  0.9ms    -      -           -      2000.0ms  -     down: TLS handshake timeout after 2000ms
";
        assert_eq!(table(&rows()), expected);
    }

    #[test]
    fn json_is_versioned_and_names_reasons_for_scripts() {
        let value = as_json(&rows());
        assert_eq!((&value["version"], &value["outcome"]), (&json!(1), &json!("down")));
        assert_eq!(value["probes"][0]["phases_ms"]["connect"], json!(1.25));
        assert_eq!(value["probes"][1]["phases_ms"]["tls"], Value::Null);
        assert_eq!(value["probes"][1]["reason"], json!("tls_timeout"));
        assert_eq!(state(Outcome::Down(DownReason::Status(503))), ("down", Some("status".into())));
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst_address() {
        let of = |outcomes: &[Outcome]| {
            worst(&outcomes.iter().map(|o| row(None, *o, Phases::default(), "")).collect::<Vec<_>>())
        };
        let (up, down) = (Outcome::Up, Outcome::Down(DownReason::ConnectRefused));
        let unknown = Outcome::Unknown(UnknownReason::NoRoute);
        for (outcomes, code) in
            [(vec![up, up], 0), (vec![up, unknown], 7), (vec![unknown, down, up], 1), (vec![down], 1)]
        {
            assert_eq!(of(&outcomes), code, "{outcomes:?}");
        }
    }

    #[test]
    fn a_url_becomes_a_check_and_names_are_not_resolved() {
        let good: &[(&[&str], &str, u16, &str)] = &[
            (&["--url", "http://127.0.0.1:8080/x?y=1"], "http", 8080, "127.0.0.1"),
            (&["--url", "https://[::1]/"], "https", 443, "::1"),
            (&["--url", "tcp://127.0.0.1:22"], "tcp", 22, "127.0.0.1"),
            (&["--url", "https://www.example.com/", "--address", "192.0.2.10"], "https", 443, "192.0.2.10"),
        ];
        for (line, kind, port, address) in good {
            let args = args(line);
            let asked = ad_hoc(&args, args.url.as_deref().unwrap()).unwrap();
            assert_eq!((asked.check.kind.name(), asked.check.kind.port()), (*kind, *port), "{line:?}");
            assert!(asked.content.addresses().unwrap().contains(address.parse().unwrap()), "{line:?}");
        }
        for (url, message) in [
            ("http://www.example.com/", "--address IP"),
            ("ftp://127.0.0.1/", "is no URL to probe"),
            ("tcp://127.0.0.1", "is no URL to probe"),
            ("nope", "is no URL to probe"),
        ] {
            let args = args(&["--url", url]);
            let refused = ad_hoc(&args, url).err().unwrap().to_string();
            assert!(refused.contains(message), "{refused}");
        }
        let wrong: [&[&str]; 4] =
            [&[], &["web", "--url", "http://[::1]/"], &["web", "--address", "::1"], &["web", "--timeout", "1s"]];
        for line in wrong {
            assert!(Cli::try_parse_from([&["probe"], line].concat()).is_err(), "{line:?}");
        }
    }
}
