//! One notice of every kind, the extreme ones, and a generator of any.

use std::net::IpAddr;
use std::time::Duration;

use failoverd::domain::{
    AddressSet, AliasTarget, ClusterName, Content, Epoch, InstanceName, NotifierName, PolicyId, RecordName, RegionName,
    TargetName, Ttl, UnixMs, ZoneId,
};
use failoverd::engine::intent::Kind;
use failoverd::engine::journal::IncidentId;
use failoverd::engine::notice::{Clocks, Moved, Notice, NoticeKind, Place, Severity, TimelineEntry};
use proptest::prelude::*;

/// 2026-01-31T09:00:05.250Z
pub const AT: UnixMs = UnixMs(1_769_850_005_250);

pub fn all() -> Vec<(String, Notice)> {
    let mut cases: Vec<(String, Notice)> = KINDS
        .iter()
        .map(|(kind, severity, title, undo)| (name_of(*kind), of_kind(*kind, *severity, title, undo)))
        .collect();
    cases.extend([
        ("bare".into(), bare()),
        ("fleet".into(), fleet()),
        ("several".into(), several()),
        ("several-regions".into(), several_regions()),
        ("host".into(), to_content("host", Content::Host(name("lb.eu-west-1.example.net")))),
        ("alias".into(), to_content("alias", Content::Alias(alias("dualstack.web.eu-west-1.elb.example.net")))),
        ("hostile".into(), hostile()),
        ("long".into(), long()),
        ("observe".into(), observe()),
    ]);
    cases
}

pub fn moved() -> Notice {
    of_kind(NoticeKind::Moved, Severity::Info, "web moved from us-east-1 to eu-west-1", "failoverd failback web")
}

const KINDS: [(NoticeKind, Severity, &str, &str); 37] = {
    use NoticeKind as K;
    use Severity::{Critical, Info, Warning};
    [
        (K::Moving, Warning, "web is moving from us-east-1 to eu-west-1", "failoverd failback web"),
        (K::Moved, Info, "web moved from us-east-1 to eu-west-1", "failoverd failback web"),
        (K::MoveUnverified, Warning, "web moved to eu-west-1, but that is not proven", "failoverd failback web"),
        (K::MoveContradicted, Critical, "web did not arrive at eu-west-1", "failoverd ack web"),
        (K::Refused, Critical, "web is failing and was not moved: no candidate", "failoverd explain web"),
        (K::TargetDown, Warning, "web: standby eu-west-1 is down", ""),
        (K::TargetUp, Info, "web: eu-west-1 is up again", ""),
        (K::Blind, Critical, "this controller cannot see; automatic moves have stopped", "failoverd doctor"),
        (K::Sighted, Info, "this controller sees again", ""),
        (K::Drift, Warning, "web: www.example.com was changed by another hand", "failoverd adopt web --to us-east-1"),
        (K::DriftGone, Info, "web: www.example.com is as configured again", ""),
        (K::Locked, Critical, "web is locked out: 4 moves within the hour", "failoverd ack web"),
        (K::Frozen, Info, "web is frozen by alice", "failoverd unfreeze web"),
        (K::Unfrozen, Info, "web is no longer frozen", ""),
        (K::Acked, Info, "web: alice acknowledged the lock-out", ""),
        (K::Adopted, Info, "web: fence made, record adopted", ""),
        (
            K::FenceTrouble,
            Critical,
            "web: the fence belongs to cluster staging",
            "failoverd takeover web --from staging",
        ),
        (K::FenceFine, Info, "web: the fence is usable again", ""),
        (K::ApiTrouble, Critical, "Route 53 refuses our credentials", "failoverd doctor"),
        (K::ApiFine, Info, "Route 53 answers again", ""),
        (
            K::StoreTrouble,
            Critical,
            "the state file cannot be written; automatic moves have stopped",
            "failoverd doctor",
        ),
        (K::StoreFine, Info, "the state file can be written again", ""),
        (K::Draining, Info, "web: alice empties us-east-1 for 30s, then it is left", "failoverd undrain web us-east-1"),
        (K::Drained, Info, "web: us-east-1 is kept empty by alice", "failoverd undrain web us-east-1"),
        (K::Undrained, Info, "web: us-east-1 may serve again", ""),
        (K::Forced, Critical, "web was moved to eu-west-1 by force, by alice", "failoverd unfreeze web"),
        (K::Released, Warning, "web: this cluster gave www.example.com up", "failoverd adopt web --to us-east-1"),
        (K::TakenOver, Warning, "web: www.example.com was taken from cluster staging", "failoverd release web"),
        (
            K::FleetFrozen,
            Critical,
            "a second region is failing: every automatic move has stopped",
            "failoverd unfreeze",
        ),
        (K::FleetUnfrozen, Info, "automatic moves are allowed again", ""),
        (K::WriteRefused, Critical, "web: Route 53 refuses the write: throttled zone", "failoverd explain web"),
        (
            K::Obstacle,
            Warning,
            "web: a CNAME stands at www.example.com; a move to eu-west-1 would be refused",
            "failoverd explain web",
        ),
        (K::ObstacleGone, Info, "web: nothing stands in the way at www.example.com any more", ""),
        (K::RehearsalFailed, Critical, "web: the rehearsal of the write path failed: AccessDenied", "failoverd doctor"),
        (K::RehearsalFine, Info, "web: the rehearsal of the write path is fine again", ""),
        (K::NotifierTrouble, Warning, "nobody is told through notifier ops-slack", "failoverd notify-test ops-slack"),
        (K::Test, Info, "test notice: this receiver is configured", ""),
    ]
};

