//! The configuration under generated input: what is written is what is read, and no damage to a file
//! is a panic or a finding that points outside it.

use std::path::Path;
use std::time::Duration;

use failoverd::config::calendar::{OpenHours, Schedule, is_open_at, next_after, next_edge};
use failoverd::config::{self, duration};
use failoverd::domain::time::human;
use failoverd::domain::*;
use proptest::prelude::*;

use super::{load, tree};
use crate::cases::hold;

const MAIN: &str =
    "instance = \"use1-a\"\n[[notifier]]\nname = \"ops\"\ntype = \"slack\"\nurl = { env = \"SLACK_URL\" }\n";

fn label() -> impl Strategy<Value = String> {
    "[a-z]([a-z0-9-]{0,8}[a-z0-9])?"
}

fn quoted(d: Duration) -> String {
    format!("\"{}\"", human(d))
}

/// A duration that is said exactly: whole seconds, or less than a second.
fn time(range: std::ops::RangeInclusive<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_secs)
}

/// One key, and whether it is written or left to its default.
type Key<T> = Option<T>;

#[derive(Clone, Debug)]
struct Written {
    id: Key<String>,
    records: Vec<String>,
    ttl: Key<u32>,
    importance: Key<i32>,
    manual: Key<bool>,
    two: Key<bool>,
    priorities: bool,
    regions: Vec<Key<String>>,
    port: Key<u16>,
    tcp: bool,
    interval: Key<Duration>,
    fast: Key<Duration>,
    timeout: Key<Duration>,
    counts: [Key<u32>; 3],
    confirm: Key<Duration>,
    hold_down: Key<Duration>,
    flaps: Key<u32>,
    swap: Key<bool>,
    repair: Key<bool>,
    back: Key<u8>,
    soak: Key<Duration>,
    observe: Key<Duration>,
    reconcile: Key<Duration>,
    told: bool,
}

fn written() -> impl Strategy<Value = Written> {
    let key = prop::option::of::<BoxedStrategy<Duration>>;
    let names = prop::collection::btree_set(label(), 1..4);
    let first = (prop::option::of(label()), names, prop::option::of(1u32..=604_800), prop::option::of(-1000i32..=1000));
    let kinds = (prop::option::of(any::<bool>()), prop::option::of(any::<bool>()), any::<bool>(), any::<bool>());
    let regions = prop::collection::vec(prop::option::of(label()), 1..5);
    let check = (
        prop::option::of(1u16..),
        key(time(1..=3600).boxed()),
        key(time(1..=60).boxed()),
        key(time(1..=60).boxed()),
        prop::array::uniform3(prop::option::of(1u32..=100)),
        key(time(0..=3600).boxed()),
    );
    let brakes = (
        key(time(0..=86_400).boxed()),
        prop::option::of(2u32..=60),
        prop::option::of(any::<bool>()),
        prop::option::of(any::<bool>()),
    );
    let rest = (
        prop::option::of(0u8..3),
        key(time(0..=7 * 86_400).boxed()),
        key(time(1..=3600).boxed()),
        key(time(1..=86_400).boxed()),
        any::<bool>(),
    );
    (first, kinds, regions, check, brakes, rest).prop_map(|(first, kinds, regions, check, brakes, rest)| Written {
        id: first.0,
        records: first.1.into_iter().collect(),
        ttl: first.2,
        importance: first.3,
        manual: kinds.0,
        two: kinds.1.filter(|_| regions.len() > 1),
        priorities: kinds.2,
        regions,
        port: check.0.or(kinds.3.then_some(53)),
        tcp: kinds.3,
        interval: check.1,
        fast: check.2,
        timeout: check.3,
        counts: check.4,
        confirm: check.5,
        hold_down: brakes.0,
        flaps: brakes.1,
        swap: brakes.2,
        repair: brakes.3,
        back: rest.0,
        soak: rest.1,
        observe: rest.2,
        reconcile: rest.3,
        told: rest.4,
    })
}

const BACK: [(&str, FailbackMode); 3] =
    [("auto", FailbackMode::Auto), ("manual", FailbackMode::Manual), ("never", FailbackMode::Never)];

