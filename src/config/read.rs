//! A TOML tree against a [`Table`]: every defect of shape is reported, nothing stops at the first.
//!
//! Knows no key of any file; what keys mean together is for `policy` and `main_file`.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::fields::{Fields, Node, Value};
use super::quantity;
use super::rule::Advice;
use super::source::{Source, Span};
use super::table::{Default, Kind, Relation, Table};
use crate::domain::JsonScalar;
use crate::domain::time::human;

/// Reads the whole of `source` as `top`. `None` when it is not TOML.
pub fn read(source: &mut Source, top: &'static Table) -> Option<Fields> {
    let text = source.text().to_owned();
    let (tree, errors) = DeTable::parse_recoverable(&text);
    let (twice, broken): (Vec<_>, Vec<_>) = errors.into_iter().partition(|e| e.message() == "duplicate key");
    if !broken.is_empty() {
        syntax(source, &broken, top.holds_secrets());
        return None;
    }
    for error in twice {
        let at = error.span().unwrap_or(0..0);
        let key = text.get(at.clone()).unwrap_or("this key").trim();
        let (what, fix) = (format!("`{key}` is given twice"), "keep one of the two");
        if top.holds_secrets() { source.error_unquoted(&at, what, fix) } else { source.error(&at, what, fix) }
    }
    let mut reader = Reader { source, top, quiet: 0 };
    Some(reader.table(top, tree.get_ref(), &(0..0), Strict::Yes))
}

/// What follows a syntax error is mostly its echo, so only the first is told; texts without
/// quotes are the exception, for the parser goes on well after them.
fn syntax(source: &mut Source, errors: &[toml::de::Error], secrets: bool) {
    let bare = |e: &toml::de::Error| e.message().contains("must be quoted");
    let count = if errors.iter().all(bare) { errors.len() } else { 1 };
    for error in errors.iter().take(count) {
        let at = error.span().unwrap_or(0..0);
        let message = error.message();
        let nothing = source.text().get(at.clone()).is_none_or(|t| t.trim().is_empty());
        let message = if bare(error) && nothing { "there is no value after `=`" } else { message };
        let fix = if message.contains("string") {
            "put text in double quotes: `key = \"value\"`"
        } else if message.contains("array") {
            "separate the members of a list with commas, and close it with `]`"
        } else if message.contains("table") || message.contains("header") {
            "write `[check]` for a table, `[[target]]` for one of several"
        } else {
            "write `key = value` on a line of its own; text in double quotes, lists in brackets"
        };
        let what = format!("this is not TOML: {message}");
        if secrets { source.error_unquoted(&at, what, fix) } else { source.error(&at, what, fix) }
    }
}

/// Whether required keys must be there.
#[derive(Clone, Copy, PartialEq)]
enum Strict {
    Yes,
    No,
}

struct Reader<'s> {
    source: &'s mut Source,
    top: &'static Table,
    /// How many quiet tables we are in.
    quiet: u32,
}

