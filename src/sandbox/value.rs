//! The values of record sets: their syntax as Route 53 checks it, and their wire form for DNS.
//! One reader serves both, so what the API accepts is what the name server answers.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData};

use super::name::DnsName;

/// Every type Route 53 stores. Those [`read`] gives no data for are stored and listed only.
pub const TYPES: [&str; 17] = [
    "A", "AAAA", "CAA", "CNAME", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SOA", "SPF", "SRV", "SSHFP", "SVCB",
    "TLSA", "TXT",
];

/// Reads one value of a set of type `rtype`. `Ok(None)`: a type the name server does not serve.
///
/// The error is the service's diagnosis, to be put after `FATAL problem: `.
pub fn read(rtype: &str, value: &str) -> Result<Option<RData>, String> {
    let rdata = match rtype {
        "A" => RData::A(A(value.parse::<Ipv4Addr>().map_err(|_| {
            format!("ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address) encountered with '{value}'")
        })?)),
        "AAAA" => RData::AAAA(AAAA(value.parse::<Ipv6Addr>().map_err(|_| {
            format!("AAAARRDATAIllegalIPv6Address (Value is not a valid IPv6 address) encountered with '{value}'")
        })?)),
        "TXT" | "SPF" => {
            let strings = character_strings(value)?;
            RData::TXT(TXT::from_bytes(strings.iter().map(Vec::as_slice).collect()))
        }
        "CNAME" => RData::CNAME(CNAME(host(value)?)),
        "NS" => RData::NS(NS(host(value)?)),
        "PTR" => RData::PTR(PTR(host(value)?)),
        "MX" => match value.split_whitespace().collect::<Vec<_>>().as_slice() {
            [preference, exchange] => RData::MX(MX::new(number(preference)?, host(exchange)?)),
            _ => return Err(fields(value)),
        },
        "SRV" => match value.split_whitespace().collect::<Vec<_>>().as_slice() {
            [priority, weight, port, target] => {
                RData::SRV(SRV::new(number(priority)?, number(weight)?, number(port)?, host(target)?))
            }
            _ => return Err(fields(value)),
        },
        "SOA" => match value.split_whitespace().collect::<Vec<_>>().as_slice() {
            [mname, rname, serial, refresh, retry, expire, minimum] => RData::SOA(SOA::new(
                host(mname)?,
                host(rname)?,
                number(serial)?,
                number(refresh)?,
                number(retry)?,
                number(expire)?,
                number(minimum)?,
            )),
            _ => return Err(fields(value)),
        },
        _ if value.trim().is_empty() => return Err(fields(value)),
        _ => return Ok(None),
    };
    Ok(Some(rdata))
}

/// The wire form of a name that was already accepted.
pub fn wire_name(name: &DnsName) -> Option<Name> {
    Name::from_labels(name.labels().iter().map(Vec::as_slice)).ok()
}

fn host(text: &str) -> Result<Name, String> {
    let name = DnsName::new(text).map_err(|error| error.to_string())?;
    wire_name(&name).ok_or_else(|| fields(text))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("NumberOutOfRange (Value is not a number in range) encountered with '{text}'"))
}

fn fields(value: &str) -> String {
    format!("UnexpectedFieldCount (Value has the wrong number of fields) encountered with '{value}'")
}

/// `"one" "two"`: quoted strings of at most 255 bytes, `\"`, `\\` and `\ooo` within.
fn character_strings(value: &str) -> Result<Vec<Vec<u8>>, String> {
    let unquoted =
        || format!("InvalidCharacterString (Value should be enclosed in quotation marks) encountered with '{value}'");
    let mut strings = Vec::new();
    let mut bytes = value.bytes().peekable();
    loop {
        while bytes.next_if(|b| *b == b' ' || *b == b'\t').is_some() {}
        match bytes.next() {
            None if strings.is_empty() => return Err(unquoted()),
            None => return Ok(strings),
            Some(b'"') => {}
            Some(_) => return Err(unquoted()),
        }
        let mut string = Vec::new();
        loop {
            match bytes.next().ok_or_else(unquoted)? {
                b'"' => break,
                b'\\' => match bytes.next().ok_or_else(unquoted)? {
                    high @ b'0'..=b'3' => {
                        let mut code = u16::from(high - b'0');
                        for _ in 0..2 {
                            let digit = bytes.next().filter(|b| (b'0'..=b'7').contains(b)).ok_or_else(unquoted)?;
                            code = code * 8 + u16::from(digit - b'0');
                        }
                        string.push(u8::try_from(code).unwrap_or(u8::MAX));
                    }
                    other => string.push(other),
                },
                other => string.push(other),
            }
        }
        if string.len() > 255 {
            return Err(format!("CharacterStringTooLong (Value is too long) encountered with '{value}'"));
        }
        strings.push(string);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_strictly() {
        let long = format!("\"{}\"", "x".repeat(256));
        let fits = format!("\"{}\"", "x".repeat(255));
        for (rtype, value, problem) in [
            ("A", "192.0.2.1", ""),
            ("A", "999.1.1.1", "ARRDATAIllegalIPv4Address"),
            ("A", "192.0.2.01", "ARRDATAIllegalIPv4Address"),
            ("AAAA", "2001:db8::1", ""),
            ("AAAA", "192.0.2.1", "AAAARRDATAIllegalIPv6Address"),
            ("TXT", "\"v=1 e=1\"", ""),
            ("TXT", "\"a\" \"b\\\"c\\101\"", ""),
            ("TXT", &fits, ""),
            ("TXT", &long, "CharacterStringTooLong"),
            ("TXT", "v=1", "InvalidCharacterString"),
            ("TXT", "\"open", "InvalidCharacterString"),
            ("TXT", "", "InvalidCharacterString"),
            ("CNAME", "www.example.com", ""),
            ("CNAME", "not a host", "UnsupportedCharacter"),
            ("MX", "10 mail.example.com", ""),
            ("MX", "mail.example.com", "UnexpectedFieldCount"),
            ("CAA", "0 issue \"ca.example.net\"", ""),
        ] {
            let got = read(rtype, value).err().unwrap_or_default();
            assert_eq!(got.is_empty(), problem.is_empty(), "{rtype} {value}: {got}");
            assert!(got.starts_with(problem), "{rtype} {value}: {got}");
        }
    }

    #[test]
    fn escapes_in_texts_become_bytes() {
        let strings = character_strings(r#""a\"b" "\\\101""#).unwrap();
        assert_eq!(strings, [b"a\"b".to_vec(), b"\\A".to_vec()]);
    }
}
