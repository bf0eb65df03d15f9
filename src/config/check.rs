//! The `[check]` of a policy with a target's overrides on top, as a `domain::Check`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::fields::{Fields, Node, Value};
use super::rule;
use super::source::Source;
use crate::domain::{
    BodyMatch, Cadence, Check, CheckKind, Exchange, Expect, HttpCheck, JsonScalar, RecordName, StatusRange, TcpCheck,
    TlsCheck,
};

const HTTP_ONLY: [&str; 7] = ["host", "path", "method", "headers", "expect", "redirects", "max_body"];
const EXCHANGE_ONLY: [&str; 2] = ["send", "receive"];
const TLS_ONLY: [&str; 4] = ["sni", "verify_tls", "ca_file", "min_cert_days"];

/// Reads a check; reports what does not fit together and then answers `None`.
pub fn build(source: &mut Source, base: &Fields, over: Option<&Fields>, first: Option<&RecordName>) -> Option<Check> {
    let merged = match over {
        Some(over) => overlaid(base, over),
        None => base.clone(),
    };
    let kind = merged.text("type")?;
    let own_type = base.text("type")?;
    out_of_place(source, base, &own_type);
    if let Some(over) = over {
        out_of_place(source, over, &kind);
    }
    let port = port(source, &merged, &kind);
    let cadence = cadence(&merged);
    let fast = fast_interval(source, &merged, cadence.as_ref());
    thresholds(source, &merged);
    let kind = match kind.as_str() {
        "tcp" => {
            exchange(source, &merged).and_then(|exchange| port.map(|port| CheckKind::Tcp(TcpCheck { port, exchange })))
        }
        "heartbeat" => {
            let exchange = heartbeat(&merged);
            exchange.and_then(|e| port.map(|port| CheckKind::Heartbeat(TcpCheck { port, exchange: Some(e) })))
        }
        kind => http(source, &merged, kind == "https", port, first).map(|c| CheckKind::Http(Box::new(c))),
    };
    Some(Check {
        kind: kind?,
        cadence: cadence?,
        fast_interval: fast?,
        timeout: merged.duration("timeout")?,
        fall: merged.int("fall")?,
        rise: merged.int("rise")?,
        settle: merged.int("settle")?,
        confirm: merged.duration("confirm")?,
    })
}

/// A target that gives one cadence drops the other one of `[check]`.
fn overlaid(base: &Fields, over: &Fields) -> Fields {
    let mut base = base.clone();
    for (mine, other) in [("interval", "schedule"), ("schedule", "interval")] {
        if over.is_given(mine) {
            base.given.remove(other);
        }
    }
    base.overlaid(over)
}

fn out_of_place(source: &mut Source, fields: &Fields, kind: &str) {
    let lists: &[(&[&str], &str)] = match kind {
        "tcp" | "heartbeat" => &[(&HTTP_ONLY, "type = \"http\""), (&TLS_ONLY, "type = \"https\"")],
        "http" => &[(&TLS_ONLY, "type = \"https\""), (&EXCHANGE_ONLY, "type = \"heartbeat\"")],
        _ => &[(&EXCHANGE_ONLY, "type = \"heartbeat\"")],
    };
    for (keys, instead) in lists {
        for node in keys.iter().filter_map(|k| fields.node(k).map(|n| (k, n.key.clone()))) {
            let (key, at) = node;
            source.error(
                &at,
                format!("`check.{key}` means nothing in a check of type \"{kind}\""),
                format!("leave it out, or write `{instead}`"),
            );
        }
    }
}

fn port(source: &mut Source, fields: &Fields, kind: &str) -> Option<u16> {
    if fields.is_given("port") {
        return fields.int("port");
    }
    match kind {
        "http" => Some(80),
        "https" => Some(443),
        _ => {
            let at = fields.span.clone();
            source.error(
                &at,
                format!("`check.port` is missing, and a {kind} check has no usual port"),
                "add for example `port = 5432`",
            );
            None
        }
    }
}

