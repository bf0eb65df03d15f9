//! The targets of a policy: what each publishes, and that all of them publish the same kind.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::check;
use super::fields::{Fields, Value};
use super::source::{Source, Span};
use crate::domain::{AddressSet, AliasTarget, Content, Family, RecordName, RegionName, Target, TargetName, ZoneId};

/// What of the policy a target is judged by.
pub struct Around<'p> {
    /// The policy's records and where they stand.
    pub records: &'p BTreeMap<RecordName, Span>,
    pub first: Option<&'p RecordName>,
    /// Name of the zone, when it is given.
    pub zone: Option<&'p RecordName>,
}

/// Reads all targets; reports what does not fit together and leaves it out.
pub fn build(source: &mut Source, fields: &Fields, around: &Around<'_>) -> Vec<Target> {
    let tables: Vec<&Fields> = fields.tables("target").collect();
    let base = fields.table("check").filter(|_| fields.is_given("check"));
    let with_priority = priorities(source, &tables);
    // Several answers are of one tier unless priorities make more of them.
    let one_tier = fields.int::<u32>("answers").is_some_and(|n| n > 1);
    if let [only] = tables.as_slice() {
        source.warn(&only.span, "there is only one target: nothing to fail over to", "add a second `[[target]]`");
    }
    let mut names = BTreeMap::new();
    let mut seen = Seen::default();
    let mut targets: Vec<Target> = Vec::new();
    for (place, table) in (1..).zip(&tables) {
        let name = table.text("name").and_then(|n| TargetName::new(&n).ok());
        if let Some(name) = &name
            && names.insert(name.clone(), ()).is_some()
        {
            let what = format!("two targets are named `{name}`");
            source.error(&table.place("name"), what, "give each target its own name");
        }
        let content = seen.content(source, table, name.as_ref(), around);
        let check = base.as_ref().and_then(|base| {
            let over = match table.node("check").map(|n| &n.value) {
                Some(Value::Table(over)) => Some(over),
                _ => None,
            };
            check::build(source, base, over, around.first)
        });
        let target = (|| {
            let name = name?;
            Some(Target {
                region: match table.text("region") {
                    Some(region) => RegionName::new(&region).ok()?,
                    None => RegionName::new(name.as_str()).ok()?,
                },
                priority: match (with_priority, one_tier) {
                    (true, _) => table.int("priority")?,
                    (false, true) => 1,
                    (false, false) => place,
                },
                content: content?,
                check: check?,
                name,
            })
        })();
        if let Some(target) = target {
            if let Some(first) = targets.first() {
                same_kind(source, table, first, &target);
            }
            targets.push(target);
        }
    }
    at_apex(source, &targets, around);
    targets
}

/// Names that the targets point to, and where they stand.
pub fn pointed_to(fields: &Fields) -> Vec<(RecordName, Span)> {
    let of = |table: &Fields| match table.node("alias").map(|n| &n.value) {
        Some(Value::Table(alias)) => alias.text("name").map(|n| (n, alias.place("name"))),
        _ => table.text("host").map(|n| (n, table.place("host"))),
    };
    let names = fields.tables("target").filter_map(of);
    names.filter_map(|(name, at)| Some((RecordName::new(&name).ok()?, at))).collect()
}

/// Whether priorities are given, to all or to none.
fn priorities(source: &mut Source, tables: &[&Fields]) -> bool {
    let given = tables.iter().any(|t| t.is_given("priority"));
    if let Some(without) = tables.iter().find(|t| given && !t.is_given("priority")) {
        source.error(
            &without.span,
            "this target has no priority, but another one has",
            "give `priority` to all targets, or to none: then their order in the file counts",
        );
    }
    given
}

/// What the targets so far publish, and which one does.
#[derive(Default)]
struct Seen {
    addresses: BTreeMap<IpAddr, String>,
    names: BTreeMap<RecordName, String>,
}

