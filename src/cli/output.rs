//! How commands print: data to stdout, talk to stderr, colour only where a person looks.
//!
//! `anstream` drops colour for NO_COLOR, `TERM=dumb` and anything that is no terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::domain::Health;
use crate::engine::report::PolicyState;

use super::logging;

/// Version of every JSON document a command prints.
pub const JSON_VERSION: u32 = 1;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    #[default]
    Table,
    Json,
}

/// One cell of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    style: Style,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell { text: text.into(), style: Style::new() }
    }
}

impl Cell {
    pub fn styled(text: impl Into<String>, style: Style) -> Cell {
        Cell { text: text.into(), style }
    }
}

/// Columns as wide as their widest cell, two spaces apart, nothing after the last.
pub fn table(head: &[&str], rows: &[Vec<Cell>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.text.chars().count());
        }
    }
    let mut text = String::new();
    let bold = Style::new().bold();
    let head: Vec<Cell> = head.iter().map(|h| Cell::styled(*h, bold)).collect();
    for row in std::iter::once(&head).chain(rows) {
        let last = row.len().saturating_sub(1);
        for (i, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let pad = if i == last { 0 } else { width + 2 - cell.text.chars().count().min(*width) };
            let _ = write!(text, "{}{:pad$}", paint(&cell.text, cell.style), "");
        }
        text.push('\n');
    }
    text
}

pub fn paint(text: &str, style: Style) -> String {
    if style.is_plain() { text.to_owned() } else { format!("{style}{text}{style:#}") }
}

pub fn health_style(health: Health) -> Style {
    colour(match health {
        Health::Up => AnsiColor::Green,
        Health::Down => AnsiColor::Red,
        Health::Unknown => AnsiColor::Yellow,
    })
}

pub fn state_style(state: PolicyState) -> Style {
    match state {
        PolicyState::Steady => colour(AnsiColor::Green),
        PolicyState::Stuck | PolicyState::WriteRefused | PolicyState::Blind | PolicyState::Detached => {
            colour(AnsiColor::Red).bold()
        }
        PolicyState::Moving => colour(AnsiColor::Cyan),
        PolicyState::Displaced | PolicyState::Doubt | PolicyState::Starting => colour(AnsiColor::Yellow),
    }
}

pub fn colour(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(colour.into()))
}

/// A word as JSON spells it, e.g. `hold-down` or `connect_refused`.
pub fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// Writes text to stdout. A reader that went away (`| head`) is no error.
pub fn data(text: &str) {
    use std::io::Write as _;
    let mut out = anstream::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes one JSON document, with a newline, to stdout.
pub fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => data(&(text + "\n")),
        Err(error) => talk(&format!("error: {error}")),
    }
}

/// Writes one JSON document on one line to stdout.
pub fn json_line(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => data(&(text + "\n")),
        Err(error) => talk(&format!("error: {error}")),
    }
}

/// Writes one line to stderr; an object for a machine.
pub fn talk(line: &str) {
    if logging::is_json() {
        let plain = anstream::adapter::strip_str(line.trim()).to_string();
        logging::say("INFO", &plain, &[]);
    } else {
        anstream::eprintln!("{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_their_colour() {
        let red = colour(AnsiColor::Red);
        let rows =
            [vec!["web".into(), Cell::styled("down", red), "x".into()], vec!["a".into(), "up".into(), "".into()]];
        let text = anstream::adapter::strip_str(&table(&["POLICY", "STATE", "NOTE"], &rows)).to_string();
        assert_eq!(text, "POLICY  STATE  NOTE\nweb     down   x\na       up     \n");
    }
}
