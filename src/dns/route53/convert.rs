//! Between the SDK's record sets and ours. A listed set keeps every byte that a later DELETE
//! must repeat.

use aws_sdk_route53::error::BuildError;
use aws_sdk_route53::types::{
    AliasTarget as SdkAliasTarget, Change as SdkChange, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet,
    RrType,
};

use crate::domain::{AliasTarget, RecordName, ZoneId};
use crate::engine::zone::{Change, ChangeOp, Data, LiveSet};

/// Longest comment the API takes, in characters.
const COMMENT_LIMIT: usize = 256;

pub(super) fn live_set(set: &ResourceRecordSet) -> LiveSet {
    LiveSet {
        rtype: set.r#type().as_str().to_ascii_uppercase(),
        ttl: set.ttl().and_then(|ttl| u32::try_from(ttl).ok()),
        values: set.resource_records().iter().map(|r| r.value().to_owned()).collect(),
        routing: set.set_identifier().map(String::from),
        health_check: set.health_check_id().map(String::from),
        traffic_policy: set.traffic_policy_instance_id().map(String::from),
        alias: set.alias_target().and_then(|alias| {
            Some(AliasTarget {
                name: RecordName::new(alias.dns_name()).ok()?,
                zone_id: ZoneId::new(alias.hosted_zone_id()),
                evaluate_target_health: alias.evaluate_target_health(),
            })
        }),
    }
}

/// Name as a `RecordName` spells it, or as near as a name can come that no `RecordName` holds.
pub(super) fn listed_name(text: &str) -> String {
    match RecordName::new(text) {
        Ok(name) => name.as_str().to_owned(),
        Err(_) => text.trim_end_matches('.').to_ascii_lowercase(),
    }
}

/// Name with the trailing dot, so that no server appends anything.
pub(super) fn absolute(name: &RecordName) -> String {
    format!("{name}.")
}

pub(super) fn batch(changes: &[Change], comment: &str) -> Result<ChangeBatch, BuildError> {
    let list: Vec<SdkChange> = changes.iter().map(change).collect::<Result<_, _>>()?;
    let comment: String = comment.chars().take(COMMENT_LIMIT).collect();
    ChangeBatch::builder().set_comment(Some(comment).filter(|c| !c.is_empty())).set_changes(Some(list)).build()
}

fn change(change: &Change) -> Result<SdkChange, BuildError> {
    let action = match change.op {
        ChangeOp::Delete => ChangeAction::Delete,
        ChangeOp::Create => ChangeAction::Create,
        ChangeOp::Upsert => ChangeAction::Upsert,
    };
    let set = ResourceRecordSet::builder().name(absolute(&change.name)).r#type(RrType::from(change.rtype.as_str()));
    let set = match &change.data {
        Data::Values { ttl, values } => {
            let records: Vec<ResourceRecord> =
                values.iter().map(|value| ResourceRecord::builder().value(value).build()).collect::<Result<_, _>>()?;
            set.ttl(i64::from(*ttl)).set_resource_records(Some(records))
        }
        Data::Alias(alias) => set.alias_target(
            SdkAliasTarget::builder()
                .dns_name(absolute(&alias.name))
                .hosted_zone_id(alias.zone_id.as_str())
                .evaluate_target_health(alias.evaluate_target_health)
                .build()?,
        ),
    };
    let set = set.build()?;
    SdkChange::builder().action(action).resource_record_set(set).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_listing_are_normalised_as_far_as_possible() {
        for (listed, name) in [
            ("WWW.Example.com.", "www.example.com"),
            ("\\052.example.com.", "*.example.com"),
            ("odd\\100name.example.com.", "odd\\100name.example.com"),
        ] {
            assert_eq!(listed_name(listed), name);
        }
    }

    fn alias_set(name: &str, healthy: bool) -> ResourceRecordSet {
        let alias =
            SdkAliasTarget::builder().hosted_zone_id("ZELB").dns_name(name).evaluate_target_health(healthy).build();
        ResourceRecordSet::builder().name("a.").r#type(RrType::A).alias_target(alias.unwrap()).build().unwrap()
    }

    #[test]
    fn a_steered_set_is_never_simple_and_says_what_steers_it() {
        let record = ResourceRecord::builder().value("192.0.2.1").build().unwrap();
        let plain =
            || ResourceRecordSet::builder().name("a.").r#type(RrType::A).ttl(60).resource_records(record.clone());
        let live = |set: aws_sdk_route53::types::builders::ResourceRecordSetBuilder| live_set(&set.build().unwrap());
        let simple = live(plain());
        assert_eq!(simple, LiveSet::values("A", 60, vec!["192.0.2.1".into()]));
        assert!(simple.is_simple());
        let routed = live(plain().set_identifier("blue").weight(1));
        let checked = live(plain().health_check_id("h"));
        let policed = live(plain().traffic_policy_instance_id("t"));
        assert_eq!(routed, LiveSet { routing: Some("blue".into()), ..simple.clone() });
        assert_eq!(checked, LiveSet { health_check: Some("h".into()), ..simple.clone() });
        assert_eq!(policed, LiveSet { traffic_policy: Some("t".into()), ..simple });
        assert!([routed, checked, policed].iter().all(|set| !set.is_simple()));
    }

    #[test]
    fn an_alias_is_read_in_one_spelling_and_sent_back_whole() {
        for healthy in [false, true] {
            for spelling in ["LB.Example.net.", "lb.example.net"] {
                let live = live_set(&alias_set(spelling, healthy));
                let target = AliasTarget {
                    name: RecordName::new("lb.example.net").unwrap(),
                    zone_id: ZoneId::new("ZELB"),
                    evaluate_target_health: healthy,
                };
                assert_eq!(live, LiveSet::alias("A", target.clone()));
                let name = RecordName::new("www.example.com").unwrap();
                let one = Change { op: ChangeOp::Delete, name, rtype: "A".into(), data: Data::Alias(target) };
                let sent = batch(&[one], "").unwrap();
                let sent = sent.changes()[0].resource_record_set().unwrap();
                assert_eq!(sent.alias_target(), alias_set("lb.example.net.", healthy).alias_target());
                assert_eq!((sent.ttl(), sent.resource_records().len()), (None, 0));
            }
        }
    }

    #[test]
    fn an_alias_of_a_name_that_cannot_be_spelt_is_no_set_of_values() {
        let odd = live_set(&alias_set("odd\\100name.example.net.", true));
        assert!(odd.is_unreadable_alias());
        assert_eq!((odd.ttl, odd.alias.is_none(), odd.values.len()), (None, true, 0));
        assert!(!live_set(&alias_set("lb.example.net.", true)).is_unreadable_alias());
        assert!(!LiveSet::values("A", 60, vec!["192.0.2.1".into()]).is_unreadable_alias());
    }

    #[test]
    fn a_comment_is_cut_at_what_the_api_takes() {
        let name = RecordName::new("www.example.com").unwrap();
        let change = Change {
            op: ChangeOp::Upsert,
            name,
            rtype: "A".into(),
            data: Data::Values { ttl: 30, values: vec!["192.0.2.1".into()] },
        };
        let batch = batch(&[change], &"ü".repeat(300)).unwrap();
        assert_eq!(batch.comment().unwrap().chars().count(), 256);
        assert_eq!(batch.changes()[0].resource_record_set().unwrap().name(), "www.example.com.");
    }
}
