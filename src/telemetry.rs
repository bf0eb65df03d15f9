//! Every metric and span name in one place.