impl Written {
    fn text(&self) -> String {
        let mut out = String::new();
        let mut line = |key: &str, value: Option<String>| {
            out.extend(value.map(|value| format!("{key} = {value}\n")));
        };
        let text = |s: &String| format!("\"{s}\"");
        let time = |d: &Key<Duration>| d.map(quoted);
        line("zone", Some("\"Example.COM.\"".into()));
        line("id", self.id.as_ref().map(text));
        let records: Vec<String> = self.records.iter().map(|r| format!("\"{r}.example.com\"")).collect();
        line("records", Some(format!("[{}]", records.join(", "))));
        line("ttl", self.ttl.map(|n| n.to_string()));
        line("importance", self.importance.map(|n| n.to_string()));
        line("adopt", self.manual.map(|m| format!("\"{}\"", if m { "manual" } else { "auto" })));
        line("answers", self.two.map(|two| if two { "2" } else { "1" }.into()));
        line("observe", time(&self.observe));
        line("reconcile", time(&self.reconcile));
        line("[check]\ntype", Some(if self.tcp { "\"tcp\"" } else { "\"http\"" }.into()));
        line("port", self.port.map(|n| n.to_string()));
        line("interval", time(&self.interval));
        line("fast_interval", time(&self.fast));
        line("timeout", time(&self.timeout));
        for (key, n) in ["fall", "rise", "settle"].into_iter().zip(self.counts) {
            line(key, n.map(|n| n.to_string()));
        }
        line("confirm", time(&self.confirm));
        for (n, region) in self.regions.iter().enumerate() {
            line("[[target]]\nname", Some(format!("\"t{n}\"")));
            line("addresses", Some(format!("[\"192.0.2.{n}\", \"2001:DB8:0::{n}\"]")));
            line("region", region.as_ref().map(text));
            // With several answers one priority must have as many targets.
            line("priority", (self.priorities || self.two == Some(true)).then(|| self.priority(n).to_string()));
        }
        line("[failover]\nhold_down", Some(quoted(self.hold_down.unwrap_or(Duration::from_secs(60)))));
        line("flap_budget", self.flaps.map(|n| format!("\"{n}/h\"")));
        line("write", self.swap.map(|s| format!("\"{}\"", if s { "swap" } else { "upsert" })));
        line("drift", self.repair.map(|s| format!("\"{}\"", if s { "repair" } else { "alert" })));
        line("[failback]\nmode", self.back.map(|b| format!("\"{}\"", BACK[usize::from(b)].0)));
        if self.back.is_some() {
            line("soak", time(&self.soak));
        }
        line("[notify]\nto", self.told.then(|| "[\"ops\"]".into()));
        out
    }

    fn priority(&self, n: usize) -> i32 {
        match (self.two, self.priorities) {
            (Some(true), _) => 1,
            (_, true) => 7 * n as i32,
            (_, false) => n as i32 + 1,
        }
    }

    /// The policy this file is to be read as; its hash is taken from what was read.
    fn policy(&self, hash: &str) -> Policy {
        let name = |r: &String| RecordName::new(&format!("{r}.example.com")).unwrap();
        let records: Vec<RecordName> = self.records.iter().map(name).collect();
        let secs = |d: Key<Duration>, default: u64| d.unwrap_or(Duration::from_secs(default));
        let interval = secs(self.interval, 5);
        let kind = match self.tcp {
            true => CheckKind::Tcp(TcpCheck { port: self.port.unwrap_or(53), exchange: None }),
            false => CheckKind::http(self.port.unwrap_or(80), &records[0], "/"),
        };
        let check = Check {
            kind,
            cadence: Cadence::Every(interval),
            fast_interval: self.fast.unwrap_or(interval.min(Duration::from_secs(1))),
            timeout: secs(self.timeout, 2),
            fall: self.counts[0].unwrap_or(3),
            rise: self.counts[1].unwrap_or(2),
            settle: self.counts[2].unwrap_or(1),
            confirm: secs(self.confirm, 8),
        };
        let target = |(n, region): (usize, &Key<String>)| Target {
            name: TargetName::new(&format!("t{n}")).unwrap(),
            region: RegionName::new(region.as_deref().unwrap_or(&format!("t{n}"))).unwrap(),
            priority: self.priority(n),
            content: Content::Addresses(
                AddressSet::new([format!("192.0.2.{n}"), format!("2001:db8::{n}")].map(|a| a.parse().unwrap()))
                    .unwrap(),
            ),
            check: check.clone(),
        };
        Policy {
            id: PolicyId::new(self.id.as_deref().unwrap_or("web")).unwrap(),
            zone: ZoneRef { name: Some(RecordName::new("example.com").unwrap()), id: None },
            records: records.clone(),
            ttl: Ttl::new(self.ttl.unwrap_or(30)).unwrap(),
            answers: if self.two == Some(true) { 2 } else { 1 },
            min_active: 1,
            importance: self.importance.unwrap_or(0),
            adopt: if self.manual == Some(true) { Adopt::Manual } else { Adopt::Auto },
            targets: self.regions.iter().enumerate().map(target).collect(),
            failover: Failover {
                hold_down: secs(self.hold_down, 60),
                flap_budget: self.flaps.unwrap_or(4),
                write: if self.swap == Some(true) { WriteMode::Swap } else { WriteMode::Upsert },
                drift: if self.repair == Some(true) { Drift::Repair } else { Drift::Alert },
            },
            failback: Failback {
                mode: self.back.map_or(FailbackMode::Auto, |b| BACK[usize::from(b)].1),
                soak: secs(self.soak.filter(|_| self.back.is_some()), 300),
                window: None,
            },
            observe: secs(self.observe, 30),
            reconcile: secs(self.reconcile, 300),
            notify: self.told.then(|| NotifierName::new("ops").unwrap()).into_iter().collect(),
            config_hash: hash.to_owned(),
        }
    }
}

