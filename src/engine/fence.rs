//! The fence: the TXT record that makes a stale write fail, and what its value means.
//!
//! One fence per managed record, named after what it locks. Reading is tolerant (case, octal,
//! unknown keys), deleting is exact: the listed set goes back byte for byte.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::{ClusterName, Epoch, InstanceName, PolicyId, RecordName, RecordNameError, UnixMs};
use crate::seeded::{Bug, seeded};

use super::intent::Kind;
use super::zone::{LiveSet, RecordRead};

/// TTL of every fence, seconds.
pub const FENCE_TTL: u32 = 60;

/// No value is believed that claims this epoch or a higher one: it could not be counted up for ever.
const EPOCH_LIMIT: u64 = 1 << 48;

/// Longest value: one TXT string (RFC 1035 3.3).
pub const MAX_VALUE: usize = 255;

/// Name of the fence of `record` in `zone`: `<labels>._failoverd.<zone>`.
pub fn fence_name(record: &RecordName, zone: &RecordName) -> Result<RecordName, RecordNameError> {
    let relative = record.relative_to(zone).unwrap_or(record.as_str());
    let labels = match relative {
        "" => "_apex".to_owned(),
        "*" => "_any".to_owned(),
        other => other.strip_prefix("*.").map_or_else(|| other.to_owned(), |rest| format!("_any.{rest}")),
    };
    RecordName::new(&format!("{labels}._failoverd.{zone}"))
}

/// A name that would share its fence with another record, or be a fence: `_apex` and `_any` stand for
/// the zone itself and `*`, and `_failoverd` for the place where fences are.
pub fn is_reserved(record: &RecordName) -> bool {
    let mut labels = record.as_str().split('.');
    let first = labels.clone().next().unwrap_or_default();
    matches!(first, "_apex" | "_any") || labels.any(|label| label == "_failoverd")
}

/// The state a fence carries for every instance; its `m=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FenceMode {
    Auto,
    Frozen,
    Forced,
    Locked,
    Released,
}

impl FenceMode {
    const ALL: [(FenceMode, &'static str); 5] = [
        (FenceMode::Auto, "auto"),
        (FenceMode::Frozen, "frozen"),
        (FenceMode::Forced, "forced"),
        (FenceMode::Locked, "locked"),
        (FenceMode::Released, "released"),
    ];

    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(m, _)| *m == self).map_or("auto", |(_, text)| text)
    }
}

/// A fence's value, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceValue {
    pub epoch: Epoch,
    pub policy: PolicyId,
    pub cluster: ClusterName,
    pub instance: InstanceName,
    /// Makes every value new; names the write.
    pub attempt: String,
    pub written: UnixMs,
    pub kind: FenceKind,
    /// Automatic moves in the hour before the write.
    pub moves: u32,
    pub mode: FenceMode,
    /// End of the mode, 0 for none.
    pub until: UnixMs,
    pub config: String,
    /// Target published by the write, or its hash (see [`target_token`]).
    pub to: String,
}

/// A kind we know or one of a newer version, which is legal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FenceKind {
    Known(Kind),
    Other(String),
}

impl FenceKind {
    pub fn is_automatic_move(&self) -> bool {
        matches!(self, FenceKind::Known(kind) if kind.is_automatic_move())
    }

    /// What hold-down and flap budget count.
    pub fn is_counted_move(&self) -> bool {
        matches!(self, FenceKind::Known(kind) if kind.is_counted_move())
    }

    /// An automatic move or a person's; not to be undone by an automatic one at once.
    pub fn moves_the_record(&self) -> bool {
        self.is_automatic_move() || matches!(self, FenceKind::Known(Kind::Switch | Kind::Force))
    }
}

impl fmt::Display for FenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FenceKind::Known(kind) => kind.fmt(f),
            FenceKind::Other(text) => f.pad(text),
        }
    }
}

impl FenceValue {
    /// The value as written, without quotes. Its characters are `[a-z0-9=._/:-]` and space by
    /// construction: every part is a label, a number or a hash.
    pub fn encode(&self) -> String {
        format!(
            "v=1 e={} p={} o={}/{} a={} t={} k={} h={} m={} u={} c={} to={}",
            self.epoch,
            self.policy,
            self.cluster,
            self.instance,
            self.attempt,
            self.written.secs(),
            self.kind,
            self.moves,
            self.mode.as_str(),
            self.until.secs(),
            self.config,
            self.to,
        )
    }

