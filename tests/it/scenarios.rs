//! Text scenarios: events by time → what the engine did and why. Each file under `scenarios/` has
//! a setup, a script and, after `----`, the expected record of the run; `UPDATE=1` rewrites it.
//!
//! Setup lines: `set key=value …`, `target NAME ADDRESS PRIORITY` or `target NAME PRIORITY REGION
//! CONTENT` (content: `192.0.2.1,2001:db8::1`, `host lb.example.net` or `alias lb.example.net Z123
//! [eval]`), `records NAME …`, `witness NAME [REGION]`, `start TARGETS|VALUE|nothing
//! [adopted|bare|foreign]`. Script lines: `<seconds>s <step>`, steps as in `world/script.rs`; the
//! last is `<seconds>s end`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use failoverd::domain::*;
use failoverd::engine::Mode;

use crate::golden;
use crate::world::{Setup, World, alias_of};

#[test]
fn every_scenario_runs_as_it_is_written() {
    for (file, input) in all() {
        println!("scenario {}", file.display());
        let record = check(&input);
        assert_eq!(record, check(&input), "the same events give the same actions");
        golden::check(&file, &format!("{input}\n----\n{record}\n"));
    }
}

/// Runs one scenario; the record of the run.
fn check(input: &str) -> String {
    play(input).log.join("\n")
}

/// Runs one scenario to its end.
pub fn play(input: &str) -> World {
    let (mut world, end) = stage(input);
    world.run(end);
    world
}

/// All scenarios: file and input.
pub fn all() -> Vec<(PathBuf, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/scenarios");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 20, "the scenarios are missing");
    let input = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).unwrap();
        text.split("\n----\n").next().unwrap().trim_end().to_owned()
    };
    files.into_iter().map(|file| (file.clone(), input(&file))).collect()
}

/// The world of one scenario before its first moment, its script to come, and when it ends.
pub fn stage(input: &str) -> (World, u64) {
    let mut keys: BTreeMap<String, String> = BTreeMap::new();
    let mut targets: Vec<Written> = Vec::new();
    let mut witnesses: Vec<(String, Option<String>)> = Vec::new();
    let mut records = vec!["www.example.com".to_owned()];
    let mut start = "nothing bare".to_owned();
    let mut script: Vec<(u64, String)> = Vec::new();
    for line in input.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        match first {
            "set" => keys.extend(
                rest.split_whitespace().map(|kv| kv.split_once('=').unwrap()).map(|(k, v)| (k.into(), v.into())),
            ),
            "target" => {
                let words: Vec<&str> = rest.split_whitespace().collect();
                targets.push(target_line(&words));
            }
            "witness" => {
                let mut words = rest.split_whitespace().map(str::to_owned);
                witnesses.push((words.next().unwrap(), words.next()));
            }
            "records" => records = rest.split_whitespace().map(str::to_owned).collect(),
            "start" => start = rest.to_owned(),
            time => {
                let seconds: f64 = time.strip_suffix('s').unwrap_or_else(|| panic!("`{line}`")).parse().unwrap();
                script.push(((seconds * 1000.0) as u64, rest.to_owned()));
            }
        }
    }
    let mut world = World::new(setup(&keys, targets, &records, &witnesses));
    world.script_now(&format!("start {start}"));
    let (end, _) = script.pop().filter(|(_, what)| what == "end").expect("the last step is `end`");
    for (at, line) in &script {
        world.at(*at, line);
    }
    (world, end)
}

/// Name, priority, region and content of a target.
type Written = (String, i32, String, Content);

fn target_line(words: &[&str]) -> Written {
    let addresses = |list: &str| {
        Content::Addresses(AddressSet::new(list.split(',').map(|address| address.parse().unwrap())).unwrap())
    };
    let content = |words: &[&str]| match words {
        ["host", name] => Content::Host(RecordName::new(name).unwrap()),
        ["alias", alias @ ..] => Content::Alias(alias_of(alias)),
        [list] => addresses(list),
        other => panic!("`{other:?}` is no content"),
    };
    match words {
        [name, list, priority] => ((*name).into(), priority.parse().unwrap(), (*name).into(), addresses(list)),
        [name, priority, region, what @ ..] => {
            ((*name).into(), priority.parse().unwrap(), (*region).into(), content(what))
        }
        other => panic!("`target {other:?}` has too few words"),
    }
}

