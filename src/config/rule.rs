//! What a single text in a file may be: each rule is a check for the reader and a pattern for
//! the schema, side by side.

use std::net::{IpAddr, SocketAddr};

use crate::domain::{RecordName, address};

/// Why a text is refused and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    pub what: String,
    pub fix: String,
}

/// An [`Advice`] as the error of a check.
pub fn advise<T>(what: impl Into<String>, fix: impl Into<String>) -> Result<T, Advice> {
    Err(Advice { what: what.into(), fix: fix.into() })
}

/// What a text may be. The pattern accepts everything that `check` accepts; what only `check`
/// refuses is listed in the schema's test.
pub struct Rule {
    pub pattern: &'static str,
    /// What no good text matches; empty for nothing.
    pub never: &'static str,
    pub check: fn(&str) -> Result<(), Advice>,
}

pub static LABEL: Rule = Rule { pattern: "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", never: "", check: label };
pub static RECORD: Rule =
    Rule { pattern: r"^(\*|[A-Za-z0-9_-]{1,63})(\.[A-Za-z0-9_-]{1,63})*\.?$", never: "", check: record };
pub static ZONE: Rule = Rule { pattern: r"^[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?$", never: "", check: zone };
pub static TARGET_HOST: Rule =
    Rule { pattern: r"^[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})+\.?$", never: r"^[0-9.]+$", check: target_host };
