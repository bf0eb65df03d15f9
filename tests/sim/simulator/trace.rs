//! What a run leaves behind: a hash of everything that was done, and, when asked for, one line for
//! each thing that happened.

use std::fmt::{self, Write};

pub struct Trace {
    hash: u64,
    /// Kept when somebody will read it.
    lines: Option<Vec<String>>,
}

impl Trace {
    pub fn new(told: bool) -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325, lines: told.then(Vec::new) }
    }

    /// FNV-1a over the text.
    pub fn hash(&mut self, what: fmt::Arguments) {
        let _ = self.write_fmt(what);
    }

    pub fn number(&mut self, n: u64) {
        self.hash = (self.hash ^ n).wrapping_mul(0x0100_0000_01b3);
    }

    pub fn value(&self) -> u64 {
        self.hash
    }

    pub fn is_told(&self) -> bool {
        self.lines.is_some()
    }

    pub fn say(&mut self, now: u64, text: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>10.3}s {}", now as f64 / 1000.0, text()));
        }
    }

    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}

impl Write for Trace {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for byte in s.bytes() {
            self.number(u64::from(byte));
        }
        Ok(())
    }
}
