//! What the reader found in one table: typed values with their places, and defaults for the rest.

use std::collections::BTreeMap;
use std::time::Duration;

use super::quantity;
use super::source::Span;
use super::table::{Default, Field, Kind, Table};
use crate::domain::JsonScalar;

#[derive(Clone)]
pub struct Node {
    /// Of the value.
    pub span: Span,
    /// Of the key; the value's own in a list.
    pub key: Span,
    pub value: Value,
}

#[derive(Clone)]
pub enum Value {
    Text(String),
    Int(i64),
    Number(f64),
    Bool(bool),
    Duration(Duration),
    Size(u64),
    Rate(u32),
    List(Vec<Node>),
    Map(BTreeMap<String, Node>),
    Table(Fields),
    Scalar(JsonScalar),
    /// Already reported.
    Bad,
}

/// The keys given in one table.
#[derive(Clone)]
pub struct Fields {
    pub table: &'static Table,
    /// Of the header or of the inline table.
    pub span: Span,
    pub given: BTreeMap<&'static str, Node>,
}

impl Fields {
    pub fn empty(table: &'static Table, span: Span) -> Fields {
        Fields { table, span, given: BTreeMap::new() }
    }

    /// The value as given, even a bad one.
    pub fn node(&self, key: &str) -> Option<&Node> {
        self.given.get(key)
    }

    pub fn is_given(&self, key: &str) -> bool {
        self.given.contains_key(key)
    }

    /// Where to point for `key`: at its value, or at the table when it is not given.
    pub fn place(&self, key: &str) -> Span {
        self.node(key).map_or_else(|| self.span.clone(), |n| n.span.clone())
    }

    pub fn text(&self, key: &str) -> Option<String> {
        match self.value(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn int<T: TryFrom<i64>>(&self, key: &str) -> Option<T> {
        match self.value(key)? {
            Value::Int(i) => T::try_from(i).ok(),
            _ => None,
        }
    }

    pub fn number(&self, key: &str) -> Option<f64> {
        match self.value(key)? {
            Value::Number(n) => Some(n),
            _ => None,
        }
    }

    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.value(key)? {
            Value::Bool(b) => Some(b),
            _ => None,
        }
    }

    pub fn duration(&self, key: &str) -> Option<Duration> {
        match self.value(key)? {
            Value::Duration(d) => Some(d),
            _ => None,
        }
    }

    pub fn size(&self, key: &str) -> Option<u64> {
        match self.value(key)? {
            Value::Size(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub fn rate(&self, key: &str) -> Option<u32> {
        match self.value(key)? {
            Value::Rate(count) => Some(count),
            _ => None,
        }
    }

    /// The members of a list; empty when it is not given.
    pub fn list(&self, key: &str) -> &[Node] {
        match self.node(key).map(|n| &n.value) {
            Some(Value::List(nodes)) => nodes,
            _ => &[],
        }
    }

    /// A list's good texts with their places.
    pub fn texts(&self, key: &str) -> impl Iterator<Item = (&Span, &str)> {
        self.list(key).iter().filter_map(|n| match &n.value {
            Value::Text(text) => Some((&n.span, text.as_str())),
            _ => None,
        })
    }

    pub fn map(&self, key: &str) -> Option<&BTreeMap<String, Node>> {
        match self.node(key).map(|n| &n.value) {
            Some(Value::Map(map)) => Some(map),
            _ => None,
        }
    }

    /// A table below this one; all defaults when it is not given.
    pub fn table(&self, key: &str) -> Option<Fields> {
        match self.node(key) {
            Some(Node { value: Value::Table(fields), .. }) => Some(fields.clone()),
            Some(_) => None,
            None => match self.table.field(key)?.kind {
                Kind::Table(table) => Some(Fields::empty(table, self.span.clone())),
                _ => None,
            },
        }
    }

    /// Tables of a list.
    pub fn tables(&self, key: &str) -> impl Iterator<Item = &Fields> {
        self.list(key).iter().filter_map(|n| match &n.value {
            Value::Table(fields) => Some(fields),
            _ => None,
        })
    }

    /// These keys with those of `over` in front; tables are merged key by key.
    pub fn overlaid(&self, over: &Fields) -> Fields {
        let mut merged = self.clone();
        for (key, node) in &over.given {
            let node = match (merged.given.get(key).map(|n| &n.value), &node.value) {
                (Some(Value::Table(base)), Value::Table(over)) => {
                    Node { value: Value::Table(base.overlaid(over)), ..node.clone() }
                }
                (Some(Value::Map(base)), Value::Map(over)) => {
                    let mut map = base.clone();
                    map.extend(over.clone());
                    Node { value: Value::Map(map), ..node.clone() }
                }
                _ => node.clone(),
            };
            merged.given.insert(key, node);
        }
        merged
    }

    /// Given value or default; `None` for a bad one and for one without default.
    fn value(&self, key: &str) -> Option<Value> {
        match self.node(key) {
            Some(node) => Some(node.value.clone()),
            None => self.table.field(key).and_then(default),
        }
    }
}

/// A field's default as the reader would have read it.
pub fn default(field: &Field) -> Option<Value> {
    match field.default {
        Default::Derived | Default::Required => None,
        Default::Int(i) => Some(Value::Int(i)),
        Default::Number(n) => Some(Value::Number(n)),
        Default::Bool(b) => Some(Value::Bool(b)),
        Default::Text(text) => match field.kind {
            Kind::Duration { .. } => quantity::duration(text).ok().map(Value::Duration),
            Kind::Size { .. } => quantity::size(text).ok().map(Value::Size),
            Kind::Rate { .. } => quantity::rate(text).ok().map(Value::Rate),
            _ => Some(Value::Text(text.into())),
        },
    }
}
