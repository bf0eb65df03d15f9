//! What this machine's own files say about names: `hosts` and `resolv.conf`, read again when they
//! change. Sends nothing.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use hickory_resolver::Hosts;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;

const DNS_PORT: u16 = 53;

pub(super) struct System {
    resolv_conf: PathBuf,
    hosts: PathBuf,
    known: Mutex<Option<Arc<Known>>>,
}

/// What the files said when they bore these stamps.
pub(super) struct Known {
    pub servers: Vec<SocketAddr>,
    hosts: Hosts,
    resolv_conf: PathBuf,
    stamps: [Option<Stamp>; 2],
}

/// Length, time of change and inode: a file that was replaced or rewritten has another.
type Stamp = (u64, Option<SystemTime>, u64);

impl System {
    pub(super) fn new(resolv_conf: &Path, hosts: &Path) -> System {
        System { resolv_conf: resolv_conf.into(), hosts: hosts.into(), known: Mutex::default() }
    }

    /// What the files say now. A file that cannot be read says nothing.
    pub(super) async fn known(&self) -> Arc<Known> {
        let stamps = [stamp(&self.resolv_conf).await, stamp(&self.hosts).await];
        let last = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(last) = last.filter(|last| last.stamps == stamps) {
            return last;
        }
        let resolv_conf = tokio::fs::read(&self.resolv_conf).await.unwrap_or_default();
        let hosts = tokio::fs::read(&self.hosts).await.unwrap_or_default();
        let newer = Arc::new(Known {
            servers: servers(&resolv_conf),
            hosts: read_hosts(&hosts),
            resolv_conf: self.resolv_conf.clone(),
            stamps,
        });
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(newer.clone());
        newer
    }
}

impl Known {
    /// The addresses of `name` in the hosts file, of both families; `None` when it is not there.
    pub(super) fn host(&self, name: &Name) -> Option<Vec<IpAddr>> {
        let addresses: Vec<IpAddr> = [RecordType::A, RecordType::AAAA]
            .into_iter()
            .filter_map(|rtype| self.hosts.lookup_static_host(&Query::query(name.clone(), rtype)))
            .flat_map(|lookup| lookup.answers().iter().filter_map(|r| r.data.ip_addr()).collect::<Vec<_>>())
            .collect();
        (!addresses.is_empty()).then_some(addresses)
    }

    /// What to say when there is no server.
    pub(super) fn nowhere(&self) -> String {
        format!("no name server in {}; add a line `nameserver ADDRESS`", self.resolv_conf.display())
    }
}

async fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let meta = tokio::fs::metadata(path).await.ok()?;
    Some((meta.len(), meta.modified().ok(), meta.ino()))
}

fn servers(resolv_conf: &[u8]) -> Vec<SocketAddr> {
    // Without any name server this is an error; without a file the content is empty.
    let Ok((config, _)) = parse_resolv_conf(resolv_conf) else { return Vec::new() };
    config.name_servers().iter().map(|server| SocketAddr::new(server.ip, DNS_PORT)).collect()
}

fn read_hosts(text: &[u8]) -> Hosts {
    let mut hosts = Hosts::default();
    // Lines before one that is no text still count.
    let _ = hosts.read_hosts_conf(text);
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_files_are_read_again_when_they_change_and_may_be_missing() {
        let dir = tempfile::tempdir().unwrap();
        let (resolv_conf, hosts) = (dir.path().join("resolv.conf"), dir.path().join("hosts"));
        let system = System::new(&resolv_conf, &hosts);
        let name = Name::from_ascii("lb.example.").unwrap();
        let servers = |known: &Known| known.servers.iter().map(ToString::to_string).collect::<Vec<_>>();
        let host = |known: &Known| {
            known.host(&name).map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };

        let known = system.known().await;
        assert_eq!((servers(&known), host(&known)), (vec![], None));
        assert!(known.nowhere().contains("resolv.conf"));

        std::fs::write(&resolv_conf, "# by hand\nsearch a.example\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n")
            .unwrap();
        std::fs::write(&hosts, "127.0.0.1 localhost\n192.0.2.1 LB.example other # x\n2001:db8::1 lb.example\n")
            .unwrap();
        let known = system.known().await;
        assert_eq!(servers(&known), ["192.0.2.53:53", "[2001:db8::53]:53"]);
        assert_eq!(host(&known).as_deref(), Some("192.0.2.1 2001:db8::1"));
        assert!(Arc::ptr_eq(&known, &system.known().await), "unchanged files are not read again");

        std::fs::write(&hosts, "192.0.2.2 lb.example\n").unwrap();
        std::fs::remove_file(&resolv_conf).unwrap();
        let known = system.known().await;
        assert_eq!((servers(&known), host(&known).as_deref()), (vec![], Some("192.0.2.2")));

        std::fs::write(&resolv_conf, "options use-vc\nnonsense\n").unwrap();
        assert_eq!(servers(&*system.known().await), Vec::<String>::new());
    }
}
