//! Proofs at load time that a policy's fence and its batch will fit into the zone, whatever
//! happens later (ARCHITECTURE.md, the fence).

use super::rule::{Advice, advise};
use crate::domain::{Content, Epoch, FleetSettings, Policy, RecordName, UnixMs};
use crate::engine::fence::{FenceKind, FenceMode, FenceValue, MAX_TOKEN, MAX_VALUE as TXT, is_reserved, target_token};
use crate::engine::intent::Kind;

/// `_failoverd` with its dot.
const MARK: usize = "_failoverd.".len();
/// Characters of an attempt (ARCHITECTURE.md, the fence).
const ATTEMPT: usize = 24;
/// Seconds of a time far beyond the life of any zone, 11 digits.
const LATE: u64 = 99_999_999_999;
/// Values in one request (Route 53 quotas): records, and characters of all values together.
const BATCH_RECORDS: usize = 1000;
const BATCH_CHARACTERS: usize = 32_000;

/// Proves that the longest fence value this policy can ever write has at most 255 characters.
/// The error says by how many characters names must shrink.
pub fn fence_fits(policy: &Policy, settings: &FleetSettings) -> Result<(), String> {
    let longest = worst_value(policy, settings);
    if longest <= TXT {
        return Ok(());
    }
    Err(format!(
        "the fence of policy `{}` may grow to {longest} characters and only {TXT} fit: policy id ({}), cluster ({}) and \
         instance ({}) are {} characters too long together",
        policy.id,
        policy.id.as_str().len(),
        settings.cluster.as_str().len(),
        settings.instance.as_str().len(),
        longest - TXT
    ))
}

/// Every field at its longest, written by the very code that will write it.
fn worst_value(policy: &Policy, settings: &FleetSettings) -> usize {
    let kind = Kind::ALL.into_iter().max_by_key(|k| k.as_str().len()).unwrap_or(Kind::Failover);
    let value = FenceValue {
        epoch: Epoch(u64::MAX),
        policy: policy.id.clone(),
        cluster: settings.cluster.clone(),
        instance: settings.instance.clone(),
        attempt: "a".repeat(ATTEMPT),
        written: UnixMs::from_secs(LATE),
        kind: FenceKind::Known(kind),
        moves: 999,
        mode: FenceMode::Released,
        until: UnixMs::from_secs(LATE),
        config: "c".repeat(8),
        to: longest_token(policy),
    };
    value.encode().len()
}

/// The longest `to=`: of one target exactly, of several the most that any names joined can have.
fn longest_token(policy: &Policy) -> String {
    if policy.answers > 1 {
        return "t".repeat(MAX_TOKEN);
    }
    policy.targets.iter().map(|t| target_token(&[t.name.as_str()])).max_by_key(String::len).unwrap_or_default()
}

/// Proves that the fence's name is nobody else's, and a DNS name of at most 253 characters.
pub fn name_fits(record: &RecordName, zone: Option<&RecordName>) -> Result<(), Advice> {
    let name = record.as_str();
    if is_reserved(record) {
        let what = format!("the name `{name}` is reserved: its fence would be another record's");
        return advise(what, "`_apex` and `_any` as the first label and `_failoverd` anywhere are failoverd's own");
    }
    let extra = if zone == Some(record) {
        "_apex.".len()
    } else if name.starts_with('*') {
        "_any".len() - "*".len()
    } else {
        0
    };
    let length = name.len() + MARK + extra;
    if length <= 253 {
        return Ok(());
    }
    advise(
        format!("the fence of `{name}` would have a name of {length} characters and only 253 are allowed"),
        format!("use a name that is at least {} characters shorter", length - 253),
    )
}

/// Proves that moving every record of the policy fits into one request, UPSERT counted twice.
pub fn batch_fits(policy: &Policy) -> Result<(), Advice> {
    let records = policy.records.len();
    let mut weights: Vec<(usize, usize)> = policy.targets.iter().map(|t| weight(&t.content)).collect();
    weights.sort_unstable();
    let most = usize::try_from(policy.answers).unwrap_or(usize::MAX);
    let values: usize = weights.iter().rev().take(most).map(|(values, _)| values).sum();
    weights.sort_unstable_by_key(|(_, characters)| *characters);
    let characters: usize = weights.iter().rev().take(most).map(|(_, characters)| characters).sum();
    let value_count = records * (2 + 2 * values);
    let character_count = records * (2 * (TXT + 2) + 2 * characters);
    if value_count <= BATCH_RECORDS && character_count <= BATCH_CHARACTERS {
        return Ok(());
    }
    let several = if policy.answers > 1 { ", or publish fewer answers" } else { "" };
    let room = (BATCH_RECORDS / (2 + 2 * values)).min(BATCH_CHARACTERS / (2 * (TXT + 2) + 2 * characters));
    advise(
        format!("{records} records with these targets do not fit into one request to Route 53; {room} would"),
        format!("split the records into two policies, or list fewer addresses in a target{several}"),
    )
}

/// Values and their characters in the sets of one record. An alias has none; it is counted as the
/// packing counts it, one of its name's length for each of A and AAAA.
fn weight(content: &Content) -> (usize, usize) {
    match content {
        Content::Addresses(set) => (set.iter().count(), set.iter().map(|a| a.to_string().len()).sum()),
        Content::Host(name) => (1, name.as_str().len()),
        Content::Alias(alias) => (2, 2 * alias.name.as_str().len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AddressSet, AliasTarget, ZoneId};

    #[test]
    fn no_token_of_several_targets_is_longer_than_the_one_that_is_proven_to_fit() {
        let label = |n: usize| "t".repeat(n);
        for lengths in [vec![1], vec![24], vec![25], vec![63], vec![11, 12], vec![12, 12], vec![1; 32], vec![63; 32]] {
            let names: Vec<String> = lengths.iter().map(|n| label(*n)).collect();
            let token = target_token(&names.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(token.len() <= MAX_TOKEN, "{token}");
        }
        assert_eq!(target_token(&[&label(11), &label(12)]).len(), MAX_TOKEN);
    }

    #[test]
    fn every_kind_of_content_weighs_what_the_request_will_count() {
        let name = RecordName::new("lb.example.net").unwrap();
        let alias = AliasTarget { name: name.clone(), zone_id: ZoneId::new("Z1"), evaluate_target_health: true };
        let addresses = AddressSet::new(["192.0.2.1", "2001:db8::1"].map(|a| a.parse().unwrap())).unwrap();
        for (content, values, characters) in
            [(Content::Addresses(addresses), 2, 9 + 11), (Content::Host(name), 1, 14), (Content::Alias(alias), 2, 28)]
        {
            assert_eq!(weight(&content), (values, characters), "{content}");
        }
    }
}
