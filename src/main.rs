//! The `failoverd` command: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    failoverd::cli::run().into()
}
