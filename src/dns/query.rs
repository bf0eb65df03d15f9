//! Questions to authoritative servers, one server at a time, with nobody's cache in between.
