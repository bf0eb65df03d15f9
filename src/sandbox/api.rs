//! The HTTP side: paths and queries of the REST-XML API, and the sandbox's own control paths.
//! Decides nothing about zones; `service` does.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::faults::Fault;
use super::name::DnsName;
use super::service::{ChangeInfo, Failure, Service};
use super::xml::{self, Doc};
use super::zone::{SetKey, Zone, page};

/// Larger than any legal batch.
const MAX_BODY: usize = 4 * 1024 * 1024;
const MAX_SETS: usize = 300;
const MAX_ZONES: usize = 100;

/// Ends the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("a fault took the reply")]
struct NoReply;

struct Call {
    method: Method,
    /// Percent-decoded segments.
    path: Vec<String>,
    query: BTreeMap<String, String>,
    headers: HeaderMap,
    body: String,
}

struct Reply {
    status: u16,
    body: String,
    location: Option<String>,
}

/// Serves connections until dropped.
pub(super) async fn serve(listener: TcpListener, service: Arc<Service>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    continue;
                };
                let _ = stream.set_nodelay(true);
                let service = service.clone();
                connections.spawn(async move {
                    let answer = service_fn(move |request| respond(service.clone(), request));
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn respond(service: Arc<Service>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, NoReply> {
    let (head, body) = request.into_parts();
    let request_id = request_id();
    let answer = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => {
            let path = head.uri.path().split('/').filter(|part| !part.is_empty()).map(percent_decode).collect();
            let call = Call {
                method: head.method,
                path,
                query: read_query(head.uri.query().unwrap_or("")),
                headers: head.headers,
                body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            };
            if call.path.first().is_some_and(|first| first == "_sandbox") {
                return Ok(control(&service, &call));
            }
            route53(&service, &call).await
        }
        Err(_) => Err(Failure::new(413, "RequestEntityTooLarge", "The request body is too large.")),
    };
    let reply = match answer {
        Ok(reply) => reply,
        Err(Failure::NoReply) => return Err(NoReply),
        Err(Failure::OldBatchError(messages)) => {
            Reply { status: 400, body: xml::old_batch_error(&messages, &request_id), location: None }
        }
        Err(Failure::Error { status, code, message }) => {
            Reply { status, body: xml::error(code, &message, &request_id), location: None }
        }
    };
    let mut response = Response::builder()
        .status(reply.status)
        .header(header::CONTENT_TYPE, "text/xml")
        .header("x-amzn-requestid", request_id);
    if let Some(location) = reply.location {
        response = response.header(header::LOCATION, location);
    }
    response.body(Full::from(reply.body)).map_err(|_| NoReply)
}

async fn route53(service: &Arc<Service>, call: &Call) -> Result<Reply, Failure> {
    let parts: Vec<&str> = call.path.iter().map(String::as_str).collect();
    let (get, post) = (call.method == Method::GET, call.method == Method::POST);
    let action = match parts.as_slice() {
        ["2013-04-01", "hostedzone"] if post => "CreateHostedZone",
        ["2013-04-01", "hostedzone"] if get => "ListHostedZones",
        ["2013-04-01", "hostedzonesbyname"] if get => "ListHostedZonesByName",
        ["2013-04-01", "hostedzone", _] if get => "GetHostedZone",
        ["2013-04-01", "hostedzone", _] if call.method == Method::DELETE => "DeleteHostedZone",
        ["2013-04-01", "hostedzone", _, "rrset"] if get => "ListResourceRecordSets",
        ["2013-04-01", "hostedzone", _, "rrset"] if post => "ChangeResourceRecordSets",
        ["2013-04-01", "change", _] if get => "GetChange",
        _ => {
            let text = format!("the sandbox does not know {} /{}", call.method, call.path.join("/"));
            return Err(Failure::new(404, "UnknownOperationException", text));
        }
    };
    let account = authenticate(&call.headers)?;
    if !service.take_token(&account) {
        return Err(Failure::new(400, "Throttling", "Rate exceeded"));
    }
    if let Some((status, code, message)) = service.faults.refuse_call(action) {
        return Err(Failure::new(status, code, message));
    }
    let id = parts.get(2).copied().unwrap_or_default();
    match action {
        "CreateHostedZone" => create_zone(service, &call.body),
        "ListHostedZones" => list_zones(service, &call.query),
        "ListHostedZonesByName" => list_zones_by_name(service, &call.query),
        "GetHostedZone" => {
            let zone = service.zone(id)?;
            Ok(ok(Doc::render("GetHostedZoneResponse", |doc| {
                doc.zone(&zone);
                doc.delegation(&zone);
            })))
        }
        "DeleteHostedZone" => {
            let info = service.delete_zone(id)?;
            Ok(ok(Doc::render("DeleteHostedZoneResponse", |doc| change_info(doc, &info))))
        }
        "ListResourceRecordSets" => list_sets(&service.zone(id)?, &call.query),
        "ChangeResourceRecordSets" => {
            service.zone(id)?;
            let info = service.change(id, xml::read_batch(&call.body)?).await?;
            Ok(ok(Doc::render("ChangeResourceRecordSetsResponse", |doc| change_info(doc, &info))))
        }
        _ => {
            let info = service.change_info(id)?;
            Ok(ok(Doc::render("GetChangeResponse", |doc| change_info(doc, &info))))
        }
    }
}

/// Any identity is accepted, but one must be given, in the form of Signature Version 4. Gives the
/// access key, which stands for an account.
fn authenticate(headers: &HeaderMap) -> Result<String, Failure> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Err(Failure::new(403, "MissingAuthenticationToken", "Missing Authentication Token"));
    };
    let key = value.to_str().ok().filter(|text| {
        text.starts_with("AWS4-HMAC-SHA256 ") && ["SignedHeaders=", "Signature="].iter().all(|part| text.contains(part))
    });
    if let Some((_, key)) = key.and_then(|text| text.split_once("Credential=")) {
        return Ok(key.split('/').next().unwrap_or_default().to_owned());
    }
    let text = "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters.";
    Err(Failure::new(400, "IncompleteSignature", text))
}

