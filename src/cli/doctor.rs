//! `failoverd doctor`: everything a failover tonight would need, looked at now; writes nothing.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::domain::time::human;
use crate::domain::{PolicyId, UnixMs};
use crate::engine::journal::RehearsalSnapshot;
use crate::engine::report::{LiveState, Report, Tonight};
use crate::runtime::doctor::{Counts, Examined, Finding, KNOWN, Severity, count, examine};

use super::output::{Cell, Format, JSON_VERSION, colour, data, json, paint, table, talk, word};
use super::{Context, Done, Exit, Failure, render};

/// Most findings one answer holds; the rest is counted.
const MOST: usize = 1000;

/// Exit: 0 every failover would be sent, notes at most · 1 something to look at · 4 invalid configuration · 5 provider unreachable.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  failoverd doctor\n  failoverd doctor --list       what it can find\n\n\
    What is only in the files is told by `failoverd check`, offline.")]
pub struct Args {
    /// Longest time to look at the targets
    #[arg(long, default_value = "1m", value_parser = super::duration, value_name = "TIME")]
    deadline: Duration,

    /// Print every finding there is and what it means, and look at nothing
    #[arg(long)]
    list: bool,

    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    at: UnixMs,
    provider_trouble: Option<&'a str>,
    counts: Counts,
    /// Worst first, at most [`MOST`].
    findings: &'a [Finding],
    /// Findings that are only counted.
    omitted: usize,
    policies: Vec<Looked<'a>>,
}

#[derive(Serialize)]
struct Looked<'a> {
    policy: &'a PolicyId,
    /// A failover tonight would be sent.
    sent: bool,
    live: &'a LiveState,
    tonight: Option<&'a Tonight>,
    rehearsal: Option<&'a RehearsalSnapshot>,
}

impl Looked<'_> {
    fn of(report: &Report, sent: bool) -> Looked<'_> {
        let Report { policy, live, tonight, rehearsal, .. } = report;
        Looked { policy, sent, live, tonight: tonight.as_ref(), rehearsal: rehearsal.as_ref() }
    }
}

#[derive(Serialize)]
struct Listed {
    version: u32,
    findings: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    id: &'static str,
    severity: Severity,
    meaning: &'static str,
    why: &'static str,
}

pub async fn run(context: &Context, args: Args) -> Done {
    if args.list {
        list(args.output);
        return Ok(Exit::Ok);
    }
    let config = context.load()?;
    if let Some(line) = super::context::warnings(&config) {
        talk(&line);
    }
    if args.output == Format::Table {
        let policies = super::count(config.policies.len(), "policy", "policies");
        talk(&format!("looking at {policies}, writing nothing"));
    }
    let examined = examine(&config, args.deadline).await?;
    match args.output {
        Format::Json => json(&document(&examined)),
        Format::Table => data(&text(&examined)),
    }
    if let Some(why) = examined.provider_trouble {
        let text = format!("the provider gave no usable answer within {}: {why}", human(args.deadline));
        return Err(Failure::new(Exit::Provider, text)
            .next("look at the provider's address, the network and the credentials, then run this again"));
    }
    let Counts { critical, warning, .. } = count(examined.findings.iter());
    // Whatever was found or not: 0 says that every failover tonight would be sent.
    let all = examined.sent.len() == examined.status.reports.len();
    Ok(if critical + warning == 0 && all { Exit::Ok } else { Exit::Error })
}

fn list(output: Format) {
    match output {
        Format::Json => {
            let findings =
                KNOWN.iter().map(|k| Line { id: k.id, severity: k.severity, meaning: k.meaning, why: k.why });
            json(&Listed { version: JSON_VERSION, findings: findings.collect() });
        }
        Format::Table => {
            let row = |k: &crate::runtime::doctor::Known| vec![k.id.into(), severity(k.severity), k.meaning.into()];
            data(&table(&["ID", "SEVERITY", "MEANING"], &KNOWN.iter().map(row).collect::<Vec<Vec<Cell>>>()));
        }
    }
}

