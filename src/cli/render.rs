//! Reports as text for people. Pure: what is printed is what the report says, in one shape.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::Style;

use crate::domain::time::human;
use crate::domain::{Content, Health, TargetName, UnixMs};
use crate::engine::intent::Kind;
use crate::engine::journal::{PolicySnapshot, RehearsalSnapshot, Transition};
use crate::engine::report::{
    BrakesReport, LiveState, MovePhase, MoveReport, Obstacle, Refusal, Report, TargetReport, Tonight,
};

use super::output::{Cell, health_style, paint, state_style, table, word};

/// One line for each policy, then what each is doing and what stands in its way.
pub fn status(reports: &[Report]) -> String {
    let rows: Vec<Vec<Cell>> = reports
        .iter()
        .map(|r| {
            vec![
                r.policy.to_string().into(),
                Cell::styled(word(&r.state), state_style(r.state)),
                live(&r.live).into(),
                targets_short(&r.targets).into(),
                r.fence.as_ref().map_or("-".to_owned(), |f| f.epoch.to_string()).into(),
                brakes_short(r).into(),
                rehearsal(r.rehearsal.as_ref(), r.at).into(),
            ]
        })
        .collect();
    let mut text = table(&["POLICY", "STATE", "LIVE", "TARGETS", "EPOCH", "BRAKES", "REHEARSED"], &rows);
    for report in reports {
        let id = &report.policy;
        if let Some(moving) = &report.moving {
            let _ = writeln!(text, "{id}: {}", one_move(moving));
        }
        if let Some(first) = report.refusals.first().filter(|_| report.wanted.is_some()) {
            let _ = writeln!(text, "{id}: {}", refusal(first));
        }
        for (name, why) in report.targets.iter().filter_map(|t| Some((&t.name, t.drained.as_ref()?))) {
            let _ = writeln!(text, "{id}: {name} is drained {why} (failoverd undrain {id} {name})");
        }
        for obstacle in &report.obstacles {
            let _ = writeln!(text, "{id}: {}", one_obstacle(obstacle));
        }
        if let Some(failed) = report.rehearsal.as_ref().filter(|r| !r.ok) {
            let _ = writeln!(text, "{id}: the rehearsal of {} failed: {}", failed.at, failed.detail);
        }
    }
    text
}

/// What the state file remembers, when no daemon can be asked.
pub fn snapshots(snapshots: &[PolicySnapshot]) -> String {
    let rows: Vec<Vec<Cell>> = snapshots
        .iter()
        .map(|s| {
            let targets: Vec<String> = s.targets.iter().map(|t| format!("{} {}", t.name, t.health)).collect();
            let mut brakes = Vec::new();
            if let Some(frozen) = &s.frozen {
                brakes.push(format!("frozen by {}", frozen.by));
            }
            if s.locked.is_some() {
                brakes.push("locked".to_owned());
            }
            if s.failback_blocked {
                brakes.push("failback off until ack".to_owned());
            }
            brakes.extend(s.drained.iter().map(|d| format!("{} drained by {}", d.target, d.by)));
            vec![
                s.policy.to_string().into(),
                targets.join(", ").into(),
                s.epoch.to_string().into(),
                or_dash(&brakes.join(", ")).into(),
                s.at.to_string().into(),
            ]
        })
        .collect();
    table(&["POLICY", "TARGETS THEN", "EPOCH", "BRAKES", "AS OF"], &rows)
}

/// What would be done to one policy: record, from, to, why, limits, undo.
pub fn plan(report: &Report) -> String {
    let mut text = String::new();
    let epoch = report.fence.as_ref().map(|f| f.epoch);
    let change = match (epoch, changes(report)) {
        (Some(epoch), true) => format!("epoch {epoch} -> {}", epoch.next()),
        (Some(epoch), false) => format!("epoch {epoch}"),
        (None, true) => "no fence yet -> epoch 1".to_owned(),
        (None, false) => "no fence yet".to_owned(),
    };
    for record in &report.records {
        let kinds = families(&report.targets);
        let _ = writeln!(text, "{record}. {kinds}  ttl {}   zone {}   {change}", report.ttl.secs(), report.zone);
    }
    let Some(wanted) = &report.wanted else {
        let _ = match report.live {
            LiveState::NotRead => writeln!(text, "  ? the live record could not be read, so nothing is known"),
            _ => writeln!(text, "  = {}  no change", live(&report.live)),
        };
        return text;
    };
    let to: Vec<&TargetReport> = report.targets.iter().filter(|t| wanted.to.contains(&t.name)).collect();
    let sign = if changes(report) { "~" } else { "!" };
    let unchanged = wanted.kind == Kind::Adopt && to.iter().all(|t| t.active);
    let _ = match to.is_empty() {
        true => writeln!(text, "  {sign} {}  ->  no target", published(report)),
        false if unchanged => writeln!(text, "  + a fence and the TTL; {} stays as it is", places(&to)),
        false => writeln!(text, "  {sign} {}  ->  {}", published(report), places(&to)),
    };
    let _ = writeln!(text, "  kind    {}", wanted.kind);
    block(&mut text, "why", &wanted.why);
    for to in to.iter().filter(|t| unchanged || !t.active) {
        let _ = writeln!(text, "  target  {}", evidence(to, report.at));
    }
    block(&mut text, "limits", &limits(&report.brakes));
    if report.refusals.is_empty() {
        block(&mut text, "undo", &[undo(report, wanted.kind)]);
    } else {
        block(&mut text, "refused", &report.refusals.iter().map(refusal).collect::<Vec<_>>());
    }
    text
}

