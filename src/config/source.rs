//! One file's text, and the findings made while reading it.
//!
//! Knows places (byte span to line and column); knows nothing of what the file means.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::finding::{Finding, Quote, Severity};

/// Byte range in a file.
pub type Span = Range<usize>;

/// Words that make a line unfit for quoting, wherever it stands.
const SENSITIVE: [&str; 6] = ["authorization", "token", "secret", "password", "cookie", "api-key"];

/// Longest line that is quoted, in characters.
const QUOTED: usize = 160;

pub struct Source {
    pub path: PathBuf,
    text: String,
    /// Byte offset of the start of each line.
    lines: Vec<usize>,
    findings: Vec<Finding>,
}

impl Source {
    pub fn new(path: PathBuf, text: String) -> Source {
        let starts = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        Source { path, text, lines, findings: Vec::new() }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Directory that relative paths of this file start from.
    pub fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    pub fn error(&mut self, at: &Span, what: impl Into<String>, fix: impl Into<String>) {
        let finding = self.finding(at, Severity::Error, what.into(), fix.into(), true);
        self.push(finding);
    }

    /// An error on a line that may hold a secret: it is placed, not quoted.
    pub fn error_unquoted(&mut self, at: &Span, what: impl Into<String>, fix: impl Into<String>) {
        let finding = self.finding(at, Severity::Error, what.into(), fix.into(), false);
        self.push(finding);
    }

    pub fn warn(&mut self, at: &Span, what: impl Into<String>, fix: impl Into<String>) {
        let finding = self.finding(at, Severity::Warning, what.into(), fix.into(), true);
        self.push(finding);
    }

    pub fn warn_unquoted(&mut self, at: &Span, what: impl Into<String>, fix: impl Into<String>) {
        let finding = self.finding(at, Severity::Warning, what.into(), fix.into(), false);
        self.push(finding);
    }

    /// About the file as a whole.
    pub fn error_whole(&mut self, what: impl Into<String>, fix: impl Into<String>) {
        self.push(Finding::about(self.path.clone(), Severity::Error, what.into(), fix.into()));
    }

    /// At a place when there is one, else about the file as a whole.
    pub fn error_at(&mut self, at: Option<&Span>, what: impl Into<String>, fix: impl Into<String>) {
        match at {
            Some(at) => self.error(at, what, fix),
            None => self.error_whole(what, fix),
        }
    }

    pub fn warn_whole(&mut self, what: impl Into<String>, fix: impl Into<String>) {
        self.push(Finding::about(self.path.clone(), Severity::Warning, what.into(), fix.into()));
    }

    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|f| f.severity == Severity::Error)
    }

    /// `path:line` of a place, for messages that name a second place.
    pub fn place(&self, at: &Span) -> String {
        format!("{}:{}", self.path.display(), self.line_of(at.start) + 1)
    }

    /// The findings in the order of the file.
    pub fn into_findings(mut self) -> Vec<Finding> {
        self.findings.sort_by_key(|f| (f.line, f.column));
        self.findings
    }

    /// Keys of a table that several targets override are looked at once for each of them.
    fn push(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn line_of(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset).saturating_sub(1)
    }

    fn finding(&self, at: &Span, severity: Severity, what: String, fix: String, quoted: bool) -> Finding {
        let start = at.start.min(self.text.len());
        let line = self.line_of(start);
        let begin = self.lines.get(line).copied().unwrap_or(0);
        let rest = self.text.get(begin..).unwrap_or("");
        let content = rest.split('\n').next().unwrap_or("").trim_end_matches('\r');
        let indent = self.text.get(begin..start).map_or(0, |head| head.chars().count());
        let inside = at.end.min(begin + content.len()).saturating_sub(start);
        let width = self.text.get(start..start + inside).map_or(1, |s| s.chars().count()).max(1);
        let lower = content.to_ascii_lowercase();
        let fit = quoted
            && !content.trim().is_empty()
            && content.chars().count() <= QUOTED
            && !SENSITIVE.iter().any(|word| lower.contains(word));
        // What the file holds is shown on a terminal: nothing in it may steer that, nor stand past its line.
        let shown: String = content.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let indent_shown = indent.min(shown.chars().count());
        let quote = fit.then_some(Quote { line: shown, indent: indent_shown, width });
        Finding { file: self.path.clone(), line: line + 1, column: indent + 1, severity, what, fix, quote }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_characters_from_one() {
        let mut source = Source::new("x.toml".into(), "a = 1\nü = \"é\" # x\n".into());
        let at = source.text().find("\"é\"").map(|i| i..i + 4).unwrap();
        source.error(&at, "bad", "good");
        source.error(&(500..600), "end", "good");
        let shown: Vec<String> = source.into_findings().iter().map(ToString::to_string).collect();
        assert_eq!(shown[0], "x.toml:2:5: error: bad\n  2 | ü = \"é\" # x\n    |     ^^^\n  fix: good");
        assert_eq!(shown[1], "x.toml:3:1: error: end\n  fix: good");
    }

    #[test]
    fn a_line_that_may_hold_a_secret_is_never_quoted() {
        let mut source = Source::new("x.toml".into(), "headers = { Authorization = \"hunter2\" }\n".into());
        source.error(&(0..7), "bad", "good");
        assert!(!source.into_findings()[0].to_string().contains("hunter2"));
    }
}
