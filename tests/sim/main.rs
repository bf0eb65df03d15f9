//! Proof by machine that the engine cannot do harm: the same functions that decide in the product,
//! in worlds that are made of nothing but a seed (`simulator`), in every order of a small model
//! (`model`), and under generated input (`properties`). No thread, no socket, no clock.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod model;
#[cfg(feature = "seeded-bugs")]
mod mutants;
mod properties;
mod simulator;

/// A simulated hour is a hundred thousand small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
