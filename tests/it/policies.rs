//! Every shipped policy, rehearsed: the file as it is but for loopback targets, its zone in the
//! sandbox, the real binary. It adopts, its live target dies, and what the file promises is seen.
//! A file without a row here fails.

use std::time::Duration;

use failoverd::config;
use failoverd::domain::{Cadence, Check, Content};

use crate::golden;
use stage::{Serve, Stage, Zone};

mod stage;

/// One shipped file: what is replaced in it, who plays its targets, and its story.
struct Row {
    file: &'static str,
    /// Texts of the file and what stands in their place. `{a}` to `{e}` are addresses of this
    /// rehearsal's own, `{p}` and `{q}` free ports, `{ca}` a file, `{zone}` an id, `{closed}` an hour
    /// of the day that is not now.
    swaps: &'static [(&'static str, &'static str)],
    zone: Zone,
    /// What stands in the zone before.
    records: &'static [&'static str],
    targets: &'static [(&'static str, &'static [&'static str], Serve)],
    story: fn(&Stage),
}

const ROWS: &[Row] = &[
    Row {
        file: "active-standby",
        swaps: &[
            ("192.0.2.10", "{a}"),
            ("198.51.100.20", "{b}"),
            ("type   = \"https\"", "type = \"https\"\nport = {p}\nca_file = \"{ca}\""),
            ("soak = \"5m\"", "soak = \"3s\""),
        ],
        zone: Zone::Public("example.com"),
        records: &["www.example.com 300 A {a}"],
        targets: &[
            ("us-east-1", &["{a}:{p}"], Serve::Https("www.example.com")),
            ("eu-west-1", &["{b}:{p}"], Serve::Https("www.example.com")),
        ],
        story: |stage| {
            stage.adopted();
            assert_eq!(stage.ttl("www.example.com", "A"), Some(30), "adopting sets the TTL");
            stage.dies("us-east-1");
            stage.publishes("www.example.com", "A", &["{b}"]);
            stage.lives("us-east-1");
            stage.publishes("www.example.com", "A", &["{a}"]);
        },
    },
    Row {
        file: "heartbeat",
        swaps: &[
            ("port     = 7000\n", ""),
            ("host     = \"queue.us-east-1.example.net\"", "host = \"use1.localhost\"\ncheck = { port = {p} }"),
            ("host     = \"queue.eu-west-1.example.net\"", "host = \"euw1.localhost\"\ncheck = { port = {q} }"),
        ],
        zone: Zone::Public("example.com"),
        records: &["queue.example.com 30 CNAME use1.localhost"],
        targets: &[
            ("us-east-1", &["127.0.0.1:{p}", "[::1]:{p}"], Serve::Word("PONG 1\r\n")),
            ("eu-west-1", &["127.0.0.1:{q}", "[::1]:{q}"], Serve::Word("PONG 2\r\n")),
        ],
        story: |stage| {
            stage.adopted();
            stage.dies("us-east-1");
            stage.publishes("queue.example.com", "CNAME", &["euw1.localhost."]);
        },
    },
    Row {
        file: "load-balancer-alias",
        swaps: &[
            (
                "alias    = { name = \"dualstack.web-1234567890.us-east-1.elb.amazonaws.com\"",
                "check = { port = {p} }\nalias = { name = \"use1.localhost\"",
            ),
            (
                "alias    = { name = \"dualstack.web-0987654321.eu-west-1.elb.amazonaws.com\"",
                "check = { port = {q} }\nalias = { name = \"euw1.localhost\"",
            ),
            ("type = \"https\"", "type = \"https\"\nca_file = \"{ca}\""),
        ],
        zone: Zone::Public("example.net"),
        records: &[
            "example.net ALIAS A use1.localhost Z35SXDOTRQ7X7K",
            "example.net ALIAS AAAA use1.localhost Z35SXDOTRQ7X7K",
            "www.example.net ALIAS A use1.localhost Z35SXDOTRQ7X7K",
            "www.example.net ALIAS AAAA use1.localhost Z35SXDOTRQ7X7K",
        ],
        targets: &[
            ("us-east-1", &["127.0.0.1:{p}", "[::1]:{p}"], Serve::Https("example.net")),
            ("eu-west-1", &["127.0.0.1:{q}", "[::1]:{q}"], Serve::Https("example.net")),
        ],
        story: |stage| {
            stage.adopted();
            stage.dies("us-east-1");
            for (name, rtype) in [("example.net", "A"), ("example.net", "AAAA"), ("www.example.net", "A")] {
                stage.publishes(name, rtype, &["alias euw1.localhost. in Z32O12XQLNTSW2"]);
            }
            stage.proven_by("read back from the zone");
        },
    },
    Row {
        file: "manual-failback",
        swaps: &[("192.0.2.40", "{a}"), ("198.51.100.40", "{b}"), ("5432", "{p}")],
        zone: Zone::Public("example.com"),
        records: &["db.example.com 60 A {a}"],
        targets: &[("primary", &["{a}:{p}"], Serve::Port), ("replica", &["{b}:{p}"], Serve::Port)],
        story: |stage| {
            stage.judged();
            assert_eq!(stage.writes(), 0, "nothing is written before a person says so");
            stage.types(&["adopt", "manual-failback", "--reason", "rehearsal"]);
            stage.adopted();
            stage.dies("primary");
            stage.publishes("db.example.com", "A", &["{b}"]);
            stage.lives("primary");
            stage.refuses("failback-off");
            stage.publishes("db.example.com", "A", &["{b}"]);
            stage.types(&["failback", "manual-failback", "--reason", "the data is back"]);
            stage.publishes("db.example.com", "A", &["{a}"]);
        },
    },
    Row {
        file: "office-hours",
        swaps: &[
            ("192.0.2.50", "{a}"),
            ("198.51.100.50", "{b}"),
            ("type   = \"https\"", "type = \"https\"\nport = {p}\nca_file = \"{ca}\""),
            ("soak   = \"15m\"", "soak = \"1s\""),
            (
                "\"0 9 * * Mon-Fri\", duration = \"8h\", timezone = \"Europe/Berlin\"",
                "\"0 {closed} * * *\", duration = \"1h\"",
            ),
        ],
        zone: Zone::Public("example.com"),
        records: &["shop.example.com 30 A {a}"],
        targets: &[
            ("eu-central-1", &["{a}:{p}"], Serve::Https("shop.example.com")),
            ("eu-west-1", &["{b}:{p}"], Serve::Https("shop.example.com")),
        ],
        story: |stage| {
            stage.adopted();
            stage.dies("eu-central-1");
            stage.publishes("shop.example.com", "A", &["{b}"]);
            stage.lives("eu-central-1");
            stage.refuses("window-closed");
            stage.publishes("shop.example.com", "A", &["{b}"]);
            stage.types(&["failback", "office-hours", "--reason", "cannot wait"]);
            stage.publishes("shop.example.com", "A", &["{a}"]);
        },
    },
    Row {
        file: "private-zone",
        swaps: &[("10.0.1.20", "{a}"), ("10.0.2.20", "{b}"), ("5671", "{p}"), ("Z0123456789PRIVATE", "{zone}")],
        zone: Zone::Private("corp.example.com"),
        records: &["broker.corp.example.com 15 A {a}"],
        targets: &[("use1-az1", &["{a}:{p}"], Serve::Port), ("use1-az2", &["{b}:{p}"], Serve::Port)],
        story: |stage| {
            stage.adopted();
            stage.dies("use1-az1");
            stage.publishes("broker.corp.example.com", "A", &["{b}"]);
            stage.proven_by("read back from the zone");
            assert!(stage.report()["obstacles"].to_string().contains("is private"), "it is told on a calm day");
        },
    },
    Row {
        file: "several-answers",
        swaps: &[
            ("192.0.2.21", "{a}"),
            ("192.0.2.22", "{b}"),
            ("192.0.2.23", "{c}"),
            ("198.51.100.21", "{d}"),
            ("198.51.100.22", "{e}"),
            ("8080", "{p}"),
        ],
        zone: Zone::Public("example.com"),
        records: &["pool.example.com 30 A {a} , {b} , {c}"],
        targets: &[
            ("us-east-1a", &["{a}:{p}"], Serve::Http("ok")),
            ("us-east-1b", &["{b}:{p}"], Serve::Http("ok")),
            ("us-east-1c", &["{c}:{p}"], Serve::Http("ok")),
            ("eu-west-1a", &["{d}:{p}"], Serve::Http("ok")),
            ("eu-west-1b", &["{e}:{p}"], Serve::Http("ok")),
        ],
        story: |stage| {
            stage.adopted();
            stage.dies("us-east-1b");
            stage.publishes("pool.example.com", "A", &["{a}", "{c}"]);
            stage.dies("us-east-1a");
            stage.publishes("pool.example.com", "A", &["{d}", "{e}"]);
        },
    },
    Row {
        file: "three-regions",
        swaps: &[
            ("192.0.2.10", "{a}"),
            ("192.0.2.11", "{b}"),
            ("198.51.100.20", "{c}"),
            ("203.0.113.30", "{d}"),
            // This machine has one IPv6 address only; that AAAA moves along is shown by `battery::kinds`.
            (", \"2001:db8:1::10\"", ""),
            (", \"2001:db8:2::20\"", ""),
            (", \"2001:db8:3::30\"", ""),
            ("8080", "{p}"),
            ("8081", "{q}"),
        ],
        zone: Zone::Public("example.com"),
        records: &["api.example.com 20 A {a} , {b}", "*.api.example.com 20 A {a} , {b}"],
        targets: &[
            ("us-east-1", &["{a}:{p}", "{b}:{p}"], Serve::Http(HEALTHY)),
            ("eu-west-1", &["{c}:{p}"], Serve::Http(HEALTHY)),
            ("ap-south-1", &["{d}:{q}"], Serve::Http(HEALTHY)),
        ],
        story: |stage| {
            stage.adopted();
            stage.is("ap-south-1", "up");
            stage.dies("us-east-1");
            for name in ["api.example.com", "*.api.example.com"] {
                stage.publishes(name, "A", &["{c}"]);
            }
        },
    },
];