    /// Reads a decoded value. The error is a sentence for people.
    pub fn parse(text: &str) -> Result<FenceValue, String> {
        let lower = text.to_ascii_lowercase();
        let pairs: Vec<(&str, &str)> = lower.split_ascii_whitespace().filter_map(|word| word.split_once('=')).collect();
        let get = |key: &str| pairs.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
        let need = |key: &str| get(key).ok_or_else(|| format!("it has no `{key}=`"));
        let number = |key: &str| need(key)?.parse::<u64>().map_err(|_| format!("its `{key}=` is not a number"));
        match get("v") {
            Some("1") => {}
            Some(other) => return Err(format!("it is of version {other}, newer than this program")),
            None => return Err("it has no `v=`".into()),
        }
        let (cluster, instance) = need("o")?.split_once('/').ok_or("its `o=` is not cluster/instance")?;
        let kind = need("k")?;
        let mode = need("m")?;
        let epoch = number("e")?;
        if epoch >= EPOCH_LIMIT {
            return Err(format!("its `e={epoch}` is higher than any epoch that was ever written"));
        }
        Ok(FenceValue {
            epoch: Epoch(epoch),
            policy: PolicyId::new(need("p")?).map_err(|e| e.to_string())?,
            cluster: ClusterName::new(cluster).map_err(|e| e.to_string())?,
            instance: InstanceName::new(instance).map_err(|e| e.to_string())?,
            attempt: need("a")?.to_owned(),
            written: UnixMs::from_secs(number("t")?),
            kind: Kind::ALL
                .into_iter()
                .find(|k| k.as_str() == kind)
                .map_or_else(|| FenceKind::Other(kind.to_owned()), FenceKind::Known),
            moves: u32::try_from(number("h")?).unwrap_or(u32::MAX),
            mode: FenceMode::ALL
                .iter()
                .find(|(_, text)| *text == mode)
                .map(|(m, _)| *m)
                .ok_or_else(|| format!("its mode `{mode}` is unknown"))?,
            until: UnixMs::from_secs(number("u")?),
            config: need("c")?.to_owned(),
            to: get("to").unwrap_or("").to_owned(),
        })
    }
}

/// The raw TXT value of a text of our charset.
pub fn quote(value: &str) -> String {
    format!("\"{value}\"")
}

/// Decodes one listed TXT value: quoted strings, joined, with `\"`, `\\` and octal escapes.
pub fn unquote(raw: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut bytes = raw.trim().bytes().peekable();
    let mut inside = false;
    while let Some(byte) = bytes.next() {
        match (inside, byte) {
            (_, b'"') => inside = !inside,
            (true, b'\\') => {
                let first = bytes.next()?;
                if first.is_ascii_digit() {
                    let digits = [first, bytes.next()?, bytes.next()?];
                    out.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 8).ok()?);
                } else {
                    out.push(first);
                }
            }
            (true, other) => out.push(other),
            (false, b' ') => {}
            (false, _) => return None,
        }
    }
    if inside { None } else { String::from_utf8(out).ok() }
}

/// What stands at a fence's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fence {
    Absent,
    /// Our cluster's, whichever instance wrote it.
    Ours {
        value: FenceValue,
        raw: LiveSet,
    },
    /// Another cluster's: read-only for us.
    Foreign {
        value: FenceValue,
        raw: LiveSet,
    },
    /// A cluster gave the record up, its name is in the value: nobody's until it is adopted.
    Released {
        value: FenceValue,
        raw: LiveSet,
    },
    /// Several values, an unknown version, not parsable, not a simple TXT set.
    Unusable {
        why: String,
        damage: Damage,
    },
}

/// What may be done about a fence that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// One simple set: `adopt --repair` deletes it as listed. With the highest epoch readable in it, and what
    /// the value of that epoch says.
    Spoiled { raw: LiveSet, epoch: Epoch, mode: Option<FenceMode> },
    /// Written by a newer program.
    Newer,
    /// One of several values is another cluster's.
    Shared(ClusterName),
    /// Weighted, health-checked or several sets: only a person can delete them.
    NotSimple,
}

