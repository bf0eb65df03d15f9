//! The shape of a file as data: one [`Table`] for each TOML table, one [`Field`] for each key.
//! The reader and the JSON Schema are both driven by it, so they cannot disagree about it.

use super::rule::Rule;

pub struct Table {
    /// Name in messages and in the schema, as written in a file: `check`, `failback.window`.
    pub name: &'static str,
    pub doc: &'static str,
    pub fields: &'static [Field],
    pub relations: &'static [Relation],
    /// Secrets may stand here: nothing of it is quoted in a message.
    pub quiet: bool,
}

pub struct Field {
    pub key: &'static str,
    pub kind: Kind,
    pub default: Default,
    /// A good line, `key = value`.
    pub example: &'static str,
    pub doc: &'static str,
}

/// What a key that is not given means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Default {
    /// The reader decides; the field's doc says how.
    Derived,
    Required,
    /// Read by the field's own kind.
    Text(&'static str),
    Int(i64),
    Number(f64),
    Bool(bool),
}

pub enum Kind {
    Text(&'static Rule),
    Int {
        min: i64,
        max: i64,
    },
    /// Within `above`, exclusive, and `max`, inclusive.
    Number {
        above: f64,
        max: f64,
    },
    Bool,
    /// `"1m30s"`; both ends in milliseconds, inclusive.
    Duration {
        min: u64,
        max: u64,
    },
    /// `"64KiB"` or a number of bytes.
    Size {
        min: u64,
        max: u64,
    },
    /// `"4/h"`.
    Rate {
        min: u32,
        max: u32,
    },
    OneOf(&'static [&'static str]),
    List {
        of: &'static Kind,
        least: usize,
        most: usize,
    },
    /// Free keys that follow a rule.
    Map {
        keys: &'static Rule,
        of: &'static Kind,
        quiet: bool,
    },
    Table(&'static Table),
    /// The same keys, none required and none with a default: it overrides another table.
    Overrides(&'static Table),
    Tables {
        of: &'static Table,
        least: usize,
        most: usize,
    },
    /// The first that fits the TOML type decides.
    Either(&'static [Kind]),
    /// Scalars and tables of them: fields of a JSON answer.
    Json,
    /// A name that people try, for which another one is right.
    Misnamed {
        fix: &'static str,
    },
}

/// A rule between the keys of one table.
pub enum Relation {
    AnyOf(&'static [&'static str]),
    ExactlyOne(&'static [&'static str]),
    NotBoth(&'static str, &'static str),
}

impl Table {
    pub fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|f| f.key == key)
    }

    /// Name before a key in a message: empty for the top level.
    pub fn path(&self, key: &str) -> String {
        if self.is_top() { key.into() } else { format!("{}.{key}", self.name) }
    }

    /// The top level of a file has its name in angle brackets.
    pub fn is_top(&self) -> bool {
        self.name.starts_with('<')
    }

    /// Whether a secret may stand in the file this table is the top of.
    pub fn holds_secrets(&self) -> bool {
        self.quiet || self.children().any(|(child, _)| child.holds_secrets())
    }

    /// Tables directly below this one with the header a person writes for them.
    pub fn children(&self) -> impl Iterator<Item = (&'static Table, String)> {
        let top = self.is_top();
        let name = self.name;
        self.fields.iter().filter_map(move |f| {
            let path = if top { f.key.into() } else { format!("{name}.{}", f.key) };
            match &f.kind {
                Kind::Table(table) => Some((*table, format!("[{path}]"))),
                Kind::Tables { of, .. } => Some((*of, format!("[[{path}]]"))),
                _ => None,
            }
        })
    }
}

impl Kind {
    /// What a message says a value of this kind must be.
    pub fn wanted(&self) -> String {
        match self {
            Kind::Text(_) => "a string".into(),
            Kind::Int { .. } => "a whole number".into(),
            Kind::Number { .. } => "a number".into(),
            Kind::Bool => "true or false".into(),
            Kind::Duration { .. } => "a duration in quotes".into(),
            Kind::Size { .. } => "a size in quotes".into(),
            Kind::Rate { .. } => "a rate in quotes".into(),
            Kind::OneOf(values) => {
                let list: Vec<String> = values.iter().map(|v| format!("\"{v}\"")).collect();
                format!("one of {}", list.join(", "))
            }
            Kind::List { .. } => "a list in brackets".into(),
            Kind::Map { .. } | Kind::Table(_) | Kind::Overrides(_) | Kind::Json => "a table".into(),
            Kind::Tables { .. } => "a list of tables".into(),
            Kind::Either(kinds) => {
                let list: Vec<String> = kinds.iter().map(Kind::wanted).collect();
                list.join(" or ")
            }
            Kind::Misnamed { .. } => "left out".into(),
        }
    }
}
