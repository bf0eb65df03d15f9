//! Whether a body is what the check expects. Pure, but for a cache of compiled expressions.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use regex::bytes::Regex;
use serde_json::Value;

use crate::domain::{BodyMatch, DownReason, Expect, JsonScalar, UnknownReason};

use super::Failure;

/// Expressions kept compiled; beyond it (many reloads) the cache starts anew.
const MOST: usize = 10_000;

#[derive(Default)]
pub(super) struct Patterns(Mutex<HashMap<String, Regex>>);

impl Patterns {
    fn get(&self, pattern: &str) -> Result<Regex, regex::Error> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(regex) = known.get(pattern) {
            return Ok(regex.clone());
        }
        let regex = Regex::new(pattern)?;
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(pattern.into(), regex.clone());
        Ok(regex)
    }
}

/// Checks `body`, of which `cut` says that it was longer than `max_body`.
pub(super) fn body(expect: &Expect, body: &[u8], cut: bool, patterns: &Patterns) -> Result<(), Failure> {
    let read = || format!("{} bytes read{}", body.len(), if cut { ", cut at max_body" } else { "" });
    match &expect.body {
        None => {}
        Some(BodyMatch::Contains(text)) if String::from_utf8_lossy(body).contains(text.as_str()) => {}
        Some(BodyMatch::Contains(text)) => {
            return Err(Failure::down(DownReason::BodyMismatch, format_args!("no `{text}` in {}", read())));
        }
        Some(BodyMatch::Regex(pattern)) => {
            let regex = patterns.get(pattern).map_err(|e| Failure::unknown(UnknownReason::InvalidCheck, e))?;
            if !regex.is_match(body) {
                return Err(Failure::down(DownReason::BodyMismatch, format_args!("no /{pattern}/ in {}", read())));
            }
        }
    }
    if expect.json.is_empty() {
        return Ok(());
    }
    let value: Value = serde_json::from_slice(body)
        .map_err(|e| Failure::down(DownReason::JsonMismatch, format_args!("not JSON ({e}), {}", read())))?;
    for (path, wanted) in &expect.json {
        let found = at(&value, path);
        if !found.is_some_and(|found| equal(found, wanted)) {
            let found = found.map_or_else(|| "nothing".into(), Value::to_string);
            return Err(Failure::down(DownReason::JsonMismatch, format_args!("`{path}` is {found}")));
        }
    }
    Ok(())
}

/// The value at a dotted path; a number is an index where an array stands.
fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, step| match value {
        Value::Object(map) => map.get(step),
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Same type and value; `1` and `1.0` are one number.
fn equal(found: &Value, wanted: &JsonScalar) -> bool {
    match (found, wanted) {
        (Value::Bool(found), JsonScalar::Bool(wanted)) => found == wanted,
        (Value::String(found), JsonScalar::Text(wanted)) => found == wanted,
        (Value::Number(found), JsonScalar::Integer(wanted)) => {
            found.as_i64() == Some(*wanted) || (found.is_f64() && found.as_f64() == Some(*wanted as f64))
        }
        (Value::Number(found), JsonScalar::Float(wanted)) => found.as_f64() == Some(*wanted),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(expect: Expect, text: &str) -> Result<(), DownReason> {
        match body(&expect, text.as_bytes(), false, &Patterns::default()) {
            Ok(()) => Ok(()),
            Err(Failure { outcome: crate::domain::Outcome::Down(reason), .. }) => Err(reason),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_body_is_matched_as_bytes() {
        let contains = |t: &str| Some(BodyMatch::Contains(t.into()));
        let regex = |t: &str| Some(BodyMatch::Regex(t.into()));
        let cases = [
            (None, "", Ok(())),
            (contains("healthy"), "is healthy now", Ok(())),
            (contains("healthy"), "is Healthy now", Err(DownReason::BodyMismatch)),
            (regex("^ok$"), "ok", Ok(())),
            (regex("(?m)^ok$"), "no\nok\n", Ok(())),
            (regex("^ok$"), "no", Err(DownReason::BodyMismatch)),
        ];
        for (matching, text, expected) in cases {
            let expect = Expect { status: vec![], body: matching.clone(), json: Default::default() };
            assert_eq!(judged(expect, text), expected, "{matching:?} {text:?}");
        }
    }

    #[test]
    fn json_fields_are_found_by_dotted_path_and_compared_by_type() {
        let text = r#"{"status":"healthy","n":1,"f":1.5,"whole":2.0,"on":true,"db":{"p":[{"s":"up"}]},"nil":null}"#;
        let t = |t: &str| JsonScalar::Text(t.into());
        let cases = [
            ("status", t("healthy"), true),
            ("status", t("sick"), false),
            ("db.p.0.s", t("up"), true),
            ("db.p.1.s", t("up"), false),
            ("db.p.x.s", t("up"), false),
            ("n", JsonScalar::Integer(1), true),
            ("n", JsonScalar::Float(1.0), true),
            ("whole", JsonScalar::Integer(2), true),
            ("n", t("1"), false),
            ("f", JsonScalar::Float(1.5), true),
            ("on", JsonScalar::Bool(true), true),
            ("on", t("true"), false),
            ("nil", t("null"), false),
            ("gone", JsonScalar::Bool(false), false),
            ("status.deeper", t("healthy"), false),
        ];
        for (path, wanted, ok) in cases {
            let expect = Expect { status: vec![], body: None, json: [(path.into(), wanted)].into() };
            assert_eq!(judged(expect, text).is_ok(), ok, "{path}");
        }
        let expect = Expect { status: vec![], body: None, json: [("a".into(), JsonScalar::Bool(true))].into() };
        for broken in ["", "{", "nope", &"[".repeat(100_000)] {
            assert_eq!(judged(expect.clone(), broken), Err(DownReason::JsonMismatch));
        }
    }
}
