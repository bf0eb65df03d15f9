//! The real binary behind the gate with exactly the policy of its records: everything it does goes through, and
//! every grant is used by something.

use aws_sdk_route53::types::{Vpc, VpcRegion};
use failoverd::dns::ZoneReader;
use failoverd::dns::route53::{self, Settings};
use failoverd::domain::{RecordName, ZoneId, ZoneRef};
use failoverd::sandbox::SandboxConfig;
use serde_json::{Value, json};

use super::gate::Gate;
use super::module::{Module, policy, zone};
use crate::battery::{create_zone, raw_client};
use crate::cli::place::Place;
use crate::ministack;
use crate::real::{dig, wait_for};
use crate::servers::Mode;

/// The place behind a gate that allows what `inputs` say; `edit` changes the policy file.
pub async fn behind(place: &Place, inputs: &Value, edit: impl Fn(String) -> String) -> Gate {
    let gate = Gate::start(&place.sandbox.api_url(), &policy(inputs)).await;
    place.write_main(&gate.url());
    let file = place.path().join("policies/web.toml");
    std::fs::write(&file, edit(std::fs::read_to_string(&file).unwrap())).unwrap();
    gate
}

fn add_to_main(place: &Place, text: &str) {
    let file = place.path().join("failoverd.toml");
    let main = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{main}{text}")).unwrap();
}

/// `zone_id` in place of `zone`.
pub fn by_id(policy: &str, id: &str) -> String {
    policy.replace("zone = \"example.com\"", &format!("zone_id = \"{id}\""))
}

/// Nothing was refused and no grant is left over.
fn exactly(gate: &Gate) {
    assert_eq!(gate.refused().len(), 0, "{:#?}", gate.refused());
    assert_eq!(gate.unused(), Vec::<String>::new(), "grants that nothing used");
}

fn fence_key(place: &Place, key: &str) -> String {
    let fence = dig(place.sandbox.dns_addr(), "www._failoverd.example.com", "TXT").join("").replace('"', "");
    fence.split(' ').find_map(|pair| pair.strip_prefix(&format!("{key}="))).unwrap_or_default().to_owned()
}

fn wait_status(place: &Place, words: &[&str]) {
    let shown = || place.say(&["status"]);
    let look = || words.iter().all(|word| shown().out.contains(word)).then_some(());
    wait_for(&format!("status shows {words:?}"), look, || format!("{:?}", shown()));
}

