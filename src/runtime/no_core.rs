//! What a crash must not leave behind: a copy of the memory, in which the secrets are (invariant I15).

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// From now on no core of this process is written, neither to a file nor to a collecting program, and
/// nobody but root looks into its memory or environment. Children inherit the limit, not the rest.
pub fn leave_no_core() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // A program behind `core_pattern` is handed a core whatever the limit says.
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