impl Fence {
    /// Judges the sets listed at the fence's name.
    pub fn classify(sets: &[LiveSet], cluster: &ClusterName) -> Fence {
        let txt: Vec<&LiveSet> = sets.iter().filter(|s| s.rtype == "TXT").collect();
        let raw = match txt.as_slice() {
            [] => return Fence::Absent,
            [one] if one.is_simple() => (*one).clone(),
            _ => return Fence::Unusable { why: "it is not one simple TXT set".into(), damage: Damage::NotSimple },
        };
        let read = |value: &String| {
            unquote(value).ok_or_else(|| "it is not a quoted text".to_owned()).and_then(|t| FenceValue::parse(&t))
        };
        match raw.values.as_slice() {
            [value] => match read(value) {
                Err(why) => Fence::Unusable { why, damage: damage(raw, cluster) },
                Ok(value) if value.mode == FenceMode::Released => Fence::Released { value, raw },
                Ok(value) if value.cluster == *cluster || seeded(Bug::ForeignFenceOverwritten) => {
                    Fence::Ours { value, raw }
                }
                Ok(value) => Fence::Foreign { value, raw },
            },
            many => {
                let why = format!("it has {} values instead of one", many.len());
                Fence::Unusable { why, damage: damage(raw, cluster) }
            }
        }
    }

    pub fn ours(&self) -> Option<(&FenceValue, &LiveSet)> {
        match self {
            Fence::Ours { value, raw } => Some((value, raw)),
            _ => None,
        }
    }

    /// What can still be read of the mode in a spoiled one.
    pub fn mode_in_damage(&self) -> Option<FenceMode> {
        match self {
            Fence::Unusable { damage: Damage::Spoiled { mode, .. }, .. } => *mode,
            _ => None,
        }
    }

    /// Its value, whoever wrote it.
    pub fn value(&self) -> Option<&FenceValue> {
        match self {
            Fence::Ours { value, .. } | Fence::Foreign { value, .. } | Fence::Released { value, .. } => Some(value),
            Fence::Absent | Fence::Unusable { .. } => None,
        }
    }

    /// The value while it is our cluster's, given up or not.
    pub fn of_cluster(&self, cluster: &ClusterName) -> Option<&FenceValue> {
        self.value().filter(|v| v.cluster == *cluster)
    }

    /// The one simple set that a write has to delete, exactly as listed.
    pub fn standing(&self) -> Option<&LiveSet> {
        match self {
            Fence::Ours { raw, .. } | Fence::Foreign { raw, .. } | Fence::Released { raw, .. } => Some(raw),
            Fence::Unusable { damage: Damage::Spoiled { raw, .. }, .. } => Some(raw),
            Fence::Absent | Fence::Unusable { .. } => None,
        }
    }

    /// The highest epoch that can be read there.
    pub fn epoch(&self) -> Epoch {
        match self {
            Fence::Unusable { damage: Damage::Spoiled { epoch, .. }, .. } => *epoch,
            other => other.value().map(|v| v.epoch).unwrap_or_default(),
        }
    }
}

/// What holds automatic moves back, most first.
const HOLDING: [FenceMode; 3] = [FenceMode::Frozen, FenceMode::Forced, FenceMode::Locked];