fn create_zone(service: &Arc<Service>, body: &str) -> Result<Reply, Failure> {
    let request = xml::read_create_zone(body)?;
    let name = DnsName::new(&request.name)
        .map_err(|error| Failure::new(400, "InvalidDomainName", format!("The domain name is not valid: {error}")))?;
    let config = request.hosted_zone_config.unwrap_or_default();
    let private = request.vpc.is_some();
    if config.private_zone == Some(true) && !private {
        return Err(Failure::new(400, "InvalidInput", "A private hosted zone needs a VPC."));
    }
    let (zone, info) = service.create_zone(name, request.caller_reference, config.comment, private)?;
    let body = Doc::render("CreateHostedZoneResponse", |doc| {
        doc.zone(&zone);
        change_info(doc, &info);
        doc.delegation(&zone);
    });
    Ok(Reply { status: 201, body, location: Some(format!("/2013-04-01/hostedzone/{}", zone.id)) })
}

fn list_zones(service: &Service, query: &BTreeMap<String, String>) -> Result<Reply, Failure> {
    let max = max_items(query, MAX_ZONES)?;
    let mut zones = service.zones();
    zones.sort_by(|a, b| a.id.cmp(&b.id));
    let marker = query.get("marker").map(|id| id.trim_start_matches("/hostedzone/").to_owned());
    let start = marker.as_deref().map_or(0, |id| zones.partition_point(|zone| zone.id.as_str() < id));
    let next = zones.get(start + max);
    Ok(ok(Doc::render("ListHostedZonesResponse", |doc| {
        doc.nest("HostedZones", |doc| zones.iter().skip(start).take(max).for_each(|zone| doc.zone(zone)));
        doc.maybe("Marker", marker.as_deref());
        doc.text("IsTruncated", if next.is_some() { "true" } else { "false" });
        doc.maybe("NextMarker", next.map(|zone| zone.id.as_str()));
        doc.text("MaxItems", &max.to_string());
    })))
}