pub static ZONE_ID: Rule = Rule { pattern: "^(/hostedzone/)?[A-Z0-9]{1,32}$", never: "", check: zone_id };
pub static ADDRESS: Rule = Rule {
    pattern: r"^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\.(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3}|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+)$",
    never: r"^(0|22[4-9]|2[3-5][0-9])\.|^169\.254\.|^100\.100\.100\.200$|^[Ff][Ee][89AaBb][0-9A-Fa-f]:|^[Ff]{2}[0-9A-Fa-f]{2}:|^::$|^::[Ff]{4}:|^[Ff][Dd]00:[Ee][Cc]2::254$",
    check: published,
};
pub static HOST: Rule =
    Rule { pattern: r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$", never: "", check: host };
pub static SNI: Rule = Rule { pattern: "^[A-Za-z0-9._:-]+$", never: "", check: sni };
pub static PATH: Rule = Rule { pattern: r##"^/[!"$-~]*$"##, never: "", check: path };
pub static STATUS: Rule =
    Rule { pattern: "^[1-5][0-9]{2}-[1-5][0-9]{2}$", never: "", check: |text| status(text).map(drop) };
pub static HEADER_NAME: Rule = Rule {
    pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
    never: "^([Hh][Oo][Ss][Tt]|[Cc]ontent-[Ll]ength|[Tt]ransfer-[Ee]ncoding|[Cc]onnection|[Uu]pgrade)$",
    check: header_name,
};
pub static HEADER_VALUE: Rule = Rule { pattern: "^[\\t -~]*$", never: "", check: header_value };
pub static REGEX: Rule = Rule { pattern: ".", never: "", check: regex };
pub static NOT_EMPTY: Rule = Rule { pattern: ".", never: "", check: not_empty };
pub static ENV_NAME: Rule = Rule { pattern: "^[A-Za-z_][A-Za-z0-9_]*$", never: "", check: env_name };
pub static URL: Rule = Rule { pattern: "^https?://[^/?# ]+[^ ]*$", never: "", check: |text| url(text).map(drop) };
pub static SOCKET: Rule =
    Rule { pattern: r"^([0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$", never: "", check: |text| socket(text).map(drop) };
pub static PEER: Rule = Rule { pattern: SOCKET.pattern, never: "", check: |text| peer(text).map(drop) };
pub static ROLE: Rule = Rule { pattern: "^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$", never: "", check: role };
pub static CRON: Rule = Rule { pattern: r"^\S+(\s+\S+){3,4}\s+[^0-9\s]+$", never: "", check: super::calendar::cron };
pub static CRON_OR_OFF: Rule = Rule {
    pattern: r"^(off|\S+(\s+\S+){3,4}\s+[^0-9\s]+)$",
    never: "",
    check: |text| if text == "off" { Ok(()) } else { super::calendar::cron(text) },
};
pub static EXCHANGE: Rule = Rule { pattern: r"^[\s\S]{1,1024}$", never: "", check: exchange };
pub static TIMEZONE: Rule =
    Rule { pattern: "^[A-Za-z0-9_+/-]+$", never: "", check: |text| super::calendar::timezone(text).map(drop) };
pub static GLOB: Rule = Rule { pattern: ".", never: "", check: glob };

fn label(text: &str) -> Result<(), Advice> {
    let Err(e) = crate::domain::PolicyId::new(text) else { return Ok(()) };
    let mut near: String = text.to_ascii_lowercase();
    near = near.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    let near = near.trim_matches('-');
    advise(e.to_string(), if near.is_empty() { "write a name such as `web`".into() } else { format!("write `{near}`") })
}

fn record(text: &str) -> Result<(), Advice> {
    if text == "@" {
        return advise("`@` is no record name here", "write the zone's own name, for example `example.com`");
    }
    if text.contains('\\') {
        return advise(format!("`{text}` has an escape"), "write `*` as the first label for a wildcard");
    }
    match RecordName::new(text) {
        Ok(_) => Ok(()),
        Err(e) => advise(e.to_string(), "write a full name such as `www.example.com`"),
    }
}

fn zone(text: &str) -> Result<(), Advice> {
    record(text)?;
    if text.starts_with('*') {
        return advise(format!("`{text}` is no zone"), "write the zone's name without `*.`, for example `example.com`");
    }
    Ok(())
}

/// A name that a record may point to.
fn target_host(text: &str) -> Result<(), Advice> {
    if text.parse::<IpAddr>().is_ok() {
        return advise(format!("`{text}` is an address"), format!("write `addresses = [\"{text}\"]`"));
    }
    if text.contains("://") || text.contains('/') {
        return advise(
            format!("`{text}` is no host name"),
            "leave scheme and path out; the path goes into `check.path`",
        );
    }
    if text.contains(':') {
        return advise(format!("`{text}` is no host name"), "leave the port out; it goes into `port` of `[check]`");
    }
    match RecordName::new(text) {
        Ok(name) if name.as_str().starts_with('*') => {
            advise(format!("`{text}` is a wildcard; nothing can point to it"), "write one host name")
        }
        Ok(name) if !name.as_str().contains('.') || name.as_str().bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
            advise(format!("`{text}` is no full host name"), "write a full name such as `lb.example.net`")
        }
        Ok(_) => Ok(()),
        Err(e) => advise(e.to_string(), "write a full name such as `lb.example.net`"),
    }
}

fn exchange(text: &str) -> Result<(), Advice> {
    if (1..=1024).contains(&text.len()) {
        return Ok(());
    }
    advise(
        format!("the text has {} bytes; it must have 1 to 1024", text.len()),
        "write a short word such as `PING`, or leave the key out",
    )
}

fn zone_id(text: &str) -> Result<(), Advice> {
    let id = text.strip_prefix("/hostedzone/").unwrap_or(text);
    let good = (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    if good {
        return Ok(());
    }
    advise(
        format!("`{text}` is no hosted zone id"),
        "write it as Route 53 shows it, for example `Z0123456789ABCDEFGHIJ`; a zone's name goes into `zone`",
    )
}

fn published(text: &str) -> Result<(), Advice> {
    let Ok(ip) = text.parse::<IpAddr>() else {
        let fix = if text.parse::<SocketAddr>().is_ok() {
            "leave the port out; it goes into `port` of `[check]`"
        } else if text.contains('/') {
            "write one address without a prefix length, for example `192.0.2.10`"
        } else {
            "write an IPv4 or IPv6 address, for example `192.0.2.10` or `2001:db8::10`"
        };
        return advise(format!("`{text}` is no address"), fix);
    };
    match forbidden(ip) {
        Some(why) => advise(
            format!("`{text}` is {why}; it is never published and never probed"),
            "write the address on which clients reach this target",
        ),
        None => Ok(()),
    }
}

/// Why no client could be sent to `ip`, or why probing it would be an attack on this host.
fn forbidden(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => Some("an IPv4 address in IPv6 clothes"),
        IpAddr::V4(v4) if v4.octets().first().is_some_and(|b| *b >= 240) => Some("reserved"),
        _ => address::forbidden(ip).map(in_words),
    }
}

fn in_words(why: &'static str) -> &'static str {
    match why {
        "metadata service" => "an instance metadata service",
        "unspecified" => "the unspecified address",
        other => other,
    }
}

fn host(text: &str) -> Result<(), Advice> {
    let good = text.parse::<http::uri::Authority>().is_ok_and(|a| {
        let bare = a.host().trim_start_matches('[').trim_end_matches(']');
        let port = a.as_str().strip_prefix(a.host()).unwrap_or("");
        let port_good = port.is_empty() || port.strip_prefix(':').is_some_and(|p| p.parse::<u16>().is_ok());
        let named = RecordName::new(bare).is_ok_and(|n| !n.as_str().starts_with('*'));
        port_good && (named || bare.parse::<IpAddr>().is_ok())
    });
    if good {
        return Ok(());
    }
    advise(
        format!("`{text}` cannot be a Host header"),
        "write a host name, for example `www.example.com`, with `:port` when the service wants it",
    )
}

fn sni(text: &str) -> Result<(), Advice> {
    let named = RecordName::new(text).is_ok_and(|n| !n.as_str().starts_with('*'));
    if named || text.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    advise(
        format!("`{text}` cannot be a server name in TLS"),
        "write the name the certificate is for, for example `www.example.com`",
    )
}

fn path(text: &str) -> Result<(), Advice> {
    if !text.starts_with('/') {
        return advise(format!("path `{text}` does not start with `/`"), format!("write `/{text}`"));
    }
    if text.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return Ok(());
    }
    advise(
        format!("path `{text}` has a space, a `#` or a character outside ASCII"),
        "percent-encode it, for example `%20` for a space",
    )
}

/// Both ends of a range of status codes.
pub fn status(text: &str) -> Result<(u16, u16), Advice> {
    let code = |s: &str| s.parse::<u16>().ok().filter(|c| s.len() == 3 && (100..=599).contains(c));
    if let Some((from, to)) = text.split_once('-').and_then(|(a, b)| Some((code(a)?, code(b)?))) {
        if from <= to {
            return Ok((from, to));
        }
        return advise(format!("status range `{text}` runs backwards"), format!("write `\"{to}-{from}\"`"));
    }
    let class = text.bytes().next().filter(|b| (b'1'..=b'5').contains(b)).map(char::from);
    let fix = match class {
        Some(class) if text.len() == 3 && text.to_ascii_lowercase().ends_with("xx") => {
            format!("write `\"{class}00-{class}99\"`")
        }
        _ if code(text).is_some() => format!("write the number without quotes: `{text}`"),
        _ => "write a code such as `204` or a range such as `\"200-299\"`, within 100 to 599".into(),
    };
    advise(format!("`{text}` is no range of status codes"), fix)
}

fn header_name(text: &str) -> Result<(), Advice> {
    if http::HeaderName::from_bytes(text.as_bytes()).is_err() {
        return advise(format!("`{text}` is no header name"), "use letters, digits and `-`, for example `x-probe`");
    }
    match text.to_ascii_lowercase().as_str() {
        "host" => advise("the Host header is not set here", "write `host = \"…\"` in `[check]`"),
        "content-length" | "transfer-encoding" | "connection" | "upgrade" => {
            advise(format!("header `{text}` belongs to the connection, which failoverd manages"), "leave it out")
        }
        _ => Ok(()),
    }
}

fn header_value(text: &str) -> Result<(), Advice> {
    if text.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b)) {
        return Ok(());
    }
    advise("a header value has a line break or a character outside ASCII", "use printable ASCII on one line")
}