fn name_of(kind: NoticeKind) -> String {
    serde_json::to_value(kind).unwrap().as_str().unwrap().replace('_', "-")
}

fn of_kind(kind: NoticeKind, severity: Severity, title: &str, undo: &str) -> Notice {
    let is_move = title.contains("mov") && title.contains("eu-west-1") && kind != NoticeKind::Obstacle;
    Notice {
        why: vec!["us-east-1 failed 3 probes in 8s: connection refused".into(), "2 of 2 witnesses answered".into()],
        moved: is_move.then(|| Moved {
            kind: if kind == NoticeKind::Forced { Kind::Force } else { Kind::Failover },
            records: names(["www.example.com", "api.example.com"]),
            from: Some(place("us-east-1", "us-east-1", ["192.0.2.10"])),
            to: place("eu-west-1", "europe", ["198.51.100.20", "198.51.100.21"]),
            ttl: Ttl::new(30).unwrap(),
            epoch: Epoch(42),
            clocks: Clocks {
                confirmed: Some(Duration::from_secs(8)),
                accepted: Some(Duration::from_millis(180)),
                every_server: (kind != NoticeKind::Moving).then_some(Duration::from_millis(2400)),
                insync: (kind != NoticeKind::Moving).then_some(Duration::from_secs(31)),
                verdict: None,
            },
        }),
        timeline: entries(&["first failure of us-east-1", "us-east-1 is down", "failover to eu-west-1 decided"]),
        next: vec!["automatic failback after 5m of health, inside its window".into()],
        undo: (!undo.is_empty()).then(|| undo.into()),
        ..minimal(kind, severity, title)
    }
}

fn minimal(kind: NoticeKind, severity: Severity, title: &str) -> Notice {
    Notice {
        id: "inc-7f3a-1".into(),
        kind,
        severity,
        at: AT,
        cluster: ClusterName::new("prod").unwrap(),
        instance: InstanceName::new("use1-a").unwrap(),
        policy: Some(PolicyId::new("web").unwrap()),
        incident: Some(IncidentId("7f3a9c01".into())),
        observe: false,
        title: title.into(),
        why: vec![],
        moved: None,
        timeline: vec![],
        next: vec![],
        undo: None,
        to: vec![NotifierName::new("ops-slack").unwrap()],
    }
}

/// Nothing in it but what must be.
fn bare() -> Notice {
    Notice { policy: None, incident: None, ..minimal(NoticeKind::MoveUnverified, Severity::Warning, " \n ") }
}

fn fleet() -> Notice {
    let text = "this controller cannot see; automatic moves have stopped";
    Notice { policy: None, ..of_kind(NoticeKind::Blind, Severity::Critical, text, "failoverd doctor") }
}

