//! Which writes of one zone ride in one request, and whom a refused request means.
//!
//! A batch is all or nothing, so one bad set refuses every policy in it: those the error names
//! leave, the rest go again at once; when it names none, the batch is halved until the bad one is
//! alone (ARCHITECTURE.md, the fence).

use super::plan::Plan;
use super::zone::{Change, ChangeOp, Data};

/// Most values of one request; an UPSERT counts twice (Route 53 API reference, ChangeResourceRecordSets).
pub const MAX_RECORDS: usize = 1000;
/// Most characters of all values of one request; an UPSERT counts twice.
pub const MAX_CHARACTERS: usize = 32_000;

/// What a write takes of a request's room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    pub records: usize,
    pub characters: usize,
}

impl Weight {
    pub fn of(changes: &[Change]) -> Weight {
        changes.iter().fold(Weight::default(), |sum, change| {
            let twice = if change.op == ChangeOp::Upsert { 2 } else { 1 };
            // An alias has no values; it is counted as one of its name's length to be on the safe side.
            let (records, characters) = match &change.data {
                Data::Values { values, .. } => (values.len(), values.iter().map(|v| v.chars().count()).sum()),
                Data::Alias(alias) => (1, alias.name.as_str().len()),
            };
            Weight { records: sum.records + twice * records, characters: sum.characters + twice * characters }
        })
    }

    /// Both together, `None` when one request cannot hold them.
    pub fn plus(self, other: Weight) -> Option<Weight> {
        let sum = Weight { records: self.records + other.records, characters: self.characters + other.characters };
        (sum.records <= MAX_RECORDS && sum.characters <= MAX_CHARACTERS).then_some(sum)
    }
}

/// Most writes that ride together after a refusal that names nobody: at last the bad one is alone.
pub fn half(size: usize) -> usize {
    (size / 2).max(1)
}

/// Every DELETE first, then CREATEs, then UPSERTs, whoever they are of.
pub fn in_wire_order(lists: Vec<Vec<Change>>) -> Vec<Change> {
    let mut all: Vec<Change> = lists.into_iter().flatten().collect();
    all.sort_by_key(|change| match change.op {
        ChangeOp::Delete => 0,
        ChangeOp::Create => 1,
        ChangeOp::Upsert => 2,
    });
    all
}

/// What one request holds so far.
#[derive(Clone, Copy, Debug)]
pub struct Packing {
    room: Weight,
    /// Most writes any member rides with.
    most: usize,
    members: usize,
}

impl Default for Packing {
    fn default() -> Packing {
        Packing { room: Weight::default(), most: usize::MAX, members: 0 }
    }
}

impl Packing {
    /// Whether one more fits that rides with at most `cap` writes. A write too big for any request
    /// goes alone: the provider says what is wrong with it.
    pub fn admits(&self, weight: Weight, cap: usize) -> bool {
        self.members == 0 || (self.members < self.most.min(cap) && self.room.plus(weight).is_some())
    }

    pub fn add(&mut self, weight: Weight, cap: usize) {
        self.room = self.room.plus(weight).unwrap_or(weight);
        self.most = self.most.min(cap);
        self.members += 1;
    }
}

/// Whether a refusal's message names a set of `plan`: its records or their fences, in any case,
/// with or without the last dot.
pub fn names(message: &str, plan: &Plan) -> bool {
    let message = without_zone(&message.to_ascii_lowercase().replace("\\052", "*"));
    plan.names().any(|(record, fence)| mentions(&message, record.as_str()) || mentions(&message, fence.as_str()))
}

/// Refusals end in "… in zone example.com.", which blames no set at the apex.
fn without_zone(message: &str) -> String {
    let mut parts = message.split("in zone ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(part.split_once([' ', ',', ']', ')']).map_or("", |(_, rest)| rest));
        out.push(' ');
    }
    out
}

/// `name` as a whole word: not the tail of a longer name, nor the head of one.
fn mentions(message: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*');
    message.match_indices(name).any(|(at, _)| {
        let before = message.get(..at).and_then(|head| head.chars().next_back());
        let mut after = message.get(at + name.len()..).unwrap_or_default().chars();
        let tail = match after.next() {
            Some('.') => after.next(),
            other => other,
        };
        before.is_none_or(|c| !is_part(c) && c != '.') && tail.is_none_or(|c| !is_part(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RecordName;

    #[test]
    fn an_upsert_counts_twice_and_a_request_is_never_overfull() {
        let change = |op, values: &[&str]| Change {
            op,
            name: RecordName::new("www.example.com").unwrap(),
            rtype: "A".into(),
            data: Data::Values { ttl: 60, values: values.iter().map(|v| (*v).to_owned()).collect() },
        };
        let one = Weight::of(&[
            change(ChangeOp::Delete, &["12345"]),
            change(ChangeOp::Create, &["1234", "12"]),
            change(ChangeOp::Upsert, &["123", "1234567"]),
        ]);
        assert_eq!(one, Weight { records: 1 + 2 + 4, characters: 5 + 6 + 20 });
        let full = Weight { records: MAX_RECORDS - one.records, characters: 0 };
        assert_eq!(full.plus(one).map(|w| w.records), Some(MAX_RECORDS));
        assert_eq!(Weight { records: full.records + 1, ..full }.plus(one), None);
        let long = Weight { records: 0, characters: MAX_CHARACTERS - one.characters };
        assert!(long.plus(one).is_some() && Weight { characters: long.characters + 1, ..long }.plus(one).is_none());
    }

    #[test]
    fn the_zone_a_refusal_happened_in_is_no_set() {
        for (message, left) in [
            ("rrset www.example.com. conflicts in zone example.com.", "rrset www.example.com. conflicts  "),
            ("[a in zone example.com., b of example.com. in zone example.com.]", "[a  b of example.com.   "),
            ("nothing", "nothing"),
        ] {
            assert_eq!(without_zone(message), left);
        }
    }

    #[test]
    fn a_message_names_a_set_only_as_a_whole_name() {
        let cases = [
            ("[Tried to delete resource record set [name='www.example.com.', type='A'] but it was not found]", true),
            ("RRSet with DNS name WWW.example.com., type A is not permitted", true),
            ("name='a.www.example.com.'", false),
            ("name='xwww.example.com.'", false),
            ("name='www.example.com.au.'", false),
            ("www.example.com", true),
            ("nothing at all", false),
        ];
        for (message, named) in cases {
            assert_eq!(mentions(&message.to_ascii_lowercase(), "www.example.com"), named, "{message}");
        }
    }
}