impl Reader<'_> {
    fn error(&mut self, at: &Span, what: impl Into<String>, fix: impl Into<String>) {
        if self.quiet > 0 {
            self.source.error_unquoted(at, what, fix);
        } else {
            self.source.error(at, what, fix);
        }
    }

    fn table(&mut self, table: &'static Table, tree: &DeTable<'_>, span: &Span, strict: Strict) -> Fields {
        self.quiet += u32::from(table.quiet);
        let mut fields = Fields::empty(table, span.clone());
        for (key, value) in tree {
            match table.field(key.get_ref()) {
                Some(field) => {
                    let read = self.value(&field.kind, &table.path(field.key), field.example, value);
                    fields.given.insert(field.key, Node { span: value.span(), key: key.span(), value: read });
                }
                None => self.unknown(table, key.get_ref(), &key.span()),
            }
        }
        if strict == Strict::Yes {
            self.required(&fields);
        }
        self.relations(&fields, strict);
        self.quiet -= u32::from(table.quiet);
        fields
    }

    fn required(&mut self, fields: &Fields) {
        for field in fields.table.fields {
            if field.default == Default::Required && !fields.is_given(field.key) {
                let fix = format!("add `{}`", field.example);
                let what = format!("`{}` is missing", fields.table.path(field.key));
                if fields.table.is_top() {
                    self.source.error_whole(what, fix);
                } else {
                    self.error(&fields.span.clone(), what, fix);
                }
            }
        }
    }

    fn relations(&mut self, fields: &Fields, strict: Strict) {
        for relation in fields.table.relations {
            match relation {
                Relation::NotBoth(a, b) => {
                    if let (Some(_), Some(node)) = (fields.node(a), fields.node(b)) {
                        let at = node.key.clone();
                        self.error(&at, format!("`{a}` and `{b}` are both given"), "keep one of the two");
                    }
                }
                Relation::AnyOf(keys) | Relation::ExactlyOne(keys) if strict == Strict::Yes => {
                    let listed = |keys: &[&str]| keys.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>();
                    let given: Vec<&str> = keys.iter().copied().filter(|k| fields.is_given(k)).collect();
                    if given.is_empty() {
                        let examples: Vec<String> = keys
                            .iter()
                            .filter_map(|k| fields.table.field(k))
                            .map(|f| format!("`{}`", f.example))
                            .collect();
                        let what = format!("neither {} is given", listed(keys).join(" nor "));
                        let fix = format!("add {}", examples.join(" or "));
                        if fields.table.is_top() {
                            self.source.error_whole(what, fix);
                        } else {
                            self.error(&fields.span.clone(), what, fix);
                        }
                    } else if given.len() > 1 && matches!(relation, Relation::ExactlyOne(_)) {
                        let all = if given.len() == 2 { "both" } else { "all" };
                        let what = format!("{} are {all} given", listed(&given).join(" and "));
                        self.error(&fields.span.clone(), what, "keep one of them");
                    }
                }
                _ => {}
            }
        }
    }

    fn value(&mut self, kind: &'static Kind, path: &str, example: &str, tree: &Spanned<DeValue<'_>>) -> Value {
        let at = tree.span();
        match (kind, tree.get_ref()) {
            (Kind::Text(rule), DeValue::String(text)) => {
                self.checked((rule.check)(text).map(|()| Value::Text(text.to_string())), path, &at)
            }
            (Kind::Int { min, max }, DeValue::Integer(i)) => match integer(i) {
                Some(i) if (*min..=*max).contains(&i) => Value::Int(i),
                _ => self.out_of_range(path, &at, &i.to_string(), &min.to_string(), &max.to_string(), example),
            },
            (Kind::Number { above, max }, DeValue::Integer(_) | DeValue::Float(_)) => match number(tree.get_ref()) {
                Some(n) if n > *above && n <= *max => Value::Number(n),
                _ => {
                    let what = format!("`{path}` is out of range: it must be more than {above} and at most {max}");
                    self.bad(&at, what, format!("write for example `{example}`"))
                }
            },
            (Kind::Bool, DeValue::Boolean(b)) => Value::Bool(*b),
            (Kind::Duration { min, max }, DeValue::String(text)) => {
                let (min, max) = (Duration::from_millis(*min), Duration::from_millis(*max));
                match quantity::duration(text) {
                    Ok(d) if (min..=max).contains(&d) => Value::Duration(d),
                    Ok(_) => self.out_of_range(path, &at, text, &human(min), &human(max), example),
                    Err(advice) => self.checked(Err(advice), path, &at),
                }
            }
            (Kind::Duration { .. }, DeValue::Integer(i)) => self.bad(
                &at,
                format!("`{path}` is a number without a unit"),
                format!("write `{} = \"{i}s\"`", key_of(path)),
            ),
            (Kind::Size { min, max }, DeValue::String(text)) => match quantity::size(text) {
                Ok(bytes) if (*min..=*max).contains(&bytes) => Value::Size(bytes),
                Ok(_) => self.out_of_range(path, &at, text, &format!("{min}B"), &format!("{max}B"), example),
                Err(advice) => self.checked(Err(advice), path, &at),
            },
            (Kind::Size { min, max }, DeValue::Integer(i)) => match integer(i).and_then(|i| u64::try_from(i).ok()) {
                Some(bytes) if (*min..=*max).contains(&bytes) => Value::Size(bytes),
                _ => self.out_of_range(path, &at, &i.to_string(), &min.to_string(), &max.to_string(), example),
            },
            (Kind::Rate { min, max }, DeValue::String(text)) => match quantity::rate(text) {
                Ok(count) if (*min..=*max).contains(&count) => Value::Rate(count),
                Ok(_) => self.out_of_range(path, &at, text, &format!("{min}/h"), &format!("{max}/h"), example),
                Err(advice) => self.checked(Err(advice), path, &at),
            },
            (Kind::Rate { .. }, DeValue::Integer(i)) => self.bad(
                &at,
                format!("`{path}` is a number without a unit"),
                format!("write `{} = \"{i}/h\"`", key_of(path)),
            ),
            (Kind::OneOf(values), DeValue::String(text)) => {
                if values.contains(&text.as_ref()) {
                    return Value::Text(text.to_string());
                }
                let fix = match nearest(text, values.iter().copied()) {
                    Some(near) => format!("did you mean `\"{near}\"`?"),
                    None => format!("write {}", kind.wanted()),
                };
                self.bad(&at, format!("`{path}` may not be `{text}`"), fix)
            }
            (Kind::List { of, least, most }, DeValue::Array(members)) => {
                let nodes = members.iter().map(|m| Node {
                    span: m.span(),
                    key: m.span(),
                    value: self.value(of, path, example, m),
                });
                let nodes: Vec<Node> = nodes.collect();
                self.counted(nodes, *least, *most, path, &at, example)
            }
            (Kind::List { of, .. }, other) if fits(of, other) => {
                let text = self.source.text().get(at.clone()).unwrap_or("…").to_owned();
                self.bad(&at, format!("`{path}` must be a list"), format!("write `{} = [{text}]`", key_of(path)))
            }
            (Kind::Map { keys, of, quiet }, DeValue::Table(members)) => {
                self.quiet += u32::from(*quiet);
                let mut map = BTreeMap::new();
                for (key, member) in members {
                    if let Err(advice) = (keys.check)(key.get_ref()) {
                        self.checked(Err(advice), path, &key.span());
                        continue;
                    }
                    let value = self.value(of, &format!("{path}.{}", key.get_ref()), example, member);
                    map.insert(key.get_ref().to_string(), Node { span: member.span(), key: key.span(), value });
                }
                self.quiet -= u32::from(*quiet);
                Value::Map(map)
            }
            (Kind::Table(table), DeValue::Table(members)) => Value::Table(self.table(table, members, &at, Strict::Yes)),
            (Kind::Overrides(table), DeValue::Table(members)) => {
                Value::Table(self.table(table, members, &at, Strict::No))
            }
            (Kind::Tables { of, least, most }, DeValue::Array(members)) => {
                let mut nodes = Vec::new();
                for member in members.iter() {
                    let span = member.span();
                    let value = match member.get_ref() {
                        DeValue::Table(m) => Value::Table(self.table(of, m, &span, Strict::Yes)),
                        _ => self.bad(&span, format!("`{path}` must hold tables only"), format!("write `{example}`")),
                    };
                    nodes.push(Node { span: span.clone(), key: span, value });
                }
                self.counted(nodes, *least, *most, path, &at, example)
            }
            (Kind::Tables { .. }, DeValue::Table(_)) => {
                self.bad(&at, format!("`{path}` is one table, but there may be several"), format!("write `{example}`"))
            }
            (Kind::Either(kinds), other) => match kinds.iter().find(|k| fits(k, other)) {
                Some(kind) => self.value(kind, path, example, tree),
                None => self.mistyped(kind, path, example, tree),
            },
            (Kind::Json, DeValue::Table(members)) => {
                let mut map = BTreeMap::new();
                self.json("", members, path, &mut map);
                Value::Map(map)
            }
            (Kind::Misnamed { fix }, _) => self.bad(&at, format!("unknown key `{path}`"), *fix),
            _ => self.mistyped(kind, path, example, tree),
        }
    }

    fn json(&mut self, prefix: &str, tree: &DeTable<'_>, path: &str, map: &mut BTreeMap<String, Node>) {
        for (key, value) in tree {
            let name =
                if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
            let scalar = match value.get_ref() {
                DeValue::Table(inner) => {
                    self.json(&name, inner, path, map);
                    continue;
                }
                DeValue::Boolean(b) => Some(JsonScalar::Bool(*b)),
                DeValue::Integer(i) => integer(i).map(JsonScalar::Integer),
                DeValue::Float(_) => number(value.get_ref()).filter(|n| n.is_finite()).map(JsonScalar::Float),
                DeValue::String(text) => Some(JsonScalar::Text(text.to_string())),
                DeValue::Array(_) | DeValue::Datetime(_) => None,
            };
            match scalar {
                Some(scalar) => {
                    let node = Node { span: value.span(), key: key.span(), value: Value::Scalar(scalar) };
                    map.insert(name, node);
                }
                None => {
                    let what = format!("`{path}.{name}` must be a string, a number, true or false");
                    self.bad(
                        &value.span(),
                        what,
                        "name one field, for example `json = { status = \"healthy\" }`; a list is reached by `items.0`",
                    );
                }
            }
        }
    }

    fn counted(&mut self, nodes: Vec<Node>, least: usize, most: usize, path: &str, at: &Span, example: &str) -> Value {
        if nodes.len() < least {
            return self.bad(at, format!("`{path}` is empty"), format!("write for example `{example}`"));
        }
        if nodes.len() > most {
            return self.bad(
                at,
                format!("`{path}` has {} members; at most {most} are allowed", nodes.len()),
                "split them",
            );
        }
        Value::List(nodes)
    }

    fn checked(&mut self, read: Result<Value, Advice>, path: &str, at: &Span) -> Value {
        match read {
            Ok(value) => value,
            Err(advice) => self.bad(at, format!("`{path}`: {}", advice.what), advice.fix),
        }
    }

    fn out_of_range(&mut self, path: &str, at: &Span, found: &str, min: &str, max: &str, example: &str) -> Value {
        let what = format!("`{path}` is {found}; it must be {min} to {max}");
        self.bad(at, what, format!("write for example `{example}`"))
    }

    fn mistyped(&mut self, kind: &Kind, path: &str, example: &str, tree: &Spanned<DeValue<'_>>) -> Value {
        let found = match tree.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a decimal number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let what = format!("`{path}` must be {}; this is {found}", kind.wanted());
        self.bad(&tree.span(), what, format!("write for example `{example}`"))
    }

    fn bad(&mut self, at: &Span, what: impl Into<String>, fix: impl Into<String>) -> Value {
        self.error(at, what, fix);
        Value::Bad
    }

    fn unknown(&mut self, table: &'static Table, key: &str, at: &Span) {
        let what = format!("unknown key `{}`", table.path(key));
        let known = || table.fields.iter().filter(|f| !matches!(f.kind, Kind::Misnamed { .. })).map(|f| f.key);
        let homes = homes(self.top, key);
        let header = header(self.top, table).unwrap_or_else(|| format!("`{}`", table.name));
        let fix = if !table.is_top() && self.top.field(key).is_some() {
            format!("this key belongs at top level; move it above {header}")
        } else if table.name == "target" && homes.iter().any(|h| h == "[check]") {
            format!("for this target alone write `check = {{ {key} = … }}`, for all targets move it to [check]")
        } else if !homes.is_empty() {
            format!("this key belongs in {}; move it there", homes.join(" or "))
        } else if let Some(near) = nearest(key, known()) {
            format!("did you mean `{near}`?")
        } else {
            format!("leave it out; known here: {}", known().collect::<Vec<_>>().join(", "))
        };
        // The value of a mistaken key may be a secret that was meant for another one.
        if self.top.holds_secrets() {
            self.source.error_unquoted(at, what, fix);
        } else {
            self.error(at, what, fix);
        }
    }
}