/// How bad it is: looks into every value, however broken the others are.
fn damage(raw: LiveSet, cluster: &ClusterName) -> Damage {
    let texts: Vec<String> = raw.values.iter().map(|v| unquote(v).unwrap_or_else(|| v.clone())).collect();
    let word = |text: &str, key: &str| -> Option<u64> {
        let lower = text.to_ascii_lowercase();
        lower.split(|c: char| c.is_ascii_whitespace() || c == '"').find_map(|w| w.strip_prefix(key)?.parse().ok())
    };
    if texts.iter().any(|text| word(text, "v=").is_some_and(|v| v > 1)) {
        return Damage::Newer;
    }
    let readable = |text: &String| FenceValue::parse(text).ok().filter(|v| v.mode != FenceMode::Released);
    if let Some(other) = texts.iter().filter_map(readable).find(|v| v.cluster != *cluster) {
        return Damage::Shared(other.cluster);
    }
    // A value that does not parse whole may still say whose it is.
    let owner = |text: &String| -> Option<ClusterName> {
        if FenceValue::parse(text).is_ok() {
            return None;
        }
        let lower = text.to_ascii_lowercase();
        let words: Vec<&str> = lower.split(|c: char| c.is_ascii_whitespace() || c == '"').collect();
        if words.contains(&"m=released") {
            return None;
        }
        let named = words.iter().find_map(|w| w.strip_prefix("o="))?;
        ClusterName::new(named.split('/').next()?).ok()
    };
    if let Some(other) = texts.iter().filter_map(owner).find(|c| c != cluster) {
        return Damage::Shared(other);
    }
    let epoch = |text: &String| word(text, "e=").filter(|e| *e < EPOCH_LIMIT).map(Epoch).unwrap_or_default();
    let newest = texts.iter().map(epoch).max().unwrap_or_default();
    // Of several at one epoch, the one that holds back most.
    let said = |text: &String| {
        let lower = text.to_ascii_lowercase();
        let mut words = lower.split(|c: char| c.is_ascii_whitespace() || c == '"');
        let name = words.find_map(|w| w.strip_prefix("m="))?;
        let mode = HOLDING.into_iter().find(|mode| mode.as_str() == name);
        Some((epoch(text), mode.map(|mode| HOLDING.len() - HOLDING.iter().take_while(|m| **m != mode).count()), mode))
    };
    let mode = texts.iter().filter_map(said).max_by_key(|(epoch, rank, _)| (*epoch, *rank)).and_then(|(.., mode)| mode);
    Damage::Spoiled { raw, epoch: newest, mode }
}

/// What the fences as read say about a write of ours whose outcome is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadBack {
    /// Our attempt stands: it was applied.
    Applied,
    /// Something else stands, `to` is its attempt: the set our write names is gone, so that it is
    /// refused whenever it arrives. It may have stood, and been replaced, in between.
    Lost { to: String },
    /// The old fences stand, which proves nothing: the request may yet land. To be burnt.
    MayLand,
    /// The old fences stood after the request could be accepted for the last time.
    Expired,
}

/// Judges a complete reading of all records of a write: `fences` are what `reads` hold, `before`
/// what its batch deletes at each. `expired`: the signature had run out when the reading began.
pub fn read_back(
    attempt: &str,
    before: &[Option<LiveSet>],
    reads: &[RecordRead],
    fences: &[Fence],
    expired: bool,
) -> ReadBack {
    let mut standing = fences.iter().filter_map(Fence::value).map(|v| v.attempt.as_str());
    if standing.clone().any(|other| other == attempt) && !seeded(Bug::ReadBackAsRefusal) {
        return ReadBack::Applied;
    }
    let unchanged = before.iter().zip(reads).all(|(before, read)| match before {
        None => read.fence.is_empty(),
        Some(set) => read.fence.iter().any(|f| f == set),
    });
    if !unchanged {
        return ReadBack::Lost { to: standing.next().unwrap_or("an unreadable fence").to_owned() };
    }
    if expired || seeded(Bug::BurnSkipped) { ReadBack::Expired } else { ReadBack::MayLand }
}

/// Epoch of the next decision: above everything known and everything that stands.
pub fn next_epoch(known: Epoch, fences: &[Fence]) -> Epoch {
    let standing = fences.iter().map(Fence::epoch).fold(known, Epoch::max);
    if seeded(Bug::EpochNotRaised) { standing } else { standing.next() }
}

/// Epoch of a burn: what stands keeps its own; where there is none yet, that of the write it burns.
pub fn burn_epoch(write: Epoch, fences: &[Fence]) -> Epoch {
    fences.iter().map(Fence::epoch).max().filter(|epoch| epoch.0 > 0).unwrap_or(write)
}

/// Longest [`target_token`].
pub const MAX_TOKEN: usize = 24;

/// `to=` of the targets published: their names joined by `/`, or `x-` and 12 hex digits of their
/// hash when longer than 24.
pub fn target_token(names: &[&str]) -> String {
    let text = names.join("/");
    if text.len() <= MAX_TOKEN {
        return text;
    }
    let parts: Vec<&str> = std::iter::once("to").chain(names.iter().copied()).collect();
    format!("x-{}", super::ids::short_hash(&parts, 12))
}

