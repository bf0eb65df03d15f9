//! The zone's rehearsal: what stands at a policy's names that a move would be refused for, or would
//! miss, found on a calm day by trying every target's batch against the sets as they are listed
//! (ARCHITECTURE.md, decision 10). Pure; never writes and never tells anybody.

use crate::domain::{Content, Members, Policy, RecordName, TargetIdx, TargetName, WriteMode};

use super::batch::Weight;
use super::fence::{FENCE_TTL, MAX_VALUE, fence_name};
use super::plan::{same_set, sets};
use super::report::Obstacle;
use super::zone::{Change, ChangeOp, Data, LiveSet, RecordRead, ZoneInfo};

/// Everything in the way of `policy` in `zone`. `reads`: one for each record, or none when nothing
/// could be read; what can be known without is then still found. `delegation`: its servers are
/// asked for by the zone's delegation.
pub fn rehearse(policy: &Policy, reads: &[RecordRead], zone: &ZoneInfo, delegation: bool) -> Vec<Obstacle> {
    let mut found = Vec::new();
    for (i, record) in policy.records.iter().enumerate() {
        let mut list = List { policy, record, found: Vec::new() };
        names(&mut list, zone);
        if let Some(read) = reads.get(i) {
            every_target(&mut list, &read.sets);
            steered(&mut list, &read.sets);
            beside(&mut list, &read.sets, zone);
        }
        found.extend(list.found);
    }
    found.extend(too_large(policy, reads));
    if delegation && zone.private {
        found.extend(private(policy, zone));
    }
    found
}

/// What is found at one record.
struct List<'a> {
    policy: &'a Policy,
    record: &'a RecordName,
    found: Vec<Obstacle>,
}

impl List<'_> {
    fn blocks_all(&mut self, text: String, next: String) {
        let all = self.policy.targets.iter().map(|t| t.name.clone()).collect();
        self.add(all, text, next);
    }

    fn misses(&mut self, text: String, next: String) {
        self.add(Vec::new(), text, next);
    }

    fn add(&mut self, blocks: Vec<TargetName>, text: String, next: String) {
        let same = |o: &&mut Obstacle| o.text == text && o.next == next;
        match self.found.iter_mut().find(same) {
            Some(known) => known.blocks.extend(blocks),
            None => self.found.push(Obstacle { record: self.record.clone(), blocks, text, next }),
        }
    }

    fn is_managed(&self, set: &LiveSet) -> bool {
        self.policy.record_types().iter().any(|t| t.as_str() == set.rtype)
    }

    /// What the policy publishes, as a sentence names it.
    fn publishes(&self) -> &'static str {
        match self.policy.targets.first().map(|t| &t.content) {
            Some(Content::Host(_)) => "a CNAME",
            Some(Content::Alias(_)) => "an alias",
            _ => "addresses",
        }
    }
}

/// What the names alone forbid.
fn names(list: &mut List, zone: &ZoneInfo) {
    let record = list.record.clone();
    if !record.is_within(&zone.name) {
        return list.blocks_all(
            format!("{record} is no name of the zone {} ({}); the provider refuses it", zone.name, zone.id),
            format!("correct records, zone or zone_id of policy {}", list.policy.id),
        );
    }
    if let Err(why) = fence_name(&record, &zone.name) {
        list.blocks_all(
            format!("{record} has no room for its fence in {}: {why}", zone.name),
            "a shorter record name is needed; the fence adds the label `_failoverd`".into(),
        );
    }
    let is_host = matches!(list.policy.targets.first().map(|t| &t.content), Some(Content::Host(_)));
    if is_host && record == zone.name {
        list.blocks_all(
            format!("{record} is the apex of its zone, where no CNAME may stand beside SOA and NS"),
            "publish addresses or a Route 53 alias there, or choose another name".into(),
        );
    }
}

/// What one target's own content runs into at the name.
fn every_target(list: &mut List, live: &[LiveSet]) {
    let policy = list.policy;
    for target in &policy.targets {
        if target.content.host() == Some(list.record) {
            let text = format!("{} would point {} to itself", target.name, list.record);
            list.add(vec![target.name.clone()], text, "give the target the name behind it".into());
        }
        let wanted = sets(&target.content, policy.ttl, live);
        for set in live.iter().filter(|s| wanted.iter().any(|w| w.rtype == s.rtype) && s.is_simple()) {
            swapped(list, &target.name, set, &wanted);
        }
    }
}