const HEALTHY: &str = r#"{"status":"healthy","db":{"primary":true}}"#;

fn shipped() -> Vec<String> {
    let dir = std::fs::read_dir(golden::root().join("policies")).unwrap();
    let names = dir.map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = names.filter_map(|n| n.strip_suffix(".toml").map(String::from)).collect();
    files.sort();
    files
}

#[test]
fn every_shipped_policy_does_what_it_says_from_adoption_to_its_way_back() {
    let rows: Vec<&str> = ROWS.iter().map(|r| r.file).collect();
    assert_eq!(shipped(), rows, "each file of policies/ has one row, in order of their names");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let rehearse = |row: &'static Row| {
            let handle = runtime.handle();
            let name = std::thread::Builder::new().name(row.file.into());
            (row.file, name.spawn_scoped(scope, move || (row.story)(&Stage::set(row, handle))).unwrap())
        };
        let threads: Vec<_> = ROWS.iter().map(rehearse).collect();
        threads.into_iter().filter_map(|(file, thread)| thread.join().is_err().then_some(file)).collect()
    });
    assert_eq!(failed, Vec::<&str>::new());
}

/// Longest time from a death to the request that leaves the target, as policies/README.md has it: a
/// calm interval, then `fall` failures over `confirm`. A failure that is a silence takes `silent`.
fn time_to_move(check: &Check, silent: Duration) -> Duration {
    let step = check.fast_interval.max(silent);
    let counted = step * check.fall.saturating_sub(1);
    let steps_of_confirm = check.confirm.as_millis().div_ceil(step.as_millis().max(1));
    let confirmed = step * u32::try_from(steps_of_confirm).unwrap();
    let Cadence::Every(calm) = check.cadence else { panic!("no shipped policy probes by schedule") };
    calm + silent + counted.max(confirmed)
}

