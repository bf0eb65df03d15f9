//! Many policies in one fleet.

mod disk;
mod drive;
mod expiry;
mod guard;
mod late;
mod line;
mod mass;
mod pass;
mod passes;
mod reload;
mod rollback;
mod tonight;
mod turn;
