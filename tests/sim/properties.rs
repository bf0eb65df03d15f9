//! The engine under generated input.
