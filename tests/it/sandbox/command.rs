//! `failoverd sandbox` as a process.

use std::net::SocketAddr;

use crate::real::daemon::{Process, failoverd, finish};
use crate::real::{dig_a, http};

#[test]
fn the_command_says_where_it_is_answers_there_and_ends_on_sigterm() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = failoverd(dir.path());
    command.args(["sandbox", "--api", "127.0.0.1:0", "--dns", "127.0.0.1:0", "--zone", "example.com"]);
    let mut process = Process::start(command.args(["--record", "www.example.com 30 A 192.0.2.1"]));
    process.wait_out("stop with Ctrl-C");
    let out = process.out();
    let word_after = |mark: &str| {
        let (_, rest) = out.split_once(mark).unwrap_or_else(|| panic!("no {mark:?} in\n{out}"));
        rest.split(['"', ' ', '\n', ',']).next().unwrap().to_owned()
    };
    let api: SocketAddr = word_after("endpoint_url = \"http://").parse().unwrap();
    let dns = SocketAddr::new(word_after("dig @").parse().unwrap(), word_after(" -p ").parse().unwrap());
    assert_eq!(word_after("name_servers = [\""), dns.to_string());
    assert_eq!(dig_a(dns, "www.example.com"), Some([192, 0, 2, 1].into()));
    assert_eq!(http::post(api, "/_sandbox/faults", "\"dns_silent\"").0, 400);
    assert_eq!(http::post(api, "/_sandbox/faults", r#"{"dns_silent":{"server":null}}"#).0, 200);
    assert_eq!(dig_a(dns, "www.example.com"), None);

    let taken = ["sandbox", "--api", &api.to_string(), "--dns", "127.0.0.1:0"];
    let said = finish(failoverd(dir.path()).args(taken));
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains(&format!("cannot listen on {api} (API)")), "{}", said.err);
    assert_eq!(process.terminate(), Some(0));
}

#[test]
fn a_record_that_route53_would_refuse_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    for (record, wanted) in [
        ("www.example.com 30 A", "fewer than four fields"),
        ("www.example.com soon A 192.0.2.1", "no TTL"),
        ("www.example.org 30 A 192.0.2.1", "no zone of this sandbox"),
        ("www.example.com 30 A 999.1.1.1", "ARRDATAIllegalIPv4Address"),
    ] {
        let args = ["sandbox", "--api", "127.0.0.1:0", "--dns", "127.0.0.1:0", "--record", record];
        let said = finish(failoverd(dir.path()).args(args));
        assert_eq!(said.code, Some(1), "{record}");
        assert!(said.err.contains(wanted), "{record}: {}", said.err);
    }
}