fn put(dir: &Path, text: &[u8]) {
    std::fs::write(dir.join("policies/web.toml"), text).unwrap();
}

#[test]
fn a_policy_file_says_what_the_policy_is() {
    let dir = tree(&[("failoverd.toml", MAIN), ("policies/web.toml", "")]);
    hold("a_policy_file_says_what_the_policy_is", written(), |written| {
        // In doubt nothing is probed less often than in calm; that is refused.
        let check = &written.policy("").targets[0].check;
        let Cadence::Every(interval) = check.cadence else { return Ok(()) };
        if check.fast_interval > interval {
            return Ok(());
        }
        put(dir.path(), written.text().as_bytes());
        let config = match load(dir.path()) {
            Ok(config) => config,
            Err(errors) => return Err(TestCaseError::fail(format!("{}\n{errors}", written.text()))),
        };
        prop_assert_eq!(config.policies.len(), 1);
        let read = &config.policies[0];
        prop_assert_eq!(read, &written.policy(&read.config_hash));
        // What is kept of it in a database or a plan reads back, too.
        let kept = serde_json::to_string(read).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Policy>(&kept).unwrap(), read);
        Ok(())
    });
}

/// What may happen to a file: bytes go, come, change, or a line is doubled or moved.
fn damaged(text: &str, blows: &[(u8, u16, u8)]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (how, at, what) in blows {
        let at = usize::from(*at) % (bytes.len() + 1);
        let line = |from: usize, bytes: &[u8]| {
            bytes[from..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |n| from + n + 1)
        };
        match how % 8 {
            0 if at < bytes.len() => drop(bytes.remove(at)),
            1 => bytes.insert(at, *what),
            2 => bytes.insert(at, b"\"[]={}.#\n'\\,-0z"[usize::from(*what) % 15]),
            3 if at < bytes.len() => bytes[at] = *what,
            4 => bytes.truncate(at),
            5 => {
                let end = line(at, &bytes);
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            6 => {
                let end = line(at, &bytes);
                bytes.drain(at..end);
            }
            7 => drop(bytes.splice(at..at, "ü€😀".bytes())),
            _ => {}
        }
    }
    bytes
}

#[test]
fn no_damage_to_a_file_is_a_panic_or_a_finding_outside_it() {
    let dir = tree(&[("failoverd.toml", MAIN), ("policies/web.toml", "")]);
    let blows = prop::collection::vec((any::<u8>(), any::<u16>(), any::<u8>()), 1..6);
    let input = (written(), blows, any::<bool>());
    hold("no_damage_to_a_file_is_a_panic_or_a_finding_outside_it", input, |(written, blows, main)| {
        let (policy, main) = match main {
            false => (damaged(&written.text(), &blows), MAIN.as_bytes().to_vec()),
            true => (written.text().into_bytes(), damaged(MAIN, &blows)),
        };
        put(dir.path(), &policy);
        std::fs::write(dir.path().join("failoverd.toml"), &main).unwrap();
        let findings = match load(dir.path()) {
            Ok(config) => config.warnings,
            Err(errors) => {
                prop_assert!(errors.errors().count() > 0);
                errors.findings
            }
        };
        for finding in &findings {
            prop_assert!(!finding.what.is_empty() && !finding.fix.is_empty());
            let _ = finding.to_string();
            if finding.line == 0 {
                prop_assert_eq!(finding.column, 0);
                continue;
            }
            let bytes = if finding.file.ends_with("policies/web.toml") { &policy } else { &main };
            let text = std::str::from_utf8(bytes).unwrap();
            let lines: Vec<&str> = text.split('\n').collect();
            // An end that is missing is found behind the last line.
            prop_assert!(finding.line <= lines.len(), "{finding} in {} lines", lines.len());
            let width = lines[finding.line - 1].chars().count();
            prop_assert!((1..=width + 1).contains(&finding.column), "{finding} in a line of {width}");
        }
        Ok(())
    });
}

#[test]
fn a_duration_is_read_as_it_is_written() {
    let parts = (0u64..400, 0u64..50, 0u64..100, 0u64..100, 0u64..2000);
    hold("a_duration_is_read_as_it_is_written", (parts, any::<u8>(), 0u64..u64::MAX / 2000), |(parts, which, long)| {
        let (d, h, m, s, ms) = parts;
        let all = [(d, "d", 86_400_000), (h, "h", 3_600_000), (m, "m", 60_000), (s, "s", 1000), (ms, "ms", 1)];
        let used: Vec<_> = all.iter().enumerate().filter(|(n, _)| which & (1 << n) > 0).map(|(_, part)| part).collect();
        let text: String = used.iter().map(|(n, unit, _)| format!("{n}{unit}")).collect();
        let sum: u64 = used.iter().map(|(n, _, factor)| n * factor).sum();
        prop_assert_eq!(duration(&text).ok(), (!text.is_empty()).then_some(Duration::from_millis(sum)), "{}", text);
        let thousandths = format!("{s}.{:03}s", ms % 1000);
        prop_assert_eq!(duration(&thousandths).ok(), Some(Duration::from_millis(s * 1000 + ms % 1000)));
        // As it is shown, it can be typed again.
        let shown = Duration::from_secs(long % 10_000_000);
        prop_assert_eq!(duration(&human(shown)).ok(), Some(shown), "{}", human(shown));
        Ok(())
    });
}

#[test]
fn no_text_is_a_duration_by_accident() {
    let text = prop_oneof![any::<String>(), "[0-9]{0,22}[.]?[0-9]{0,5}(ms|s|m|h|d| |S)?", "[0-9smhd. -]{0,12}"];
    hold("no_text_is_a_duration_by_accident", text, |text| {
        if let Ok(read) = duration(&text) {
            let plain = text.bytes().all(|b| b.is_ascii_digit() || b".dhms".contains(&b));
            prop_assert!(plain && text.ends_with(['s', 'm', 'h', 'd']), "{} is {:?}", text, read);
            let digits = text.bytes().filter(u8::is_ascii_digit).any(|b| b != b'0');
            prop_assert_eq!(digits, !read.is_zero(), "{} is {:?}", text, read);
        }
        Ok(())
    });
}

/// Parts of expressions, most of them legal.
fn cron() -> impl Strategy<Value = String> {
    let field = |most: u32| {
        prop_oneof![
            4 => Just("*".to_owned()),
            2 => (0..=most).prop_map(|n| n.to_string()),
            1 => (0..=most, 0..=most).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
            1 => (1..=most + 1).prop_map(|n| format!("*/{n}")),
            1 => (0..=most, 0..=most).prop_map(|(a, b)| format!("{a},{b}")),
        ]
    };
    let day = prop_oneof![
        3 => Just("*".to_owned()),
        1 => prop::sample::select(vec!["Mon-Fri", "Sun", "Sat,Sun", "MON", "1", "Foo"]).prop_map(str::to_owned),
    ];
    let legal = (field(59), field(59), field(23), field(31), field(12), day, any::<bool>()).prop_map(
        |(second, minute, hour, date, month, day, six)| {
            let five = format!("{minute} {hour} {date} {month} {day}");
            if six { format!("{second} {five}") } else { five }
        },
    );
    prop_oneof![6 => legal, 1 => any::<String>(), 1 => "[0-9*/, -]{0,20}"]
}

#[test]
fn a_schedule_fires_after_now_or_is_refused() {
    let zone = prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Nowhere"]);
    // From 2020 to 2100.
    let input = (cron(), zone, 1_577_836_800_000u64..4_102_444_800_000, 1u64..100_000);
    hold("a_schedule_fires_after_now_or_is_refused", input, |(cron, zone, now, long)| {
        let now = UnixMs(now);
        let known = config::calendar::timezone(zone).is_ok();
        prop_assert_eq!(known, zone != "Nowhere");
        let Ok(schedule) = Schedule::new(&cron, zone) else { return Ok(()) };
        prop_assert!(known);
        let mut at = now;
        for _ in 0..5 {
            let Some(next) = next_after(&schedule, at) else { break };
            prop_assert!(next > at, "`{}` fires at {} after {}", cron, next, at);
            at = next;
        }
        let window = Window { cron: cron.clone(), duration: Duration::from_secs(long), timezone: zone.to_owned() };
        let Ok(hours) = OpenHours::new(&window) else { return Ok(()) };
        if let Some((edge, open)) = next_edge(&hours, now) {
            prop_assert!(edge > now);
            prop_assert_eq!(is_open_at(&hours, edge), open, "`{}` for {} s in {} at {}", cron, long, zone, edge);
        }
        Ok(())
    });
}
