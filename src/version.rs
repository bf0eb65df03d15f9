//! Which release and commit this is; build.rs knows the commit.

pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Twelve digits, with `-dirty` when the code differed; `unknown` in a debug build or where nobody said.
pub const COMMIT: &str = env!("FAILOVERD_BUILD_COMMIT");

/// Of the commit, as `2026-01-31`; empty where nobody said.
pub const DATE: &str = env!("FAILOVERD_BUILD_DATE");

/// For `--version`; clap puts the name before it.
pub const LONG: &str = concat!(env!("CARGO_PKG_VERSION"), "\n", env!("FAILOVERD_BUILD_LINE"));
