//! What a seed makes before anything happens: policies, settings, zones, and how rough the run is.
//! Nothing here changes while the run lasts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use failoverd::domain::*;

use super::rng::Rng;

/// How rough a run is: the same world with other troubles in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Everything, seldom together.
    Mixed,
    /// Lost, late and doubled requests, throttling, stranded changes.
    Provider,
    /// Crashes at any action, empty disks, broken stores, clock jumps, reloads.
    Process,
    /// This controller is cut off, or thinks so.
    Sight,
    /// People at work: freeze, force, switch, edits of records and fences.
    Hands,
    /// Targets that flap, go gray, die with their region.
    Targets,
}

const FLAVOURS: [Flavour; 6] =
    [Flavour::Mixed, Flavour::Provider, Flavour::Process, Flavour::Sight, Flavour::Hands, Flavour::Targets];

impl Flavour {
    /// Every sixth seed has the same.
    pub fn of(seed: u64) -> Flavour {
        FLAVOURS[(seed % FLAVOURS.len() as u64) as usize]
    }
}

pub struct Scene {
    pub flavour: Flavour,
    /// Mean time between two disturbances, milliseconds.
    pub pace: u64,
    pub policies: Vec<Policy>,
    pub settings: FleetSettings,
    pub zones: Vec<RecordName>,
    pub regions: Vec<RegionName>,
    /// Instances that write, and whether one more only observes.
    pub instances: usize,
    pub observer: bool,
    /// Of a thousand probes of a target that is well, how many are lost.
    pub loss: u64,
    /// Records that have no fence yet.
    pub bare: bool,
}

impl Scene {
    pub fn of(seed: u64) -> Scene {
        let mut rng = Rng::new(seed.wrapping_mul(2).wrapping_add(1));
        let flavour = Flavour::of(seed);
        let regions: Vec<RegionName> = ["use1", "euw1", "aps1", "saw1"][..rng.within(2, 4) as usize]
            .iter()
            .map(|name| RegionName::new(name).unwrap())
            .collect();
        let zones: Vec<RecordName> = ["alpha.example", "beta.example"][..rng.within(1, 2) as usize]
            .iter()
            .map(|name| RecordName::new(name).unwrap())
            .collect();
        // One policy, as most people have; a handful; seldom enough of them for the fleet's brakes.
        let count = rng.weighted(&[(50, 1), (35, 3), (15, 6)]);
        let mut policies: Vec<Policy> = (0..count).map(|n| policy(&mut rng, n, &zones, &regions)).collect();
        if flavour == Flavour::Sight && rng.percent(40) {
            // Who decides in a second must not take a witness's word of before.
            for check in policies.iter_mut().flat_map(|p| &mut p.targets).map(|t| &mut t.check) {
                (check.fall, check.rise, check.confirm) = (check.fall.min(2), 1, Duration::ZERO);
            }
        }
        let witnesses = rng.weighted(&[(70, 3), (15, 0), (15, 1)]);
        let settings = settings(&mut rng, witnesses, &regions);
        Scene {
            flavour,
            pace: rng.weighted(&[(1, 40_000), (2, 120_000), (2, 300_000)]),
            policies,
            settings,
            zones,
            regions,
            instances: rng.weighted(&[(45, 2), (35, 1), (20, 3)]),
            observer: rng.percent(10),
            loss: rng.weighted(&[(70, 0), (30, 10)]),
            bare: rng.percent(25),
        }
    }

    /// The size whose speed is measured: three controllers, twenty targets, the default cadence.
    pub fn measured() -> Scene {
        let mut scene = Scene::of(0);
        let mut rng = Rng::new(20);
        let regions = scene.regions[..2].to_vec();
        let of = |n| {
            let mut p = policy(&mut rng, n, &scene.zones[..1], &regions);
            p.targets.truncate(2);
            p.answers = 1;
            p.min_active = 1;
            p.targets.iter_mut().for_each(|t| t.check = check(&p.records[0], 5, 3, 2, 8));
            p
        };
        scene.policies = (0..10).map(of).collect();
        scene.settings = settings(&mut Rng::new(3), 3, &regions);
        Scene {
            flavour: Flavour::Mixed,
            pace: 120_000,
            regions,
            instances: 3,
            observer: false,
            loss: 0,
            bare: false,
            ..scene
        }
    }
}

