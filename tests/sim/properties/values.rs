//! Values and pure functions: what is written reads back, what is bounded stays bounded, and no text
//! from outside is a panic.

use std::collections::BTreeSet;

use failoverd::domain::*;
use failoverd::engine::batch::{self, MAX_CHARACTERS, MAX_RECORDS, Weight};
use failoverd::engine::budget::TokenBucket;
use failoverd::engine::fence::{FENCE_TTL, Fence, FenceValue, MAX_TOKEN, fence_name, quote, target_token, unquote};
use failoverd::engine::ids::{jitter, short_hash};
use failoverd::engine::intent::Kind;
use failoverd::engine::plan::{Ground, Plan};
use failoverd::engine::zone::{Change, ChangeOp, Data, LiveSet};
use proptest::prelude::*;

use super::cases::hold;
use super::policies::{ZONE, fence_value, label, policy};

/// A value as a zone may list it: in any case, with octal escapes, in several strings.
fn spelt(value: &str, ways: &[u8]) -> String {
    let mut out = String::from("\"");
    for (c, way) in value.chars().zip(ways.iter().cycle()) {
        match way % 8 {
            0 | 1 => out.push(c.to_ascii_uppercase()),
            2 => out.push_str(&format!("\\{:03o}", u32::from(c))),
            3 => out.push_str(&format!("\\{:03o}", u32::from(c.to_ascii_uppercase()))),
            4 => {
                out.push_str("\" \"");
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

#[test]
fn a_fence_value_reads_back_however_it_is_spelt() {
    let more = prop::collection::vec(("[a-z]{3,8}", "[a-z0-9./:-]{0,8}"), 0..3);
    let input = (fence_value(), prop::collection::vec(any::<u8>(), 1..40), more);
    hold("a_fence_value_reads_back_however_it_is_spelt", input, |(value, ways, more)| {
        let text = value.encode();
        prop_assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"=._/:- ".contains(&b)));
        prop_assert_eq!(unquote(&quote(&text)), Some(text.clone()));
        // Keys of a newer program are legal wherever they stand.
        let more: Vec<String> = more.iter().map(|(key, value)| format!("x{key}={value}")).collect();
        let longer = format!("{} {text} {}", more.join(" "), more.join("  "));
        let read = unquote(&spelt(&longer, &ways)).map(|text| FenceValue::parse(&text));
        prop_assert_eq!(read, Some(Ok(value.clone())));
        let set = LiveSet::values("TXT", FENCE_TTL, vec![spelt(&text, &ways)]);
        let fence = Fence::classify(std::slice::from_ref(&set), &value.cluster);
        prop_assert_eq!(fence.value(), Some(&value));
        prop_assert_eq!(fence.standing(), Some(&set), "it is deleted as it was listed");
        Ok(())
    });
}

#[test]
fn no_text_at_a_fence_is_a_panic_or_ours_by_mistake() {
    let damaged =
        (fence_value(), any::<prop::sample::Index>(), any::<char>(), any::<bool>()).prop_map(|(v, at, c, whole)| {
            let text = v.encode();
            let (head, tail) = text.split_at(at.index(text.len()));
            format!("{head}{c}{}", if whole { tail } else { "" })
        });
    let text = prop_oneof![any::<String>(), "[v=12 eopathkmuc/.\\\\\"0-9-]{0,80}", damaged];
    let input = (prop::collection::vec(text, 0..3), any::<bool>(), any::<bool>());
    hold("no_text_at_a_fence_is_a_panic_or_ours_by_mistake", input, |(texts, quoted, weighted)| {
        let cluster = ClusterName::new("prod").unwrap();
        let raw: Vec<String> = texts.iter().map(|t| if quoted { quote(t) } else { t.clone() }).collect();
        for (text, raw) in texts.iter().zip(&raw) {
            let _ = unquote(raw);
            if let Ok(value) = FenceValue::parse(text) {
                let again = value.encode();
                prop_assert_eq!(FenceValue::parse(&again), Ok(value), "what was understood can be said again");
            }
        }
        let set = LiveSet { routing: weighted.then(|| "w".into()), ..LiveSet::values("TXT", 60, raw.clone()) };
        let fence = Fence::classify(std::slice::from_ref(&set), &cluster);
        if let Some((value, standing)) = fence.ours() {
            prop_assert!(raw.len() == 1 && !weighted && value.cluster == cluster && *standing == set);
        }
        // Whatever is to be replaced is replaced byte for byte.
        prop_assert!(fence.standing().is_none_or(|standing| *standing == set && !weighted));
        Ok(())
    });
}

#[test]
fn a_plan_is_never_empty_nor_foreign() {
    let members = prop::collection::vec(0u32..6, 0..5);
    let standing = prop::collection::vec((0u8..4, any::<bool>()), 0..3);
    let input = (policy(1), members, standing, fence_value(), prop::sample::select(Kind::ALL.to_vec()), any::<bool>());
    hold("a_plan_is_never_empty_nor_foreign", input, |(policy, members, standing, after, kind, fenced)| {
        let Some(to) = Members::new(members.into_iter().map(TargetIdx)) else { return Ok(()) };
        let zone = RecordName::new(ZONE).unwrap();
        let foreign = |(n, alias): &(u8, bool)| match alias {
            false => LiveSet::values(["A", "AAAA", "CNAME", "TXT"][usize::from(*n)], 300, vec!["203.0.113.1".into()]),
            true => LiveSet::alias(
                ["A", "AAAA"][usize::from(*n % 2)],
                AliasTarget { name: zone.clone(), zone_id: ZoneId::new("Z"), evaluate_target_health: false },
            ),
        };
        let standing: Vec<LiveSet> = standing.iter().map(foreign).collect();
        let before = fenced.then(|| LiveSet::values("TXT", 77, vec!["\"v=1 e=1\"".into(), "\"\\042\"".into()]));
        let ground = |record: &RecordName| Ground {
            fence_name: fence_name(record, &zone).unwrap(),
            fence: before.clone(),
            standing: standing.clone(),
            after: after.clone(),
        };
        let grounds: Vec<Ground> = policy.records.iter().map(ground).collect();
        let known = to.iter().all(|t| policy.target(t).is_some());
        let fits = to.count() <= policy.answers as usize;
        let short = grounds[1..].to_vec();
        prop_assert!(Plan::publish(kind, &policy, to.clone(), Epoch(2), short).is_none());
        let plan = Plan::publish(kind, &policy, to.clone(), Epoch(2), grounds);
        prop_assert_eq!(plan.is_some(), known && fits, "{:?}", to);
        let Some(plan) = plan else { return Ok(()) };
        let ours: BTreeSet<String> = to
            .iter()
            .filter_map(|t| policy.target(t))
            .flat_map(|t| match &t.content {
                Content::Addresses(set) => set.iter().map(|a| a.to_string()).collect(),
                Content::Host(name) => vec![format!("{name}.")],
                Content::Alias(alias) => vec![alias.to_string()],
            })
            .collect();
        let mut seen = BTreeSet::new();
        for (record, sets) in policy.records.iter().zip(plan.sets()) {
            prop_assert!(!sets.is_empty(), "{} would be empty", record);
            for set in &sets {
                let values = set.alias.iter().map(ToString::to_string).chain(set.values.clone());
                let values: Vec<String> = values.collect();
                prop_assert!(!values.is_empty() && values.iter().all(|v| ours.contains(v)), "{:?}", set);
                seen.extend(values);
            }
        }
        prop_assert_eq!(seen, ours, "everything that is to be published is");
        let changes = plan.changes();
        let turn =
            |c: &Change| [ChangeOp::Delete, ChangeOp::Create, ChangeOp::Upsert].iter().position(|op| *op == c.op);
        prop_assert!(changes.is_sorted_by_key(turn));
        for record in &policy.records {
            let fence = fence_name(record, &zone).unwrap();
            let deletes: Vec<&Change> =
                changes.iter().filter(|c| c.name == fence && c.op == ChangeOp::Delete).collect();
            prop_assert_eq!(deletes.len(), usize::from(fenced));
            let exact = |c: &&Change| {
                before.as_ref().is_some_and(|b| c.data == Data::Values { ttl: 77, values: b.values.clone() })
            };
            prop_assert!(deletes.iter().all(exact), "byte for byte, TTL too");
        }
        Ok(())
    });
}

fn change() -> impl Strategy<Value = Change> {
    let op = prop::sample::select(vec![ChangeOp::Delete, ChangeOp::Create, ChangeOp::Upsert]);
    let data = prop_oneof![
        prop::collection::vec("[a-z0-9 ü]{1,60}", 1..40).prop_map(|values| Data::Values { ttl: 60, values }),
        label().prop_map(|name| Data::Alias(AliasTarget {
            name: RecordName::new(&name).unwrap(),
            zone_id: ZoneId::new("Z"),
            evaluate_target_health: true,
        })),
    ];
    (op, label(), data).prop_map(|(op, name, data)| Change {
        op,
        name: RecordName::new(&format!("{name}.{ZONE}")).unwrap(),
        rtype: "A".into(),
        data,
    })
}

#[test]
fn a_request_is_never_overfull() {
    let input = prop::collection::vec(prop::collection::vec(change(), 1..12), 1..12);
    hold("a_request_is_never_overfull", input, |batches| {
        let (mut room, mut rode) = (Weight::default(), Vec::new());
        for changes in batches {
            let one = Weight::of(&changes);
            let with: Vec<Change> = rode.iter().cloned().chain(changes.clone()).collect();
            let both = Weight::of(&with);
            let fits = both.records <= MAX_RECORDS && both.characters <= MAX_CHARACTERS;
            prop_assert_eq!(room.plus(one), fits.then_some(both), "weights add up and the limit is exact");
            if let Some(sum) = room.plus(one) {
                (room, rode) = (sum, with);
            }
        }
        Ok(())
    });
}

#[test]
fn a_refusal_names_whole_names_only() {
    let around = "[ '\\[\\],a-z.=]{0,20}";
    let input = (policy(1), around, around, 0u8..4, any::<String>());
    hold("a_refusal_names_whole_names_only", input, |(policy, before, after, how, noise)| {
        let zone = RecordName::new(ZONE).unwrap();
        let value = "v=1 e=1 p=p o=a/b a=x t=1 k=burn h=0 m=auto u=0 c=1 to=x";
        let ground = |record: &RecordName| Ground {
            fence_name: fence_name(record, &zone).unwrap(),
            fence: None,
            standing: Vec::new(),
            after: FenceValue::parse(value).unwrap(),
        };
        let grounds = policy.records.iter().map(ground).collect();
        let plan = Plan::fence_only(Kind::Burn, &policy, Epoch(1), grounds).unwrap();
        let name = policy.records[0].as_str();
        let _ = batch::names(&noise, &plan);
        let (text, named) = match how {
            0 => (format!("{before} [name='{}.', type='A'] {after}", name.to_uppercase()), true),
            1 => (format!("{before} 'x{name}' {after}"), false),
            2 => (format!("{before} '{name}.au.' {after}"), false),
            _ => (format!("{before} in zone {ZONE}."), false),
        };
        prop_assert_eq!(batch::names(&text, &plan), named, "{}", text);
        Ok(())
    });
}

#[test]
fn ids_and_jitter_keep_their_range() {
    let input = (any::<String>(), any::<u64>(), any::<u64>(), prop::collection::vec(any::<String>(), 0..4), 0usize..80);
    hold("ids_and_jitter_keep_their_range", input, |(name, n, range, parts, digits)| {
        prop_assert!(jitter(&name, n, range) < range.max(1));
        prop_assert_eq!(jitter(&name, n, range), jitter(&name, n, range));
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let hash = short_hash(&parts, digits);
        prop_assert_eq!(hash.len(), digits.min(64));
        prop_assert!(hash.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()));
        let token = target_token(&parts);
        prop_assert!(token.len() <= MAX_TOKEN);
        Ok(())
    });
}

#[test]
fn a_name_has_one_spelling() {
    let name = prop_oneof![
        prop::collection::vec("[a-zA-Z0-9_-]{1,20}", 1..6).prop_map(|labels| labels.join(".")),
        any::<String>(),
        "[a-z.*\\\\0-7]{0,30}",
    ];
    let input = (name, prop::collection::vec(any::<u8>(), 1..10), any::<bool>());
    hold("a_name_has_one_spelling", input, |(text, ways, dot)| {
        let Ok(name) = RecordName::new(&text) else { return Ok(()) };
        prop_assert!(name.as_str().len() <= 253);
        prop_assert_eq!(RecordName::new(name.as_str()), Ok(name.clone()), "a name reads back");
        let mut other: String = name
            .as_str()
            .chars()
            .zip(ways.iter().cycle())
            .map(|(c, way)| match way % 3 {
                0 => c.to_ascii_uppercase().to_string(),
                1 if c != '.' => format!("\\{:03o}", u32::from(c)),
                _ => c.to_string(),
            })
            .collect();
        other.extend(dot.then_some('.'));
        prop_assert_eq!(RecordName::new(&other), Ok(name), "{}", other);
        Ok(())
    });
}

/// Records of a zone, those among them that look like fences.
fn record() -> impl Strategy<Value = RecordName> {
    let part = prop_oneof![
        4 => label(),
        1 => Just("_apex".to_owned()),
        1 => Just("_any".to_owned()),
        1 => Just("_failoverd".to_owned()),
    ];
    let first = prop_oneof![4 => Just(None), 1 => Just(Some("*".to_owned()))];
    (first, prop::collection::vec(part, 0..4)).prop_map(|(first, parts)| {
        let parts: Vec<String> = first.into_iter().chain(parts).chain([ZONE.to_owned()]).collect();
        RecordName::new(&parts.join(".")).unwrap()
    })
}

#[test]
fn no_two_records_of_a_zone_share_a_fence() {
    hold("no_two_records_of_a_zone_share_a_fence", (record(), record()), |(one, other)| {
        let zone = RecordName::new(ZONE).unwrap();
        if failoverd::engine::fence::is_reserved(&one) || failoverd::engine::fence::is_reserved(&other) {
            return Ok(());
        }
        let (a, b) = (fence_name(&one, &zone).unwrap(), fence_name(&other, &zone).unwrap());
        prop_assert!((a == b) == (one == other), "{} and {} share {}", one, other, a);
        prop_assert!(a.is_within(&zone) && a != one && a != other, "{} is a record", a);
        Ok(())
    });
}

#[test]
fn no_second_sees_more_calls_than_burst_and_rate() {
    let steps = prop::collection::vec((0u64..700, 0u32..6), 1..120);
    let input = (1u32..200, 1u32..20, steps);
    hold("no_second_sees_more_calls_than_burst_and_rate", input, |(tenths, burst, steps)| {
        let rate = f64::from(tenths) / 10.0;
        let mut now = Tick(1_000);
        let mut bucket = TokenBucket::new(ApiBudget { rate, burst }, now);
        let mut taken: Vec<(u64, u32)> = Vec::new();
        for (wait, calls) in steps {
            now = Tick(now.0 + wait);
            // More than the burst at once overdraws: that much cannot be split.
            let calls = calls.min(burst);
            let ready = bucket.ready_at(calls, now);
            prop_assert_eq!(bucket.clone().take(calls, now), ready <= now);
            prop_assert!(bucket.clone().take(calls, ready), "what is told is kept");
            if bucket.take(calls, now) {
                taken.push((now.0, calls));
            }
        }
        for (from, _) in &taken {
            let sum: u32 = taken.iter().filter(|(at, _)| (*from..from + 1000).contains(at)).map(|(_, n)| n).sum();
            prop_assert!(f64::from(sum) <= f64::from(burst) + rate + 1e-6, "{} in the second from {}", sum, from);
        }
        Ok(())
    });
}

#[test]
fn a_set_of_targets_is_what_it_was_made_of() {
    let input = (prop::collection::vec(0u32..40, 0..12), prop::collection::vec(any::<std::net::IpAddr>(), 0..8));
    hold("a_set_of_targets_is_what_it_was_made_of", input, |(targets, addresses)| {
        let set: BTreeSet<u32> = targets.iter().copied().collect();
        match Members::new(targets.into_iter().map(TargetIdx)) {
            None => prop_assert!(set.is_empty()),
            Some(members) => {
                prop_assert_eq!(
                    members.iter().map(|t| t.0).collect::<Vec<_>>(),
                    set.iter().copied().collect::<Vec<_>>()
                );
                prop_assert!((0..40).all(|t| members.contains(TargetIdx(t)) == set.contains(&t)));
                prop_assert!(members.count() >= 1);
            }
        }
        let Ok(all) = AddressSet::new(addresses.clone()) else {
            prop_assert!(addresses.is_empty());
            return Ok(());
        };
        let families: Vec<AddressSet> = all.families().into_iter().filter_map(|f| all.of(f)).collect();
        let joined = families.iter().skip(1).fold(families[0].clone(), |sum, one| sum.union(one));
        prop_assert_eq!(&joined, &all);
        prop_assert!(addresses.iter().all(|a| all.contains(*a)));
        Ok(())
    });
}
