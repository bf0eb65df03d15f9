//! A DNS name as Route 53 stores and lists it: lower case, a trailing dot, every character
//! other than `a-z 0-9 - _` as a three-digit octal escape ("DNS domain name format").
//! Knows nothing of zones or records.

use std::fmt;

/// Compare and sort with care: `Ord` is by text; listings use [`DnsName::sort_key`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName {
    text: String,
    labels: Vec<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsNameError {
    #[error("DomainLabelEmpty (Domain label is empty) encountered with '{0}'")]
    EmptyLabel(String),
    #[error("DomainLabelTooLong (Domain label is too long) encountered with '{0}'")]
    LabelTooLong(String),
    #[error("DomainNameTooLong (Domain name is too long) encountered with '{0}'")]
    TooLong(String),
    #[error("UnsupportedCharacter (Value contains unsupported characters) encountered with '{0}'")]
    Character(String),
}

impl DnsName {
    /// Reads any spelling: case, one trailing dot, `\ooo` escapes.
    pub fn new(text: &str) -> Result<DnsName, DnsNameError> {
        let mut labels: Vec<Vec<u8>> = vec![Vec::new()];
        let mut rest = text.strip_suffix('.').unwrap_or(text);
        while let Some(c) = rest.chars().next() {
            let (byte, taken) = match c {
                '.' => {
                    labels.push(Vec::new());
                    rest = rest.get(1..).unwrap_or("");
                    continue;
                }
                '\\' => {
                    let code = rest.get(1..4).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
                    let byte = code.and_then(|digits| u8::from_str_radix(digits, 8).ok());
                    (byte.ok_or_else(|| DnsNameError::Character("\\".into()))?, 4)
                }
                c if c.is_ascii_graphic() => (u8::try_from(c).unwrap_or(b'?'), 1),
                c => return Err(DnsNameError::Character(c.into())),
            };
            if let Some(label) = labels.last_mut() {
                label.push(byte.to_ascii_lowercase());
            }
            rest = rest.get(taken..).unwrap_or("");
        }
        DnsName::from_labels(labels)
    }

    /// Labels as they came off the wire, without the root.
    pub fn from_labels(labels: Vec<Vec<u8>>) -> Result<DnsName, DnsNameError> {
        let labels: Vec<Vec<u8>> = labels.into_iter().map(|l| l.to_ascii_lowercase()).collect();
        let text: String = labels.iter().map(|label| escape(label) + ".").collect();
        if labels.iter().any(Vec::is_empty) {
            return Err(DnsNameError::EmptyLabel(text));
        }
        if labels.iter().any(|label| label.len() > 63) {
            return Err(DnsNameError::LabelTooLong(text));
        }
        if labels.iter().map(|label| label.len() + 1).sum::<usize>() > 254 {
            return Err(DnsNameError::TooLong(text));
        }
        Ok(DnsName { text, labels })
    }

    /// `\052.example.com.`
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn labels(&self) -> &[Vec<u8>] {
        &self.labels
    }

    pub fn is_within(&self, zone: &DnsName) -> bool {
        self.labels.ends_with(&zone.labels)
    }

    /// The name without its first label; `None` for a name of one label.
    pub fn parent(&self) -> Option<DnsName> {
        let (_, rest) = self.labels.split_first()?;
        if rest.is_empty() {
            return None;
        }
        DnsName::from_labels(rest.to_vec()).ok()
    }

    /// `*.` in front of this name.
    pub fn wildcard(&self) -> Option<DnsName> {
        let mut labels = vec![b"*".to_vec()];
        labels.extend(self.labels.iter().cloned());
        DnsName::from_labels(labels).ok()
    }

    /// The order of ListResourceRecordSets: labels reversed, each with its dot, as bytes
    /// (`com.example.www.`). A name's key is a prefix of the keys of all names below it.
    pub fn sort_key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.text.len());
        for label in self.labels.iter().rev() {
            for byte in label {
                match byte {
                    b'.' => key.extend_from_slice(b"\\056"),
                    other => key.push(*other),
                }
            }
            key.push(b'.');
        }
        key
    }
}

fn escape(label: &[u8]) -> String {
    let mut text = String::with_capacity(label.len());
    for byte in label {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => text.push(char::from(*byte)),
            other => text.push_str(&format!("\\{other:03o}")),
        }
    }
    text
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_becomes_the_listed_one() {
        for (text, listed) in [
            ("www.Example.com", "www.example.com."),
            ("*.example.com.", "\\052.example.com."),
            ("\\052.example.com", "\\052.example.com."),
            ("_failoverd.example.com", "_failoverd.example.com."),
            ("a!b.c", "a\\041b.c."),
        ] {
            assert_eq!(DnsName::new(text).unwrap().as_str(), listed);
        }
        for bad in ["", ".", "a..b", "a b", "ü.com", "a\\9.b", "\\", &"x".repeat(64), &"ab.".repeat(90)] {
            assert!(DnsName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_sort_key_orders_as_the_service_does_and_prefixes_children() {
        let mut names =
            ["b.example.com", "example.com", "a-b.example.com", "*.example.com", "a.example.com", "x.a.example.com"];
        names.sort_by_key(|n| DnsName::new(n).unwrap().sort_key());
        assert_eq!(
            names,
            ["example.com", "*.example.com", "a-b.example.com", "a.example.com", "x.a.example.com", "b.example.com"]
        );
        let key = |n: &str| DnsName::new(n).unwrap().sort_key();
        assert!(key("x.a.example.com").starts_with(&key("a.example.com")));
        assert!(!key("ab.example.com").starts_with(&key("a.example.com")));
    }
}
