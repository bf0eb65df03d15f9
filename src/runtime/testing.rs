//! Makes the values that tests start from: those of this room and those of the integration binary.

use std::net::IpAddr;
use std::time::Duration;

use crate::domain::*;

pub fn policy(id: &str, record: &str) -> Policy {
    let name = RecordName::new(record).unwrap();
    let target = |target: &str, address: &str, priority| Target {
        name: TargetName::new(target).unwrap(),
        region: RegionName::new(target).unwrap(),
        priority,
        content: Content::Addresses(AddressSet::new([address.parse::<IpAddr>().unwrap()]).unwrap()),
        check: Check {
            kind: CheckKind::http(8080, &name, "/healthz"),
            cadence: Cadence::Every(Duration::from_secs(5)),
            fast_interval: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
            fall: 3,
            rise: 2,
            settle: 1,
            confirm: Duration::from_secs(0),
        },
    };
    Policy {
        id: PolicyId::new(id).unwrap(),
        zone: ZoneRef { name: Some(RecordName::new("example.com").unwrap()), id: None },
        records: vec![name.clone()],
        ttl: Ttl::new(30).unwrap(),
        answers: 1,
        min_active: 1,
        importance: 0,
        adopt: Adopt::Auto,
        targets: vec![target("east", "192.0.2.1", 1), target("west", "192.0.2.2", 2)],
        failover: Failover {
            hold_down: Duration::from_secs(60),
            flap_budget: 4,
            write: WriteMode::Upsert,
            drift: Drift::Alert,
        },
        failback: Failback { mode: FailbackMode::Auto, soak: Duration::from_secs(300), window: None },
        observe: Duration::from_secs(30),
        reconcile: Duration::from_secs(300),
        notify: Vec::new(),
        config_hash: "abc123".into(),
    }
}

pub fn settings() -> FleetSettings {
    FleetSettings {
        cluster: ClusterName::new("default").unwrap(),
        instance: InstanceName::new("a").unwrap(),
        api: ApiBudget { rate: 5.0, burst: 10 },
        verify: VerifySettings { name_servers: NameServers::Delegation, timeout: Duration::from_secs(120) },
        guard: GuardSettings { max_changed: 0.3, per: Duration::from_secs(600), floor: 10 },
        witnesses: Vec::new(),
        rehearsal: None,
    }
}