fn regex(text: &str) -> Result<(), Advice> {
    not_empty(text)?;
    match regex::RegexBuilder::new(text).size_limit(1 << 20).build() {
        Ok(_) => Ok(()),
        Err(regex::Error::Syntax(e)) => {
            let reason = e.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
            advise(
                format!("regular expression `{text}` does not compile: {reason}"),
                "correct it; the syntax is that of the Rust `regex` crate, without look-around and back-references",
            )
        }
        Err(_) => advise(
            format!("regular expression `{text}` is too large when compiled"),
            "make it shorter, or use fewer repetitions",
        ),
    }
}

fn not_empty(text: &str) -> Result<(), Advice> {
    if text.is_empty() { advise("the text is empty", "write something, or leave the key out") } else { Ok(()) }
}

fn env_name(text: &str) -> Result<(), Advice> {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if first && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Ok(());
    }
    advise(
        "this is no name of an environment variable",
        "write the variable's name without `$`, for example `SLACK_WEBHOOK_URL`",
    )
}

/// Reads an absolute http or https URL. The advice never repeats the text: it may be a secret.
pub fn url(text: &str) -> Result<http::Uri, Advice> {
    let parsed = text.parse::<http::Uri>().ok();
    let good = parsed.filter(|u| {
        matches!(u.scheme_str(), Some("http" | "https"))
            && u.host().is_some_and(|h| !h.is_empty())
            && !text.contains(' ')
    });
    match good {
        Some(uri) if uri.authority().is_some_and(|a| a.as_str().contains('@')) => {
            advise("the URL has a user name or a password in it", "leave out everything between `//` and `@`")
        }
        Some(uri) => match literal(text).and_then(address::forbidden) {
            Some(why) => advise(
                format!("the URL leads to {}; nothing is ever sent there", in_words(why)),
                "write the URL of the service that is meant",
            ),
            None => Ok(uri),
        },
        None => advise("this is no URL", "write it whole: `https://`, the host, then the path"),
    }
}

