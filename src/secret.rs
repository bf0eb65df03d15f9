//! A text that never prints: not by `Debug`, not in an error, not in a database (invariant I15).

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// A secret in memory, wiped when dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    pub fn new(text: String) -> Secret {
        Secret(SecretString::from(text))
    }

    /// The text itself. Call only where it goes on the wire.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}
