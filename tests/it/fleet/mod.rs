//! Many policies in one fleet.

mod drive;
mod guard;
mod pass;
mod reload;
mod turn;
