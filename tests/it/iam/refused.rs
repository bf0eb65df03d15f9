//! What the policy refuses, each beside its allowed twin over the same zone: another name, type, zone, action, and a
//! write past the fence. What IAM cannot refuse is shown too, as docs/aws.md names it.

use failoverd::sandbox::{Sandbox, SandboxConfig};
use serde_json::{Value, json};

use super::gate::Gate;
use super::module::{policy, zone};
use crate::real::http;

/// A zone with `www` and its fence at state 0, another zone, and the gate before them.
struct Scene {
    sandbox: Sandbox,
    gate: Gate,
    zone: String,
    other: String,
    /// What the fence says, and the address published.
    state: u32,
}

impl Scene {
    async fn new(record: Value) -> Scene {
        let zones = vec!["example.com".into(), "example.org".into()];
        let sandbox = failoverd::sandbox::start(SandboxConfig { zones, ..SandboxConfig::default() }).await.unwrap();
        for set in ["www 30 A 192.0.2.100", "mail 30 A 192.0.2.9", "www._failoverd 60 TXT \"0\""] {
            let (name, rest) = set.split_once(' ').unwrap();
            sandbox.put(&format!("{name}.example.com {rest}")).await.unwrap();
        }
        let (id, other) = (sandbox.zone_id("example.com").unwrap(), sandbox.zone_id("example.org").unwrap());
        let inputs = json!({"zones": [zone(&id, "example.com", json!([record]))]});
        let gate = Gate::start(&sandbox.api_url(), &policy(&inputs)).await;
        Scene { sandbox, gate, zone: id, other, state: 0 }
    }

    /// `DELETE`, `CREATE` of the fence and whatever else, from the state it has to the next.
    fn rewrite(&self, more: &[String]) -> Vec<String> {
        let fence = |op: &str, state| set(op, "www._failoverd.example.com", "TXT", 60, &format!("\"{state}\""));
        let both = [fence("DELETE", self.state), fence("CREATE", self.state + 1)];
        both.into_iter().chain(more.iter().cloned()).collect()
    }

    fn address(op: &str, state: u32) -> String {
        set(op, "www.example.com", "A", 30, &format!("192.0.2.{}", 100 + state))
    }

    /// A move as `write = "upsert"` makes it.
    fn upsert(&self, more: &[String]) -> Vec<String> {
        let all: Vec<String> = more.iter().cloned().chain([Scene::address("UPSERT", self.state + 1)]).collect();
        self.rewrite(&all)
    }

    /// A move as `write = "swap"` makes it.
    fn swap(&self, more: &[String]) -> Vec<String> {
        let own = [Scene::address("DELETE", self.state), Scene::address("CREATE", self.state + 1)];
        self.rewrite(&own.into_iter().chain(more.iter().cloned()).collect::<Vec<_>>())
    }

    fn send(&self, zone: &str, changes: &[String]) -> (u16, String) {
        let body = format!(
            "<ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><ChangeBatch>\
             <Changes>{}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>",
            changes.join("")
        );
        http::post(self.gate.address, &format!("/2013-04-01/hostedzone/{zone}/rrset/"), &body)
    }

    /// Refused by IAM's 403, and nothing was written.
    fn refused(&self, what: &str, zone: &str, changes: &[String]) {
        let before = self.sandbox.history().len();
        let (status, body) = self.send(zone, changes);
        assert_eq!(status, 403, "{what}: {body}");
        assert!(body.contains("AccessDenied") && body.contains("route53:ChangeResourceRecordSets"), "{body}");
        assert_eq!(self.sandbox.history().len(), before, "{what}");
    }

    fn allowed(&mut self, what: &str, changes: &[String]) {
        let (status, body) = self.send(&self.zone, changes);
        assert_eq!(status, 200, "{what}: {body}");
        self.state += 1;
    }
}

fn set(op: &str, name: &str, rtype: &str, ttl: u32, value: &str) -> String {
    format!(
        "<Change><Action>{op}</Action><ResourceRecordSet><Name>{name}.</Name><Type>{rtype}</Type><TTL>{ttl}</TTL>\
         <ResourceRecords><ResourceRecord><Value>{value}</Value></ResourceRecord></ResourceRecords>\
         </ResourceRecordSet></Change>"
    )
}

fn a(op: &str, name: &str) -> String {
    set(op, name, "A", 30, "192.0.2.1")
}

