//! What the fuzz targets ask of everything that reads bytes from outside. `cargo fuzz` calls these functions with
//! bytes it makes up, tests/it/fuzz.rs with the committed corpora.
//!
//! More than that nothing panics: what is read comes back as it was written, what is said about it is bounded, a
//! place lies in its file, and what must be refused is. Each says whether the bytes were understood, so that a
//! corpus of nothing but rubbish is noticed.

use std::sync::{Arc, Mutex};

use failoverd::cli::saved;
use failoverd::config::{self, Finding, Severity};
use failoverd::control::protocol::{Answered, Asked};
use failoverd::dns::{ZoneReader, ZoneWriter, query, route53};
use failoverd::domain::{ClusterName, NotifierName, RecordName, RecordType, UnixMs, ZoneId, ZoneRef};
use failoverd::engine::fence::{Damage, FENCE_TTL, Fence, FenceMode, FenceValue, quote, unquote};
use failoverd::engine::zone::{
    ApiError, ApiErrorKind, Change, ChangeOp, ChangeStatus, Data, DnsAnswer, LiveSet, RefusedCode, WriteAnswer,
};
use failoverd::notify::{SendResult, Sink, SinkKind};
use failoverd::sandbox;
use failoverd::secret::Secret;

pub type Target = fn(&[u8]) -> bool;

pub const TARGETS: [(&str, Target); 8] = [
    ("policy", policy),
    ("main_file", main_file),
    ("route53", route53),
    ("fence", fence),
    ("dns", dns),
    ("control", control),
    ("saved_plan", saved_plan),
    ("notify", notify),
];

/// A policy's TOML.
pub fn policy(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let (policy, findings) = config::policy_text(text);
    if !are_placed(text, &findings) {
        assert!(policy.is_some(), "neither a policy nor an error");
        let (same, _) = config::policy_text(&format!("{text}\n# end\n"));
        assert_eq!(policy, same, "a comment changes the policy");
        return true;
    }
    false
}

/// `failoverd.toml`.
pub fn main_file(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let (read, findings) = config::main_text(text);
    let refused = are_placed(text, &findings);
    assert!(read || refused, "neither settings nor an error");
    read && !refused
}