/// True when the report's wanted move would be made now.
pub fn changes(report: &Report) -> bool {
    report.refusals.is_empty() && report.wanted.as_ref().is_some_and(|w| !w.to.is_empty())
}

/// Everything that led to the present answer.
pub fn explain(report: &Report) -> String {
    let mut text = String::new();
    let state = paint(&word(&report.state), state_style(report.state));
    let names: Vec<&str> = report.records.iter().map(|r| r.as_str()).collect();
    let _ = writeln!(text, "{}  {state}  live: {}", report.policy, live_long(&report.live));
    let _ = writeln!(text, "  records  {}  ttl {}  zone {}", names.join(", "), report.ttl.secs(), report.zone);
    if let Some(since) = report.doubt_since {
        let _ = writeln!(text, "  doubt    since {since} ({})", human(report.at.since(since)));
    }
    if let Some(incident) = &report.incident {
        let _ = writeln!(text, "  incident {incident}");
    }
    let rows: Vec<Vec<Cell>> = report
        .targets
        .iter()
        .map(|t| {
            vec![
                format!("  {} {}", if t.active { "*" } else { " " }, t.name).into(),
                t.region.to_string().into(),
                t.priority.to_string().into(),
                Cell::styled(t.health.to_string(), health_style(t.health)),
                human(report.at.since(t.since)).into(),
                t.last.map_or("-".to_owned(), |o| o.to_string()).into(),
                t.age.map_or("-".to_owned(), human).into(),
                format!("{}/{}", t.failures, t.fall).into(),
                format!("{}/{}", t.successes, t.rise).into(),
                t.content.to_string().into(),
            ]
        })
        .collect();
    let head =
        ["    TARGET", "REGION", "PRIORITY", "HEALTH", "FOR", "LAST PROBE", "AGE", "FAILED", "PASSED", "ADDRESSES"];
    text.push_str(&table(&head, &rows));
    match &report.wanted {
        None => text.push_str("  wanted   nothing\n"),
        Some(wanted) => {
            let to = if wanted.to.is_empty() {
                "no target can be named".to_owned()
            } else {
                format!("to {}", joined(&wanted.to))
            };
            let _ = writeln!(text, "  wanted   {} {to}", wanted.kind);
            block(&mut text, "why", &wanted.why);
            if report.refusals.is_empty() {
                text.push_str("  in the way  nothing\n");
            }
        }
    }
    block(&mut text, "refused", &report.refusals.iter().map(refusal).collect::<Vec<_>>());
    block(&mut text, "needs", &needs(report));
    block(&mut text, "tonight", &report.tonight.iter().flat_map(tonight).collect::<Vec<_>>());
    block(&mut text, "limits", &limits(&report.brakes));
    let drained = report.targets.iter().filter_map(|t| t.drained.as_ref().map(|why| format!("{} {why}", t.name)));
    block(&mut text, "drained", &drained.collect::<Vec<_>>());
    block(&mut text, "zone", &report.obstacles.iter().map(one_obstacle).collect::<Vec<_>>());
    let _ = writeln!(text, "  failback {}", word(&report.failback));
    if let Some(fence) = &report.fence {
        let _ = writeln!(
            text,
            "  fence    epoch {} by {} at {}, {}, mode {}",
            fence.epoch, fence.owner, fence.written, fence.kind, fence.mode
        );
    } else {
        text.push_str("  fence    none known\n");
    }
    for (what, moved) in [("moving", &report.moving), ("last", &report.last_move)] {
        if let Some(moved) = moved {
            block(&mut text, what, &move_lines(moved));
        }
    }
    let detail = report.rehearsal.as_ref().map(|r| format!(": {}", r.detail)).unwrap_or_default();
    let _ = writeln!(text, "  rehearsed {}{detail}", rehearsal(report.rehearsal.as_ref(), report.at));
    text
}