fn observe() -> Notice {
    Notice { observe: true, ..moved() }
}

/// A member of a set of three is dropped.
fn several() -> Notice {
    let set = |names: [&str; 2], last: &[&str]| Place {
        targets: names.iter().chain(last).map(|n| TargetName::new(n).unwrap()).collect(),
        regions: names.iter().chain(last).map(|_| RegionName::new("eu").unwrap()).collect(),
        content: addresses((1..=names.len() + last.len()).map(|i| format!("192.0.2.{i}"))),
    };
    let mut notice = of_kind(NoticeKind::Moved, Severity::Info, "pool: c was taken out, eu-west-1 moves on", "");
    let moved = notice.moved.as_mut().unwrap();
    (moved.kind, moved.from) = (Kind::Trim, Some(set(["a", "b"], &["c"])));
    moved.to = set(["a", "b"], &[]);
    notice
}

/// Members of two regions, one region twice.
fn several_regions() -> Notice {
    let mut notice = moved();
    let moved = notice.moved.as_mut().unwrap();
    moved.kind = Kind::Switch;
    moved.to = Place {
        targets: ["a", "b", "c"].map(|n| TargetName::new(n).unwrap()).to_vec(),
        regions: ["eu", "us", "eu"].map(|n| RegionName::new(n).unwrap()).to_vec(),
        content: addresses(["192.0.2.1", "192.0.2.2", "2001:db8::3"]),
    };
    notice
}

/// A move between targets of one kind.
fn to_content(kind: &str, content: Content) -> Notice {
    let mut notice = moved();
    let moved = notice.moved.as_mut().unwrap();
    moved.from.as_mut().unwrap().content = match kind {
        "host" => Content::Host(name("lb.us-east-1.example.net")),
        _ => Content::Alias(alias("dualstack.web.us-east-1.elb.example.net")),
    };
    moved.to.content = content;
    notice
}

fn alias(to: &str) -> AliasTarget {
    let zone_id = ZoneId::new("Z35SXDOTRQ7X7K");
    AliasTarget { name: name(to), zone_id, evaluate_target_health: to.contains("eu-west-1") }
}

fn name(text: &str) -> RecordName {
    RecordName::new(text).unwrap()
}

fn addresses<T: AsRef<str>>(list: impl IntoIterator<Item = T>) -> Content {
    Content::Addresses(AddressSet::new(list.into_iter().map(|a| a.as_ref().parse::<IpAddr>().unwrap())).unwrap())
}

fn long() -> Notice {
    let mut notice = moved();
    notice.title = "a title that does not end ".repeat(20);
    notice.why = (0..30).map(|i| format!("evidence {i}: {}", "the same again & again ".repeat(40))).collect();
    notice.timeline = entries(&(0..40).map(|i| format!("step {i} of a long night")).collect::<Vec<_>>());
    notice.next = vec!["wait ".repeat(2000)];
    notice.undo = Some(format!("failoverd switch web {}", "--reason x ".repeat(500)));
    let moved = notice.moved.as_mut().unwrap();
    moved.records = (0..12).map(|i| RecordName::new(&format!("{}{i}.example.com", "n".repeat(60))).unwrap()).collect();
    moved.to = place("eu-west-1", "europe", (1..=12).map(|i| format!("198.51.100.{i}")));
    notice
}

fn hostile() -> Notice {
    let mut notice = moved();
    notice.title = "<!channel> *bold* & <https://evil.example|click> \u{202e}reversed".into();
    notice.why = vec![
        "body was: <script>alert(1)</script> @here <@U123>".into(),
        "line\nbreak\r\nand \u{1b}[31mcolour\u{0} and \"quotes\" \\ back".into(),
        "```\nblock".into(),
    ];
    notice.timeline = entries(&["<!here|here> & co"]);
    notice.next = vec!["&lt;already escaped&gt;".into()];
    notice.undo = Some("echo ``` && rm <x>".into());
    notice.incident = Some(IncidentId("<&>".into()));
    notice
}