/// What a file's row in the table of policies/README.md must say.
fn figures(file: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let policies = golden::root().join("policies").join(format!("{file}.toml"));
    std::fs::write(dir.path().join("failoverd.toml"), format!("policies = \"{}\"\n", policies.display())).unwrap();
    let config = config::load(&dir.path().join("failoverd.toml"), &|_| None).unwrap();
    let (policy, check) = (&config.policies[0], &config.policies[0].targets[0].check);
    let (refused, silent) = (time_to_move(check, Duration::ZERO), time_to_move(check, check.timeout));
    let ttl = match policy.targets[0].content {
        Content::Alias(_) => 60,
        _ => policy.ttl.secs(),
    };
    let everybody = silent.as_secs() + 1 + 60 + u64::from(ttl);
    format!("| {file} | {} s | {} s | {ttl} s | {everybody} s |", refused.as_secs(), silent.as_secs())
}

#[test]
fn the_readme_names_every_file_and_its_figures_are_those_of_the_formula() {
    let readme = std::fs::read_to_string(golden::root().join("policies/README.md")).unwrap();
    for file in shipped() {
        assert!(readme.contains(&format!("| [{file}]({file}.toml) | ")), "{file}: when to choose it is not said");
        let row = figures(&file);
        assert!(readme.lines().any(|l| l == row), "policies/README.md lacks the line\n{row}");
    }
    for link in readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let is_there = link.starts_with("https://") || golden::root().join("policies").join(link).is_file();
        assert!(is_there, "{link} is not there");
    }
}
