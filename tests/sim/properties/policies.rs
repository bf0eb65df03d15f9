//! Policies, settings and fence values of every legal shape.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use failoverd::domain::*;
use failoverd::engine::fence::{FenceKind, FenceMode, FenceValue};
use failoverd::engine::intent::Kind;
use proptest::prelude::*;

pub const ZONE: &str = "example.com";

pub fn label() -> impl Strategy<Value = String> {
    "[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?"
}

fn millis(range: std::ops::RangeInclusive<u64>, step: u64) -> impl Strategy<Value = Duration> {
    range.prop_map(move |n| Duration::from_millis(n * step))
}

fn check(record: RecordName) -> impl Strategy<Value = Check> {
    (millis(2..=10, 500), millis(1..=2, 500), millis(1..=4, 500), 1u32..=4, 1u32..=3, 1u32..=2, millis(0..=8, 1000))
        .prop_map(move |(interval, fast_interval, timeout, fall, rise, settle, confirm)| Check {
            kind: CheckKind::http(80, &record, "/"),
            cadence: Cadence::Every(interval.max(fast_interval)),
            fast_interval,
            timeout,
            fall,
            rise,
            settle,
            confirm,
        })
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Addresses { six: bool },
    Hosts,
    Aliases,
}

fn content(shape: Shape, policy: u8, target: u8, more: bool) -> Content {
    let host = || RecordName::new(&format!("lb-{policy}-{target}.example.net")).unwrap();
    match shape {
        Shape::Hosts => Content::Host(host()),
        Shape::Aliases => {
            Content::Alias(AliasTarget { name: host(), zone_id: ZoneId::new("ZLB"), evaluate_target_health: more })
        }
        Shape::Addresses { six } => {
            let mut all: Vec<IpAddr> = vec![Ipv4Addr::new(192, 0, policy, target).into()];
            all.extend(more.then(|| IpAddr::from(Ipv4Addr::new(192, 1, policy, target))));
            all.extend(
                six.then(|| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, policy.into(), target.into()))),
            );
            Content::Addresses(AddressSet::new(all).unwrap())
        }
    }
}

/// The policy number `n` of a fleet; no two share a record.
pub fn policy(n: u8) -> impl Strategy<Value = Policy> {
    let shape = prop_oneof![
        4 => any::<bool>().prop_map(|six| Shape::Addresses { six }),
        1 => Just(Shape::Hosts),
        1 => Just(Shape::Aliases),
    ];
    let record = RecordName::new(&format!("www{n}.{ZONE}")).unwrap();
    let other = RecordName::new(&format!("api{n}.{ZONE}")).unwrap();
    let target = (0u8..3, 1i32..=3, any::<bool>(), check(record.clone()));
    let brakes = (millis(0..=60, 1000), 2u32..=5, any::<bool>(), any::<bool>());
    let back = (0u8..3, millis(0..=60, 1000), millis(5..=60, 1000), millis(10..=300, 1000));
    let rest = (any::<bool>(), any::<bool>(), 1u32..=3, -2i32..=2);
    (shape, prop::collection::vec(target, 1..=4), brakes, back, rest).prop_map(
        move |(shape, targets, brakes, back, rest)| {
            let (two_records, auto, answers, importance) = rest;
            let answers = if matches!(shape, Shape::Addresses { .. }) { answers } else { 1 };
            let targets = (1u8..).zip(targets).map(|(t, (region, priority, more, check))| Target {
                name: TargetName::new(&format!("t{t}")).unwrap(),
                region: RegionName::new(["east", "west", "south"][usize::from(region)]).unwrap(),
                priority,
                content: content(shape, n, t, more),
                check,
            });
            Policy {
                id: PolicyId::new(&format!("p{n}")).unwrap(),
                zone: ZoneRef { name: Some(RecordName::new(ZONE).unwrap()), id: None },
                records: std::iter::once(record.clone()).chain(two_records.then(|| other.clone())).collect(),
                ttl: Ttl::new(30).unwrap(),
                importance,
                adopt: if auto { Adopt::Auto } else { Adopt::Manual },
                targets: targets.collect(),
                answers,
                min_active: answers.div_ceil(2),
                failover: Failover {
                    hold_down: brakes.0,
                    flap_budget: brakes.1,
                    write: if brakes.2 { WriteMode::Swap } else { WriteMode::Upsert },
                    drift: if brakes.3 { Drift::Repair } else { Drift::Alert },
                },
                failback: Failback {
                    mode: [FailbackMode::Auto, FailbackMode::Manual, FailbackMode::Never][usize::from(back.0)],
                    soak: back.1,
                    window: None,
                },
                observe: back.2,
                reconcile: back.3,
                notify: Vec::new(),
                config_hash: "0a1b2c3d".into(),
            }
        },
    )
}

pub fn settings() -> impl Strategy<Value = FleetSettings> {
    (1u32..=8, 1u32..=12, 0usize..=3, any::<bool>(), 0u32..=3).prop_map(|(rate, burst, witnesses, asked, floor)| {
        let witness = |n: usize| Witness {
            name: WitnessName::new(&format!("w{n}")).unwrap(),
            region: None,
            kind: WitnessKind::Tcp("127.0.0.1:9".parse().unwrap()),
        };
        FleetSettings {
            cluster: ClusterName::new("prod").unwrap(),
            instance: InstanceName::new("use1-a").unwrap(),
            api: ApiBudget { rate: f64::from(rate), burst },
            verify: VerifySettings {
                name_servers: if asked { NameServers::Delegation } else { NameServers::These(Vec::new()) },
                timeout: Duration::from_secs(60),
            },
            guard: GuardSettings { max_changed: 0.3, per: Duration::from_secs(600), floor: floor + 1 },
            witnesses: (0..witnesses).map(witness).collect(),
            rehearsal: None,
        }
    })
}

pub fn fence_value() -> impl Strategy<Value = FenceValue> {
    let names = (label(), label(), label());
    let kind = prop_oneof![
        prop::sample::select(Kind::ALL.to_vec()).prop_map(FenceKind::Known),
        "[a-z]{20}".prop_map(FenceKind::Other),
    ];
    let mode = prop::sample::select(vec![
        FenceMode::Auto,
        FenceMode::Frozen,
        FenceMode::Forced,
        FenceMode::Locked,
        FenceMode::Released,
    ]);
    let numbers = (0u64..1 << 48, 0u64..1 << 40, any::<u32>(), 0u64..1 << 40);
    (names, kind, mode, numbers, "[a-z0-9]{8}-[0-9]{1,4}", "[a-z0-9]{8}", "[a-z0-9/:.-]{0,24}").prop_map(
        |((policy, cluster, instance), kind, mode, (epoch, written, moves, until), attempt, config, to)| FenceValue {
            epoch: Epoch(epoch),
            policy: PolicyId::new(&policy).unwrap(),
            cluster: ClusterName::new(&cluster).unwrap(),
            instance: InstanceName::new(&instance).unwrap(),
            attempt,
            written: UnixMs::from_secs(written),
            kind,
            moves,
            mode,
            until: UnixMs::from_secs(until),
            config,
            to,
        },
    )
}