/// What an exact DELETE of `set` and a CREATE instead of it run into.
fn swapped(list: &mut List, target: &TargetName, set: &LiveSet, wanted: &[LiveSet]) {
    let stays = wanted.iter().any(|w| same_set(set, w));
    if list.policy.failover.write != WriteMode::Swap || stays {
        return;
    }
    let next = "use `write = \"upsert\"`, which replaces it whatever it holds, or delete the set by hand".to_owned();
    if set.alias.is_some() && set.ttl.is_some() {
        let text = format!(
            "{} {} is an alias listed with a TTL; `write = \"swap\"` must name the set exactly, and an alias has none",
            list.record, set.rtype
        );
        list.add(vec![target.clone()], text, next);
    } else if set.alias.is_none() && set.values.is_empty() {
        let text = format!(
            "{} {} is an alias whose target cannot be read; `write = \"swap\"` cannot name it exactly",
            list.record, set.rtype
        );
        list.add(vec![target.clone()], text, next);
    }
}

/// Sets of a managed type that something else steers.
fn steered(list: &mut List, live: &[LiveSet]) {
    let record = list.record.clone();
    let id = list.policy.id.clone();
    let managed: Vec<&LiveSet> = live.iter().filter(|s| list.is_managed(s)).collect();
    for rtype in list.policy.record_types() {
        let of_type = || managed.iter().filter(move |s| s.rtype == rtype.as_str());
        let routed: Vec<String> = of_type().filter_map(|s| s.routing.clone()).map(|r| format!("`{r}`")).collect();
        if !routed.is_empty() {
            list.blocks_all(
                format!(
                    "{record} {rtype} has {} with a routing policy (set {}: weighted, latency, geo, failover or multivalue); the provider refuses a simple set beside them",
                    if routed.len() == 1 { "a set".to_owned() } else { format!("{} sets", routed.len()) },
                    routed.join(", ")
                ),
                format!("delete the routed sets when failoverd is to steer {record}, then `failoverd adopt {id} --to TARGET`"),
            );
        }
        if let Some((check, _)) = of_type().find_map(|s| s.health_check.clone().zip(Some(s))) {
            list.blocks_all(
                format!(
                    "{record} {rtype} is steered by the Route 53 health check {check}; our write would drop it, and two health checks would decide on one record"
                ),
                format!("take the health check off the set, then `failoverd adopt {id} --to TARGET`"),
            );
        }
        if let Some(instance) = of_type().find_map(|s| s.traffic_policy.clone()) {
            list.blocks_all(
                format!(
                    "{record} {rtype} belongs to the traffic policy instance {instance}, which would write it again"
                ),
                format!("delete the traffic policy instance first, then `failoverd adopt {id} --to TARGET`"),
            );
        }
    }
}

/// Sets of other types at the same name: what refuses ours, and what clients use instead of it.
fn beside(list: &mut List, live: &[LiveSet], zone: &ZoneInfo) {
    let record = list.record.clone();
    let id = list.policy.id.clone();
    let others: Vec<&LiveSet> = live.iter().filter(|s| !list.is_managed(s)).collect();
    match list.policy.targets.first().map(|t| &t.content) {
        Some(Content::Host(_)) if record != zone.name => {
            let mut types: Vec<&str> = others.iter().map(|s| s.rtype.as_str()).collect();
            types.sort_unstable();
            types.dedup();
            if !types.is_empty() {
                list.blocks_all(
                    format!(
                        "{record} has {} already, and a CNAME may stand beside no other set: the provider refuses it",
                        types.join(", ")
                    ),
                    format!("delete {record} {}, or publish addresses or an alias instead of a host", types.join(", ")),
                );
            }
        }
        Some(Content::Host(_)) | None => {}
        Some(content) => {
            if let Some(set) = others.iter().find(|s| s.rtype == "CNAME") {
                list.blocks_all(
                    format!(
                        "{record} is a CNAME to {}; the provider refuses {} beside it",
                        spelt(set),
                        list.publishes()
                    ),
                    format!(
                        "delete the CNAME, then `failoverd adopt {id} --to TARGET`, or give the targets `host` instead"
                    ),
                );
            }
            if record != zone.name && others.iter().any(|s| s.rtype == "NS") {
                list.blocks_all(
                    format!("{record} is delegated to other name servers (NS); what is written here is not answered"),
                    "manage the record in the zone it is delegated to, or delete the NS set".into(),
                );
            }
            siblings(list, &others, content);
            if matches!(content, Content::Alias(_)) {
                plain_instead_of_alias(list, live);
            }
        }
    }
}