/// Headers of the tables that have `key`, anywhere below `top` but at the top itself.
fn homes(top: &'static Table, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (child, header) in top.children() {
        if child.field(key).is_some_and(|f| !matches!(f.kind, Kind::Misnamed { .. })) {
            found.push(header);
        }
        found.extend(homes(child, key));
    }
    found
}

fn header(top: &'static Table, table: &'static Table) -> Option<String> {
    top.children().find_map(
        |(child, written)| {
            if std::ptr::eq(child, table) { Some(written) } else { header(child, table) }
        },
    )
}

/// The known word a mistyped one most likely meant.
pub fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let lower = word.to_ascii_lowercase().replace('-', "_");
    known
        .map(|k| (strsim::osa_distance(&lower, &k.to_ascii_lowercase().replace('-', "_")), k))
        .filter(|(distance, k)| *distance <= k.len().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

fn key_of(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

fn integer(i: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(i.as_str(), i.radix()).ok()
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(i) => i32::try_from(integer(i)?).ok().map(f64::from),
        DeValue::Float(f) => f.as_str().parse().ok(),
        _ => None,
    }
}

/// Whether a value has the TOML type that `kind` reads.
fn fits(kind: &Kind, value: &DeValue<'_>) -> bool {
    match kind {
        Kind::Text(_) | Kind::Duration { .. } | Kind::Rate { .. } | Kind::OneOf(_) => value.is_str(),
        Kind::Size { .. } => value.is_str() || value.is_integer(),
        Kind::Int { .. } => value.is_integer(),
        Kind::Number { .. } => value.is_integer() || value.is_float(),
        Kind::Bool => value.is_bool(),
        Kind::List { .. } | Kind::Tables { .. } => value.is_array(),
        Kind::Map { .. } | Kind::Table(_) | Kind::Overrides(_) | Kind::Json => value.is_table(),
        Kind::Either(kinds) => kinds.iter().any(|k| fits(k, value)),
        Kind::Misnamed { .. } => true,
    }
}
