//! Joins the engine with the world in one select loop.
//!
//! Nothing here decides: a room turns an action into a call and its answer into an event.
//! Only `executor` may hold a `dns::ZoneWriter`; only `clock` reads clocks.

pub mod alive;
pub mod assembly;
pub mod calendar;
pub mod chronicle;
pub mod clock;
pub mod controller;
pub mod courier;
pub mod daemon;
pub mod demo;
pub mod desk;
pub mod dispatch;
pub mod doctor;
pub mod drill;
pub mod durable;
pub mod executor;
pub mod eyes;
pub mod failpoint;
pub mod forecast;
pub mod hand;
pub mod keeper;
pub mod last_turn;
pub mod memory;
pub mod no_core;
pub mod once;
pub mod orphan;
pub mod overseer;
pub mod plan;
pub mod reload;
pub mod rollup;
pub mod run_id;
pub mod senses;
pub mod servers;
pub mod shutdown;
pub mod stage;
pub mod systemd;
pub mod tally;
pub mod wakeup;

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

/// "no policy `wbe`; did you mean `web`?", or the names there are.
pub fn unknown_name(what: &str, name: &str, known: &[&str]) -> String {
    let near =
        known.iter().map(|k| (strsim::damerau_levenshtein(k, name), *k)).min().filter(|(distance, _)| *distance <= 2);
    match near {
        Some((_, near)) => format!("no {what} `{name}`; did you mean `{near}`?"),
        None if known.len() <= 12 => format!("no {what} `{name}`; there is {}", known.join(", ")),
        None => format!("no {what} `{name}` among the {} configured", known.len()),
    }
}