/// What a tcp check says and hears: both, or the connection alone is the success.
fn exchange(source: &mut Source, fields: &Fields) -> Option<Option<Exchange>> {
    let (missing, given) = match (fields.is_given("send"), fields.is_given("receive")) {
        (false, false) => return Some(None),
        (true, true) => {
            return Some(Some(Exchange { send: fields.text("send")?, receive: fields.text("receive")? }));
        }
        (true, false) => ("receive", "send"),
        (false, true) => ("send", "receive"),
    };
    source.error(
        &fields.place(given),
        format!("`check.{given}` is given without `check.{missing}`: a tcp check has both or none"),
        format!("add `{missing} = \"…\"`, or write `type = \"heartbeat\"`, where PING and PONG are the defaults"),
    );
    None
}

fn heartbeat(fields: &Fields) -> Option<Exchange> {
    let word =
        |key: &str, default: &str| if fields.is_given(key) { fields.text(key) } else { Some(default.to_owned()) };
    Some(Exchange { send: word("send", "PING")?, receive: word("receive", "PONG")? })
}

fn cadence(fields: &Fields) -> Option<Cadence> {
    if !fields.is_given("schedule") {
        return fields.duration("interval").map(Cadence::Every);
    }
    let text = fields.text("schedule")?;
    Some(Cadence::Schedule(super::calendar::canonical(&text)))
}

fn fast_interval(source: &mut Source, fields: &Fields, cadence: Option<&Cadence>) -> Option<std::time::Duration> {
    let fast = fields.duration("fast_interval")?;
    let Some(Cadence::Every(interval)) = cadence else { return Some(fast) };
    if fast <= *interval {
        return Some(fast);
    }
    if !fields.is_given("fast_interval") {
        return Some(*interval);
    }
    source.error(
        &fields.place("fast_interval"),
        "`check.fast_interval` is longer than `check.interval`; doubt would probe less often than calm",
        "make it at most `interval`, or leave it out",
    );
    None
}

/// Legal, but hardly meant.
fn thresholds(source: &mut Source, fields: &Fields) {
    let (Some(fall), Some(confirm)) = (fields.int::<u32>("fall"), fields.duration("confirm")) else { return };
    if fall == 1 && confirm.is_zero() {
        source.warn(
            &fields.place("fall"),
            "one failed probe moves the traffic: `fall` is 1 and `confirm` is 0s",
            "write `fall = 3`, or `confirm = \"8s\"`",
        );
    } else if fall == 1 {
        source.warn(
            &fields.place("fall"),
            format!(
                "`fall = 1` does not act on the first failure: failures must span `confirm` = {}",
                crate::domain::time::human(confirm)
            ),
            "write `fall = 2` to say the same, or `confirm = \"0s\"` to act at once",
        );
    }
}

fn http(
    source: &mut Source,
    fields: &Fields,
    tls: bool,
    port: Option<u16>,
    first: Option<&RecordName>,
) -> Option<HttpCheck> {
    let host = host(source, fields, first);
    let tls = if tls { tls_check(source, fields, host.as_deref()).map(Some) } else { Some(None) };
    let expect = expect(source, fields);
    Some(HttpCheck {
        tls: tls?,
        port: port?,
        host: host?,
        path: fields.text("path")?,
        method: fields.text("method")?,
        headers: headers(fields)?,
        expect: expect?,
        redirects: fields.int("redirects")?,
        max_body: fields.size("max_body")?,
    })
}

fn host(source: &mut Source, fields: &Fields, first: Option<&RecordName>) -> Option<String> {
    if fields.is_given("host") {
        return fields.text("host").map(|h| h.to_ascii_lowercase());
    }
    let first = first?;
    if first.as_str().starts_with('*') {
        source.error(
            &fields.span.clone(),
            format!("`check.host` is missing: the first record is the wildcard `{first}`, which is no host name"),
            "add the name that a client would ask for, for example `host = \"probe.example.com\"`",
        );
        return None;
    }
    Some(first.as_str().into())
}

