//! `failoverd schema`: the JSON Schema of a policy file or of the main file, for editors and CI.

use std::io::Write;

use crate::config::schema;

#[derive(clap::Args, Debug)]
pub struct SchemaArgs {
    /// Which file the schema is of
    #[arg(value_enum, default_value_t = Which::Policy)]
    pub of: Which,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// A file in `policies/`
    Policy,
    /// `failoverd.toml`
    Main,
}

/// Prints the schema; answers the exit code.
pub fn run(args: &SchemaArgs) -> u8 {
    let schema = match args.of {
        Which::Policy => schema::policy(),
        Which::Main => schema::main(),
    };
    u8::from(writeln!(std::io::stdout().lock(), "{schema:#}").is_err())
}
