//! The shape of a file as JSON Schema (draft 2020-12), from the same tables the reader uses.

use serde_json::{Map, Value, json};

use super::fields;
use super::quantity::{DURATION_PATTERN, RATE_PATTERN, SIZE_PATTERN};
use super::rule::Rule;
use super::table::{Default, Field, Kind, Relation, Table};
use super::{main_table, policy_table};

/// Schema of a policy file.
pub fn policy() -> Value {
    document(&policy_table::POLICY, "failoverd policy")
}

/// Schema of `failoverd.toml`.
pub fn main() -> Value {
    document(&main_table::MAIN, "failoverd main file")
}

fn document(top: &'static Table, title: &str) -> Value {
    let mut schema = Map::new();
    schema.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".into(), json!(title));
    if let Value::Object(rest) = table(top, true) {
        schema.extend(rest);
    }
    Value::Object(schema)
}

fn table(table: &'static Table, strict: bool) -> Value {
    let mut properties = Map::new();
    for field in table.fields.iter().filter(|f| !matches!(f.kind, Kind::Misnamed { .. })) {
        properties.insert(field.key.into(), property(field, strict));
    }
    let required: Vec<&str> =
        table.fields.iter().filter(|f| strict && f.default == Default::Required).map(|f| f.key).collect();
    let mut schema = json!({
        "type": "object",
        "description": table.doc,
        "additionalProperties": false,
        "properties": properties,
    });
    let rules: Vec<Value> = table.relations.iter().filter_map(|r| relation(r, strict)).collect();
    if let Value::Object(map) = &mut schema {
        if !required.is_empty() {
            map.insert("required".into(), json!(required));
        }
        if !rules.is_empty() {
            map.insert("allOf".into(), json!(rules));
        }
    }
    schema
}

fn property(field: &'static Field, strict: bool) -> Value {
    let mut schema = kind(&field.kind);
    if let Value::Object(map) = &mut schema {
        map.insert("description".into(), json!(field.doc));
        if let Some(default) = default(field).filter(|_| strict) {
            map.insert("default".into(), default);
        }
    }
    schema
}

fn default(field: &Field) -> Option<Value> {
    match field.default {
        Default::Derived | Default::Required => None,
        Default::Text(text) => Some(json!(text)),
        _ => match fields::default(field)? {
            fields::Value::Int(i) => Some(json!(i)),
            fields::Value::Number(n) => Some(json!(n)),
            fields::Value::Bool(b) => Some(json!(b)),
            _ => None,
        },
    }
}

fn relation(relation: &Relation, strict: bool) -> Option<Value> {
    let given = |keys: &[&str]| -> Vec<Value> { keys.iter().map(|k| json!({ "required": [k] })).collect() };
    match relation {
        Relation::NotBoth(a, b) => Some(json!({ "not": { "required": [a, b] } })),
        Relation::AnyOf(keys) => strict.then(|| json!({ "anyOf": given(keys) })),
        Relation::ExactlyOne(keys) => strict.then(|| json!({ "oneOf": given(keys) })),
    }
}

fn text(rule: &Rule) -> Value {
    if rule.never.is_empty() {
        json!({ "type": "string", "pattern": rule.pattern })
    } else {
        json!({ "type": "string", "pattern": rule.pattern, "not": { "pattern": rule.never } })
    }
}

fn kind(of: &'static Kind) -> Value {
    match of {
        Kind::Text(rule) => text(rule),
        Kind::Int { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Number { above, max } => json!({ "type": "number", "exclusiveMinimum": above, "maximum": max }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Duration { .. } => json!({ "type": "string", "minLength": 1, "pattern": DURATION_PATTERN }),
        Kind::Size { min, max } => json!({ "oneOf": [
            { "type": "string", "pattern": SIZE_PATTERN },
            { "type": "integer", "minimum": min, "maximum": max },
        ] }),
        Kind::Rate { .. } => json!({ "type": "string", "pattern": RATE_PATTERN }),
        Kind::OneOf(values) => json!({ "enum": values }),
        Kind::List { of, least, most } => {
            json!({ "type": "array", "items": kind(of), "minItems": least, "maxItems": most })
        }
        Kind::Map { keys, of, .. } => {
            json!({ "type": "object", "propertyNames": text(keys), "additionalProperties": kind(of) })
        }
        Kind::Table(of) => table(of, true),
        Kind::Overrides(of) => table(of, false),
        Kind::Tables { of, least, most } => {
            json!({ "type": "array", "items": table(of, true), "minItems": least, "maxItems": most })
        }
        Kind::Either(kinds) => json!({ "anyOf": kinds.iter().map(kind).collect::<Vec<_>>() }),
        Kind::Json => json_fields(4),
        Kind::Misnamed { .. } => json!(false),
    }
}

/// Scalars, and tables of them down to a depth nobody reaches.
fn json_fields(depth: u32) -> Value {
    let mut kinds = vec![json!({ "type": ["string", "number", "boolean"] })];
    if depth > 0 {
        kinds.push(json_fields(depth - 1));
    }
    json!({ "type": "object", "additionalProperties": { "anyOf": kinds } })
}
