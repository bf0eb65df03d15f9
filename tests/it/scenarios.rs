//! Text scenarios: events by time → what the engine did and why. Each file under `scenarios/` has
//! a setup, a script and, after `----`, the expected record of the run; `UPDATE=1` rewrites it.
//!
//! Setup lines: `set key=value …`, `target NAME ADDRESS PRIORITY`, `records NAME …`,
//! `start TARGET|ADDRESS|nothing [adopted|bare|foreign]`. Script lines: `<seconds>s <step>`,
//! steps as in `world.rs`; the last is `<seconds>s end`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use failoverd::domain::*;
use failoverd::engine::Mode;

use crate::golden;
use crate::world::{Setup, World};

#[test]
fn every_scenario_runs_as_it_is_written() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/scenarios");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 20, "the scenarios are missing");
    for file in files {
        println!("scenario {}", file.display());
        let text = std::fs::read_to_string(&file).unwrap();
        let input = text.split("\n----\n").next().unwrap().trim_end();
        let record = check(input);
        assert_eq!(record, check(input), "the same events give the same actions");
        golden::check(&file, &format!("{input}\n----\n{record}\n"));
    }
}

/// Runs one scenario; the record of the run.
fn check(input: &str) -> String {
    let mut keys: BTreeMap<String, String> = BTreeMap::new();
    let mut targets: Vec<(String, String, i32)> = Vec::new();
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
                targets.push((words[0].into(), words[1].into(), words[2].parse().unwrap()));
            }
            "records" => records = rest.split_whitespace().map(str::to_owned).collect(),
            "start" => start = rest.to_owned(),
            time => {
                let seconds: f64 = time.strip_suffix('s').unwrap_or_else(|| panic!("`{line}`")).parse().unwrap();
                script.push(((seconds * 1000.0) as u64, rest.to_owned()));
            }
        }
    }
    let mut world = World::new(setup(&keys, &targets, &records));
    world.script_now(&format!("start {start}"));
    let (end, _) = script.pop().filter(|(_, what)| what == "end").expect("the last step is `end`");
    for (at, line) in &script {
        world.at(*at, line);
    }
    world.run(end);
    world.log.join("\n")
}

fn setup(keys: &BTreeMap<String, String>, targets: &[(String, String, i32)], records: &[String]) -> Setup {
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
    let target = |(name, address, priority): &(String, String, i32)| Target {
        name: TargetName::new(name).unwrap(),
        region: RegionName::new(name).unwrap(),
        priority: *priority,
        content: Content::Addresses(AddressSet::new(address.split(',').map(|a| a.parse().unwrap())).unwrap()),
        check: check.clone(),
    };
    let policy = Policy {
        id: PolicyId::new("web").unwrap(),
        zone: ZoneRef { name: Some(crate::world::zone_name()), id: None },
        records,
        ttl: Ttl::new(number("ttl", "30")).unwrap(),
        answers: 1,
        min_active: 1,
        importance: 0,
        adopt: if text("adopt", "auto") == "auto" { Adopt::Auto } else { Adopt::Manual },
        targets: targets.iter().map(target).collect(),
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
        config_hash: "0a1b2c3d".into(),
    };
    let witness = |i: u32| Witness {
        name: WitnessName::new(&format!("w{i}")).unwrap(),
        region: None,
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
        witnesses: (1..=number("witnesses", "0")).map(witness).collect(),
        rehearsal: None,
    };
    let mode = if text("mode", "active") == "observe" { Mode::Observe } else { Mode::Active };
    Setup { policy, settings, insync: secs("insync", "20"), mode }
}