/// Where the failover would go if what is published died now, or what would refuse it.
fn tonight(tonight: &Tonight) -> Vec<String> {
    if tonight.is_sent() {
        return vec![format!("were the live target to die, a failover to {} would be sent", joined(&tonight.to))];
    }
    let refused = |r: &Refusal| format!("were the live target to die: {}", refusal(r));
    tonight.refusals.iter().map(refused).collect()
}

/// What a move would need while the record is not ours to move.
fn needs(report: &Report) -> Vec<String> {
    let id = &report.policy;
    let taken = match &report.live {
        LiveState::Targets { .. } | LiveState::NotRead => return Vec::new(),
        LiveState::Absent => "the record is absent",
        LiveState::Split { .. } => "the record publishes a mixture",
        LiveState::Foreign { .. } => "the record holds what is no target's",
        LiveState::Unreadable { .. } => "the record cannot be read",
    };
    let up = report.targets.iter().find(|t| t.health == Health::Up && t.drained.is_none());
    let next = match up {
        Some(up) => format!("failoverd adopt {id} --to {}", up.name),
        None => format!("a target that is up, then: failoverd adopt {id} --to TARGET"),
    };
    vec![format!("{taken}, so nothing is moved whatever fails; to take it under control: {next}")]
}

fn one_obstacle(obstacle: &Obstacle) -> String {
    let blocks = if obstacle.blocks.is_empty() {
        "in the zone".to_owned()
    } else {
        format!("no move to {}", joined(&obstacle.blocks))
    };
    format!("{blocks}: {}: {} (next: {})", obstacle.record, obstacle.text, obstacle.next)
}

/// Age and result of the last rehearsal.
pub fn rehearsal(last: Option<&RehearsalSnapshot>, now: UnixMs) -> String {
    match last {
        None => "never".into(),
        Some(last) => {
            let ago = human(Duration::from_secs(now.since(last.at).as_secs()));
            match last {
                last if last.walked() => format!("ok {ago} ago"),
                last if last.ok => format!("not walked, observed {ago} ago"),
                _ => format!("FAILED {ago} ago"),
            }
        }
    }
}

/// Transitions, oldest first.
pub fn history(transitions: &[Transition]) -> String {
    let rows: Vec<Vec<Cell>> = transitions
        .iter()
        .map(|t| {
            vec![
                t.at.to_string().into(),
                t.policy.as_ref().map_or("-".to_owned(), ToString::to_string).into(),
                word(&t.kind).into(),
                t.text.clone().into(),
            ]
        })
        .collect();
    table(&["AT", "POLICY", "WHAT", "TEXT"], &rows)
}

fn block(text: &mut String, what: &str, lines: &[String]) {
    for (i, line) in lines.iter().enumerate() {
        let label = if i == 0 { what } else { "" };
        let _ = writeln!(text, "  {label:<7} {line}");
    }
}

fn refusal(refusal: &Refusal) -> String {
    format!("{}: {} ({})", paint(&word(&refusal.rule), Style::new().bold()), refusal.text, refusal.change)
}

fn undo(report: &Report, kind: Kind) -> String {
    let from = report.targets.iter().find(|t| t.active);
    match (kind, from) {
        (Kind::Failover | Kind::Failback | Kind::Rollback, Some(from)) => {
            format!(
                "automatic if the proof contradicts; by hand: failoverd switch {} --to {}",
                report.policy, from.name
            )
        }
        (_, Some(from)) => format!("failoverd switch {} --to {}", report.policy, from.name),
        (_, None) => format!("failoverd freeze {} stops automatic moves", report.policy),
    }
}

fn limits(brakes: &BrakesReport) -> Vec<String> {
    let mut lines = vec![format!("{} of {} automatic moves this hour", brakes.moves_last_hour, brakes.flap_budget)];
    if let Some(left) = brakes.hold_down.filter(|d| *d > Duration::ZERO) {
        lines.push(format!("hold-down for another {}", human(left)));
    }
    if let Some(frozen) = &brakes.frozen {
        lines.push(format!("frozen: {frozen}"));
    }
    if brakes.locked {
        lines.push("locked out after too many moves, until `failoverd ack`".to_owned());
    }
    if brakes.failback_blocked {
        lines.push(
            "automatic failback is off until `failoverd ack`, after a rollback or a switch to a worse target"
                .to_owned(),
        );
    }
    if brakes.unverified {
        lines.push("the last move is unverified".to_owned());
    }
    lines
}

