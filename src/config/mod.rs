//! Configuration files to validated `domain` values: spanned TOML → field tables → `Policy`.
//!
//! | file | does |
//! |---|---|
//! | `table`, `policy_table`, `check_table`, `main_table`, `rule` | the shape of both files as data |
//! | `read`, `fields` | a TOML tree against that shape, every defect reported |
//! | `schema` | that shape as JSON Schema |
//! | `policy`, `target`, `answers`, `check`, `main_file`, `fence_room`, `calendar` | what the keys mean together |
//! | `load` | finds the files, joins everything, rules between files |
//! | `alone` | one policy, whatever is wrong elsewhere, for break-glass |
//!
//! Never opens a socket, never reads a clock, never resolves a secret by itself, and never
//! puts the text of one into a message.

mod alone;
mod answers;
pub mod calendar;
mod check;
mod check_table;
mod fence_room;
mod fields;
pub mod finding;
mod load;
mod main_file;
mod main_table;
mod policy;
mod policy_table;
mod quantity;
mod read;
mod rule;
pub mod schema;
mod secret_source;
mod source;
mod table;
mod target;

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::domain::{FleetSettings, NotifierName, Policy};

pub use alone::{Alone, alone};
pub use fence_room::fence_fits;
pub use finding::{ConfigErrors, Finding, Severity};
pub use load::{Located, load, locate, state_file};
#[cfg(feature = "fuzzing")]
pub use load::{main_text, policy_text};
pub use quantity::duration;
pub use secret_source::{SecretError, SecretSource};

/// The environment as a function, so that a test can hand in its own.
pub type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

/// A whole configuration, proven to be consistent.
#[derive(Clone, Debug)]
pub struct Config {
    /// The main file.
    pub path: PathBuf,
    pub settings: FleetSettings,
    /// In the order of their files' names; not empty.
    pub policies: Vec<Policy>,
    /// The state file.
    pub state: PathBuf,
    pub provider: ProviderSettings,
    pub notifiers: Vec<NotifierSettings>,
    pub api: Option<ApiSettings>,
    /// What a person should know although the configuration is good.
    pub warnings: Vec<Finding>,
    /// Every file that was read, the main file first.
    pub sources: Vec<PathBuf>,
}

/// How the provider's API is reached. Credentials come from the usual AWS places.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderSettings {
    /// `None` for AWS itself.
    pub endpoint_url: Option<String>,
    pub region: String,
    pub role_arn: Option<String>,
    /// Of the account, more than 0 and at most 50; ours is this times `share`.
    pub requests_per_second: f64,
    pub burst: u32,
    /// More than 0 and at most 1.
    pub share: f64,
}

#[derive(Clone, Debug)]
pub struct NotifierSettings {
    pub name: NotifierName,
    pub kind: NotifierKind,
    pub url: SecretSource,
    /// Key that signs the notices of a webhook.
    pub secret: Option<SecretSource>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifierKind {
    Slack,
    Webhook,
}

#[derive(Clone, Debug)]
pub struct ApiSettings {
    pub listen: SocketAddr,
    /// Always there when `listen` is no loopback address.
    pub token: Option<SecretSource>,
}