impl Seen {
    fn content(
        &mut self,
        source: &mut Source,
        table: &Fields,
        name: Option<&TargetName>,
        around: &Around<'_>,
    ) -> Option<Content> {
        let owner = name.map_or_else(|| "another target".to_owned(), ToString::to_string);
        if table.is_given("addresses") {
            return self.addresses(source, table, &owner).map(Content::Addresses);
        }
        if table.is_given("host") {
            let host = RecordName::new(&table.text("host")?).ok()?;
            let at = table.place("host");
            self.pointing(source, &at, "host", &host, owner, around);
            return Some(Content::Host(host));
        }
        let Some(Value::Table(alias)) = table.node("alias").map(|n| &n.value) else { return None };
        let name = RecordName::new(&alias.text("name")?).ok()?;
        self.pointing(source, &alias.place("name"), "alias", &name, owner, around);
        Some(Content::Alias(AliasTarget {
            name,
            zone_id: ZoneId::new(&alias.text("zone_id")?),
            evaluate_target_health: alias.flag("evaluate_target_health")?,
        }))
    }

    fn addresses(&mut self, source: &mut Source, table: &Fields, owner: &str) -> Option<AddressSet> {
        let mut list = Vec::new();
        for (span, text) in table.texts("addresses") {
            let Ok(address) = text.parse::<IpAddr>() else { continue };
            if let Some(other) = self.addresses.insert(address, owner.to_owned()) {
                let what = if other == owner {
                    format!("address {address} is listed twice")
                } else {
                    format!("address {address} is also one of target `{other}`; a move could not be told from no move")
                };
                source.error(span, what, "list each address once in a policy");
            }
            if address.is_loopback() {
                source.warn(
                    span,
                    format!(
                        "address {address} is a loopback address: fine for a test, but clients reach only themselves"
                    ),
                    "write the public address before using this policy on a real zone",
                );
            }
            list.push(address);
        }
        AddressSet::new(list).ok()
    }

    /// A name that a record would point to: no loop, and no other target's.
    fn pointing(
        &mut self,
        source: &mut Source,
        at: &Span,
        key: &str,
        name: &RecordName,
        owner: String,
        around: &Around<'_>,
    ) {
        if around.records.contains_key(name) {
            let what = format!("{key} `{name}` is one of this policy's own records: it would point to itself");
            source.error(at, what, "write the name of what serves this target, for example its load balancer");
        }
        let wildcards = around.records.keys().filter_map(|r| Some((r, r.as_str().strip_prefix("*.")?)));
        let within = |below: &str| name.as_str().strip_suffix(below).is_some_and(|head| head.ends_with('.'));
        for (record, _) in wildcards.filter(|(_, below)| within(below)) {
            let what = format!(
                "{key} `{name}` is below the record `{record}`: without a record of its own it would point to itself"
            );
            source.warn(at, what, format!("make sure that `{name}` has its own record, or point to another name"));
        }
        if let Some(other) = self.names.insert(name.clone(), owner) {
            let what =
                format!("{key} `{name}` is also that of target `{other}`; a move could not be told from no move");
            source.error(at, what, "give each target its own name to point to");
        }
    }
}

fn same_kind(source: &mut Source, table: &Fields, first: &Target, target: &Target) {
    let (ours, theirs) = (target.content.kind(), first.content.kind());
    if ours != theirs {
        let what = format!(
            "target `{}` has `{ours}`, target `{}` has `{theirs}`; one record cannot change its kind in a move",
            target.name, first.name
        );
        source.error(
            &table.place(ours),
            what,
            format!("give all targets of this policy `{theirs}`, or make two policies"),
        );
        return;
    }
    let families = |t: &Target| t.addresses().map(AddressSet::families).unwrap_or_default();
    let (theirs, ours) = (families(first), families(target));
    if theirs == ours {
        return;
    }
    let say = |list: &[Family]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
    source.error(
        &table.place("addresses"),
        format!(
            "target `{}` has {} addresses, target `{}` has {}; a move would leave one kind behind",
            target.name,
            say(&ours),
            first.name,
            say(&theirs)
        ),
        "give all targets the same kinds of addresses",
    );
}

/// The zone's own name always holds SOA and NS, beside which no CNAME may stand (RFC 1034 3.6.2).
fn at_apex(source: &mut Source, targets: &[Target], around: &Around<'_>) {
    let hosted = targets.iter().any(|t| matches!(t.content, Content::Host(_)));
    if let Some((zone, at)) = around.zone.and_then(|z| around.records.get(z).map(|at| (z, at)))
        && hosted
    {
        source.error(
            at,
            format!("CNAME at apex: `{zone}` is the zone's own name, where Route 53 refuses a CNAME"),
            "use `alias = { name = \"…\", zone_id = \"…\" }` in the targets, or take this record out",
        );
    }
}