fn brakes_short(report: &Report) -> String {
    let brakes = &report.brakes;
    let mut words = Vec::new();
    // What a person did to the record itself.
    if let Some(mode) = report.fence.as_ref().map(|f| f.mode.as_str()).filter(|m| matches!(*m, "forced" | "released")) {
        words.push(mode.to_owned());
    }
    if brakes.frozen.is_some() {
        words.push("frozen".to_owned());
    }
    if brakes.locked {
        words.push("locked".to_owned());
    }
    if let Some(left) = brakes.hold_down.filter(|d| *d > Duration::ZERO) {
        words.push(format!("hold-down {}", human(left)));
    }
    if brakes.failback_blocked {
        words.push("failback off".to_owned());
    }
    if brakes.unverified {
        words.push("unverified".to_owned());
    }
    or_dash(&words.join(", "))
}

/// `switch east -> west at epoch 4: verifying`.
pub fn one_move(moved: &MoveReport) -> String {
    let from = if moved.from.is_empty() { "?".to_owned() } else { joined(&moved.from) };
    format!("{} {from} -> {} at epoch {}: {}", moved.kind, joined(&moved.to), moved.epoch, phase(moved.phase))
}

/// The move, what is known of its proof, and its clocks.
pub fn move_lines(moved: &MoveReport) -> Vec<String> {
    let mut lines = vec![one_move(moved)];
    if !moved.detail.is_empty() {
        lines.push(moved.detail.clone());
    }
    let clocks = [
        ("confirmed in", moved.clocks.confirmed),
        ("accepted after", moved.clocks.accepted),
        ("every server after", moved.clocks.every_server),
        ("INSYNC after", moved.clocks.insync),
        ("verdict after", moved.clocks.verdict),
    ];
    let known: Vec<String> = clocks.iter().filter_map(|(what, d)| d.map(|d| format!("{what} {}", human(d)))).collect();
    if !known.is_empty() {
        lines.push(known.join(", "));
    }
    lines
}

fn phase(phase: MovePhase) -> String {
    word(&phase)
}

/// What a record publishes, in a word or by names.
pub fn live(live: &LiveState) -> String {
    match live {
        LiveState::NotRead => "not read".into(),
        LiveState::Targets { names } => joined(names),
        LiveState::Split { .. } => "split".into(),
        LiveState::Foreign { .. } => "foreign".into(),
        LiveState::Absent => "absent".into(),
        LiveState::Unreadable { .. } => "unreadable".into(),
    }
}

fn live_long(state: &LiveState) -> String {
    match state {
        LiveState::Split { detail } | LiveState::Foreign { detail } | LiveState::Unreadable { detail } => {
            format!("{} ({detail})", live(state))
        }
        LiveState::NotRead | LiveState::Targets { .. } | LiveState::Absent => live(state),
    }
}

/// What the record publishes now, with its values.
pub fn published(report: &Report) -> String {
    let active: Vec<&TargetReport> = report.targets.iter().filter(|t| t.active).collect();
    if active.is_empty() { live_long(&report.live) } else { places(&active) }
}

fn places(targets: &[&TargetReport]) -> String {
    let place = |t: &&TargetReport| format!("{} ({})", t.content, t.name);
    targets.iter().map(place).collect::<Vec<_>>().join(", ")
}

fn joined(names: &[TargetName]) -> String {
    names.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(", ")
}

fn evidence(target: &TargetReport, now: UnixMs) -> String {
    let last = match (target.last, target.age) {
        (Some(last), Some(age)) => format!(", last probe {last} {} ago", human(age)),
        _ => String::new(),
    };
    format!("{} {} for {}{last}", target.name, target.health, human(now.since(target.since)))
}

fn targets_short(targets: &[TargetReport]) -> String {
    let parts: Vec<String> = targets
        .iter()
        .map(|t| {
            let drained = if t.drained.is_some() { " drained" } else { "" };
            match t.failures {
                0 => format!("{} {}{drained}", t.name, t.health),
                n => format!("{} {}{drained} ({n}/{} failed)", t.name, t.health, t.fall),
            }
        })
        .collect();
    parts.join(", ")
}

fn families(targets: &[TargetReport]) -> String {
    match targets.first().map(|t| &t.content) {
        Some(Content::Addresses(set)) => set.families().iter().map(|f| f.to_string()).collect::<Vec<_>>().join("+"),
        Some(Content::Host(_)) => "CNAME".into(),
        Some(Content::Alias(_)) => "A+AAAA alias".into(),
        None => String::new(),
    }
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".into() } else { text.into() }
}
