//! Arguments in, exit code out; everything else is `cli`.

fn main() {}
