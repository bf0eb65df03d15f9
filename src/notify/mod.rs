//! Tells people: pure rendering, one file per receiver type.