fn policy(rng: &mut Rng, n: usize, zones: &[RecordName], regions: &[RegionName]) -> Policy {
    let zone = rng.pick(zones).clone();
    let id = format!("web{n}");
    let mut records = vec![RecordName::new(&format!("{id}.{zone}")).unwrap()];
    if rng.percent(25) {
        records.push(RecordName::new(&format!("api{n}.{zone}")).unwrap());
    }
    if rng.percent(10) {
        records.push(RecordName::new(&format!("*.{id}.{zone}")).unwrap());
    }
    let both = rng.percent(15);
    let several = rng.percent(20);
    let interval = rng.weighted(&[(3, 5), (2, 10), (1, 30)]);
    let check = check(
        &records[0],
        interval,
        rng.weighted(&[(4, 3), (2, 2), (1, 5), (1, 1)]),
        rng.within(1, 3) as u32,
        rng.weighted(&[(4, 8), (2, 0), (1, 20)]),
    );
    let check = Check { settle: rng.within(1, 2) as u32, ..check };
    let target = |i: usize, region: &RegionName, priority: i32| {
        let (n, i) = (n as u16 + 1, i as u16 + 1);
        let v4 = IpAddr::from(Ipv4Addr::new(192, 0, n as u8, i as u8));
        let v6 = IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, n, 0, 0, 0, 0, i));
        Target {
            name: TargetName::new(&format!("t{i}")).unwrap(),
            region: region.clone(),
            priority,
            content: Content::Addresses(AddressSet::new([v4].into_iter().chain(both.then_some(v6))).unwrap()),
            check: check.clone(),
        }
    };
    let targets: Vec<Target> = if several {
        // A tier of three in one region, one or two spares in another.
        let spares = rng.within(1, 2) as usize;
        (0..3).map(|i| target(i, &regions[0], 1)).chain((3..3 + spares).map(|i| target(i, &regions[1], 2))).collect()
    } else {
        let count = rng.within(2, regions.len().min(3) as u64) as usize;
        (0..count).map(|i| target(i, &regions[i], i as i32 + 1)).collect()
    };
    let answers = if several { rng.within(2, 3) as u32 } else { 1 };
    let mut policy = Policy {
        id: PolicyId::new(&id).unwrap(),
        zone: ZoneRef { name: Some(zone), id: None },
        records,
        ttl: Ttl::new(rng.weighted(&[(2, 30), (1, 10), (1, 60)])).unwrap(),
        importance: rng.within(0, 2) as i32,
        adopt: if rng.percent(80) { Adopt::Auto } else { Adopt::Manual },
        targets,
        answers,
        min_active: answers.div_ceil(2),
        failover: Failover {
            hold_down: Duration::from_secs(rng.weighted(&[(2, 60), (1, 20), (1, 180)])),
            flap_budget: rng.within(2, 6) as u32,
            write: if rng.percent(70) { WriteMode::Upsert } else { WriteMode::Swap },
            drift: if rng.percent(85) { Drift::Alert } else { Drift::Repair },
        },
        failback: Failback {
            mode: rng.weighted(&[(6, FailbackMode::Auto), (1, FailbackMode::Manual), (1, FailbackMode::Never)]),
            soak: Duration::from_secs(rng.weighted(&[(2, 60), (2, 180), (1, 300)])),
            window: None,
        },
        observe: Duration::from_secs(30),
        reconcile: Duration::from_secs(300),
        notify: Vec::new(),
        config_hash: String::new(),
    };
    policy.config_hash = hash_of(&policy, 0);
    policy
}

fn check(host: &RecordName, interval: u64, fall: u32, rise: u32, confirm: u64) -> Check {
    Check {
        kind: CheckKind::http(80, host, "/healthz"),
        cadence: Cadence::Every(Duration::from_secs(interval)),
        fast_interval: Duration::from_secs(1),
        timeout: Duration::from_secs(2),
        fall,
        rise,
        settle: 1,
        confirm: Duration::from_secs(confirm),
    }
}

fn settings(rng: &mut Rng, witnesses: usize, regions: &[RegionName]) -> FleetSettings {
    let tied = rng.percent(15);
    let witness = |i: usize| Witness {
        name: WitnessName::new(&format!("w{i}")).unwrap(),
        region: (tied && i == 0).then(|| regions[0].clone()),
        kind: WitnessKind::Tcp("127.0.0.1:9".parse().unwrap()),
    };
    let servers = if rng.percent(85) { NameServers::Delegation } else { NameServers::These(Vec::new()) };
    FleetSettings {
        cluster: ClusterName::new("prod").unwrap(),
        instance: InstanceName::new("a").unwrap(),
        api: ApiBudget { rate: 5.0, burst: 10 },
        verify: VerifySettings { name_servers: servers, timeout: Duration::from_secs(120) },
        guard: GuardSettings { max_changed: 0.3, per: Duration::from_secs(600), floor: 10 },
        witnesses: (0..witnesses).map(witness).collect(),
        rehearsal: None,
    }
}

/// Any change of a policy changes its hash, as the configuration reader's does.
pub fn hash_of(policy: &Policy, version: u64) -> String {
    let n: u64 = policy.id.as_str().bytes().map(u64::from).sum();
    format!("{:08x}", n * 1000 + version)
}