/// Sets that clients use beside ours and that would stay behind.
fn siblings(list: &mut List, others: &[&LiveSet], content: &Content) {
    let record = list.record.clone();
    let unmanaged = |rtype: &str| others.iter().find(|s| s.rtype == rtype).map(|s| spelt(s));
    let pairs = [("AAAA", "IPv6", "A"), ("A", "IPv4", "AAAA")];
    for (rtype, clients, ours) in pairs {
        if let Some(what) = unmanaged(rtype).filter(|_| matches!(content, Content::Addresses(_))) {
            list.misses(
                format!("{record} {rtype} publishes {what} and is not managed: {clients} clients would not move"),
                format!(
                    "give every target {clients} addresses too, or delete the {rtype} set; the policy moves {ours} only"
                ),
            );
        }
    }
    for set in others.iter().filter(|s| matches!(s.rtype.as_str(), "HTTPS" | "SVCB")) {
        for why in set.values.iter().filter_map(|value| pinned(value, &record)) {
            list.misses(
                format!("{record} {} {why}: clients that use it would not move", set.rtype),
                format!(
                    "remove that from the {} set, so that clients use the {} we publish",
                    set.rtype,
                    list.publishes()
                ),
            );
        }
    }
}

/// What in a service binding leads clients past the addresses of `record` (RFC 9460 sections 2 and 7.3).
fn pinned(value: &str, record: &RecordName) -> Option<String> {
    let mut words = value.split_ascii_whitespace();
    let (_priority, target) = (words.next()?, words.next()?);
    let keys: Vec<&str> = words.collect();
    let hint = |key: &str| {
        keys.iter().find_map(|k| {
            let (name, addresses) = k.split_once('=')?;
            name.eq_ignore_ascii_case(key).then(|| addresses.trim_matches('"').to_owned())
        })
    };
    let hints: Vec<String> =
        ["ipv4hint", "ipv6hint"].into_iter().filter_map(|key| Some(format!("{key} {}", hint(key)?))).collect();
    if !hints.is_empty() {
        return Some(format!("names addresses itself ({})", hints.join(", ")));
    }
    let elsewhere = target != "." && RecordName::new(target).ok().as_ref() != Some(record);
    elsewhere.then(|| format!("leads to {}", target.trim_end_matches('.')))
}

/// An alias policy finds plain sets: what the first write does to them, and which it leaves.
fn plain_instead_of_alias(list: &mut List, live: &[LiveSet]) {
    let record = list.record.clone();
    let stands = |rtype: &str| live.iter().find(|s| s.rtype == rtype && s.is_simple());
    let pair = [stands("A"), stands("AAAA")];
    let aliases = pair.iter().flatten().any(|s| s.alias.is_some());
    for set in pair.into_iter().flatten().filter(|s| s.alias.is_none()) {
        let (rtype, what) = (&set.rtype, spelt(set));
        let id = &list.policy.id;
        if aliases {
            let clients = if rtype == "A" { "IPv4" } else { "IPv6" };
            list.misses(
                format!("{record} {rtype} publishes {what} beside the alias: {clients} clients would not move"),
                format!("delete the {rtype} set; only families that stand as aliases are moved"),
            );
        } else {
            let ttl = set.ttl.unwrap_or_default();
            list.misses(
                format!(
                    "{record} {rtype} publishes {what} with TTL {ttl}; the first write replaces it by an alias, for IPv4 and IPv6, which has the TTL of what it points to"
                ),
                format!("`failoverd adopt {id} --to TARGET` does it on a calm day"),
            );
        }
    }
}

