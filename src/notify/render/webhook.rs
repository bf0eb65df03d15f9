//! A notice as JSON for a program, in the frame of the Standard Webhooks specification
//! (`type`, `timestamp`, `data`; at most about 20 kB). Keys are only ever added; `version` changes
//! when that is not enough.

use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::{Content, UnixMs};
use crate::engine::notice::{Moved, Notice, Place};

use super::text::{clip, line, plain};

/// Most bytes of a payload.
const PAYLOAD: usize = 20_000;

/// How much is kept: bytes of one text, entries of one list. Tried in order until it fits.
const KEPT: [(usize, usize); 4] = [(2000, 100), (500, 40), (200, 20), (100, 10)];

/// The JSON body to post.
pub fn webhook(notice: &Notice) -> Value {
    let mut body = Value::Null;
    for (bytes, entries) in KEPT {
        body = Kept { bytes, entries, cut: false }.payload(notice);
        if body.to_string().len() <= PAYLOAD {
            break;
        }
    }
    body
}

struct Kept {
    bytes: usize,
    entries: usize,
    /// Something was left out.
    cut: bool,
}

impl Kept {
    fn payload(&mut self, notice: &Notice) -> Value {
        let mut data = json!({
            "id": self.text(&notice.id),
            "severity": notice.severity,
            "cluster": notice.cluster,
            "instance": notice.instance,
            "policy": notice.policy,
            "incident": notice.incident.as_ref().map(|i| self.text(&i.0)),
            "observe": notice.observe,
            "title": self.text(&notice.title),
            "why": self.list(&notice.why, |kept, l| kept.text(l).into()),
            "moved": notice.moved.as_ref().map(|m| self.moved(m)),
            // The newest entries tell what is going on now.
            "timeline": self.newest(&notice.timeline, |kept, e| json!({ "at": millis(e.at), "text": kept.text(&e.text) })),
            "next": self.list(&notice.next, |kept, l| kept.text(l).into()),
            "undo": notice.undo.as_ref().map(|u| self.text(u)),
        });
        if let Some(data) = data.as_object_mut() {
            data.insert("truncated".into(), self.cut.into());
        }
        json!({
            "version": 1,
            "type": format!("failoverd.{}", super::kind_name(notice.kind)),
            "timestamp": millis(notice.at),
            "data": data,
        })
    }

    fn moved(&mut self, moved: &Moved) -> Value {
        let clocks = &moved.clocks;
        json!({
            "kind": moved.kind,
            "records": self.list(&moved.records, |_, r| r.as_str().into()),
            "from": moved.from.as_ref().map(|p| self.place(p)),
            "to": self.place(&moved.to),
            "ttl_seconds": moved.ttl.secs(),
            "epoch": moved.epoch,
            "clocks_ms": {
                "confirmed": ms(clocks.confirmed),
                "accepted": ms(clocks.accepted),
                "every_server": ms(clocks.every_server),
                "insync": ms(clocks.insync),
                "verdict": ms(clocks.verdict),
            },
        })
    }

    fn place(&mut self, place: &Place) -> Value {
        let addresses: Vec<String> =
            place.content.addresses().iter().flat_map(|s| s.iter()).map(|a| a.to_string()).collect();
        let targets: Vec<String> = place.targets.iter().map(ToString::to_string).collect();
        let mut value = json!({
            // One text each, for receivers that know nothing of several targets.
            "target": self.text(&targets.join(", ")),
            "region": self.text(&super::regions(place).join(", ")),
            "targets": self.list(&place.targets, |_, t| t.as_str().into()),
            "regions": self.list(&place.regions, |_, r| r.as_str().into()),
            "addresses": self.list(&addresses, |_, a| a.as_str().into()),
        });
        let held = match &place.content {
            Content::Addresses(_) => None,
            Content::Host(name) => Some(("host", json!(name))),
            Content::Alias(alias) => Some((
                "alias",
                json!({
                    "name": alias.name,
                    "zone_id": alias.zone_id,
                    "evaluate_target_health": alias.evaluate_target_health,
                }),
            )),
        };
        if let (Some((key, held)), Some(map)) = (held, value.as_object_mut()) {
            map.insert(key.into(), held);
        }
        value
    }

    fn text(&mut self, text: &str) -> String {
        let whole = line(text);
        let kept = clip(&whole, self.bytes, encoded, plain);
        self.cut |= kept != whole;
        kept
    }

    fn list<T>(&mut self, items: &[T], one: impl Fn(&mut Kept, &T) -> Value) -> Vec<Value> {
        self.cut |= items.len() > self.entries;
        items.iter().take(self.entries).map(|item| one(self, item)).collect()
    }

    fn newest<T>(&mut self, items: &[T], one: impl Fn(&mut Kept, &T) -> Value) -> Vec<Value> {
        let skipped = items.len().saturating_sub(self.entries);
        self.cut |= skipped > 0;
        self.list(items.get(skipped..).unwrap_or_default(), one)
    }
}

/// Bytes within a JSON string.
fn encoded(text: &str) -> usize {
    text.bytes().map(|b| if matches!(b, b'"' | b'\\') { 2 } else { 1 }).sum()
}

/// RFC 3339 with milliseconds.
fn millis(at: UnixMs) -> String {
    format!("{}.{:03}Z", at.to_string().trim_end_matches('Z'), at.0 % 1000)
}

fn ms(duration: Option<Duration>) -> Option<u64> {
    duration.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
