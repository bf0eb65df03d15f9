//! Many policies in one fleet.

mod drive;
mod expiry;
mod guard;
mod late;
mod mass;
mod pass;
mod passes;
mod reload;
mod tonight;
mod turn;
