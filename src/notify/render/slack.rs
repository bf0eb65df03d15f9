//! A notice as a Slack message for an incoming webhook (Block Kit).
//!
//! Limits are those of Slack's Block Kit reference: 50 blocks, header 150, section text 3,000,
//! 10 fields of 2,000, 10 context elements. Ours are lower, so that the whole message stays
//! readable on a phone. Evidence is other people's text: it is escaped, and `verbatim` keeps Slack
//! from making mentions and links of it.

use serde_json::{Value, json};

use crate::domain::Content;
use crate::domain::time::human;
use crate::engine::notice::{Moved, Notice, NoticeKind, Place, Severity, TimelineEntry};

use super::text::{clip, line, plain, utf16};

const HEADER: usize = 150;
const FALLBACK: usize = 1000;
/// One line of evidence, timeline or next step.
const LINE: usize = 500;
/// One section.
const SECTION: usize = 2500;
/// Records, targets or addresses named one by one.
const NAMED: usize = 8;
/// What a list of names may measure, so that a whole move fits into one section: records; targets,
/// regions and addresses of one place. One name is shown whatever it measures.
const RECORDS: usize = 900;
const PLACE: usize = 200;
const HELD: usize = 400;
/// Timeline entries shown.
const ENTRIES: usize = 20;

