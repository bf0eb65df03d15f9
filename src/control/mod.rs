//! Versioned commands and views on a Unix socket.