fn list_zones_by_name(service: &Service, query: &BTreeMap<String, String>) -> Result<Reply, Failure> {
    let max = max_items(query, MAX_ZONES)?;
    let mut zones = service.zones();
    let order = |zone: &Zone| (zone.name.sort_key(), zone.id.clone());
    zones.sort_by_key(order);
    let from = match query.get("dnsname") {
        None => (Vec::new(), String::new()),
        Some(name) => {
            let name = DnsName::new(name).map_err(|error| {
                Failure::new(400, "InvalidDomainName", format!("The domain name is not valid: {error}"))
            })?;
            let id = query.get("hostedzoneid").map(|id| id.trim_start_matches("/hostedzone/").to_owned());
            (name.sort_key(), id.unwrap_or_default())
        }
    };
    let start = zones.partition_point(|zone| order(zone) < from);
    let next = zones.get(start + max);
    Ok(ok(Doc::render("ListHostedZonesByNameResponse", |doc| {
        doc.nest("HostedZones", |doc| zones.iter().skip(start).take(max).for_each(|zone| doc.zone(zone)));
        doc.maybe("DNSName", query.get("dnsname").map(String::as_str));
        doc.maybe("HostedZoneId", query.get("hostedzoneid").map(String::as_str));
        doc.text("IsTruncated", if next.is_some() { "true" } else { "false" });
        doc.maybe("NextDNSName", next.map(|zone| zone.name.as_str()));
        doc.maybe("NextHostedZoneId", next.map(|zone| zone.id.as_str()));
        doc.text("MaxItems", &max.to_string());
    })))
}

fn list_sets(zone: &Zone, query: &BTreeMap<String, String>) -> Result<Reply, Failure> {
    let max = max_items(query, MAX_SETS)?;
    let invalid = |text: &str| Err(Failure::new(400, "InvalidInput", text));
    let from: SetKey = match (query.get("name"), query.get("type"), query.get("identifier")) {
        (None, None, None) => (Vec::new(), String::new(), String::new()),
        (None, Some(_), _) => return invalid("The request must specify a name when it specifies a type."),
        (_, None, Some(_)) => {
            return invalid("The request must specify a name and a type when it specifies an identifier.");
        }
        (Some(name), rtype, id) => match DnsName::new(name) {
            Ok(name) => (name.sort_key(), rtype.cloned().unwrap_or_default(), id.cloned().unwrap_or_default()),
            Err(error) => return invalid(&format!("FATAL problem: {error}")),
        },
    };
    let page = page(&zone.sets, from, max);
    Ok(ok(Doc::render("ListResourceRecordSetsResponse", |doc| doc.page(&page, max))))
}

fn max_items(query: &BTreeMap<String, String>, most: usize) -> Result<usize, Failure> {
    let Some(text) = query.get("maxitems") else { return Ok(most) };
    match text.parse::<usize>() {
        Ok(n) if n >= 1 => Ok(n.min(most)),
        _ => {
            let text = format!("Value '{text}' at 'maxItems' failed to satisfy constraint: Member must be at least 1");
            Err(Failure::new(400, "InvalidInput", text))
        }
    }
}

fn change_info(doc: &mut Doc, info: &ChangeInfo) {
    let status = if info.pending { "PENDING" } else { "INSYNC" };
    doc.change_info(&info.id, status, &info.submitted.to_string(), info.comment.as_deref());
}

fn ok(body: String) -> Reply {
    Reply { status: 200, body, location: None }
}

#[derive(Serialize)]
struct SetView<'a> {
    name: &'a str,
    rtype: &'a str,
    set_identifier: Option<&'a str>,
    ttl: Option<u32>,
    values: &'a [String],
    alias: Option<&'a str>,
    alias_zone: Option<&'a str>,
}

#[derive(Serialize)]
struct ZoneView<'a> {
    id: &'a str,
    name: &'a str,
    sets: Vec<SetView<'a>>,
}