fn tls_check(source: &mut Source, fields: &Fields, host: Option<&str>) -> Option<TlsCheck> {
    let ca_file = fields.text("ca_file").map(|file| source.dir().join(file));
    if let Some(file) = ca_file.as_ref().filter(|f| !f.is_file()) {
        let what = format!("`check.ca_file` {} is not there; every probe would say \"unknown\"", file.display());
        source.warn(&fields.place("ca_file"), what, "put the PEM file there before `failoverd run`");
    }
    let sni = match fields.text("sni") {
        Some(sni) => sni.to_ascii_lowercase(),
        None if fields.is_given("sni") => return None,
        None => without_port(host?),
    };
    Some(TlsCheck { sni, verify: fields.flag("verify_tls")?, ca_file, min_cert_days: fields.int("min_cert_days") })
}

fn without_port(host: &str) -> String {
    let bare = host.strip_prefix('[').and_then(|h| h.split_once(']')).map(|(ip, _)| ip);
    match bare {
        Some(ip) => ip.into(),
        None if host.parse::<IpAddr>().is_ok() => host.into(),
        None => host.split(':').next().unwrap_or(host).into(),
    }
}

fn headers(fields: &Fields) -> Option<BTreeMap<String, String>> {
    let Some(map) = fields.map("headers") else {
        return (!fields.is_given("headers")).then(BTreeMap::new);
    };
    map.iter()
        .map(|(name, node)| match &node.value {
            Value::Text(value) => Some((name.to_ascii_lowercase(), value.clone())),
            _ => None,
        })
        .collect()
}

fn expect(source: &mut Source, fields: &Fields) -> Option<Expect> {
    let expect = fields.table("expect")?;
    let body = body(&expect);
    let json = json(&expect);
    if fields.text("method").as_deref() == Some("HEAD") && (expect.is_given("body") || expect.is_given("json")) {
        let at = expect.place(if expect.is_given("body") { "body" } else { "json" });
        source.error(
            &at,
            "an answer to HEAD has no body to look at",
            "write `method = \"GET\"`, or expect a status only",
        );
    }
    Some(Expect { status: statuses(&expect)?, body: body?, json: json? })
}

fn statuses(expect: &Fields) -> Option<Vec<StatusRange>> {
    if !expect.is_given("status") {
        return Some(vec![StatusRange { from: 200, to: 299 }]);
    }
    let list = expect.list("status");
    let ranges: Option<Vec<StatusRange>> = list.iter().map(status).collect();
    ranges.filter(|r| !r.is_empty())
}

fn status(node: &Node) -> Option<StatusRange> {
    match &node.value {
        Value::Int(code) => {
            let code = u16::try_from(*code).ok()?;
            Some(StatusRange { from: code, to: code })
        }
        Value::Text(text) => rule::status(text).ok().map(|(from, to)| StatusRange { from, to }),
        _ => None,
    }
}

fn body(expect: &Fields) -> Option<Option<BodyMatch>> {
    match expect.node("body").map(|n| &n.value) {
        None => Some(None),
        Some(Value::Text(text)) => Some(Some(BodyMatch::Contains(text.clone()))),
        Some(Value::Table(table)) => table.text("regex").map(|r| Some(BodyMatch::Regex(r))),
        Some(_) => None,
    }
}

fn json(expect: &Fields) -> Option<BTreeMap<String, JsonScalar>> {
    let Some(map) = expect.map("json") else {
        return (!expect.is_given("json")).then(BTreeMap::new);
    };
    map.iter()
        .map(|(path, node)| match &node.value {
            Value::Scalar(scalar) => Some((path.clone(), scalar.clone())),
            _ => None,
        })
        .collect()
}
