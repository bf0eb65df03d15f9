//! A real Prometheus that scrapes one address, and promtool.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::{Running, free_port, http, program, wait_for};

pub struct Prometheus {
    pub addr: SocketAddr,
    dir: TempDir,
    running: Running,
}

impl Prometheus {
    /// Scrapes `target` as job `failoverd` every 500 ms with a bearer token, under the rules of `rules`.
    pub fn start(ip: Ipv4Addr, target: SocketAddr, token: &str, rules: &Path) -> Prometheus {
        let dir = TempDir::new().unwrap();
        let addr = SocketAddr::from((ip, free_port(ip)));
        std::fs::write(dir.path().join("token"), token).unwrap();
        let conf = format!(
            "global: {{ scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms }}\n\
             rule_files: [\"{}\"]\nscrape_configs:\n- job_name: failoverd\n  \
             authorization: {{ credentials_file: token }}\n  static_configs: [{{ targets: [\"{target}\"] }}]\n",
            rules.display()
        );
        std::fs::write(dir.path().join("prometheus.yml"), conf).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new(program("prometheus", "prometheus"));
        command
            .env_clear()
            .env("GOMAXPROCS", "1")
            .current_dir(dir.path())
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=warn"])
            .arg(format!("--web.listen-address={addr}"))
            .stdout(Stdio::null())
            .stderr(log);
        let running = Running::start(&mut command);
        let mut prometheus = Prometheus { addr, dir, running };
        let log = prometheus.dir.path().join("log");
        let say = move || std::fs::read_to_string(log).unwrap_or_default();
        let ready = |prometheus: &mut Prometheus| {
            assert!(prometheus.running.alive(), "prometheus stopped");
            super::accepts(addr) && http::get(addr, "/-/ready").0 == 200
        };
        wait_for("prometheus is ready", || ready(&mut prometheus).then_some(()), say);
        prometheus
    }

    /// The series of `expression` now, each with its labels, and its value.
    pub fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        let mut encoded = String::new();
        for byte in expression.bytes() {
            let _ = write!(encoded, "%{byte:02x}");
        }
        let (status, body) = http::get(self.addr, &format!("/api/v1/query?query={encoded}"));
        assert_eq!(status, 200, "{expression}: {body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        let series = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{expression}: {body}"));
        let one = |s: &Value| (s["metric"].clone(), s["value"][1].as_str().unwrap().parse().unwrap());
        series.iter().map(one).collect()
    }

    /// Waits until `expression` gives at least one series.
    pub fn wait(&self, expression: &str) -> Vec<(Value, f64)> {
        wait_for(
            &format!("prometheus finds {expression}"),
            || Some(self.query(expression)).filter(|found| !found.is_empty()),
            || format!("{:#?}", self.query("{job=\"failoverd\", __name__!~\".*bucket\"} > 0")),
        )
    }
}

/// Runs `promtool ARGUMENTS` with `input`; what it said, and whether it found nothing wrong.
pub fn promtool(arguments: &[&str], input: &str) -> (bool, String) {
    let mut command = Command::new(program("promtool", "prometheus"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.success(), text(&out.stdout) + &text(&out.stderr))
}