/// The sandbox's own paths, JSON, without authentication: it listens on loopback by default.
///
/// `POST /_sandbox/faults` one fault or a list · `GET` what is armed · `DELETE` clears ·
/// `GET /_sandbox/history` · `GET /_sandbox/zone` · `POST /_sandbox/foreign` an object of names
/// outside the zones with lists of addresses, which the name servers answer for such a name and
/// for an alias of it; an empty list ends it · `GET` what is played.
fn control(service: &Arc<Service>, call: &Call) -> Response<Full<Bytes>> {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    match (call.method.as_str(), path.as_slice()) {
        ("POST", ["_sandbox", "faults"]) => {
            let one = serde_json::from_str::<Fault>(&call.body).map(|fault| vec![fault]);
            match one.or_else(|error| serde_json::from_str::<Vec<Fault>>(&call.body).map_err(|_| error)) {
                Ok(list) => {
                    list.into_iter().for_each(|fault| service.faults.arm(fault));
                    json(StatusCode::OK, &service.faults.armed())
                }
                Err(error) => json(StatusCode::BAD_REQUEST, &format!("not a fault: {error}")),
            }
        }
        ("GET", ["_sandbox", "faults"]) => json(StatusCode::OK, &service.faults.armed()),
        ("DELETE", ["_sandbox", "faults"]) => {
            service.faults.clear();
            json(StatusCode::OK, &service.faults.armed())
        }
        ("POST", ["_sandbox", "foreign"]) => match read_foreign(&call.body) {
            Ok(list) => {
                list.into_iter().for_each(|(name, addresses)| service.play(name, addresses));
                json(StatusCode::OK, &service.played())
            }
            Err(why) => json(StatusCode::BAD_REQUEST, &why),
        },
        ("GET", ["_sandbox", "foreign"]) => json(StatusCode::OK, &service.played()),
        ("GET", ["_sandbox", "history"]) => json(StatusCode::OK, &service.history()),
        ("GET", ["_sandbox", "zone"]) => {
            let zones = service.zones();
            json(StatusCode::OK, &zones.iter().map(zone_view).collect::<Vec<_>>())
        }
        _ => {
            let text = "use /_sandbox/faults, /_sandbox/foreign, /_sandbox/history or /_sandbox/zone";
            json(StatusCode::NOT_FOUND, &text)
        }
    }
}

fn read_foreign(body: &str) -> Result<Vec<(DnsName, Vec<IpAddr>)>, String> {
    let list: BTreeMap<String, Vec<IpAddr>> = serde_json::from_str(body)
        .map_err(|e| format!("not an object like {{\"lb.example.net\": [\"192.0.2.1\"]}}: {e}"))?;
    let name = |name: String| DnsName::new(&name).map_err(|e| format!("`{name}` is no name: {e}"));
    list.into_iter().map(|(text, addresses)| Ok((name(text)?, addresses))).collect()
}

fn zone_view(zone: &Zone) -> ZoneView<'_> {
    let sets = zone.sets.values().map(|set| SetView {
        name: set.name.as_str(),
        rtype: &set.rtype,
        set_identifier: set.set_identifier.as_deref(),
        ttl: set.ttl,
        values: &set.values,
        alias: set.alias.as_ref().map(|alias| alias.dns_name.as_str()),
        alias_zone: set.alias.as_ref().map(|alias| alias.hosted_zone_id.as_str()),
    });
    ZoneView { id: &zone.id, name: zone.name.as_str(), sets: sets.collect() }
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(serde_json::to_vec(value).unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

fn read_query(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(key), percent_decode(value))
        })
        .collect()
}

fn percent_decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let Some((first, rest)) = bytes.split_first() {
        let hex = rest.get(..2).and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                bytes = rest.get(2..).unwrap_or(&[]);
            }
            _ => {
                out.push(*first);
                bytes = rest;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn request_id() -> String {
    let mut bytes = [0; 8];
    // A request id is for people; on a machine without randomness they share one.
    let _ = getrandom::fill(&mut bytes);
    format!("sandbox-{:016x}", u64::from_be_bytes(bytes))
}