/// Reads `address:port`.
pub fn socket(text: &str) -> Result<SocketAddr, Advice> {
    if let Ok(socket) = text.parse() {
        return Ok(socket);
    }
    let fix = match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => format!("add the port, for example `{v4}:53`"),
        Ok(IpAddr::V6(v6)) => format!("add brackets and the port, for example `[{v6}]:53`"),
        Err(_) => "write an address and a port, for example `192.0.2.53:53`; names are not looked up here".into(),
    };
    advise(format!("`{text}` is no address with a port"), fix)
}

/// The address that a URL spells, in any of the spellings that lead to one.
fn literal(url: &str) -> Option<IpAddr> {
    match url::Url::parse(url).ok()?.host()? {
        url::Host::Ipv4(v4) => Some(v4.into()),
        url::Host::Ipv6(v6) => Some(v6.into()),
        url::Host::Domain(_) => None,
    }
}

/// Reads `address:port` of somebody to ask.
pub fn peer(text: &str) -> Result<SocketAddr, Advice> {
    let peer = socket(text)?;
    match address::forbidden(peer.ip()) {
        Some(why) => advise(
            format!("`{text}` is {}; nothing is ever sent there", in_words(why)),
            "write an address of the server that is meant",
        ),
        None => Ok(peer),
    }
}

fn role(text: &str) -> Result<(), Advice> {
    let good = text.strip_prefix("arn:aws").and_then(|rest| {
        let (partition, rest) = rest.split_once(":iam::")?;
        let (account, role) = rest.split_once(":role/")?;
        let plain = partition.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        Some(plain && account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) && !role.is_empty())
    });
    if good == Some(true) {
        return Ok(());
    }
    advise(
        format!("`{text}` is no role ARN"),
        "write `arn:aws:iam::123456789012:role/failoverd` with your account's number",
    )
}

fn glob(text: &str) -> Result<(), Advice> {
    not_empty(text)?;
    match glob::Pattern::new(text) {
        Ok(_) => Ok(()),
        Err(e) => {
            advise(format!("`{text}` is no file pattern: {}", e.msg), "write a pattern such as `policies/*.toml`")
        }
    }
}