/// Whether there are errors; each finding lies in the file and repeats no more than its line.
fn are_placed(text: &str, findings: &[Finding]) -> bool {
    let lines: Vec<&str> = text.split('\n').collect();
    let mut said = 0;
    for finding in findings {
        said += finding.to_string().len();
        assert!(!finding.what.is_empty() && !finding.fix.is_empty(), "{finding}");
        if finding.line == 0 {
            assert_eq!(finding.column, 0, "{finding}");
            continue;
        }
        let line = lines.get(finding.line - 1).unwrap_or_else(|| panic!("no such line: {finding}"));
        let length = line.chars().count();
        assert!((1..=length + 1).contains(&finding.column), "column {} of {length}: {finding}", finding.column);
        if let Some(quote) = &finding.quote {
            let shown: String =
                line.trim_end_matches('\r').chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            assert_eq!(quote.line, shown, "{finding}");
            assert!(quote.width >= 1 && quote.indent + quote.width <= quote.line.chars().count() + 1, "{finding}");
        }
    }
    assert!(said <= (64 << 10) + 1024 * text.len(), "{said} bytes are said about {}", text.len());
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

/// The values listed at a fence's name, one a line.
pub fn fence(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let values: Vec<String> = text.lines().map(str::to_owned).collect();
    for raw in &values {
        let Some(decoded) = unquote(raw) else { continue };
        assert!(decoded.len() <= raw.len());
        match FenceValue::parse(&decoded) {
            Ok(value) => {
                let encoded = value.encode();
                let again = FenceValue::parse(&encoded).unwrap_or_else(|why| panic!("{encoded}: {why}"));
                assert_eq!(again.encode(), encoded);
                assert!(value.epoch.next() > value.epoch, "an epoch that cannot be counted up");
                if !encoded.contains(['"', '\\']) {
                    assert_eq!(unquote(&quote(&encoded)).as_ref(), Some(&encoded));
                }
            }
            Err(why) => assert!(why.len() <= decoded.len() + 200, "{why}"),
        }
    }
    let ours = ClusterName::new("prod").unwrap();
    let set = LiveSet::values("TXT", FENCE_TTL, values);
    let fence = Fence::classify(std::slice::from_ref(&set), &ours);
    let understood = match &fence {
        Fence::Ours { value, .. } => value.cluster == ours && value.mode != FenceMode::Released,
        Fence::Foreign { value, .. } => value.cluster != ours && value.mode != FenceMode::Released,
        Fence::Released { value, .. } => value.mode == FenceMode::Released,
        Fence::Unusable { damage: Damage::Shared(other), .. } => *other != ours,
        Fence::Unusable { damage: Damage::Newer | Damage::Spoiled { .. }, .. } => true,
        Fence::Absent | Fence::Unusable { damage: Damage::NotSimple, .. } => false,
    };
    assert!(understood, "one simple set is {fence:?}");
    if let Some(standing) = fence.standing() {
        assert_eq!(*standing, set, "what a write deletes is not what was listed");
    }
    assert!(fence.epoch().next() > fence.epoch());
    let steered = LiveSet { routing: Some("blue".into()), ..set.clone() };
    for other in [vec![steered], vec![set.clone(), set.clone()]] {
        let never = Fence::classify(&other, &ours);
        assert!(matches!(never, Fence::Unusable { damage: Damage::NotSimple, .. }), "{never:?}");
    }
    fence.value().is_some()
}

/// A packet of a name server: one byte for what was asked (A, AAAA, CNAME; above 127 of a wildcard), then the bytes.
pub fn dns(data: &[u8]) -> bool {
    let Some((how, packet)) = data.split_first() else { return false };
    let rtype = [RecordType::A, RecordType::Aaaa, RecordType::Cname][usize::from(how % 3)];
    let name = RecordName::new(if *how < 128 { "www.example.com" } else { "*.example.com" }).unwrap();
    let id = packet.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
    let guessed = query::heard(&name, rtype, id ^ 1, packet);
    assert!(guessed.is_err(), "an answer to another question was taken: {guessed:?}");
    let flags = packet.get(2).copied().unwrap_or(0);
    let (response, authoritative, cut) = (flags & 0x80 != 0, flags & 0x04 != 0, flags & 0x02 != 0);
    let answer = match query::heard(&name, rtype, id, packet) {
        Err(why) => {
            assert!(why.len() < 200, "{why}");
            return false;
        }
        Ok(None) => {
            assert!(response && cut);
            return true;
        }
        Ok(Some(answer)) => answer,
    };
    assert!(response && !cut, "{answer:?}");
    match &answer {
        DnsAnswer::Addresses { set, .. } => {
            assert!(authoritative && !set.is_empty() && 16 * set.len() <= packet.len(), "{answer:?}");
            assert!(set.iter().all(|a| a.is_ipv4() == (rtype == RecordType::A)) && rtype != RecordType::Cname);
        }
        DnsAnswer::Name(_) => assert!(authoritative && rtype == RecordType::Cname),
        DnsAnswer::Nothing => assert!(authoritative),
        DnsAnswer::Other(text) => assert!(authoritative && text.len() <= 4096, "{} bytes", text.len()),
        DnsAnswer::Failed(text) => assert!(text.len() <= 200, "{text}"),
    }
    true
}

/// A request or an answer on the control socket.
pub fn control(data: &[u8]) -> bool {
    let mut understood = false;
    if let Ok(asked) = serde_json::from_slice::<Asked>(data) {
        let line = serde_json::to_string(&asked).unwrap();
        assert!(!line.contains('\n'), "one line: {line}");
        assert_eq!(serde_json::from_str::<Asked>(&line).unwrap(), asked);
        assert!(asked.request.subject().is_none_or(|subject| line.len() > subject.len()));
        understood = true;
    }
    if let Ok(answered) = serde_json::from_slice::<Answered>(data) {
        let line = serde_json::to_string(&answered).unwrap();
        assert!(!line.contains('\n'), "one line: {line}");
        let again: Answered = serde_json::from_str(&line).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), line);
        understood = true;
    }
    understood
}

