//! Where aliases and CNAMEs lead within the sandbox's zones, and which of them the service refuses.
//! Words as people have quoted them: target not found and outside its zone (harmony-ops #491,
//! cli53 #213), loop (dnscontrol #2107, external-dns #630).

use super::name::DnsName;
use super::zone::{AliasTarget, RecordSet, Sets, Zone};

/// Steps of one chain that are followed.
const MAX_CHAIN: usize = 64;

/// The zone a batch is for, among all zones.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub id: &'a str,
    pub zone: &'a DnsName,
    pub all: &'a [Zone],
}

/// Why `set` may not stand in the zone whose present content is `sets`; empty when it may.
pub fn faults(place: Place<'_>, sets: &Sets, set: &RecordSet) -> Vec<String> {
    let mut messages = set.alias.as_ref().map(|alias| unreachable(place, sets, set, alias)).unwrap_or_default();
    if is_loop(place, sets, set) {
        messages.push(format!(
            "RRSet of type {} with DNS name {} is not permitted as it creates a CNAME or alias loop in the zone.",
            set.rtype, set.name
        ));
    }
    messages
}

fn unreachable(place: Place<'_>, sets: &Sets, set: &RecordSet, alias: &AliasTarget) -> Vec<String> {
    let refused = |why: &str| {
        format!(
            "Tried to create an alias that targets {}, type {} in zone {}, but {why}",
            alias.dns_name, set.rtype, alias.hosted_zone_id
        )
    };
    let Ok(target) = DnsName::new(&alias.dns_name) else {
        return vec![refused("the alias target name is not valid")];
    };
    let meant = match place.all.iter().find(|zone| zone.id == alias.hosted_zone_id) {
        _ if alias.hosted_zone_id == place.id => Some((place.zone, sets)),
        Some(zone) => Some((&zone.name, zone.sets.as_ref())),
        None => None,
    };
    let (inside, found) = match meant {
        Some((zone, sets)) => {
            let inside = target.is_within(zone);
            (inside, inside && at(sets, &target).any(|other| other.rtype == set.rtype))
        }
        // Somebody else's zone, whose content is not known here; but it cannot hold our names.
        None => {
            let foreign = !target.is_within(place.zone) && !place.all.iter().any(|zone| target.is_within(&zone.name));
            (foreign, foreign)
        }
    };
    let mut messages = Vec::new();
    if !inside {
        messages.push(refused("the alias target name does not lie within the target zone"));
    }
    if !found {
        messages.push(refused("that target was not found"));
    }
    messages
}

fn is_loop(place: Place<'_>, sets: &Sets, set: &RecordSet) -> bool {
    let mut next = leads_to(place, set);
    for _ in 0..MAX_CHAIN {
        let Some(here) = next else { return false };
        if here == set.name {
            return true;
        }
        let further = at(sets, &here).find(|other| other.rtype == "CNAME" || other.rtype == set.rtype);
        next = further.and_then(|other| leads_to(place, other));
    }
    true
}

/// The name within this zone that answers in place of `set`.
fn leads_to(place: Place<'_>, set: &RecordSet) -> Option<DnsName> {
    let text = match (&set.alias, set.values.first()) {
        (Some(alias), _) => (alias.hosted_zone_id == place.id).then_some(&alias.dns_name),
        (None, value) => value.filter(|_| set.rtype == "CNAME"),
    };
    text.and_then(|text| DnsName::new(text).ok()).filter(|name| name.is_within(place.zone))
}

fn at<'a>(sets: &'a Sets, name: &DnsName) -> impl Iterator<Item = &'a RecordSet> {
    let key = name.sort_key();
    let from = (key.clone(), String::new(), String::new());
    sets.range(from..).take_while(move |((found, _, _), _)| *found == key).map(|(_, set)| set.as_ref())
}