fn document(examined: &Examined) -> Document<'_> {
    let Examined { status, provider_trouble, findings, sent } = examined;
    Document {
        version: JSON_VERSION,
        at: status.at,
        provider_trouble: provider_trouble.as_deref(),
        counts: examined.counts(),
        findings: findings.get(..MOST).unwrap_or(findings),
        omitted: findings.len().saturating_sub(MOST),
        policies: status.reports.iter().map(|r| Looked::of(r, sent.contains(&r.policy))).collect(),
    }
}

/// A line for each policy, what was found about each, worst first, and one line of counts.
fn text(examined: &Examined) -> String {
    let Examined { status, findings, sent, .. } = examined;
    let of = |policy: Option<&PolicyId>| -> Vec<&Finding> {
        findings.iter().filter(|f| f.policy.as_ref() == policy).collect()
    };
    let row = |r: &Report| {
        let found = count(of(Some(&r.policy)).into_iter());
        vec![
            r.policy.to_string().into(),
            render::live(&r.live).into(),
            tonight(r, sent.contains(&r.policy)),
            render::rehearsal(r.rehearsal.as_ref(), r.at).into(),
            counted(found).into(),
        ]
    };
    let rows: Vec<Vec<Cell>> = status.reports.iter().map(row).collect();
    let mut text = table(&["POLICY", "LIVE", "A FAILOVER TONIGHT", "LAST REHEARSAL", "FOUND"], &rows);
    // Findings come worst first, so groups do too.
    let mut groups: Vec<Option<&PolicyId>> = Vec::new();
    for finding in findings.iter().take(MOST) {
        if !groups.contains(&finding.policy.as_ref()) {
            groups.push(finding.policy.as_ref());
        }
    }
    for group in groups {
        let name = group.map_or_else(|| "everything".to_owned(), ToString::to_string);
        let _ = writeln!(text, "\n{}", paint(&name, Style::new().bold()));
        for finding in of(group).into_iter().take(MOST) {
            let style = style(finding.severity);
            let head = paint(&format!("{} {}", word(&finding.severity), finding.id.as_str()), style);
            let _ = writeln!(text, "  {head}: {}", finding.text);
            let _ = writeln!(text, "    why   {}\n    next  {}", finding.why, finding.next);
        }
    }
    if findings.len() > MOST {
        let _ = writeln!(text, "\n{} findings are not shown", findings.len() - MOST);
    }
    let _ = writeln!(text, "\n{}", last_line(examined));
    text
}

fn last_line(examined: &Examined) -> String {
    let Examined { status, sent, findings, .. } = examined;
    let all = status.reports.len();
    let policies = if all == 1 { "policy" } else { "policies" };
    let would = format!("a failover tonight would be sent for {} of {all} {policies}", sent.len());
    match findings.is_empty() && sent.len() == all {
        true => format!("fine: {would}"),
        false => format!("{}; {would}", counted(examined.counts())),
    }
}

/// `1 critical, 2 warnings`, or `-`.
fn counted(counts: Counts) -> String {
    let part = |number: usize, one: &str, many: &str| (number > 0).then(|| super::count(number, one, many));
    let parts: Vec<String> = [
        part(counts.critical, "critical", "critical"),
        part(counts.warning, "warning", "warnings"),
        part(counts.note, "note", "notes"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() { "-".into() } else { parts.join(", ") }
}

fn tonight(report: &Report, sent: bool) -> Cell {
    let Some(tonight) = &report.tonight else { return "not known".into() };
    match tonight.refusals.first() {
        _ if sent => {
            let names: Vec<&str> = tonight.to.iter().map(|n| n.as_str()).collect();
            Cell::styled(format!("to {}", names.join(", ")), colour(AnsiColor::Green))
        }
        Some(first) => Cell::styled(format!("refused: {}", word(&first.rule)), style(Severity::Critical)),
        None => Cell::styled("not sent", style(Severity::Critical)),
    }
}

fn severity(severity: Severity) -> Cell {
    Cell::styled(word(&severity), style(severity))
}

fn style(severity: Severity) -> Style {
    match severity {
        Severity::Critical => colour(AnsiColor::Red).bold(),
        Severity::Warning => colour(AnsiColor::Yellow),
        Severity::Note => Style::new(),
    }
}