/// A file that `plan --out` saved, read at the moment it says it was made.
pub fn saved_plan(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let made = UnixMs(value.get("made_at").and_then(serde_json::Value::as_u64).unwrap_or(0));
    let saved = match saved::again(text, made) {
        Ok(saved) => saved,
        Err(why) => {
            assert!(why.len() <= 1000 + text.len(), "{why}");
            return false;
        }
    };
    assert_eq!(saved::again(&saved, made).as_ref(), Ok(&saved));
    let late = UnixMs(made.0.saturating_add(16 * 60 * 1000));
    assert!(late.0 - made.0 < 16 * 60 * 1000 || saved::again(&saved, late).is_err(), "an old plan is taken");
    let policy = value.get("policy").and_then(serde_json::Value::as_str).unwrap();
    let mut other = value.clone();
    other["policy"] = format!("{policy}x").into();
    assert!(saved::again(&other.to_string(), made).is_err(), "a changed plan is taken");
    true
}

/// What a receiver of notices answers: a status, `Retry-After`, then the body, a line each. In it the bytes 1, 2
/// and 3 stand for what must never be told: our URL, its token, our key.
pub fn notify(data: &[u8]) -> bool {
    const TOKEN: &str = "T0KENt0kenT0KEN";
    const KEY: &str = "k3yOfTheReceiver";
    let url = format!("https://hooks.example.com/services/{TOKEN}");
    let at = UnixMs(1_800_000_000_000);
    let name = NotifierName::new("ops").unwrap();
    let key = Some(Secret::new(KEY.into()));
    let sink = Sink::new(name, SinkKind::Webhook, Secret::new(url.clone()), key);
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let mut next = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (status, after) = (next().trim().parse().unwrap_or(500), next());
    let body = parts.next().unwrap_or_default().iter().flat_map(|byte| match byte {
        1 => url.as_bytes().to_vec(),
        2 => TOKEN.as_bytes().to_vec(),
        3 => KEY.as_bytes().to_vec(),
        other => vec![*other],
    });
    let body: Vec<u8> = body.collect();
    let result = sink.heard(status, Some(&after).filter(|text| !text.is_empty()).map(String::as_str), &body, at);
    let error = match &result {
        SendResult::Delivered => {
            assert!((200..300).contains(&status));
            return true;
        }
        SendResult::Retry { after, error } => {
            assert!(after.is_none_or(|wait| wait.as_secs() <= 3600), "{after:?}");
            error
        }
        SendResult::Dead { error } => error,
    };
    assert!(!error.contains(TOKEN) && !error.contains(KEY), "a secret is told: {error}");
    assert!(error.chars().count() <= 300 && !error.contains(char::is_control), "{error:?}");
    !body.is_empty()
}

/// An answer of the API, behind a line that says to what: `list 200`, `zone 200`, `info 200`, `name 200`,
/// `change 200`, `write 400`.
pub fn route53(data: &[u8]) -> bool {
    let (head, body) = match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[][..]),
    };
    let head = String::from_utf8_lossy(head);
    let (call, status) = head.split_once(' ').unwrap_or((&head, ""));
    let status: u16 = status.trim().parse().ok().filter(|status| (200..600).contains(status)).unwrap_or(200);
    let sent: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let (log, answer) = (sent.clone(), body.to_vec());
    let (reader, writer) = route53::played(move |request| {
        log.lock().unwrap().push(request.to_vec());
        (status, answer.clone())
    });
    let api = Api { reader, writer, sent, status };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(api.call(call))
}

struct Api {
    reader: route53::Reader,
    writer: route53::Writer,
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
    status: u16,
}

