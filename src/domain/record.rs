//! What a zone publishes: names, TTLs and address sets that cannot be empty.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::ZoneId;

/// A DNS name in one canonical spelling: lower case, no trailing dot, `*` for a wildcard label
/// and no other escape. Compare only values of this type, never texts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecordName(Arc<str>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordNameError {
    #[error("a name may not be empty")]
    Empty,
    #[error("`{0}` is longer than 253 characters")]
    TooLong(String),
    #[error("label `{0}` must have 1 to 63 characters")]
    Label(String),
    #[error("`{0}` has a character other than a-z, 0-9, `-`, `_`, or `*` as the whole first label")]
    Character(String),
}

impl RecordName {
    /// Reads a configured or listed name: case, one trailing dot and the octal escapes of
    /// `*` (`\052`) are normalised (Route 53 Developer Guide, "DNS domain name format").
    pub fn new(text: &str) -> Result<RecordName, RecordNameError> {
        let decoded = decode_octal(text).to_ascii_lowercase();
        let name = decoded.strip_suffix('.').unwrap_or(&decoded);
        if name.is_empty() {
            return Err(RecordNameError::Empty);
        }
        if name.len() > 253 {
            return Err(RecordNameError::TooLong(text.into()));
        }
        for (i, label) in name.split('.').enumerate() {
            if label.is_empty() || label.len() > 63 {
                return Err(RecordNameError::Label(label.into()));
            }
            let plain = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if !(plain || (i == 0 && label == "*")) {
                return Err(RecordNameError::Character(text.into()));
            }
        }
        Ok(RecordName(name.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True when `self` is `zone` itself or a name below it.
    pub fn is_within(&self, zone: &RecordName) -> bool {
        self == zone || self.0.strip_suffix(zone.as_str()).is_some_and(|head| head.ends_with('.'))
    }

    /// The labels of `self` in front of `zone`; empty at the apex, `None` outside the zone.
    pub fn relative_to(&self, zone: &RecordName) -> Option<&str> {
        if self == zone {
            return Some("");
        }
        self.0.strip_suffix(zone.as_str()).and_then(|head| head.strip_suffix('.'))
    }
}

/// Decodes `\ooo` where it stands for a printable ASCII character; leaves the rest as it is.
fn decode_octal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (head, tail) = rest.split_at(at);
        out.push_str(head);
        let code = tail.get(1..4).and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(u8::is_ascii_graphic);
        match (code, tail.get(4..)) {
            (Some(byte), Some(after)) => {
                out.push(char::from(byte));
                rest = after;
            }
            _ => {
                out.push('\\');
                rest = tail.get(1..).unwrap_or("");
            }
        }
    }
    out.push_str(rest);
    out
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for RecordName {
    type Error = RecordNameError;
    fn try_from(text: String) -> Result<Self, RecordNameError> {
        RecordName::new(&text)
    }
}

impl From<RecordName> for String {
    fn from(name: RecordName) -> String {
        name.0.as_ref().into()
    }
}

/// Time to live in seconds, 1 to 604,800 (a week; RFC 2181 allows 2^31-1, an operator never means it).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ttl(u32);

impl Ttl {
    pub const MAX: u32 = 604_800;

    /// `None` outside 1..=604,800.
    pub fn new(seconds: u32) -> Option<Ttl> {
        (1..=Self::MAX).contains(&seconds).then_some(Ttl(seconds))
    }
    pub fn secs(self) -> u32 {
        self.0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Family {
    /// IPv4, published as A.
    A,
    /// IPv6, published as AAAA.
    Aaaa,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Family::A => "A",
            Family::Aaaa => "AAAA",
        })
    }
}

/// Type of a record set that may be managed, and of a question about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordType {
    A,
    Aaaa,
    Cname,
}

impl RecordType {
    /// As a zone lists it.
    pub fn as_str(self) -> &'static str {
        match self {
            RecordType::A => "A",
            RecordType::Aaaa => "AAAA",
            RecordType::Cname => "CNAME",
        }
    }

    /// The family of its addresses; `None` for a CNAME.
    pub fn family(self) -> Option<Family> {
        match self {
            RecordType::A => Some(Family::A),
            RecordType::Aaaa => Some(Family::Aaaa),
            RecordType::Cname => None,
        }
    }
}