fn entries<T: AsRef<str>>(texts: &[T]) -> Vec<TimelineEntry> {
    let at = |i: usize| UnixMs(AT.0 - 60_000 + 1000 * i as u64);
    texts.iter().enumerate().map(|(i, t)| TimelineEntry { at: at(i), text: t.as_ref().into() }).collect()
}

fn place<T: AsRef<str>>(target: &str, region: &str, list: impl IntoIterator<Item = T>) -> Place {
    Place {
        targets: vec![TargetName::new(target).unwrap()],
        regions: vec![RegionName::new(region).unwrap()],
        content: addresses(list),
    }
}

fn names<const N: usize>(list: [&str; N]) -> Vec<RecordName> {
    list.iter().map(|n| RecordName::new(n).unwrap()).collect()
}

/// Any notice the engine's types allow, long and foul texts included.
pub fn any() -> impl Strategy<Value = Notice> {
    let text = || {
        prop_oneof![
            3 => "\\PC{0,80}",
            1 => any_text(0..300),
            1 => "[&<>`\"\\\\]{0,1500}",
            1 => "(😀|é|x){0,1500}",
            1 => Just("y".repeat(5_000)),
        ]
    };
    let lines = move |most: usize| prop::collection::vec(text(), 0..most);
    let kind = (0..KINDS.len()).prop_map(|i| KINDS[i].0);
    let severity = prop_oneof![Just(Severity::Info), Just(Severity::Warning), Just(Severity::Critical)];
    (kind, severity, prop::bool::ANY, prop::bool::ANY, text(), lines(12), lines(45), lines(10), text(), moves())
        .prop_map(|(kind, severity, observe, alone, title, why, timeline, next, undo, moved)| Notice {
            observe,
            id: title.clone(),
            policy: (!alone).then(|| PolicyId::new(&"p".repeat(63)).unwrap()),
            incident: (!alone).then(|| IncidentId(undo.clone())),
            why,
            moved,
            timeline: entries(&timeline),
            next,
            undo: (!alone).then_some(undo),
            ..minimal(kind, severity, &title)
        })
}

fn moves() -> impl Strategy<Value = Option<Moved>> {
    let kind = (0..Kind::ALL.len()).prop_map(|i| Kind::ALL[i]);
    (0usize..200, prop::option::of(any_place()), any_place(), kind).prop_map(|(records, from, to, kind)| {
        let record = |i: usize| name(&format!("{}.{}.r{i}.example.com", "a".repeat(63), "b".repeat(63)));
        (records > 0).then(|| Moved {
            kind,
            records: (0..records).map(record).collect(),
            from,
            to,
            ttl: Ttl::new(Ttl::MAX).unwrap(),
            epoch: Epoch(u64::MAX),
            clocks: Clocks { confirmed: Some(Duration::MAX), ..Clocks::default() },
        })
    })
}

/// Up to 32 targets with long names, in few or many regions, of every kind of content.
fn any_place() -> impl Strategy<Value = Place> {
    (1usize..=32, 1usize..=63, 1usize..=32, 1u16..3200, 0..3).prop_map(|(targets, length, regions, values, kind)| {
        let label = |i: usize| format!("{}{i:02}", "t".repeat(length.saturating_sub(2).max(1)));
        let long = name(&[&*"h".repeat(63), &"i".repeat(63), &"j".repeat(63), &"k".repeat(61)].join("."));
        Place {
            targets: (0..targets).map(|i| TargetName::new(&label(i)).unwrap()).collect(),
            regions: (0..targets).map(|i| RegionName::new(&label(i % regions)).unwrap()).collect(),
            content: match kind {
                0 => addresses((0..values).map(|i| format!("2001:db8:1111:2222:3333:4444:5555:{i:x}"))),
                1 => Content::Host(long),
                _ => Content::Alias(AliasTarget {
                    name: long,
                    zone_id: ZoneId::new(&"Z".repeat(32)),
                    evaluate_target_health: true,
                }),
            },
        }
    })
}

fn any_text(length: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    prop::collection::vec(any_char(), length).prop_map(|chars| chars.into_iter().collect())
}

fn any_char() -> impl Strategy<Value = char> {
    prop::char::any()
}