/// Targets whose batch no request can hold: with the longest fences, and for several answers with
/// the heaviest companions.
fn too_large(policy: &Policy, reads: &[RecordRead]) -> Option<Obstacle> {
    let record = policy.records.first()?;
    let weigh = |members: &Members| policy.content(members).map(|content| weight(policy, &content, reads));
    let mut by_size: Vec<TargetIdx> = policy.indices().collect();
    by_size.sort_by_key(|i| std::cmp::Reverse(weigh(&Members::one(*i)).map(|w| (w.characters, w.records))));
    let most = usize::try_from(policy.answers).unwrap_or(usize::MAX).max(1);
    let worst = |idx: TargetIdx| {
        let others = by_size.iter().copied().filter(|other| *other != idx).take(most - 1);
        Members::new(others.chain([idx])).and_then(|members| weigh(&members))
    };
    let too_much =
        |idx: &TargetIdx| worst(*idx).filter(|weight| Weight::default().plus(*weight).is_none()).map(|w| (*idx, w));
    let bad: Vec<(TargetIdx, Weight)> = policy.indices().filter_map(|idx| too_much(&idx)).collect();
    let (_, most) = bad.iter().max_by_key(|(_, w)| (w.characters, w.records))?;
    Some(Obstacle {
        record: record.clone(),
        blocks: bad.iter().filter_map(|(idx, _)| policy.target(*idx)).map(|t| t.name.clone()).collect(),
        text: format!(
            "a move takes {} values and {} characters in one request; the provider allows {} and {}",
            most.records,
            most.characters,
            super::batch::MAX_RECORDS,
            super::batch::MAX_CHARACTERS
        ),
        next: "split the policy's records, or publish fewer addresses".into(),
    })
}

fn weight(policy: &Policy, content: &Content, reads: &[RecordRead]) -> Weight {
    let mut changes = Vec::new();
    // The quotes belong to the value.
    let fence = LiveSet::values("TXT", FENCE_TTL, vec!["x".repeat(MAX_VALUE + 2)]);
    for (i, record) in policy.records.iter().enumerate() {
        let live = reads.get(i).map(|r| r.sets.as_slice()).unwrap_or_default();
        let mut change = |op, set: &LiveSet| {
            let data = match &set.alias {
                Some(alias) => Data::Alias(alias.clone()),
                None => Data::Values { ttl: set.ttl.unwrap_or_default(), values: set.values.clone() },
            };
            changes.push(Change { op, name: record.clone(), rtype: set.rtype.clone(), data });
        };
        change(ChangeOp::Delete, &fence);
        change(ChangeOp::Create, &fence);
        for set in sets(content, policy.ttl, live) {
            match (policy.failover.write, live.iter().find(|s| s.rtype == set.rtype)) {
                (WriteMode::Upsert, _) => change(ChangeOp::Upsert, &set),
                (WriteMode::Swap, old) => {
                    if let Some(old) = old {
                        change(ChangeOp::Delete, old);
                    }
                    change(ChangeOp::Create, &set);
                }
            }
        }
    }
    Weight::of(&changes)
}

fn private(policy: &Policy, zone: &ZoneInfo) -> Option<Obstacle> {
    Some(Obstacle {
        record: policy.records.first()?.clone(),
        blocks: Vec::new(),
        text: format!(
            "the zone {} ({}) is private and has no authoritative servers to ask: a move is proven by reading the zone, INSYNC and a probe",
            zone.name, zone.id
        ),
        next: "set [verify] name_servers to [] when that is enough; a resolver of the VPC is no authoritative server and proves nothing (docs/aws.md, Private zones)".into(),
    })
}

/// What a set holds, short.
fn spelt(set: &LiveSet) -> String {
    match (&set.alias, set.values.as_slice()) {
        (Some(alias), _) => alias.to_string(),
        (None, []) => "nothing that can be read".into(),
        (None, values) => values.iter().map(|v| v.trim_end_matches('.')).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests;