impl From<Family> for RecordType {
    fn from(family: Family) -> RecordType {
        match family {
            Family::A => RecordType::A,
            Family::Aaaa => RecordType::Aaaa,
        }
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One or more addresses, sorted, without duplicates (invariant I2: no plan can be empty).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<IpAddr>", into = "Vec<IpAddr>")]
pub struct AddressSet(BTreeSet<IpAddr>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address set may not be empty")]
pub struct EmptySet;

impl AddressSet {
    pub fn new(addresses: impl IntoIterator<Item = IpAddr>) -> Result<AddressSet, EmptySet> {
        let set: BTreeSet<IpAddr> = addresses.into_iter().collect();
        if set.is_empty() { Err(EmptySet) } else { Ok(AddressSet(set)) }
    }

    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.0.iter().copied()
    }

    /// The addresses of one family, `None` when it has none.
    pub fn of(&self, family: Family) -> Option<AddressSet> {
        AddressSet::new(self.iter().filter(|a| a.is_ipv4() == (family == Family::A))).ok()
    }

    pub fn families(&self) -> Vec<Family> {
        [Family::A, Family::Aaaa].into_iter().filter(|f| self.of(*f).is_some()).collect()
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    pub fn is_subset(&self, of: &AddressSet) -> bool {
        self.0.is_subset(&of.0)
    }

    pub fn union(&self, other: &AddressSet) -> AddressSet {
        AddressSet(self.0.union(&other.0).copied().collect())
    }
}

impl TryFrom<Vec<IpAddr>> for AddressSet {
    type Error = EmptySet;
    fn try_from(list: Vec<IpAddr>) -> Result<Self, EmptySet> {
        AddressSet::new(list)
    }
}

impl From<AddressSet> for Vec<IpAddr> {
    fn from(set: AddressSet) -> Vec<IpAddr> {
        set.0.into_iter().collect()
    }
}

impl fmt::Display for AddressSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, address) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{address}")?;
        }
        Ok(())
    }
}

/// The target of a Route 53 alias set (API reference, AliasTarget).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AliasTarget {
    /// DNS name of the load balancer, distribution or record the alias points to.
    pub name: RecordName,
    /// The hosted zone *of that name*, not ours.
    pub zone_id: ZoneId,
    pub evaluate_target_health: bool,
}

impl fmt::Display for AliasTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "alias {} in zone {}", self.name, self.zone_id)?;
        f.write_str(if self.evaluate_target_health { " with its health evaluated" } else { "" })
    }
}

/// What a record holds when it publishes a target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Published as A and AAAA.
    Addresses(AddressSet),
    /// Published as a CNAME.
    Host(RecordName),
    /// Published as alias A and AAAA.
    Alias(AliasTarget),
}

impl Content {
    pub fn addresses(&self) -> Option<&AddressSet> {
        match self {
            Content::Addresses(set) => Some(set),
            _ => None,
        }
    }

    /// The name to resolve before each probe; `None` when the addresses are given.
    pub fn host(&self) -> Option<&RecordName> {
        match self {
            Content::Addresses(_) => None,
            Content::Host(name) => Some(name),
            Content::Alias(alias) => Some(&alias.name),
        }
    }

    /// `addresses`, `host` or `alias`: the key of a target in a policy file.
    pub fn kind(&self) -> &'static str {
        match self {
            Content::Addresses(_) => "addresses",
            Content::Host(_) => "host",
            Content::Alias(_) => "alias",
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Addresses(set) => set.fmt(f),
            Content::Host(name) => name.fmt(f),
            Content::Alias(alias) => alias.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_name_becomes_one_value() {
        for text in ["www.example.com", "WWW.Example.COM.", "www.example.com."] {
            assert_eq!(RecordName::new(text).unwrap().as_str(), "www.example.com");
        }
        for text in ["*.example.com", "\\052.example.com."] {
            assert_eq!(RecordName::new(text).unwrap().as_str(), "*.example.com");
        }
        for bad in [
            "",
            ".",
            "a..b",
            "a.*.b",
            "a b",
            "ü.example",
            "\\",
            "a\\05",
            &format!("{}.com", "x".repeat(64)),
            &"a.".repeat(130),
        ] {
            assert!(RecordName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_knows_its_zone() {
        let zone = RecordName::new("example.com").unwrap();
        let cases = [
            ("example.com", Some("")),
            ("www.example.com", Some("www")),
            ("a.b.example.com", Some("a.b")),
            ("badexample.com", None),
            ("com", None),
        ];
        for (name, relative) in cases {
            let name = RecordName::new(name).unwrap();
            assert_eq!((name.relative_to(&zone), name.is_within(&zone)), (relative, relative.is_some()));
        }
    }

    #[test]
    fn a_set_reads_as_a_sorted_list_without_doubles() {
        let set = AddressSet::new(["192.0.2.9", "2001:db8::1", "192.0.2.1", "192.0.2.9"].map(|a| a.parse().unwrap()))
            .unwrap();
        assert_eq!(set.to_string(), "192.0.2.1, 192.0.2.9, 2001:db8::1");
        assert_eq!(set.families(), [Family::A, Family::Aaaa]);
        assert_eq!(set.of(Family::A).unwrap().to_string(), "192.0.2.1, 192.0.2.9");
        assert_eq!((AddressSet::new([]), set.contains("192.0.2.9".parse().unwrap())), (Err(EmptySet), true));
    }
}