/// Whether [`target_token`] can have made it. What else stands in a `to=` is read, and not written again: it may
/// not fit into a value or need escapes, and such a write would be refused.
pub fn is_target_token(text: &str) -> bool {
    text.len() <= MAX_TOKEN
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._/:-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ZoneId;

    fn value() -> FenceValue {
        FenceValue {
            epoch: Epoch(42),
            policy: PolicyId::new("web").unwrap(),
            cluster: ClusterName::new("prod").unwrap(),
            instance: InstanceName::new("use1-a").unwrap(),
            attempt: "k3f9-1".into(),
            written: UnixMs::from_secs(1_800_000_000),
            kind: FenceKind::Known(Kind::Failover),
            moves: 1,
            mode: FenceMode::Auto,
            until: UnixMs(0),
            config: "0a1b2c3d".into(),
            to: "eu-west-1".into(),
        }
    }

    fn txt(values: &[&str]) -> LiveSet {
        LiveSet::values("TXT", 60, values.iter().map(|v| (*v).to_owned()).collect())
    }

    #[test]
    fn a_value_reads_back_as_it_was_written() {
        let text = value().encode();
        assert_eq!(
            text,
            "v=1 e=42 p=web o=prod/use1-a a=k3f9-1 t=1800000000 k=failover h=1 m=auto u=0 c=0a1b2c3d to=eu-west-1"
        );
        assert_eq!(FenceValue::parse(&text), Ok(value()));
        assert_eq!(
            FenceValue::parse(&(text.to_uppercase() + " future=1")),
            Ok(value()),
            "case and unknown keys are legal"
        );
        assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"=._/:- ".contains(&b)));
    }

    #[test]
    fn what_cannot_be_trusted_is_unusable_and_says_why() {
        let ok = quote(&value().encode());
        let cluster = value().cluster;
        let weighted = LiveSet { routing: Some("w".into()), ..txt(&[&ok]) };
        let cases: Vec<(Vec<LiveSet>, &str)> = vec![
            (vec![txt(&[&ok, &ok])], "it has 2 values"),
            (vec![weighted], "not one simple TXT set"),
            (vec![txt(&["\"v=2 e=1\""])], "newer than this program"),
            (vec![txt(&["\"hello\""])], "no `v=`"),
            (vec![txt(&["\"v=1 e=x p=web o=a/b\""])], "no `k=`"),
            (vec![txt(&[&ok.replace("e=42", "e=-1")])], "`e=` is not a number"),
            (vec![txt(&[&ok.replace("e=42", "e=281474976710656")])], "higher than any epoch that was ever written"),
            (vec![txt(&[&ok.replace("e=42", "e=18446744073709551615")])], "higher than any epoch"),
            (vec![txt(&[&ok.replace("m=auto", "m=odd")])], "mode `odd` is unknown"),
            (vec![txt(&["\"open"])], "not a quoted text"),
        ];
        for (sets, why) in cases {
            match Fence::classify(&sets, &cluster) {
                Fence::Unusable { why: got, .. } => assert!(got.contains(why), "{got} / {why}"),
                other => panic!("{other:?} for {why}"),
            }
        }
        assert_eq!(Fence::classify(&[], &cluster), Fence::Absent);
        assert!(matches!(Fence::classify(&[txt(&[&ok])], &cluster), Fence::Ours { .. }));
        assert!(matches!(Fence::classify(&[txt(&[&ok])], &ClusterName::new("other").unwrap()), Fence::Foreign { .. }));
    }

    #[test]
    fn what_may_be_repaired_is_told_from_what_may_not() {
        let cluster = value().cluster;
        let ok = quote(&value().encode());
        let theirs = quote(&FenceValue { cluster: ClusterName::new("other").unwrap(), ..value() }.encode());
        let weighted = LiveSet { routing: Some("w".into()), ..txt(&[&ok]) };
        let spoiled = |set: &LiveSet, epoch| Damage::Spoiled { raw: set.clone(), epoch: Epoch(epoch), mode: None };
        let cases: Vec<(LiveSet, Damage)> = vec![
            (txt(&["\"hello\""]), spoiled(&txt(&["\"hello\""]), 0)),
            (txt(&["\"v=1 e=7 x\""]), spoiled(&txt(&["\"v=1 e=7 x\""]), 7)),
            (txt(&[&ok, "\"e=99\""]), spoiled(&txt(&[&ok, "\"e=99\""]), 99)),
            (txt(&[&ok, "\"e=18446744073709551615\""]), spoiled(&txt(&[&ok, "\"e=18446744073709551615\""]), 42)),
            (txt(&["\"v=2 e=1\""]), Damage::Newer),
            (txt(&[&theirs, "\"v=3\""]), Damage::Newer),
            (txt(&[&ok, &theirs]), Damage::Shared(ClusterName::new("other").unwrap())),
            // Not whole, and yet it says whose it is.
            (txt(&["\"v=1 e=7 o=other/x m=maintenance\""]), Damage::Shared(ClusterName::new("other").unwrap())),
            (txt(&["\"v=1 e=7 o=other/x m=released\""]), spoiled(&txt(&["\"v=1 e=7 o=other/x m=released\""]), 7)),
            (txt(&["\"v=1 e=7 o=prod/x\""]), spoiled(&txt(&["\"v=1 e=7 o=prod/x\""]), 7)),
            (weighted, Damage::NotSimple),
        ];
        for (set, want) in cases {
            match Fence::classify(std::slice::from_ref(&set), &cluster) {
                Fence::Unusable { damage, .. } => assert_eq!(damage, want, "{set:?}"),
                other => panic!("{other:?}"),
            }
        }
        let frozen = ok.replace("m=auto", "m=frozen");
        let held: [(&[&str], Option<FenceMode>); 6] = [
            (&["\"v=1 e=7 M=Frozen\""], Some(FenceMode::Frozen)),
            (&["\"e=8 m=locked\"", "\"e=7 m=frozen\""], Some(FenceMode::Locked)),
            (&["\"e=7 m=locked\"", "\"e=7 m=forced\""], Some(FenceMode::Forced)),
            (&["\"e=8 m=auto\"", "\"e=7 m=frozen\""], None),
            (&[&frozen, "\"e=99\""], Some(FenceMode::Frozen)),
            (&["\"m=released\""], None),
        ];
        for (values, want) in held {
            assert_eq!(Fence::classify(&[txt(values)], &cluster).mode_in_damage(), want, "{values:?}");
        }
        let given_up = txt(&[&theirs.replace("m=auto", "m=released")]);
        let fence = Fence::classify(std::slice::from_ref(&given_up), &cluster);
        assert!(matches!(fence, Fence::Released { .. }));
        assert_eq!((fence.ours(), fence.of_cluster(&cluster), fence.standing()), (None, None, Some(&given_up)));
        assert_eq!(Fence::Absent.epoch(), Epoch(0));
    }

    #[test]
    fn listed_text_is_decoded_in_every_spelling() {
        for (raw, text) in [
            ("\"a b\"", Some("a b")),
            ("\"a\" \"b\"", Some("ab")),
            (r#""\141\"\\""#, Some("a\"\\")),
            ("a", None),
            ("\"a", None),
            (r#""\9"#, None),
        ] {
            assert_eq!(unquote(raw).as_deref(), text, "{raw}");
        }
    }

    #[test]
    fn a_fence_is_named_after_what_it_locks() {
        let zone = RecordName::new("example.com").unwrap();
        let cases = [
            ("www.example.com", "www._failoverd.example.com"),
            ("example.com", "_apex._failoverd.example.com"),
            ("*.example.com", "_any._failoverd.example.com"),
            ("*.a.example.com", "_any.a._failoverd.example.com"),
        ];
        for (record, fence) in cases {
            assert_eq!(fence_name(&RecordName::new(record).unwrap(), &zone).unwrap().as_str(), fence);
        }
        assert_eq!(ZoneId::new("/hostedzone/Z1").as_str(), "Z1");
        assert_eq!(target_token(&["eu-west-1"]), "eu-west-1");
        assert_eq!(target_token(&[&"x".repeat(40)]).len(), 14);
    }
}
