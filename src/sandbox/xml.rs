//! Requests and answers of the REST-XML protocol. Only shapes: what a batch may do is `change`'s.
//!
//! A refused batch is answered as `ErrorResponse`, the shape the SDKs type as InvalidChangeBatch;
//! the older `<InvalidChangeBatch>` document, which they leave untyped, is kept behind a fault.

use quick_xml::escape::escape;
use serde::Deserialize;

use super::change::{Action, Batch, Change, Refusal};
use super::name::DnsName;
use super::value;
use super::zone::{AliasTarget, Page, RecordSet, Routing, Zone};

pub const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";
const MAX_TTL: i64 = 2_147_483_647;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChangeRequest {
    change_batch: BatchXml,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchXml {
    comment: Option<String>,
    #[serde(default)]
    changes: ChangesXml,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChangesXml {
    #[serde(default)]
    change: Vec<ChangeXml>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChangeXml {
    action: String,
    resource_record_set: SetXml,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SetXml {
    name: String,
    #[serde(rename = "Type")]
    rtype: String,
    set_identifier: Option<String>,
    weight: Option<i64>,
    region: Option<String>,
    failover: Option<String>,
    multi_value_answer: Option<bool>,
    geo_location: Option<GeoXml>,
    #[serde(rename = "TTL")]
    ttl: Option<i64>,
    resource_records: Option<RecordsXml>,
    alias_target: Option<AliasTarget>,
    health_check_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GeoXml {
    continent_code: Option<String>,
    country_code: Option<String>,
    subdivision_code: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RecordsXml {
    #[serde(default)]
    resource_record: Vec<RecordXml>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RecordXml {
    value: String,
}

/// What CreateHostedZone carries.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateZone {
    pub name: String,
    pub caller_reference: String,
    pub hosted_zone_config: Option<ZoneConfigXml>,
    /// Makes the zone private.
    #[serde(rename = "VPC")]
    pub vpc: Option<VpcXml>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct VpcXml {
    #[serde(rename = "VPCId")]
    pub _id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ZoneConfigXml {
    pub comment: Option<String>,
    pub private_zone: Option<bool>,
}

pub fn read_create_zone(body: &str) -> Result<CreateZone, Refusal> {
    quick_xml::de::from_str(body).map_err(|error| malformed(&error))
}

/// Reads a change batch. Errors are those of a malformed request, before the batch is looked at.
pub fn read_batch(body: &str) -> Result<Batch, Refusal> {
    let request: ChangeRequest = quick_xml::de::from_str(body).map_err(|error| malformed(&error))?;
    let changes = request.change_batch.changes.change.into_iter().map(read_change).collect::<Result<_, _>>()?;
    Ok(Batch { comment: request.change_batch.comment, changes })
}

/// Action, name, type, TTL and values.
#[cfg(feature = "fuzzing")]
pub type PlainChange = (&'static str, String, String, Option<u32>, Vec<String>);

/// The changes a request carries; `None` for one that is malformed.
#[cfg(feature = "fuzzing")]
pub fn read_changes(body: &str) -> Option<Vec<PlainChange>> {
    let plain = |Change { action, set }| (Action::as_str(action), set.name.to_string(), set.rtype, set.ttl, set.values);
    read_batch(body).ok().map(|batch| batch.changes.into_iter().map(plain).collect())
}

fn malformed(error: &quick_xml::DeError) -> Refusal {
    Refusal::InvalidInput(format!("Invalid XML ; {error}"))
}

fn read_change(change: ChangeXml) -> Result<Change, Refusal> {
    let set = change.resource_record_set;
    let place = format!(
        "Change with [Action={}, Name={}, Type={}, SetIdentifier={}]",
        change.action,
        set.name,
        set.rtype,
        set.set_identifier.as_deref().unwrap_or("null")
    );
    let invalid = |text: String| Err(Refusal::InvalidInput(text));
    let action = match change.action.as_str() {
        "CREATE" => Action::Create,
        "DELETE" => Action::Delete,
        "UPSERT" => Action::Upsert,
        other => return invalid(enum_error("changeBatch.changes.member.action", other, "[CREATE, DELETE, UPSERT]")),
    };
    if !value::TYPES.contains(&set.rtype.as_str()) {
        let types = format!("[{}]", value::TYPES.join(", "));
        return invalid(enum_error("changeBatch.changes.member.resourceRecordSet.type", &set.rtype, &types));
    }
    let name = DnsName::new(&set.name).map_err(|problem| {
        Refusal::InvalidBatch(vec![format!("Invalid Resource Record Set name: 'FATAL problem: {problem}'")])
    })?;
    let values: Vec<String> =
        set.resource_records.map(|r| r.resource_record.into_iter().map(|v| v.value).collect()).unwrap_or_default();
    let alias = set.alias_target.map(listed_alias);
    match (&alias, set.ttl, values.is_empty()) {
        (Some(_), None, true) | (None, Some(_), false) => {}
        (None, None, false) => return invalid(format!("Invalid request: Missing field 'TTL' in {place}")),
        (None, Some(_), true) => {
            return invalid(format!("Invalid request: Missing field 'ResourceRecords' in {place}"));
        }
        (alias, _, _) => {
            return invalid(format!(
                "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or \
                 TrafficPolicyInstanceId], but found {} in {place}",
                if alias.is_some() { "more than one" } else { "none" }
            ));
        }
    }
    let ttl = match set.ttl {
        None => None,
        Some(ttl @ 0..=MAX_TTL) => u32::try_from(ttl).ok(),
        Some(ttl) => {
            let (bound, limit) = if ttl < 0 { ("greater", 0) } else { ("less", MAX_TTL) };
            return invalid(format!(
                "1 validation error detected: Value '{ttl}' at \
                 'changeBatch.changes.member.resourceRecordSet.tTL' failed to satisfy constraint: Member must have \
                 value {bound} than or equal to {limit}"
            ));
        }
    };
    let mut routings = Vec::new();
    if let Some(weight) = set.weight {
        let weight = u8::try_from(weight).map_err(|_| {
            Refusal::InvalidInput(format!("Invalid request: Weight '{weight}' must be between 0 and 255 in {place}"))
        })?;
        routings.push(Routing::Weighted(weight));
    }
    routings.extend(set.region.map(Routing::Latency));
    routings.extend(set.failover.map(Routing::Failover));
    routings.extend(set.multi_value_answer.filter(|yes| *yes).map(|_| Routing::MultiValue));
    routings.extend(set.geo_location.map(|g| Routing::Geo([g.continent_code, g.country_code, g.subdivision_code])));
    match (&set.set_identifier, routings.len()) {
        (None, 0) | (Some(_), 1) => {}
        (None, _) => return invalid(format!("Invalid request: Missing field 'SetIdentifier' in {place}")),
        (Some(_), found) => {
            return invalid(format!(
                "Invalid request: Expected exactly one of [Weight, Region, Failover, GeoLocation, or \
                 MultiValueAnswer], but found {found} in {place}"
            ));
        }
    }
    let set = RecordSet {
        name,
        rtype: set.rtype,
        set_identifier: set.set_identifier,
        routing: routings.pop(),
        ttl,
        values,
        alias,
        health_check: set.health_check_id,
    };
    Ok(Change { action, set })
}

/// An alias target in the spelling it is listed in; a name that cannot be read stays as it is.
pub fn listed_alias(alias: AliasTarget) -> AliasTarget {
    AliasTarget {
        hosted_zone_id: alias.hosted_zone_id.trim_start_matches("/hostedzone/").to_owned(),
        dns_name: DnsName::new(&alias.dns_name).map_or(alias.dns_name, |name| name.to_string()),
        ..alias
    }
}

fn enum_error(field: &str, value: &str, members: &str) -> String {
    format!(
        "1 validation error detected: Value '{value}' at '{field}' failed to satisfy constraint: Member must satisfy \
         enum value set: {members}"
    )
}

/// Builds one document. Texts are escaped; element names are ours.
pub struct Doc(String);

impl Doc {
    pub fn render(root: &'static str, inside: impl FnOnce(&mut Doc)) -> String {
        let mut doc = Doc(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"{NAMESPACE}\">"));
        inside(&mut doc);
        doc.0.push_str(&format!("</{root}>"));
        doc.0
    }

    pub fn text(&mut self, name: &'static str, text: &str) {
        self.0.push_str(&format!("<{name}>{}</{name}>", escape(text)));
    }

    pub fn maybe(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    pub fn nest(&mut self, name: &'static str, inside: impl FnOnce(&mut Doc)) {
        self.0.push_str(&format!("<{name}>"));
        inside(self);
        self.0.push_str(&format!("</{name}>"));
    }

    pub fn set(&mut self, set: &RecordSet) {
        self.nest("ResourceRecordSet", |doc| {
            doc.text("Name", set.name.as_str());
            doc.text("Type", &set.rtype);
            doc.maybe("SetIdentifier", set.set_identifier.as_deref());
            match &set.routing {
                None => {}
                Some(Routing::Weighted(weight)) => doc.text("Weight", &weight.to_string()),
                Some(Routing::Latency(region)) => doc.text("Region", region),
                Some(Routing::Failover(role)) => doc.text("Failover", role),
                Some(Routing::MultiValue) => doc.text("MultiValueAnswer", "true"),
                Some(Routing::Geo([continent, country, subdivision])) => doc.nest("GeoLocation", |doc| {
                    doc.maybe("ContinentCode", continent.as_deref());
                    doc.maybe("CountryCode", country.as_deref());
                    doc.maybe("SubdivisionCode", subdivision.as_deref());
                }),
            }
            doc.maybe("TTL", set.ttl.map(|ttl| ttl.to_string()).as_deref());
            if !set.values.is_empty() {
                doc.nest("ResourceRecords", |doc| {
                    for value in &set.values {
                        doc.nest("ResourceRecord", |doc| doc.text("Value", value));
                    }
                });
            }
            if let Some(alias) = &set.alias {
                doc.nest("AliasTarget", |doc| {
                    doc.text("HostedZoneId", &alias.hosted_zone_id);
                    doc.text("DNSName", &alias.dns_name);
                    doc.text("EvaluateTargetHealth", if alias.evaluate_target_health { "true" } else { "false" });
                });
            }
            doc.maybe("HealthCheckId", set.health_check.as_deref());
        });
    }

    pub fn page(&mut self, page: &Page, max: usize) {
        self.nest("ResourceRecordSets", |doc| page.sets.iter().for_each(|set| doc.set(set)));
        self.text("IsTruncated", if page.next.is_some() { "true" } else { "false" });
        if let Some(next) = &page.next {
            self.text("NextRecordName", next.name.as_str());
            self.text("NextRecordType", &next.rtype);
            self.maybe("NextRecordIdentifier", next.set_identifier.as_deref());
        }
        self.text("MaxItems", &max.to_string());
    }

    pub fn zone(&mut self, zone: &Zone) {
        self.nest("HostedZone", |doc| {
            doc.text("Id", &format!("/hostedzone/{}", zone.id));
            doc.text("Name", zone.name.as_str());
            doc.text("CallerReference", &zone.caller_reference);
            doc.nest("Config", |doc| {
                doc.maybe("Comment", zone.comment.as_deref());
                doc.text("PrivateZone", if zone.private { "true" } else { "false" });
            });
            doc.text("ResourceRecordSetCount", &zone.sets.len().to_string());
        });
    }

    /// Nothing for a private zone, which has no servers of its own.
    pub fn delegation(&mut self, zone: &Zone) {
        if zone.private {
            return;
        }
        self.nest("DelegationSet", |doc| {
            doc.nest("NameServers", |doc| zone.name_servers.iter().for_each(|host| doc.text("NameServer", host)));
        });
    }

    pub fn change_info(&mut self, id: &str, status: &str, submitted: &str, comment: Option<&str>) {
        self.nest("ChangeInfo", |doc| {
            doc.text("Id", &format!("/change/{id}"));
            doc.text("Status", status);
            doc.text("SubmittedAt", submitted);
            doc.maybe("Comment", comment);
        });
    }
}

/// The error document of every operation.
pub fn error(code: &str, message: &str, request_id: &str) -> String {
    Doc::render("ErrorResponse", |doc| {
        doc.nest("Error", |doc| {
            doc.text("Type", "Sender");
            doc.text("Code", code);
            doc.text("Message", message);
        });
        doc.text("RequestId", request_id);
    })
}

/// The older document of a refused batch.
pub fn old_batch_error(messages: &[String], request_id: &str) -> String {
    Doc::render("InvalidChangeBatch", |doc| {
        doc.nest("Messages", |doc| messages.iter().for_each(|message| doc.text("Message", message)));
        doc.text("RequestId", request_id);
    })
}
