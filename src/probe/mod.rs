//! Measures targets and witnesses. Never judges: it reports one `Outcome` a probe.
