//! What IAM sees of a Route 53 request: its action, its resource and, of a change, the three condition keys.

use quick_xml::events::Event;

use super::rules::Asked;

const CHANGE: &str = "route53:ChangeResourceRecordSets";

/// `None`: no call that is known here, which is refused.
pub fn asked(method: &str, path: &str, body: &str) -> Option<Asked> {
    let path = path.split('?').next()?.trim_end_matches('/');
    let parts: Vec<&str> = path.strip_prefix("/2013-04-01/")?.split('/').collect();
    let zone = |id: &str| format!("arn:aws:route53:::hostedzone/{id}");
    let all = || "*".to_owned();
    let (action, resource) = match (method, parts.as_slice()) {
        ("POST", ["hostedzone", id, "rrset"]) => (CHANGE, zone(id)),
        ("GET", ["hostedzone", id, "rrset"]) => ("route53:ListResourceRecordSets", zone(id)),
        ("GET", ["hostedzone", id]) => ("route53:GetHostedZone", zone(id)),
        ("DELETE", ["hostedzone", id]) => ("route53:DeleteHostedZone", zone(id)),
        ("POST", ["hostedzone", id]) => ("route53:UpdateHostedZoneComment", zone(id)),
        ("GET", ["hostedzone"]) => ("route53:ListHostedZones", all()),
        ("POST", ["hostedzone"]) => ("route53:CreateHostedZone", all()),
        ("GET", ["hostedzonesbyname"]) => ("route53:ListHostedZonesByName", all()),
        ("GET", ["change", id]) => ("route53:GetChange", format!("arn:aws:route53:::change/{id}")),
        _ => return None,
    };
    let mut asked = Asked { action: action.into(), resource, ..Asked::default() };
    if action == CHANGE {
        let (mut names, mut types, mut actions) = (Vec::new(), Vec::new(), Vec::new());
        for (op, name, rtype) in changes(body)? {
            names.push(normal(&name));
            types.push(rtype.to_uppercase());
            actions.push(op.to_uppercase());
        }
        for (key, values) in [("NormalizedRecordNames", names), ("RecordTypes", types), ("Actions", actions)] {
            if !values.is_empty() {
                asked.keys.insert(format!("{CHANGE}{key}").to_lowercase(), values);
            }
        }
    }
    Some(asked)
}

/// Lower case, no last dot, every character but a-z 0-9 - _ and the dots as an octal escape (Route 53 Developer
/// Guide, "Using IAM policy conditions for fine-grained access control").
pub fn normal(name: &str) -> String {
    let mut out = String::new();
    let mut rest = name.strip_suffix('.').unwrap_or(name).bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'\\' => {
                let digits: String = rest.by_ref().take(3).map(char::from).collect();
                u8::from_str_radix(&digits, 8).unwrap_or_else(|_| panic!("{name}: an escape that is not octal"))
            }
            plain => plain,
        };
        match byte.to_ascii_lowercase() {
            b @ (b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.') => out.push(char::from(b)),
            b => out.push_str(&format!("\\{b:03o}")),
        }
    }
    out
}

/// Action, name and type of each change; `None` when the body cannot be read.
fn changes(body: &str) -> Option<Vec<(String, String, String)>> {
    let mut xml = quick_xml::Reader::from_str(body);
    let (mut path, mut found) = (Vec::<String>::new(), Vec::new());
    loop {
        match xml.read_event().ok()? {
            Event::Start(tag) => {
                path.push(tag.local_name().as_ref().to_owned());
                if path.last()? == "Change" {
                    found.push(Default::default());
                }
            }
            Event::Text(text) => {
                let tail: Vec<&str> = path.iter().rev().take(3).map(String::as_str).collect();
                let change: Option<&mut (String, String, String)> = found.last_mut();
                match tail.as_slice() {
                    ["Action", "Change", ..] => change?.0.push_str(&text),
                    ["Name", "ResourceRecordSet", "Change"] => change?.1.push_str(&text),
                    ["Type", "ResourceRecordSet", "Change"] => change?.2.push_str(&text),
                    _ => {}
                }
            }
            Event::End(_) => {
                path.pop()?;
            }
            Event::Eof => return Some(found),
            _ => {}
        }
    }
}

#[test]
fn a_request_is_seen_as_iam_sees_it() {
    let body = "<R xmlns=\"x\"><ChangeBatch><Changes>\
        <Change><Action>DELETE</Action><ResourceRecordSet><Name>WWW._failoverd.Example.com.</Name><Type>TXT</Type>\
        <ResourceRecords><ResourceRecord><Value>Name</Value></ResourceRecord></ResourceRecords></ResourceRecordSet></Change>\
        <Change><Action>UPSERT</Action><ResourceRecordSet><Name>*.example.com</Name><Type>A</Type>\
        <AliasTarget><DNSName>lb.</DNSName></AliasTarget></ResourceRecordSet></Change>\
        </Changes></ChangeBatch></R>";
    let got = asked("POST", "/2013-04-01/hostedzone/Z1/rrset/", body).unwrap();
    assert_eq!((got.action.as_str(), got.resource.as_str()), (CHANGE, "arn:aws:route53:::hostedzone/Z1"));
    let keys: Vec<(&str, String)> = got.keys.iter().map(|(k, v)| (k.as_str(), v.join(" "))).collect();
    assert_eq!(
        keys,
        [
            ("route53:changeresourcerecordsetsactions", "DELETE UPSERT".into()),
            (
                "route53:changeresourcerecordsetsnormalizedrecordnames",
                "www._failoverd.example.com \\052.example.com".into()
            ),
            ("route53:changeresourcerecordsetsrecordtypes", "TXT A".into()),
        ]
    );
    for (method, path, action) in [
        ("GET", "/2013-04-01/hostedzone/Z1/rrset?name=a&type=TXT", "route53:ListResourceRecordSets"),
        ("GET", "/2013-04-01/hostedzone/Z1", "route53:GetHostedZone"),
        ("GET", "/2013-04-01/hostedzonesbyname?dnsname=example.com.", "route53:ListHostedZonesByName"),
        ("GET", "/2013-04-01/change/C1", "route53:GetChange"),
        ("DELETE", "/2013-04-01/hostedzone/Z1", "route53:DeleteHostedZone"),
    ] {
        assert_eq!(asked(method, path, "").unwrap().action, action);
    }
    assert_eq!(asked("GET", "/2013-04-01/healthcheck", ""), None);
    assert_eq!(asked("GET", "/_sandbox/history", ""), None);
}