impl Api {
    async fn call(&self, call: &str) -> bool {
        let zone = ZoneId::new("Z1");
        let www = RecordName::new("www.example.com").unwrap();
        let fence = RecordName::new("www._failoverd.example.com").unwrap();
        match call {
            "info" => {
                let wanted = ZoneRef { id: Some(zone), name: None };
                self.understood(self.reader.resolve_zone(&wanted, true).await)
            }
            "name" => {
                let wanted = ZoneRef { id: None, name: RecordName::new("example.com").ok() };
                let found = self.reader.resolve_zone(&wanted, false).await;
                assert!(found.as_ref().is_ok_and(|zone| zone.name.as_str() == "example.com") || found.is_err());
                self.understood(found)
            }
            "change" => {
                let status = self.reader.change_status("C1").await;
                // Only an error of that name says that the change is gone.
                if status == Ok(ChangeStatus::Vanished) {
                    assert!(self.status >= 300, "a good answer says that the change is gone");
                    return true;
                }
                self.understood(status)
            }
            "write" => self.write(&zone, &www).await,
            "zone" => {
                let listing = self.reader.list_zone(&zone).await;
                assert!(listing.calls <= 2, "the same page is asked for {} times", listing.calls);
                if let Ok(list) = &listing.result {
                    for (name, set) in list {
                        self.comes_back(&zone, name, set).await;
                    }
                }
                self.understood(listing.result)
            }
            _ => {
                let read = self.reader.read_record(&zone, &www, &fence).await;
                assert!(read.calls <= 10, "{} requests for one record", read.calls);
                if let Ok(read) = &read.result {
                    assert!(read.fence.iter().all(|set| set.rtype == "TXT"));
                }
                self.understood(read.result)
            }
        }
    }

    fn understood<T>(&self, result: Result<T, ApiError>) -> bool {
        match result {
            Ok(_) => assert!((200..300).contains(&self.status), "status {} is success", self.status),
            Err(ApiError { kind, message }) => {
                assert!(message.chars().count() <= 3000, "{} characters are said", message.chars().count());
                assert!(kind != ApiErrorKind::Credentials || self.status != 200, "{message}");
                return false;
            }
        }
        true
    }

    /// Only an answer below 300 accepts, only a 4xx refuses; nothing that was answered was not sent.
    async fn write(&self, zone: &ZoneId, name: &RecordName) -> bool {
        let data = Data::Values { ttl: 30, values: vec!["192.0.2.1".into()] };
        let change = Change { op: ChangeOp::Upsert, name: name.clone(), rtype: "A".into(), data };
        let answer = self.writer.change(zone, &[change], "fuzz").await;
        let said = match &answer {
            WriteAnswer::Accepted { change_id } => {
                assert!((200..300).contains(&self.status) && !change_id.is_empty(), "{}: {answer:?}", self.status);
                return true;
            }
            WriteAnswer::Refused { code, message } => {
                assert!((400..500).contains(&self.status), "{}: {answer:?}", self.status);
                assert!(*code != RefusedCode::Precondition || self.status < 500);
                message
            }
            WriteAnswer::Ambiguous(message) => message,
            WriteAnswer::NotSent(error) => panic!("it was answered with {}: {error:?}", self.status),
        };
        assert!(said.chars().count() <= 3000, "{} characters are said", said.chars().count());
        assert_eq!(self.sent.lock().unwrap().len(), 1, "a write is one request");
        matches!(answer, WriteAnswer::Refused { .. })
    }

    /// A DELETE repeats a listed set byte for byte, as another XML reader than the SDK's sees it.
    async fn comes_back(&self, zone: &ZoneId, name: &str, set: &LiveSet) {
        let (Ok(name), Some(ttl), true) = (RecordName::new(name), set.ttl, set.is_simple()) else { return };
        let plain = |value: &String| value.trim() == value && !value.is_empty() && !value.contains(char::is_control);
        if set.values.is_empty() || !set.values.iter().all(plain) || !["A", "TXT", "CNAME"].contains(&&*set.rtype) {
            return;
        }
        let data = Data::Values { ttl, values: set.values.clone() };
        let change = Change { op: ChangeOp::Delete, name: name.clone(), rtype: set.rtype.clone(), data };
        self.writer.change(zone, &[change], "").await;
        let request = self.sent.lock().unwrap().pop().unwrap_or_default();
        let read = sandbox::read_changes(std::str::from_utf8(&request).unwrap());
        let sent = read.as_deref().unwrap_or_default();
        let [(action, _, rtype, sent_ttl, values)] = sent else { panic!("no DELETE of {set:?}: {read:?}") };
        assert_eq!((*action, rtype, sent_ttl, values), ("DELETE", &set.rtype, &set.ttl, &set.values), "{name}");
    }
}
