//! `failoverd probe`: one probe of each address, every phase shown, host names resolved now. Counts
//! nothing, moves nothing.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use futures_util::future::join_all;
use serde_json::{Value, json};
use url::{Host, Url};

use crate::config;
use crate::domain::{
    AddressSet, Cadence, Check, CheckKind, Content, Expect, HttpCheck, Outcome, RecordName, StatusRange, TcpCheck,
    TlsCheck,
};
use crate::probe::{ProbeReport, Prober, Resolution, TargetReport};

/// Deadline of a probe of a URL, resolution included.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Probe the targets of a policy once, or any URL
#[derive(Args, Clone, Debug)]
pub struct ProbeArgs {
    /// Policy whose targets are probed, with its own checks; or a URL: http://, https:// or tcp://host:port
    #[arg(value_name = "POLICY|URL", required_unless_present = "url")]
    pub policy: Option<String>,
    /// Only this target of the policy
    #[arg(conflicts_with = "url")]
    pub target: Option<String>,
    /// The same as a URL in place of a policy
    #[arg(long, value_name = "URL", conflicts_with = "policy")]
    pub url: Option<String>,
    /// Where the URL is dialled. Default: each address its host resolves to now
    #[arg(long, value_name = "IP")]
    pub address: Vec<IpAddr>,
    /// Total deadline of a probe of a URL [default: 2s]
    #[arg(long, value_name = "DURATION", value_parser = super::sandbox::duration)]
    pub timeout: Option<Duration>,
    /// CA bundle (PEM) for a URL instead of the system's
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Accept any certificate from a URL
    #[arg(long)]
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

/// What was found of one of those asked for.
struct Row {
    policy: Option<String>,
    target: Option<String>,
    check: &'static str,
    report: TargetReport,
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
    #[error("`{0}` in the URL is no host name; write a name, or add `--address IP`")]
    NoHost(String),
    #[error("`{0}` is for a URL; a policy has its own checks. Write `failoverd probe URL {0} …`")]
    OnlyForUrl(&'static str),
    #[error("a URL has no target `{0}`; write `failoverd probe POLICY {0}` or the URL alone")]
    TargetOfUrl(String),
}

impl ProbeArgs {
    /// The URL to be probed, however it was given.
    fn url(&self) -> Option<&str> {
        self.url.as_deref().or_else(|| self.policy.as_deref().filter(|text| text.contains("://")))
    }
}

/// Exit code: 0 all up, 1 one down (or a wrong argument), 7 unknown, 4 invalid configuration.
pub async fn run(args: &ProbeArgs, config: Option<&Path>) -> u8 {
    run_with(&Prober::new(), args, config, &mut anstream::stdout()).await
}

/// The same with another prober, and written to `out`.
pub async fn run_with(prober: &Prober, args: &ProbeArgs, config: Option<&Path>, out: &mut impl std::io::Write) -> u8 {
    let asked = match args.url() {
        Some(url) => ad_hoc(args, url).map(|one| vec![one]),
        None => configured(args, config),
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(Refused::Config(errors)) => {
            super::output::talk(&format!("{errors}"));
            return 4;
        }
        Err(refused) => {
            super::output::talk(&format!("error: {refused}"));
            return 1;
        }
    };
    let reports = join_all(asked.iter().map(|one| prober.probe_target(&one.check, &one.content))).await;
    let rows: Vec<Row> = asked
        .into_iter()
        .zip(reports)
        .map(|(one, report)| {
            let Asked { policy, target, check, .. } = one;
            Row { policy, target, check: check.kind.name(), report }
        })
        .collect();
    let text = match args.output {
        ProbeOutput::Table => table(&rows),
        ProbeOutput::Json => format!("{}\n", as_json(&rows)),
    };
    // Whoever closed our output does not want it; the exit code still tells.
    let _ = out.write_all(text.as_bytes());
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
    for (given, option) in [
        (!args.address.is_empty(), "--address"),
        (args.timeout.is_some(), "--timeout"),
        (args.ca_file.is_some(), "--ca-file"),
        (args.insecure, "--insecure"),
    ] {
        if given {
            return Err(Refused::OnlyForUrl(option));
        }
    }
    let env = |name: &str| std::env::var(name).ok();
    let located = config::locate(path, &env)?;
    super::output::talk(&format!("config: {} ({})", located.path.display(), located.why));
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
    if let Some(target) = &args.target {
        return Err(Refused::TargetOfUrl(target.clone()));
    }
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
    let content = match AddressSet::new(addresses) {
        Ok(set) => Content::Addresses(set),
        Err(_) => Content::Host(RecordName::new(host).map_err(|_| Refused::NoHost(host.into()))?),
    };
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
        timeout: args.timeout.unwrap_or(TIMEOUT),
        fall: 3,
        rise: 2,
        settle: 1,
        confirm: Duration::from_secs(8),
    };
    Ok(Asked { policy: None, target: None, check, content })
}

/// A line per address; `-` for a phase that was not finished. A name whose addresses are not all
/// known has a line of its own; below, how each name was resolved.
fn table(rows: &[Row]) -> String {
    let phase = |d: Option<Duration>| d.map_or_else(|| "-".into(), |d| format!("{:.1}ms", ms(d)));
    let head =
        ["TARGET", "ADDRESS", "CHECK", "RESOLVE", "CONNECT", "TLS", "FIRST BYTE", "BODY", "TOTAL", "CERT", "RESULT"];
    let mut lines = vec![head.map(String::from)];
    for row in rows {
        let target = || row.target.clone().unwrap_or_else(|| "-".into());
        lines.extend(row.report.addresses.iter().map(|report| {
            let ProbeReport { address, outcome, phases, cert_days, detail, .. } = report;
            [
                target(),
                address.to_string(),
                row.check.into(),
                phase(phases.resolve),
                phase(phases.connect),
                phase(phases.tls),
                phase(phases.first_byte),
                phase(phases.body),
                phase(Some(phases.total)),
                cert_days.map_or_else(|| "-".into(), |days| format!("{days}d")),
                format!("{}: {detail}", state(*outcome).0),
            ]
        }));
        lines.extend(unresolved(&row.report).map(|from| {
            let none = || "-".to_owned();
            let result = format!("{}: {}", state(from.outcome).0, from.outcome);
            let took = || phase(Some(from.took));
            let check = row.check.to_owned();
            [target(), none(), check, took(), none(), none(), none(), none(), took(), none(), result]
        }));
    }
    let mut text = String::new();
    for line in &lines {
        let mut cells = String::new();
        for (column, cell) in line.iter().enumerate() {
            let width = lines.iter().filter_map(|l| l.get(column)).map(|c| c.chars().count()).max().unwrap_or(0);
            let _ = write!(cells, "{cell:width$}  ");
        }
        let _ = writeln!(text, "{}", cells.trim_end());
    }
    for from in rows.iter().filter_map(|row| row.report.resolution.as_ref()) {
        let _ = writeln!(text, "{}: {}", from.name, from.detail);
    }
    text
}

/// The resolution of a target whose addresses are not all known.
fn unresolved(report: &TargetReport) -> Option<&Resolution> {
    report.resolution.as_ref().filter(|from| from.outcome != Outcome::Up)
}

fn as_json(rows: &[Row]) -> Value {
    let phase = |d: Option<Duration>| d.map(ms);
    let probes: Vec<Value> = rows
        .iter()
        .flat_map(|row| row.report.addresses.iter().map(move |report| (row, report)))
        .map(|(Row { policy, target, check, .. }, report)| {
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
                    "resolve": phase(report.phases.resolve),
                    "connect": phase(report.phases.connect),
                    "tls": phase(report.phases.tls),
                    "first_byte": phase(report.phases.first_byte),
                    "body": phase(report.phases.body),
                    "total": ms(report.phases.total),
                },
            })
        })
        .collect();
    let resolved = rows.iter().filter_map(|row| row.report.resolution.as_ref().map(|from| (row, from)));
    let resolutions: Vec<Value> = resolved
        .map(|(row, from)| {
            let (state, reason) = state(from.outcome);
            json!({
                "policy": row.policy,
                "target": row.target,
                "host": from.name.as_str(),
                "outcome": state,
                "reason": reason,
                "detail": from.detail,
                "found": from.found,
                "probed": row.report.addresses.len(),
                "resolve_ms": ms(from.took),
            })
        })
        .collect();
    let outcome = match worst(rows) {
        0 => "up",
        1 => "down",
        _ => "unknown",
    };
    json!({ "version": 1, "outcome": outcome, "probes": probes, "resolutions": resolutions })
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
        let report = TargetReport { outcome, resolution: None, addresses: vec![report] };
        Row { policy: target.map(|_| "web".into()), target: target.map(Into::into), check: "https", report }
    }

    /// The same, found at a host name.
    fn host(mut row: Row, outcome: Outcome, detail: &str) -> Row {
        let took = Duration::from_micros(3400);
        let name = RecordName::new("lb.example.net").unwrap();
        let found = row.report.addresses.len();
        row.report.addresses.iter_mut().for_each(|report| report.phases.resolve = Some(took));
        row.report.resolution = Some(Resolution { name, outcome, took, found, detail: detail.into() });
        if outcome != Outcome::Up {
            row.report.outcome = outcome;
        }
        row
    }

    fn rows() -> Vec<Row> {
        let us = |us: u64| Some(Duration::from_micros(us));
        let whole = Phases {
            resolve: None,
            connect: us(1250),
            tls: us(9_900),
            first_byte: us(800),
            body: us(10),
            total: Duration::from_millis(12),
        };
        let cut = Phases { connect: us(900), total: Duration::from_secs(2), ..Phases::default() };
        let unknown = Outcome::Unknown(UnknownReason::Resolver);
        let mut nowhere = row(Some("nowhere"), unknown, whole, "");
        nowhere.report.addresses.clear();
        vec![
            row(Some("us-east-1"), Outcome::Up, whole, "status 200 after 12ms"),
            row(Some("eu"), Outcome::Down(DownReason::TlsTimeout), cut, "TLS handshake timeout after 2000ms"),
            host(row(Some("lb"), Outcome::Up, whole, "status 200 after 12ms"), Outcome::Up, "1 address in 3ms"),
            host(nowhere, unknown, "resolver trouble here after 3ms: A: SERVFAIL from 192.0.2.53:53"),
        ]
    }

    #[test]
    fn the_table_shows_every_phase_of_every_address_and_how_a_name_was_resolved() {
        let expected = "\
TARGET     ADDRESS     CHECK  RESOLVE  CONNECT  TLS    FIRST BYTE  BODY   TOTAL     CERT  RESULT
us-east-1  192.0.2.10  https  -        1.2ms    9.9ms  0.8ms       0.0ms  12.0ms    41d   up: status 200 after 12ms
eu         192.0.2.10  https  -        0.9ms    -      -           -      2000.0ms  -     down: TLS handshake timeout after 2000ms
lb         192.0.2.10  https  3.4ms    1.2ms    9.9ms  0.8ms       0.0ms  12.0ms    41d   up: status 200 after 12ms
nowhere    -           https  3.4ms    -        -      -           -      3.4ms     -     unknown: resolver trouble here
lb.example.net: 1 address in 3ms
lb.example.net: resolver trouble here after 3ms: A: SERVFAIL from 192.0.2.53:53
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
        assert_eq!((&value["probes"][2]["phases_ms"]["resolve"], value["probes"].get(3)), (&json!(3.4), None));
        let expected = json!({
            "policy": "web", "target": "nowhere", "host": "lb.example.net", "outcome": "unknown", "reason": "resolver",
            "detail": "resolver trouble here after 3ms: A: SERVFAIL from 192.0.2.53:53", "found": 0, "probed": 0,
            "resolve_ms": 3.4,
        });
        assert_eq!(value["resolutions"][1], expected);
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
        // An address that is up is not the whole target while the rest of its name is unknown.
        assert_eq!(worst(&[host(row(None, up, Phases::default(), ""), unknown, "")]), 7);
    }

    #[test]
    fn a_url_becomes_a_check_of_its_address_or_of_its_host() {
        let good: &[(&[&str], &str, u16, &str)] = &[
            (&["--url", "http://127.0.0.1:8080/x?y=1"], "http", 8080, "127.0.0.1"),
            (&["http://127.0.0.1:8080/x?y=1"], "http", 8080, "127.0.0.1"),
            (&["https://[::1]/"], "https", 443, "::1"),
            (&["tcp://127.0.0.1:22"], "tcp", 22, "127.0.0.1"),
            (&["https://www.example.com/", "--address", "192.0.2.10"], "https", 443, "192.0.2.10"),
            (&["https://LB.example.net/healthz"], "https", 443, "lb.example.net"),
            (&["tcp://lb.example.net:22"], "tcp", 22, "lb.example.net"),
        ];
        for (line, kind, port, content) in good {
            let args = args(line);
            let asked = ad_hoc(&args, args.url().unwrap()).unwrap();
            assert_eq!((asked.check.kind.name(), asked.check.kind.port()), (*kind, *port), "{line:?}");
            assert_eq!(asked.content.to_string(), *content, "{line:?}");
        }
        for (line, message) in [
            (["ftp://127.0.0.1/"].as_slice(), "is no URL to probe"),
            (&["tcp://127.0.0.1"], "is no URL to probe"),
            (&["--url", "nope"], "is no URL to probe"),
            (&["http://127.0.0.1/", "east"], "has no target `east`"),
        ] {
            let args = args(line);
            let refused = ad_hoc(&args, args.url().unwrap()).err().unwrap().to_string();
            assert!(refused.contains(message), "{refused}");
        }
        for line in [["web", "--address", "::1"].as_slice(), &["web", "--timeout", "1s"], &["web", "--insecure"]] {
            let refused = configured(&args(line), None).err().unwrap().to_string();
            assert!(refused.contains(&format!("`{}` is for a URL", line[1])), "{refused}");
        }
        for line in [[].as_slice(), &["web", "--url", "http://[::1]/"]] {
            assert!(Cli::try_parse_from([&["probe"], line].concat()).is_err(), "{line:?}");
        }
    }
}
