//! One policy file as a `domain::Policy`: what its keys mean together.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::fields::{Fields, Value};
use super::source::{Source, Span};
use super::target::Around;
use super::{answers, calendar, fence_room, target};
use crate::domain::{
    Adopt, CheckKind, Drift, Failback, FailbackMode, Failover, NotifierName, Policy, PolicyId, RecordName, Ttl, Window,
    WriteMode, ZoneId, ZoneRef,
};

/// A longer TTL keeps clients on a dead target for longer than people expect.
const LONG_TTL: u32 = 300;

/// Where the parts of a policy stand, for rules that look at several policies.
pub struct Places {
    /// `None` when the id is the file's name.
    pub id: Option<Span>,
    pub zone_id: Option<ZoneId>,
    pub records: BTreeMap<RecordName, Span>,
    /// Names that the targets point to.
    pub pointed_to: Vec<(RecordName, Span)>,
    pub notify: Vec<(NotifierName, Span)>,
}

/// Reads a policy; after an error it is `None`, but its places are still known.
pub fn build(source: &mut Source, fields: &Fields) -> (Option<Policy>, Places) {
    let zone = zone(fields);
    let (records, record_places) = records(source, fields, zone.as_ref().and_then(|z| z.name.as_ref()));
    let notify = notify(fields);
    let places = Places {
        id: fields.node("id").map(|n| n.span.clone()),
        zone_id: zone.as_ref().and_then(|z| z.id.clone()),
        records: record_places.clone(),
        pointed_to: target::pointed_to(fields),
        notify: notify.clone(),
    };
    let id = id(source, fields);
    let answers = answers::build(source, fields);
    let zone_name = zone.as_ref().and_then(|z| z.name.as_ref());
    let targets =
        target::build(source, fields, &Around { records: &record_places, first: records.first(), zone: zone_name });
    let ttl = ttl(source, fields);
    if let Some(answers) = &answers {
        answers::against_tiers(source, fields, answers, &targets);
    }
    let failback = fields.table("failback").and_then(|f| failback(source, &f));
    let failover = fields.table("failover").and_then(|f| failover(&f));
    if source.has_errors() {
        return (None, places);
    }
    let policy = (|| {
        Some(Policy {
            id: id?,
            zone: zone?,
            records,
            ttl: ttl?,
            answers: answers.as_ref()?.most,
            min_active: answers?.least,
            importance: fields.int("importance")?,
            adopt: match fields.text("adopt")?.as_str() {
                "manual" => Adopt::Manual,
                _ => Adopt::Auto,
            },
            targets,
            failover: failover?,
            failback: failback?,
            observe: fields.duration("observe")?,
            reconcile: fields.duration("reconcile")?,
            notify: notify.into_iter().map(|(name, _)| name).collect(),
            config_hash: String::new(),
        })
    })();
    let Some(mut policy) = policy else {
        source
            .error_whole("this policy could not be read", "run `failoverd check` with a smaller file to find the line");
        return (None, places);
    };
    if let Err(advice) = fence_room::batch_fits(&policy) {
        source.error(&fields.place("records"), advice.what, advice.fix);
    }
    policy.config_hash = config_hash(&policy, source);
    (Some(policy), places)
}

fn id(source: &mut Source, fields: &Fields) -> Option<PolicyId> {
    if fields.is_given("id") {
        return fields.text("id").and_then(|id| PolicyId::new(&id).ok());
    }
    let stem = source.path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    match PolicyId::new(&stem) {
        Ok(id) => Some(id),
        Err(e) => {
            source.error_whole(
                format!("the file's name cannot be the policy's id: {e}"),
                "rename the file, or add `id = \"…\"`",
            );
            None
        }
    }
}

fn zone(fields: &Fields) -> Option<ZoneRef> {
    let name = fields.text("zone").and_then(|z| RecordName::new(&z).ok());
    let id = fields.text("zone_id").map(|id| ZoneId::new(&id));
    (name.is_some() || id.is_some()).then_some(ZoneRef { name, id })
}

