//! The one integration binary. Each module is an area with its own helper; names are sentences.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use failoverd::domain;

mod architecture;
mod authority;
mod battery;
// The library's own tests start from the same policies.
#[path = "../../src/runtime/testing.rs"]
mod building;
mod canary;
// Properties are counted together with those of the engine.
#[path = "../sim/properties/cases.rs"]
mod cases;
mod cli;
mod config;
mod control;
#[cfg(feature = "failpoints")]
mod crash;
mod demo;
#[cfg(feature = "failpoints")]
mod disk;
mod documents;
mod e2e;
mod faults;
mod fleet;
#[cfg(feature = "fuzzing")]
mod fuzz;
mod golden;
mod hostile;
mod iam;
mod interrupted;
mod ledger;
#[cfg_attr(not(feature = "failpoints"), allow(dead_code))]
mod lost;
mod metrics;
mod notify;
mod policies;
mod probe;
mod sandbox;
mod ship;
// Helpers of several areas; not every area uses all of them.
mod ministack;
#[allow(dead_code)]
mod proxy;
#[allow(dead_code)]
mod real;
mod scenarios;
#[allow(dead_code)]
mod servers;
mod store;
mod world;