/// Adoption, failover with its proof, failback, rehearsal, brakes, hands, doctor, orphans, release, adoption by hand.
async fn live(place: &Place) {
    add_to_main(place, "[rehearsal]\nschedule = \"*/4 * * * * *\"\n");
    let mut daemon = place.daemon(&["run"]);
    wait_status(place, &["steady", "east up", "west up"]);
    wait_for("a rehearsal", || (fence_key(place, "k") == "rehearse").then_some(()), || daemon.err());

    place.east.set(Mode::Refuse).await;
    let moved = || (place.published() == Some(place.west.ip())).then_some(());
    wait_for("the failover", moved, || daemon.err());
    wait_for(
        "its proof",
        || place.say(&["history", "web"]).out.contains("proven").then_some(()),
        || format!("{:?}", place.say(&["history", "web"])),
    );
    place.east.set(Mode::Ok).await;
    wait_status(place, &["displaced", "east up"]);
    place.expect(&["failback", "web", "--reason", "it is back"], 0);
    assert_eq!(place.published(), Some(place.east.ip()));
    place.expect(&["freeze", "web", "--reason", "a look"], 0);
    place.expect(&["unfreeze", "web", "--reason", "done"], 0);
    place.put_fence("old", "default", "gone").await;
    assert!(place.expect(&["doctor"], 1).out.contains("release --orphan old.example.com"));
    place.expect(&["release", "--orphan", "old.example.com", "--nobody-manages-it"], 0);
    place.expect(&["release", "web", "--reason", "handed over"], 0);
    wait_status(place, &["released"]);
    place.expect(&["adopt", "web", "--to", "east", "--reason", "ours again"], 0);
    wait_for("ours again", || (fence_key(place, "m") == "auto").then_some(()), || daemon.err());
    assert_eq!(daemon.terminate(), Some(0));
    place.expect(&["force", "web", "--to", "west", "--reason", "at night"], 0);
    place.expect(&["unfreeze", "web", "--reason", "morning"], 0);
    place.expect(&["plan", "web"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_life_by_upsert_in_a_zone_given_by_id() {
    let place = Place::new().await;
    let id = place.sandbox.zone_id("example.com").unwrap();
    let mut www = zone(&id, "example.com", json!([{"name": "www.example.com"}]));
    www["retired"] = json!(["old.example.com"]);
    let gate = behind(&place, &json!({"zones": [www], "delegation": false}), |text| by_id(&text, &id)).await;
    live(&place).await;
    exactly(&gate);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_life_by_swap_in_a_zone_given_by_name() {
    let place = Place::new().await;
    let id = place.sandbox.zone_id("example.com").unwrap();
    let mut www = zone(&id, "example.com", json!([{"name": "www.example.com", "write": "swap"}]));
    www["retired"] = json!(["old.example.com"]);
    www["by_name"] = json!(true);
    let inputs = json!({"zones": [www], "delegation": false});
    let swap = |text: String| text.replace("hold_down = \"1s\"", "hold_down = \"1s\"\nwrite = \"swap\"");
    let gate = behind(&place, &inputs, swap).await;
    live(&place).await;
    exactly(&gate);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_in_a_private_zone_with_the_delegation_asked_for() {
    let place = Place::new().await;
    let vpc = Vpc::builder().vpc_region(VpcRegion::UsEast1).vpc_id("vpc-1").build();
    let api = place.sandbox.api_url().trim_start_matches("http://").parse().unwrap();
    let make = raw_client(api).create_hosted_zone().name("inside.example.com").caller_reference("inside").vpc(vpc);
    let made = make.send().await.unwrap().hosted_zone.unwrap();
    let id = ZoneId::new(made.id()).to_string();
    let records = json!([{"name": "www.inside.example.com"}]);
    let inside = json!({"id": id, "name": "inside.example.com", "records": records, "private": true});
    let gate = behind(&place, &json!({"zones": [inside]}), |text| {
        by_id(&text, &id).replace("www.example.com", "www.inside.example.com")
    })
    .await;
    let file = place.path().join("failoverd.toml");
    let main = std::fs::read_to_string(&file).unwrap();
    let asked = format!("name_servers = [\"{}\"]", place.sandbox.dns_addr());
    assert!(main.contains(&asked));
    std::fs::write(&file, main.replace(&asked, "name_servers = \"delegation\"")).unwrap();

    let mut daemon = place.daemon(&["run"]);
    wait_status(&place, &["east up", "west up"]);
    place.expect(&["adopt", "web", "--to", "east", "--reason", "new"], 0);
    wait_status(&place, &["steady"]);
    place.east.set(Mode::Refuse).await;
    wait_status(&place, &["displaced", "east down"]);
    wait_for(
        "its proof",
        || place.say(&["history", "web"]).out.contains("proven").then_some(()),
        || format!("{:?}", place.say(&["history", "web"])),
    );
    assert_eq!(daemon.terminate(), Some(0));
    place.expect(&["freeze", "web", "--reason", "a fence by itself"], 0);
    exactly(&gate);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_delegation_of_a_public_zone_is_read_with_its_grant_and_not_without() {
    let config = SandboxConfig { zones: vec!["example.com".into()], ..SandboxConfig::default() };
    let sandbox = failoverd::sandbox::start(config).await.unwrap();
    let id = sandbox.zone_id("example.com").unwrap();
    let name = Some(RecordName::new("example.com").unwrap());
    let (named, given) = (ZoneRef { name, id: None }, ZoneRef { name: None, id: Some(ZoneId::new(&id)) });
    // By name or id, asking for the servers or not, in the module's words and in the controller's.
    for (by_name, delegation, found) in [(true, true, 4), (true, false, 0), (false, true, 4), (false, false, 0)] {
        let looked = if by_name { &named } else { &given };
        let asked = json!({"id": id, "name": "example.com", "by_name": by_name});
        let inputs = json!({"zones": [asked], "observe": true, "delegation": delegation});
        let gate = Gate::start(&sandbox.api_url(), &policy(&inputs)).await;
        let settings =
            Settings { endpoint_url: Some(gate.url()), placeholder_credentials: true, ..Settings::default() };
        let reader = route53::connect_reader(&settings).await.unwrap();
        let info = reader.resolve_zone(looked, delegation).await.unwrap();
        assert_eq!(info.name_servers.len(), found);
        assert!(reader.list_zone(&info.id).await.result.is_ok());
        exactly(&gate);
        if by_name && !delegation {
            let said = reader.resolve_zone(looked, true).await.unwrap_err().message;
            assert!(said.contains("route53:GetHostedZone") && said.contains("docs/aws.md"), "{said}");
        }
    }
}

/// One description in HCL gives the controller's files and its policy: they fit each other.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_by_the_files_and_the_policy_that_the_modules_write() {
    let place = Place::new().await;
    let id = place.sandbox.zone_id("example.com").unwrap();
    let check = json!({"type": "http", "port": place.east.port(), "interval": "1s", "fast_interval": "200ms",
        "timeout": "500ms", "confirm": "0s"});
    let target = |name: &str, ip: std::net::IpAddr, priority: u32| json!({"name": name, "addresses": [ip.to_string()], "priority": priority});
    let web = json!({
        "zone": "Example.com.", "zone_id": id, "records": ["WWW.example.com."], "ttl": 30, "check": check,
        "target": [target("east", place.east.ip(), 1), target("west", place.west.ip(), 2)],
        "failover": {"hold_down": "1s"}, "failback": {"mode": "never"},
    });
    let settings = json!({"verify": {"name_servers": [place.sandbox.dns_addr().to_string()]},
        "route53": {"endpoint_url": "http://127.0.0.1:1"}});
    let (files, policy) = Module::of_policies(&json!({"web": web}), &settings);
    let gate = Gate::start(&place.sandbox.api_url(), &policy).await;
    for (name, text) in files.as_object().unwrap() {
        let text = text.as_str().unwrap().replace("http://127.0.0.1:1", &gate.url());
        std::fs::write(place.path().join(name), text).unwrap();
    }
    place.expect(&["once"], 0);
    place.east.set(Mode::Refuse).await;
    place.expect(&["once"], 0);
    assert_eq!(place.published(), Some(place.west.ip()));
    place.expect(&["freeze", "web", "--reason", "a fence by itself"], 0);
    exactly(&gate);
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_over_a_third_partys_route_53() {
    let place = Place::new().await;
    let provider = ministack::shared().await;
    let apex = RecordName::new("iam.example").unwrap();
    let id = create_zone(provider.api, &apex).await;
    let records = json!([{"name": "www.iam.example"}]);
    let inputs = json!({"zones": [zone(id.as_str(), "iam.example", records)], "delegation": false});
    let gate = Gate::start(&format!("http://{}", provider.api), &policy(&inputs)).await;
    let main = format!("[route53]\nendpoint_url = \"{}\"\n[verify]\nname_servers = []\n", gate.url());
    std::fs::write(place.path().join("failoverd.toml"), main).unwrap();
    let file = place.path().join("policies/web.toml");
    let text = by_id(&std::fs::read_to_string(&file).unwrap(), id.as_str()).replace("example.com", "iam.example");
    std::fs::write(&file, text).unwrap();
    let published = async || {
        let listed = raw_client(provider.api).list_resource_record_sets().hosted_zone_id(id.as_str()).send().await;
        let sets = listed.unwrap().resource_record_sets;
        let www = sets.iter().find(|set| set.r#type().as_str() == "A");
        www.map(|set| set.resource_records()[0].value().to_owned())
    };

    place.expect(&["adopt", "web", "--to", "east", "--reason", "new"], 0);
    assert_eq!(published().await, Some(place.east.ip().to_string()));
    place.east.set(Mode::Refuse).await;
    place.expect(&["once"], 0);
    assert_eq!(published().await, Some(place.west.ip().to_string()));
    place.east.set(Mode::Ok).await;
    place.expect(&["freeze", "web", "--reason", "a fence by itself"], 0);
    exactly(&gate);
}
