//! `failoverd sandbox`: a local Route 53 and name server to try policies against.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::sandbox::{Sandbox, SandboxConfig, SandboxError, start};

/// Everything lives in memory and ends with the process.
#[derive(Args, Clone, Debug)]
pub struct SandboxArgs {
    /// Address of the API; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8553")]
    pub api: SocketAddr,
    /// Address of a name server (UDP and TCP); may be given several times
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8554")]
    pub dns: Vec<SocketAddr>,
    /// A zone that exists from the start; may be given several times
    #[arg(long, value_name = "NAME", default_value = "example.com")]
    pub zone: Vec<String>,
    /// A record set that exists from the start: `NAME TTL TYPE VALUE`; may be given several times
    #[arg(long, value_name = "RECORD")]
    pub record: Vec<String>,
    /// How long a change stays PENDING
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub pending: Duration,
    /// Lag of the first name server behind the API; the second one has twice as much, and so on
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub dns_delay: Duration,
    /// Throttle API calls above this many a second, as Route 53 does above 5
    #[arg(long, value_name = "CALLS")]
    pub rps: Option<f64>,
}

/// Runs until SIGINT or SIGTERM. Exit code 0, or 1 when it cannot start.
pub async fn run(args: SandboxArgs) -> u8 {
    match serve(args).await {
        Ok(()) => 0,
        Err(error) => {
            super::output::talk(&format!("error: {error}"));
            1
        }
    }
}

async fn serve(args: SandboxArgs) -> Result<(), SandboxError> {
    let mut dns = args.dns.into_iter();
    let config = SandboxConfig {
        api: args.api,
        dns: dns.next().unwrap_or(SandboxConfig::default().dns),
        more_dns: dns.collect(),
        zones: args.zone.clone(),
        pending: args.pending,
        dns_delay: args.dns_delay,
        rps: args.rps.filter(|rps| *rps > 0.0),
        started: crate::runtime::clock::wall(),
    };
    let sandbox = start(config).await?;
    for record in &args.record {
        sandbox.put(record).await?;
    }
    anstream::print!("{}", greeting(&sandbox, &args.zone));
    until_told_to_stop().await;
    sandbox.stop().await;
    Ok(())
}

/// What to paste where.
fn greeting(sandbox: &Sandbox, zones: &[String]) -> String {
    let servers: Vec<String> = sandbox.dns_addrs().iter().map(|address| format!("\"{address}\"")).collect();
    let dns = sandbox.dns_addr();
    let mut text = format!("sandbox: API {}, name server {dns}\n", sandbox.api_url());
    for zone in zones {
        text.push_str(&format!("zone {zone}: id {}\n", sandbox.zone_id(zone).unwrap_or_default()));
    }
    let first = zones.first().map_or("example.com", String::as_str);
    text.push_str(&format!(
        "\n# failoverd.toml\n[route53]\nendpoint_url = \"{api}\"\n[verify]\nname_servers = [{servers}]\n\n\
         # any credentials will do\nexport AWS_ACCESS_KEY_ID=sandbox AWS_SECRET_ACCESS_KEY=sandbox\n\
         dig @{ip} -p {port} {first} SOA +norecurse\n\
         curl -X POST {api}/_sandbox/faults -d '{{\"throttle\": 3}}'\n\nstop with Ctrl-C\n",
        api = sandbox.api_url(),
        servers = servers.join(", "),
        ip = dns.ip(),
        port = dns.port(),
    ));
    text
}

pub(super) async fn until_told_to_stop() {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}

/// `500ms`, `2s`, `1m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(at);
    let wrong = || format!("`{text}` is no duration; write e.g. 500ms, 2s or 1m");
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return Err(wrong()),
    };
    Ok(Duration::from_millis(number.saturating_mul(millis)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1m"), Ok(Duration::from_secs(60)));
        for bad in ["2", "s", "", "-1s", "2h "] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
