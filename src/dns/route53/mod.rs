//! Route 53: encodes, sends, classifies answers. Decides nothing.
