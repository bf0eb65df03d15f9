//! `failoverd sandbox` as a process: the zone, its name servers and its faults, over the wire.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use serde_json::Value;

use super::daemon::{Process, failoverd};
use super::{dig, dig_a, http};

pub const ZONE: &str = "example.com";
pub const WWW: &str = "www.example.com";

pub struct Sandbox {
    pub api: SocketAddr,
    pub dns: SocketAddr,
    pub zone_id: String,
    /// How many batches made the zone as it was at the start.
    seeded: usize,
    pub process: Process,
}

impl Sandbox {
    /// A zone with `www.example.com 30 A <published>`, on an address of its own.
    pub fn start(dir: &Path, ip: Ipv4Addr, published: Ipv4Addr, more: &[&str]) -> Sandbox {
        let any = format!("{ip}:0");
        let mut command = failoverd(dir);
        command.args(["sandbox", "--api", &any, "--dns", &any, "--zone", ZONE]);
        command.args(["--pending", "300ms", "--record", &format!("{WWW} 30 A {published}")]).args(more);
        let mut process = Process::start(&mut command);
        let line = process.wait_out("zone example.com: id ");
        let zone_id = line.rsplit(' ').next().unwrap().to_string();
        let line = process.wait_out("sandbox: API http://");
        let (api, dns) = line.trim_start_matches("sandbox: API http://").split_once(", name server ").unwrap();
        let (api, dns) = (api.parse().unwrap(), dns.parse().unwrap());
        process.wait_out("stop with Ctrl-C");
        let mut sandbox = Sandbox { api, dns, zone_id, seeded: 0, process };
        sandbox.seeded = sandbox.batches().len();
        sandbox
    }

    /// No batch arrived since the start.
    pub fn untouched(&self) -> bool {
        self.batches().len() == self.seeded
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.api)
    }

    /// What real DNS says the service's address is.
    pub fn answer(&self) -> Option<std::net::IpAddr> {
        dig_a(self.dns, WWW)
    }

    /// The fence as real DNS says it, without its quotes; empty when there is none.
    pub fn fence(&self) -> String {
        dig(self.dns, "www._failoverd.example.com", "TXT").join(" ").replace('"', "")
    }

    /// One key of the fence, e.g. `e` for the epoch.
    pub fn fence_key(&self, key: &str) -> String {
        let fence = self.fence();
        let found = fence.split(' ').find_map(|pair| pair.strip_prefix(&format!("{key}=")));
        found.unwrap_or_else(|| panic!("no `{key}=` in the fence {fence:?}")).to_string()
    }

    pub fn epoch(&self) -> u64 {
        self.fence_key("e").parse().unwrap()
    }

    /// See `src/sandbox/faults.rs` for the spelling.
    pub fn arm(&self, fault: &str) {
        let (status, body) = http::post(self.api, "/_sandbox/faults", fault);
        assert_eq!(status, 200, "{body}");
    }

    pub fn clear_faults(&self) {
        assert_eq!(http::request(self.api, "DELETE", "/_sandbox/faults", "").0, 200);
    }

    /// Every batch that reached the service, applied or not, oldest first.
    pub fn batches(&self) -> Vec<Value> {
        let (status, body) = http::get(self.api, "/_sandbox/history");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The addresses that applied batches have written to `www`, oldest first.
    pub fn moves(&self) -> Vec<String> {
        let batches = self.batches();
        let applied = batches.iter().filter(|b| !b["result"]["accepted"].is_null());
        let changes = applied.flat_map(|b| b["changes"].as_array().unwrap().iter());
        let writes = changes.filter(|c| c["rtype"] == "A" && c["action"] != "DELETE");
        writes.map(|c| c["values"][0].as_str().unwrap().to_string()).collect()
    }

    /// What a person does at the provider's console: sets `www` to `address`, no fence, no question.
    pub fn edit_by_hand(&self, address: &str) {
        let change = format!(
            "<Change><Action>UPSERT</Action><ResourceRecordSet><Name>{WWW}</Name><Type>A</Type><TTL>30</TTL>\
             <ResourceRecords><ResourceRecord><Value>{address}</Value></ResourceRecord></ResourceRecords>\
             </ResourceRecordSet></Change>"
        );
        self.batch(&change);
    }

    pub fn batch(&self, changes: &str) {
        let body = format!(
            "<ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><ChangeBatch>\
             <Changes>{changes}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
        );
        let path = format!("/2013-04-01/hostedzone/{}/rrset/", self.zone_id);
        let (status, answer) = http::post(self.api, &path, &body);
        assert_eq!(status, 200, "{answer}");
    }
}
