//! How things are, which no controller is ever told: which targets live, which links carry, and what
//! a probe or a witness would see of it. Draws only for probes that are lost by chance.

use std::collections::BTreeSet;

use failoverd::domain::{DownReason, Outcome, RegionName, UnknownReason};

use super::rng::Rng;

/// What becomes of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Up,
    Dead(DownReason),
    /// Up for so many milliseconds, then down for so many.
    Flaps {
        up: u64,
        down: u64,
        since: u64,
    },
    /// Of a hundred probes so many fail.
    Gray(u64),
}

impl Life {
    /// Whether it serves at `now`; gray serves.
    pub fn serves(self, now: u64) -> bool {
        match self {
            Life::Up | Life::Gray(_) => true,
            Life::Dead(_) => false,
            Life::Flaps { up, down, since } => (now - since) % (up + down) < up,
        }
    }
}

/// How an instance's network carries probes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Nothing but the provider's API can be reached; a probe brings nothing but its timeout.
    pub black_hole: bool,
    /// The machine has no route: a probe tells that at once.
    pub no_route: bool,
    /// Regions the machine has no route to; a probe tells that at once.
    pub no_route_to: BTreeSet<RegionName>,
    /// Regions that cannot be reached from here.
    pub cut: BTreeSet<RegionName>,
    /// The provider's API cannot be reached.
    pub no_api: bool,
    /// Requests to the provider arrive and their answers do not.
    pub deaf: bool,
    /// Name servers cannot be reached.
    pub no_dns: bool,
    /// Witnesses that do not answer; the others do.
    pub witnesses_gone: usize,
}

/// What a probe of a target in `region` brings, and how many milliseconds it takes.
pub fn probe(
    life: Life,
    links: &Links,
    region: &RegionName,
    timeout: u64,
    loss: u64,
    now: u64,
    rng: &mut Rng,
) -> (Outcome, u64) {
    if links.no_route || links.no_route_to.contains(region) {
        return (Outcome::Unknown(UnknownReason::NoRoute), 1);
    }
    if links.black_hole || links.cut.contains(region) || (loss > 0 && rng.next() % 1000 < loss) {
        return (Outcome::Down(DownReason::ConnectTimeout), timeout);
    }
    let took = 5 + rng.next() % 40;
    match life {
        Life::Up => (Outcome::Up, took),
        Life::Dead(DownReason::ConnectTimeout) => (Outcome::Down(DownReason::ConnectTimeout), timeout),
        Life::Dead(reason) => (Outcome::Down(reason), took),
        Life::Flaps { .. } if life.serves(now) => (Outcome::Up, took),
        Life::Flaps { .. } => (Outcome::Down(DownReason::ConnectRefused), took),
        Life::Gray(chance) if rng.percent(chance) => (Outcome::Down(DownReason::Status(503)), took),
        Life::Gray(_) => (Outcome::Up, took),
    }
}

/// Whether a witness answers, and how many milliseconds that takes.
pub fn witness(links: &Links, n: usize, rng: &mut Rng) -> (bool, u64) {
    if links.no_route {
        return (false, 1);
    }
    if links.black_hole || n < links.witnesses_gone {
        return (false, 2000);
    }
    (true, 10 + rng.next() % 60)
}
