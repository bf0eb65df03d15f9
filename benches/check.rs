//! How long a configuration of 1,000 policies takes to read. The target is 100 ms.
//!
//! `cargo bench --bench check` prints the median of ten readings.

#![expect(clippy::expect_used, clippy::disallowed_methods, reason = "a bench measures time and stops at trouble")]

use std::time::Instant;

const POLICIES: usize = 1000;
const READINGS: usize = 10;

fn policy(n: usize) -> String {
    let (a, b) = (n / 250, n % 250 + 1);
    format!(
        r#"zone = "example.com"
records = ["w{n}.example.com", "api{n}.example.com"]
ttl = 30
[check]
type = "https"
path = "/healthz"
interval = "5s"
fall = 3
expect = {{ status = ["200-299"], json = {{ status = "healthy" }} }}
[[target]]
name = "us-east-1"
addresses = ["192.0.{a}.{b}"]
priority = 1
[[target]]
name = "eu-west-1"
addresses = ["198.51.{a}.{b}"]
priority = 2
check = {{ port = 8443 }}
[failback]
mode = "auto"
soak = "5m"
window = {{ cron = "0 0 9 * * Mon-Fri", duration = "8h", timezone = "Europe/Berlin" }}
"#
    )
}

fn main() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let policies = dir.path().join("policies");
    std::fs::create_dir(&policies).expect("a directory for the policies");
    for n in 0..POLICIES {
        std::fs::write(policies.join(format!("p{n}.toml")), policy(n)).expect("a policy file");
    }
    let main = dir.path().join("failoverd.toml");
    std::fs::write(&main, "instance = \"bench\"\n").expect("a main file");
    let mut times = Vec::new();
    for _ in 0..READINGS {
        let start = Instant::now();
        let config = failoverd::config::load(&main, &|_| None).expect("a good configuration");
        times.push(start.elapsed());
        assert_eq!(config.policies.len(), POLICIES);
    }
    times.sort();
    let median = times.get(READINGS / 2).expect("ten readings");
    println!("check of {POLICIES} policies: median {:.1} ms of {READINGS}", median.as_secs_f64() * 1000.0);
}