fn setup(
    keys: &BTreeMap<String, String>,
    targets: Vec<Written>,
    records: &[String],
    witnesses: &[(String, Option<String>)],
) -> Setup {
    let text = |key: &str, default: &str| keys.get(key).cloned().unwrap_or_else(|| default.to_owned());
    let secs =
        |key: &str, default: &str| Duration::from_millis((text(key, default).parse::<f64>().unwrap() * 1000.0) as u64);
    let number = |key: &str, default: &str| text(key, default).parse::<u32>().unwrap();
    let records: Vec<RecordName> = records.iter().map(|r| RecordName::new(r).unwrap()).collect();
    let check = Check {
        kind: CheckKind::http(80, &records[0], "/healthz"),
        cadence: Cadence::Every(secs("interval", "5")),
        fast_interval: secs("fast", "1"),
        timeout: secs("timeout", "2"),
        fall: number("fall", "3"),
        rise: number("rise", "2"),
        settle: number("settle", "1"),
        confirm: secs("confirm", "8"),
    };
    let target = |(name, priority, region, content): Written| Target {
        name: TargetName::new(&name).unwrap(),
        region: RegionName::new(&region).unwrap(),
        priority,
        content,
        check: check.clone(),
    };
    let zone = RecordName::new(&text("zone", "example.com")).unwrap();
    let answers = number("answers", "1");
    let policy = Policy {
        id: PolicyId::new("web").unwrap(),
        zone: ZoneRef { name: Some(zone.clone()), id: None },
        records,
        ttl: Ttl::new(number("ttl", "30")).unwrap(),
        answers,
        min_active: number("min_active", &answers.div_ceil(2).to_string()),
        importance: text("importance", "0").parse().unwrap(),
        adopt: if text("adopt", "auto") == "auto" { Adopt::Auto } else { Adopt::Manual },
        targets: targets.into_iter().map(target).collect(),
        failover: Failover {
            hold_down: secs("hold_down", "60"),
            flap_budget: number("flap", "4"),
            write: if text("write", "upsert") == "swap" { WriteMode::Swap } else { WriteMode::Upsert },
            drift: if text("drift", "alert") == "repair" { Drift::Repair } else { Drift::Alert },
        },
        failback: Failback {
            mode: match text("failback", "auto").as_str() {
                "auto" => FailbackMode::Auto,
                "manual" => FailbackMode::Manual,
                _ => FailbackMode::Never,
            },
            soak: secs("soak", "300"),
            window: keys.get("window").map(|cron| Window {
                cron: cron.clone(),
                duration: Duration::from_secs(3600),
                timezone: "UTC".into(),
            }),
        },
        observe: secs("observe", "30"),
        reconcile: secs("reconcile", "300"),
        notify: Vec::new(),
        config_hash: text("config", "0a1b2c3d"),
    };
    let plain = (1..=number("witnesses", "0")).map(|i| (format!("w{i}"), None));
    let witness = |(name, region): (String, Option<String>)| Witness {
        name: WitnessName::new(&name).unwrap(),
        region: region.map(|region| RegionName::new(&region).unwrap()),
        kind: WitnessKind::Tcp("127.0.0.1:9".parse().unwrap()),
    };
    let settings = FleetSettings {
        cluster: ClusterName::new("prod").unwrap(),
        instance: InstanceName::new("use1-a").unwrap(),
        api: ApiBudget { rate: 5.0, burst: 10 },
        verify: VerifySettings {
            name_servers: if text("servers", "2") == "0" {
                NameServers::These(Vec::new())
            } else {
                NameServers::Delegation
            },
            timeout: secs("verify", "120"),
        },
        guard: GuardSettings { max_changed: 0.3, per: Duration::from_secs(600), floor: 10 },
        witnesses: plain.chain(witnesses.iter().cloned()).map(witness).collect(),
        rehearsal: keys.get("rehearsal").cloned(),
    };
    let mode = if text("mode", "active") == "observe" { Mode::Observe } else { Mode::Active };
    Setup { zone, policy, settings, insync: secs("insync", "20"), mode }
}
