//! A region dies under two hundred policies of one daemon: the real binary, a sandbox zone, one nginx
//! for each region, a webhook receiver.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::real::daemon::{Process, failoverd, finish};
use crate::real::nginx::Nginx;
use crate::real::own_addresses;
use crate::real::sandbox::{Sandbox, ZONE};
use crate::real::sink::Sink;

const POLICIES: usize = 200;
/// Two busy cores share the daemon, the sandbox, both regions and this test.
const LIMIT: Duration = Duration::from_secs(150);

/// Policy `n` is more important than those of the next group; the file's order says nothing.
fn importance(n: usize) -> i32 {
    (n % 4) as i32 * 10
}

fn policy(n: usize, use1: &Nginx, euw1: &Nginx) -> String {
    let target = |name: &str, nginx: &Nginx, priority: u32| {
        format!("[[target]]\nname = \"{name}\"\naddresses = [\"{}\"]\npriority = {priority}\n", nginx.addr.ip())
            + &format!("check = {{ port = {} }}\n", nginx.addr.port())
    };
    format!(
        "zone = \"{ZONE}\"\nrecords = [\"svc{n}.{ZONE}\"]\nttl = 30\nimportance = {}\n\
         [check]\ntype = \"http\"\npath = \"/healthz\"\ninterval = \"3s\"\nfast_interval = \"1500ms\"\n\
         timeout = \"3s\"\nfall = 3\nconfirm = \"5s\"\n{}{}[failback]\nmode = \"never\"\n[notify]\nto = [\"ops\"]\n",
        importance(n),
        target("us-east-1", use1, 1),
        target("eu-west-1", euw1, 2),
    )
}

/// Polls until `look` gives something; the time it took.
fn within<T>(what: &str, daemon: &mut Process, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(daemon.alive(), "the daemon died: {}", daemon.err());
        assert!(begun.elapsed() < LIMIT, "not within {LIMIT:?}: {what}\n{}", daemon.err());
        std::thread::park_timeout(Duration::from_millis(200));
    }
}

/// Policy numbers of each applied request that wrote `address`, oldest request first.
fn waves(sandbox: &Sandbox, address: IpAddr) -> Vec<Vec<usize>> {
    let number = |name: &Value| name.as_str()?.strip_prefix("svc")?.split('.').next()?.parse().ok();
    let of = |batch: &Value| -> Vec<usize> {
        let changes = batch["changes"].as_array().unwrap();
        let moves = changes.iter().filter(|c| c["rtype"] == "A" && c["values"][0] == address.to_string().as_str());
        moves.filter_map(|c| number(&c["name"])).collect()
    };
    let batches = sandbox.batches();
    let applied = batches.iter().filter(|b| !b["result"]["accepted"].is_null());
    applied.map(of).filter(|wave| !wave.is_empty()).collect()
}

/// How many notices of each kind arrived after the first `skip`.
fn told(sink: &Sink, skip: usize) -> BTreeMap<String, usize> {
    sink.taken()[skip..].iter().fold(BTreeMap::new(), |mut sum, notice| {
        let kind = notice["type"].as_str().unwrap_or("?").trim_start_matches("failoverd.");
        *sum.entry(kind.to_owned()).or_default() += 1;
        sum
    })
}

#[test]
fn two_hundred_policies_leave_a_dead_region_in_order_of_importance_and_nobody_is_frozen() {
    let mut ips = own_addresses();
    let mut ip = || ips.next().unwrap();
    let (mut use1, euw1) = (Nginx::start(ip()), Nginx::start(ip()));
    let dir = tempfile::tempdir().unwrap();
    let IpAddr::V4(published) = use1.addr.ip() else { unreachable!() };
    let records: Vec<String> = (0..POLICIES).map(|n| format!("svc{n}.{ZONE} 30 A {published}")).collect();
    let more: Vec<&str> = records.iter().flat_map(|r| ["--record", r.as_str()]).collect();
    let sandbox = Sandbox::start(dir.path(), ip(), published, &more);
    let sink = Sink::start();
    std::fs::create_dir(dir.path().join("policies")).unwrap();
    for n in 0..POLICIES {
        std::fs::write(dir.path().join(format!("policies/svc{n}.toml")), policy(n, &use1, &euw1)).unwrap();
    }
    let main = format!(
        "instance = \"a\"\n[route53]\nendpoint_url = \"{}\"\nrequests_per_second = 50\nburst = 50\n\
         [verify]\nname_servers = [\"{}\"]\ntimeout = \"60s\"\n\
         [[notifier]]\nname = \"ops\"\ntype = \"webhook\"\nurl = \"{}\"\n\
         [[witness]]\nname = \"w1\"\ntcp = \"{}\"\n[[witness]]\nname = \"w2\"\ntcp = \"{}\"\n[[witness]]\nname = \"w3\"\ntcp = \"{}\"\n",
        sandbox.url(),
        sandbox.dns,
        sink.url(),
        sandbox.api,
        sandbox.dns,
        sink.addr,
    );
    std::fs::write(dir.path().join("failoverd.toml"), main).unwrap();
    let mut daemon = Process::start(failoverd(dir.path()).arg("run"));
    let status = || -> Value {
        let said = finish(failoverd(dir.path()).args(["status", "-o", "json"]));
        serde_json::from_str(&said.out).unwrap_or(Value::Null)
    };
    within("every policy adopted and steady", &mut daemon, || {
        let status = status();
        let reports = status["reports"].as_array()?;
        let steady =
            reports.iter().filter(|r| r["state"] == "steady" && !r["fence"].is_null() && r["moving"].is_null());
        (steady.count() == POLICIES).then_some(())
    });
    within("every adoption told", &mut daemon, || {
        (told(&sink, 0) == [("adopted".to_owned(), POLICIES)].into()).then_some(())
    });
    let told_before = sink.taken().len();

    let died = Instant::now();
    use1.stop();
    let moved = within("every policy moved", &mut daemon, || {
        let waves = waves(&sandbox, euw1.addr.ip());
        (waves.iter().map(Vec::len).sum::<usize>() >= POLICIES).then_some(waves)
    });
    println!(
        "{POLICIES} policies left in {} requests of {:?}, the last {:?} after the death",
        moved.len(),
        moved.iter().map(Vec::len).collect::<Vec<_>>(),
        died.elapsed()
    );
    within("every move proven and told", &mut daemon, || {
        (told(&sink, told_before).get("moved").copied().unwrap_or(0) >= POLICIES).then_some(())
    });
    println!("proven and told {:?} after the death: {:?}", died.elapsed(), told(&sink, told_before));

    let mut everybody: Vec<usize> = moved.iter().flatten().copied().collect();
    everybody.sort_unstable();
    assert_eq!(everybody, (0..POLICIES).collect::<Vec<_>>(), "each exactly once");
    let importances = moved.iter().map(|wave| wave.iter().map(|n| importance(*n)).collect::<Vec<_>>());
    let sorted: Vec<i32> = importances
        .flat_map(|mut wave| {
            wave.sort_by_key(|i| -i);
            wave
        })
        .collect();
    assert!(sorted.is_sorted_by_key(|i| -i), "the more important go first: {sorted:?}");
    // One when it moves and one when it is proven, nothing else for anybody.
    let all = told(&sink, told_before);
    assert_eq!(all.keys().collect::<Vec<_>>(), ["moved", "moving"], "{all:?}");
    assert!(all.values().all(|n| *n == POLICIES), "{all:?}");
    assert_eq!(daemon.terminate(), Some(0));
}