fn records(
    source: &mut Source,
    fields: &Fields,
    zone: Option<&RecordName>,
) -> (Vec<RecordName>, BTreeMap<RecordName, Span>) {
    let (mut records, mut places) = (Vec::new(), BTreeMap::new());
    for (span, text) in fields.texts("records") {
        let Ok(name) = RecordName::new(text) else { continue };
        if places.contains_key(&name) {
            source.error(span, format!("record `{name}` is listed twice"), "keep it once");
            continue;
        }
        if let Some(zone) = zone.filter(|z| !name.is_within(z)) {
            let fix = if name.as_str().contains('.') {
                format!("write a name that ends in `.{zone}`, or correct `zone`")
            } else {
                format!("write the full name: `{name}.{zone}`")
            };
            source.error(span, format!("record `{name}` is not in zone `{zone}`"), fix);
        }
        if let Err(advice) = fence_room::name_fits(&name, zone) {
            source.error(span, advice.what, advice.fix);
        }
        places.insert(name.clone(), span.clone());
        records.push(name);
    }
    (records, places)
}

fn ttl(source: &mut Source, fields: &Fields) -> Option<Ttl> {
    let ttl = fields.int("ttl").and_then(Ttl::new)?;
    if fields.is_given("ttl") && fields.tables("target").any(|t| t.is_given("alias")) {
        source.warn(
            &fields.place("ttl"),
            "an alias has no TTL of its own: `ttl` only says how long the proof of a move waits for old answers to go",
            "leave `ttl` out, or live with it; resolvers keep the TTL of what the alias points to",
        );
    } else if ttl.secs() > LONG_TTL {
        source.warn(
            &fields.place("ttl"),
            format!(
                "ttl {} keeps resolvers on the old answer for up to that many seconds after a failover",
                ttl.secs()
            ),
            "write `ttl = 30`, or live with it",
        );
    }
    Some(ttl)
}

fn notify(fields: &Fields) -> Vec<(NotifierName, Span)> {
    let Some(notify) = fields.table("notify") else { return Vec::new() };
    notify.texts("to").filter_map(|(span, name)| Some((NotifierName::new(name).ok()?, span.clone()))).collect()
}

fn failover(fields: &Fields) -> Option<Failover> {
    Some(Failover {
        hold_down: fields.duration("hold_down")?,
        flap_budget: fields.rate("flap_budget")?,
        write: match fields.text("write")?.as_str() {
            "swap" => WriteMode::Swap,
            _ => WriteMode::Upsert,
        },
        drift: match fields.text("drift")?.as_str() {
            "repair" => Drift::Repair,
            _ => Drift::Alert,
        },
    })
}

fn failback(source: &mut Source, fields: &Fields) -> Option<Failback> {
    let mode = match fields.text("mode")?.as_str() {
        "manual" => FailbackMode::Manual,
        "never" => FailbackMode::Never,
        _ => FailbackMode::Auto,
    };
    let window = match fields.node("window").map(|n| &n.value) {
        None => None,
        Some(Value::Table(window)) => {
            if mode == FailbackMode::Never {
                let at = fields.place("window");
                source.warn(&at, "`failback.window` is never used: `mode` is \"never\"", "leave it out");
            }
            Some(Window {
                cron: calendar::canonical(&window.text("cron")?),
                duration: window.duration("duration")?,
                timezone: window.text("timezone")?,
            })
        }
        Some(_) => return None,
    };
    Some(Failback { mode, soak: fields.duration("soak")?, window })
}

/// First 8 hexadecimal digits of the SHA-256 of the policy; the same wherever its files lie.
fn config_hash(policy: &Policy, source: &Source) -> String {
    let mut policy = policy.clone();
    policy.config_hash.clear();
    for target in &mut policy.targets {
        if let CheckKind::Http(http) = &mut target.check.kind
            && let Some(tls) = &mut http.tls
            && let Some(file) = &tls.ca_file
        {
            tls.ca_file = Some(file.strip_prefix(source.dir()).unwrap_or(file).to_owned());
        }
    }
    let text = serde_json::to_vec(&policy).unwrap_or_default();
    Sha256::digest(&text).iter().take(4).map(|b| format!("{b:02x}")).collect()
}