/// The JSON body to post.
pub fn slack(notice: &Notice) -> Value {
    let title = title(notice);
    let mut blocks = vec![json!({
        "type": "header",
        "text": { "type": "plain_text", "text": clip(&format!("{} {title}", sign(notice)), HEADER, utf16, plain), "emoji": true },
    })];
    if notice.observe {
        blocks.push(section("*Observe mode: nothing was written.* This is what failoverd would have done.".into()));
    }
    if let Some(moved) = &notice.moved {
        blocks.push(section(what_moved(moved, notice.observe)));
        let clocks = clocks(moved);
        if !clocks.is_empty() {
            blocks.push(json!({ "type": "section", "fields": clocks }));
        }
    }
    blocks.extend(list("Why", notice.why.iter().map(|l| bullet(l)).collect(), notice));
    blocks.extend(list("So far (UTC)", timeline(&notice.timeline), notice));
    blocks.extend(list("Next", notice.next.iter().map(|l| bullet(l)).collect(), notice));
    if let Some(undo) = &notice.undo {
        let command = clip(&line(undo).replace('`', "'"), SECTION, utf16, escape);
        blocks.push(section(format!("*{}*\n```{command}```", undo_word(notice))));
    }
    blocks.push(context(notice));
    let prefix = if notice.severity == Severity::Critical { "CRITICAL: " } else { "" };
    json!({
        "text": clip(&format!("{prefix}{title}"), FALLBACK, utf16, escape),
        "blocks": blocks,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

fn title(notice: &Notice) -> String {
    let said = line(&notice.title);
    let said = if said.is_empty() { super::kind_name(notice.kind).replace('_', " ") } else { said };
    if notice.observe { format!("[observe] {said}") } else { said }
}

/// Understandable without colour: good, bad and neutral differ in shape.
fn sign(notice: &Notice) -> &'static str {
    match (notice.severity, notice.kind) {
        (Severity::Critical, _) => ":rotating_light:",
        (Severity::Warning, _) => ":warning:",
        (
            Severity::Info,
            NoticeKind::Moved
            | NoticeKind::TargetUp
            | NoticeKind::Sighted
            | NoticeKind::DriftGone
            | NoticeKind::FenceFine
            | NoticeKind::ApiFine
            | NoticeKind::StoreFine
            | NoticeKind::ObstacleGone
            | NoticeKind::RehearsalFine,
        ) => ":white_check_mark:",
        (Severity::Info, _) => ":information_source:",
    }
}

fn what_moved(moved: &Moved, observe: bool) -> String {
    let names: Vec<String> = moved.records.iter().map(|r| format!("`{}`", escaped(r.as_str()))).collect();
    let kind = if observe { format!("Would have been: {}", moved.kind) } else { capitalised(moved.kind.as_str()) };
    let from = moved.from.as_ref().map_or_else(|| "values of no configured target".into(), place);
    // An alias has no TTL of its own.
    let ttl = match moved.to.content {
        Content::Alias(_) => String::new(),
        Content::Addresses(_) | Content::Host(_) => format!("TTL {}s, ", moved.ttl.secs()),
    };
    format!("*{kind}* of {}\n{from} → {}\n{ttl}epoch {}", some_of(&names, RECORDS), place(&moved.to), moved.epoch)
}

fn place(place: &Place) -> String {
    let held: Vec<String> = match &place.content {
        Content::Addresses(set) => set.iter().map(|a| a.to_string()).collect(),
        other => vec![escaped(&other.to_string())],
    };
    let targets: Vec<String> = place.targets.iter().map(ToString::to_string).collect();
    let regions = super::regions(place);
    let region = if regions == targets { String::new() } else { format!("region {}, ", some_of(&regions, PLACE)) };
    format!("*{}* ({region}{})", some_of(&targets, PLACE), some_of(&held, HELD))
}

fn some_of(items: &[String], most: usize) -> String {
    let mut text = String::new();
    for (shown, item) in items.iter().enumerate() {
        if shown == NAMED || shown > 0 && utf16(&text) + utf16(item) + 2 > most {
            return format!("{text} and {} more", items.len() - shown);
        }
        if shown > 0 {
            text.push_str(", ");
        }
        text.push_str(item);
    }
    text
}

fn clocks(moved: &Moved) -> Vec<Value> {
    let clocks = &moved.clocks;
    [
        ("First failure to decision", clocks.confirmed),
        ("Decision to accepted", clocks.accepted),
        ("Accepted to every name server", clocks.every_server),
        ("Accepted to INSYNC", clocks.insync),
        ("Accepted to verdict", clocks.verdict),
    ]
    .into_iter()
    .filter_map(|(name, took)| Some(mrkdwn(format!("*{name}*\n{}", human(took?)))))
    .collect()
}

/// The newest entries; the first one stays, it is where the story begins.
fn timeline(entries: &[TimelineEntry]) -> Vec<String> {
    let told = |e: &TimelineEntry| {
        let stamp = e.at.to_string();
        format!("`{}` {}", stamp.get(11..19).unwrap_or(&stamp), escaped(&e.text))
    };
    let Some((first, rest)) = entries.split_first() else { return Vec::new() };
    let left_out = rest.len().saturating_sub(ENTRIES - 1);
    let mut lines = vec![told(first)];
    if left_out > 0 {
        lines.push(format!("… {left_out} entries left out"));
    }
    lines.extend(rest.iter().skip(left_out).map(told));
    lines
}

/// A section with a heading, cut at whole lines; no section without lines.
fn list(heading: &str, lines: Vec<String>, notice: &Notice) -> Option<Value> {
    if lines.is_empty() {
        return None;
    }
    let mut text = format!("*{heading}*");
    let total = lines.len();
    for (shown, one) in lines.into_iter().enumerate() {
        if utf16(&text) + utf16(&one) + 1 > SECTION {
            let more = total - shown;
            let ask = notice.policy.as_ref().map_or_else(
                || "see `failoverd history`".to_owned(),
                |policy| format!("see `failoverd explain {policy}`"),
            );
            text.push_str(&format!("\n… {more} more {}, {ask}", if more == 1 { "line" } else { "lines" }));
            break;
        }
        text.push('\n');
        text.push_str(&one);
    }
    Some(section(text))
}

fn bullet(text: &str) -> String {
    format!("• {}", escaped(text))
}

fn undo_word(notice: &Notice) -> &'static str {
    match notice.kind {
        NoticeKind::Moving
        | NoticeKind::Moved
        | NoticeKind::MoveUnverified
        | NoticeKind::Frozen
        | NoticeKind::Draining
        | NoticeKind::Drained
        | NoticeKind::Released
        | NoticeKind::TakenOver => "Undo",
        _ => "Answer with",
    }
}

fn context(notice: &Notice) -> Value {
    let mut elements = Vec::new();
    if let Some(policy) = &notice.policy {
        elements.push(mrkdwn(format!("policy {policy}")));
    }
    if let Some(incident) = &notice.incident {
        elements.push(mrkdwn(format!("incident {}", escaped(&incident.0))));
    }
    elements.push(mrkdwn(format!("failoverd {}/{}", notice.cluster, notice.instance)));
    elements.push(mrkdwn(notice.at.to_string()));
    json!({ "type": "context", "elements": elements })
}

fn section(text: String) -> Value {
    json!({ "type": "section", "text": mrkdwn(text) })
}

fn mrkdwn(text: String) -> Value {
    json!({ "type": "mrkdwn", "text": text, "verbatim": true })
}

/// Other people's text on one line; it can open no code block that would swallow ours.
fn escaped(text: &str) -> String {
    clip(&line(text).replace("```", "'''"), LINE, utf16, escape)
}

/// The three characters that Slack's mrkdwn reserves.
fn escape(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        _ => None,
    }
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
