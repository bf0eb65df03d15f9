//! BIND as the authoritative server of one zone file: a name server nobody here wrote.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use tempfile::TempDir;

use super::{Running, dig, free_port, program, wait_until};

pub struct Bind {
    pub addr: SocketAddr,
    dir: TempDir,
    _running: Running,
}

impl Bind {
    /// Serves `zone` with `records` (master-file lines, names relative) below its SOA and NS.
    /// On 127.0.0.1, since BIND listens only on addresses an interface really has.
    pub fn start(zone: &str, records: &str) -> Bind {
        let (ip, dir) = (Ipv4Addr::LOCALHOST, TempDir::new().unwrap());
        let addr = SocketAddr::from((ip, free_port(ip)));
        let zone_file = format!("$TTL 30\n@ SOA ns hostmaster 1 3600 600 86400 5\n@ NS ns\nns A {ip}\n{records}");
        let conf = format!(
            "options {{ directory \"{}\"; listen-on port {} {{ {ip}; }}; listen-on-v6 {{ none; }}; pid-file none;\n\
             session-keyfile none; lock-file none; recursion no; dnssec-validation no; empty-zones-enable no; notify no; }};\n\
             controls {{ }};\nzone \"{zone}\" {{ type primary; file \"zone.db\"; }};\n",
            dir.path().display(),
            addr.port()
        );
        std::fs::write(dir.path().join("zone.db"), zone_file).unwrap();
        std::fs::write(dir.path().join("named.conf"), conf).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new(program("named", "bind9"));
        command.args(["-n", "1", "-g", "-c"]).arg(dir.path().join("named.conf")).stderr(log);
        let mut bind = Bind { addr, dir, _running: Running::start(&mut command) };
        wait_until("named answers", || {
            let log = || std::fs::read_to_string(bind.dir.path().join("log")).unwrap_or_default();
            assert!(bind._running.alive(), "named stopped: {}", log());
            !dig(addr, zone, "SOA").is_empty()
        });
        bind
    }
}
