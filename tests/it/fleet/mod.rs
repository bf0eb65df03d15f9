//! Many policies in one fleet.

mod drive;
mod guard;
mod mass;
mod pass;
mod passes;
mod reload;
mod tonight;
mod turn;
