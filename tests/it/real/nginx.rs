//! One nginx, one address, one page: `/healthz`.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use tempfile::TempDir;

use super::{Running, accepts, free_port, program, wait_until};

pub struct Nginx {
    pub addr: SocketAddr,
    dir: TempDir,
    running: Option<Running>,
}

impl Nginx {
    pub fn start(ip: Ipv4Addr) -> Nginx {
        Nginx::start_at(SocketAddr::from((ip, free_port(ip))))
    }

    pub fn start_at(addr: SocketAddr) -> Nginx {
        let dir = TempDir::new().unwrap();
        let here = dir.path().display();
        let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|k| format!("{k}_temp_path {here}/{k};"));
        let conf = format!(
            "daemon off; master_process off; pid {here}/pid; error_log {here}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; {} server {{ listen {addr}; location / {{ root {here}/www; }} }} }}\n",
            temp.join(" ")
        );
        std::fs::create_dir(dir.path().join("www")).unwrap();
        std::fs::write(dir.path().join("nginx.conf"), conf).unwrap();
        let mut nginx = Nginx { addr, dir, running: None };
        nginx.well();
        nginx.resume();
        nginx
    }

    /// Answers 404 from now on.
    pub fn sick(&self) {
        std::fs::remove_file(self.page()).unwrap();
    }

    /// Answers 200 from now on.
    pub fn well(&self) {
        std::fs::write(self.page(), "ok\n").unwrap();
    }

    /// Connections are refused when this returns.
    pub fn stop(&mut self) {
        self.running = None;
    }

    pub fn resume(&mut self) {
        let log = std::fs::File::create(self.dir.path().join("start.log")).unwrap();
        let mut command = Command::new(program("nginx", "nginx-light"));
        command.arg("-e").arg("stderr").arg("-p").arg(self.dir.path()).args(["-c", "nginx.conf"]).stderr(log);
        let mut running = Running::start(&mut command);
        wait_until("nginx accepts connections", || {
            let log = || std::fs::read_to_string(self.dir.path().join("start.log")).unwrap_or_default();
            assert!(running.alive(), "nginx stopped: {}", log());
            accepts(self.addr)
        });
        self.running = Some(running);
    }

    fn page(&self) -> std::path::PathBuf {
        self.dir.path().join("www/healthz")
    }
}
