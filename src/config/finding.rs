//! What is wrong with a file, where, and what to write instead.
//!
//! A finding never holds the text of a secret: lines on which one may stand are not quoted.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration is not used.
    Error,
    /// It is used, and a person should know.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

/// One defect or one warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub file: PathBuf,
    /// From 1; 0 when the finding is about the file as a whole.
    pub line: usize,
    /// From 1, in characters; 0 when the finding is about the file as a whole.
    pub column: usize,
    pub severity: Severity,
    /// What is wrong.
    pub what: String,
    /// What to write or type instead.
    pub fix: String,
    /// The line itself, when it may be shown.
    #[serde(skip)]
    pub quote: Option<Quote>,
}

/// A line of a file with the place that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    pub line: String,
    /// Characters before the place.
    pub indent: usize,
    /// Characters of the place, at least 1.
    pub width: usize,
}

impl Finding {
    /// A finding about a file that has no text to point at.
    pub fn about(file: impl Into<PathBuf>, severity: Severity, what: String, fix: String) -> Finding {
        Finding { file: file.into(), line: 0, column: 0, severity, what, fix, quote: None }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        write!(f, " {}: {}", self.severity, self.what)?;
        if let Some(quote) = &self.quote {
            let gutter = self.line.to_string();
            let empty = " ".repeat(gutter.len());
            write!(f, "\n  {gutter} | {}", quote.line)?;
            write!(f, "\n  {empty} | {}{}", " ".repeat(quote.indent), "^".repeat(quote.width))?;
        }
        write!(f, "\n  fix: {}", self.fix)
    }
}

/// Every error of every file, with the warnings found on the way; sorted as the files were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    pub findings: Vec<Finding>,
}

impl ConfigErrors {
    pub fn one(finding: Finding) -> ConfigErrors {
        ConfigErrors { findings: vec![finding] }
    }

    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.severity == Severity::Error)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        match self.errors().count() {
            1 => f.write_str("1 error"),
            n => write!(f, "{n} errors"),
        }
    }
}

impl std::error::Error for ConfigErrors {}