#[tokio::test(flavor = "multi_thread")]
async fn any_other_name_type_zone_or_action_is_refused_and_its_twin_passes() {
    let mut s = Scene::new(json!({"name": "www.example.com"})).await;
    for (what, more) in [
        ("another name", a("UPSERT", "mail.example.com")),
        ("a name below it", a("UPSERT", "a.www.example.com")),
        ("the zone's own name", a("UPSERT", "example.com")),
        ("the wildcard over it", a("UPSERT", "*.example.com")),
        ("another record's fence", set("CREATE", "mail._failoverd.example.com", "TXT", 60, "\"x\"")),
        ("another type at its name", set("UPSERT", "www.example.com", "AAAA", 30, "2001:db8::1")),
        ("a mail exchanger", set("UPSERT", "www.example.com", "MX", 30, "10 mail.example.com.")),
        ("a delegation", set("UPSERT", "www.example.com", "NS", 30, "ns.example.net.")),
    ] {
        s.refused(what, &s.zone, &s.upsert(std::slice::from_ref(&more)));
        s.refused(what, &s.zone, &[more]);
        s.allowed(what, &s.upsert(&[]));
    }
    let org = |line: &String| line.replace("example.com", "example.org");
    s.refused("another zone", &s.other, &s.upsert(&[]).iter().map(org).collect::<Vec<_>>());
    s.refused("the same names sent to another zone", &s.other, &s.upsert(&[]));
    s.refused("no change at all", &s.zone, &[]);
    s.allowed("its own zone", &s.upsert(&[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_past_the_fence_is_refused_and_the_same_beside_it_passes() {
    let mut s = Scene::new(json!({"name": "www.example.com"})).await;
    let fence = |op: &str, state: u32| set(op, "www._failoverd.example.com", "TXT", 60, &format!("\"{state}\""));
    type Changes = Box<dyn Fn(&Scene) -> Vec<String>>;
    let refused: Vec<(&str, Changes)> = vec![
        ("the address alone", Box::new(|s| vec![Scene::address("UPSERT", s.state + 1)])),
        ("the record deleted", Box::new(|s| vec![Scene::address("DELETE", s.state)])),
        ("the fence deleted", Box::new(move |s| vec![fence("DELETE", s.state)])),
        ("both deleted", Box::new(move |s| vec![fence("DELETE", s.state), Scene::address("DELETE", s.state)])),
        ("the fence overwritten", Box::new(move |s| vec![fence("UPSERT", s.state + 1)])),
        ("the record deleted beside a rewrite", Box::new(|s| s.rewrite(&[Scene::address("DELETE", s.state)]))),
        ("a swap where upsert is the way", Box::new(|s| s.swap(&[]))),
        (
            "a text at the record's name",
            Box::new(|s| s.rewrite(&[set("UPSERT", "www.example.com", "TXT", 30, "\"x\"")])),
        ),
    ];
    for (what, changes) in refused {
        s.refused(what, &s.zone, &changes(&s));
        s.allowed(what, &s.upsert(&[]));
        s.allowed(what, &s.rewrite(&[Scene::address("UPSERT", s.state)]));
    }
    assert!(s.gate.unused().contains(&format!("Fences{}", s.zone)));
    s.allowed("the fence alone", &s.rewrite(&[]));

    let mut s = Scene::new(json!({"name": "www.example.com", "write": "swap"})).await;
    s.refused("an upsert where swap is the way", &s.zone, &s.upsert(&[]));
    s.refused("the record deleted", &s.zone, &[Scene::address("DELETE", s.state)]);
    s.allowed("a swap", &s.swap(&[]));
    s.allowed("again", &s.swap(&[]));
}

/// docs/aws.md, "What IAM cannot say": this passes, and the page says so.
#[tokio::test(flavor = "multi_thread")]
async fn what_iam_cannot_say_passes_and_is_written_down() {
    let docs = std::fs::read_to_string(crate::golden::root().join("docs/aws.md")).unwrap();
    let mut s = Scene::new(json!({"name": "www.example.com", "types": ["A", "AAAA"]})).await;
    let any = set("UPSERT", "www.example.com", "A", 30, "203.0.113.66");
    let odd = set("UPSERT", "www._failoverd.example.com", "AAAA", 30, "2001:db8::1");
    let text = set("UPSERT", "www.example.com", "TXT", 30, "\"x\"");
    let gone = set("DELETE", "www.example.com", "A", 30, "203.0.113.66");
    let six = set("UPSERT", "www.example.com", "AAAA", 30, "2001:db8::1");
    for (what, said, changes) in [
        ("any address", "**any address** at the managed names", vec![any]),
        ("an address at a fence's name", "an **address at a fence's name**", vec![odd]),
        ("a text at a managed name", "**TXT set at a managed name**", vec![text, six.clone()]),
        ("a record deleted", "**delete a managed record**", vec![gone, six]),
    ] {
        assert!(docs.contains(said), "docs/aws.md says {said:?}");
        s.allowed(what, &s.rewrite(&changes));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_call_is_refused() {
    let s = Scene::new(json!({"name": "www.example.com"})).await;
    let (ours, other) = (format!("/2013-04-01/hostedzone/{}", s.zone), format!("/2013-04-01/hostedzone/{}", s.other));
    let say = |method: &str, path: &str| http::request(s.gate.address, method, path, "").0;
    for (method, path, allowed) in [
        ("GET", ours.clone(), true),
        ("GET", other.clone(), false),
        ("GET", format!("{ours}/rrset"), true),
        ("GET", format!("{other}/rrset"), false),
        ("GET", "/2013-04-01/change/C1".into(), true),
        ("GET", "/2013-04-01/hostedzone".into(), false),
        ("GET", "/2013-04-01/hostedzonesbyname?dnsname=example.com.".into(), false),
        ("POST", "/2013-04-01/hostedzone".into(), false),
        ("POST", ours.clone(), false),
        ("DELETE", ours.clone(), false),
        ("DELETE", other.clone(), false),
        ("GET", "/2013-04-01/healthcheck".into(), false),
        ("GET", "/_sandbox/history".into(), false),
    ] {
        assert_eq!(say(method, &path) != 403, allowed, "{method} {path}");
    }
    let unmapped: Vec<String> = s.gate.seen().into_iter().filter(|s| s.asked.is_none()).map(|s| s.line).collect();
    assert_eq!(unmapped.len(), 2, "{unmapped:?}");
}
