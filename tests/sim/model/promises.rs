//! A configuration as a stateright model: what must always hold, and what comes of every state when
//! the faults stop (L2). Liveness is not asked of stateright's `eventually`, which overlooks cycles
//! and joins; each state is carried on by a fair run of its own instead, with what is on its way
//! landing, and with it gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use stateright::{Model, Property};

use super::moves::{Act, promise};
use super::product::Rules;
use super::world::*;

#[derive(Clone, Debug)]
pub struct Bounds {
    pub controllers: u8,
    pub policies: u8,
    /// Moves and adoptions each controller may decide.
    pub decisions: u8,
    /// No fence stands at first.
    pub bare: bool,
    pub faults: Faults,
    pub rules: Rules,
}

/// One configuration; `seen` collects what happened on the way.
#[derive(Clone, Debug)]
pub struct Protocol {
    pub bounds: Bounds,
    pub seen: Arc<AtomicU32>,
}

impl Protocol {
    pub fn new(bounds: Bounds) -> Protocol {
        Protocol { bounds, seen: Arc::default() }
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Act;

    fn init_states(&self) -> Vec<World> {
        let first = Stamp { attempt: 48, epoch: 1, kind: Why::Adopt, frozen: false, to: 0 };
        let fence = if self.bounds.bare { Standing::NOTHING } else { Standing::of(first) };
        let mut zone = Zone { fence: [Standing::NOTHING; POLICIES], content: [0; POLICIES] };
        zone.fence.iter_mut().take(usize::from(self.bounds.policies)).for_each(|f| *f = fence);
        vec![World {
            zone,
            past: None,
            controllers: vec![Controller::default(); usize::from(self.bounds.controllers)],
            net: Vec::new(),
            left: self.bounds.faults,
            told: Told::default(),
            broken: 0,
        }]
    }

    fn actions(&self, world: &World, acts: &mut Vec<Act>) {
        // What comes of a broken promise proves nothing more.
        if world.broken == 0 {
            world.acts(&self.bounds.rules, self.bounds.decisions, self.bounds.policies, acts);
        }
    }

    fn next_state(&self, world: &World, act: Act) -> Option<World> {
        let mut seen = 0;
        let next = world.clone().after(&self.bounds.rules, act, &mut seen);
        if seen & !self.seen.load(Ordering::Relaxed) != 0 {
            self.seen.fetch_or(seen, Ordering::Relaxed);
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Protocol>> {
        vec![
            Property::always(I1, |_, w: &World| w.broken & promise::FENCED == 0),
            Property::always(I2, |_, w: &World| w.broken & promise::NEVER_EMPTY == 0),
            Property::always(I6, |_, w: &World| w.broken & promise::NOT_AFTER_TOLD == 0),
            Property::always(I11, |_, w: &World| w.broken & promise::INTENT_FIRST == 0),
            Property::always(I12, |_, w: &World| w.broken & promise::HUMAN_WINS == 0),
            Property::always(L2, |m: &Protocol, w: &World| {
                w.broken != 0 || [true, false].into_iter().all(|lands| settles(w, &m.bounds, lands))
            }),
        ]
    }
}

pub const I1: &str = "I1: what is applied names exactly what it replaces, and the epoch rises";
pub const I2: &str = "I2: a record is never empty, nor publishes what no target of its policy has";
pub const I6: &str = "I6: nothing is applied after its outcome was told, and what was told is true";
pub const I11: &str = "I11: the intent is on disk before the request leaves, and has one outcome";
pub const I12: &str = "I12: no automatic write replaces a frozen fence";
pub const L2: &str = "L2: every intent gets its outcome once faults stop";

/// No event of ours outlasts this many rounds of a fair run.
const ROUNDS: usize = 24;

/// Whether every open write gets its outcome on disk when nothing fails any more. What is on its
/// way `lands` at once, or never does.
fn settles(world: &World, bounds: &Bounds, lands: bool) -> bool {
    if world.is_settled() {
        return true;
    }
    let rules = &bounds.rules;
    let mut seen = 0;
    let mut world = World { left: Faults { lost: 9, expiries: 2, ..Faults::default() }, ..world.clone() };
    if !lands {
        world.net.clear();
    }
    for round in 0..ROUNDS {
        while !world.net.is_empty() {
            world = world.after(rules, Act::Land(0), &mut seen);
        }
        // Where the provider refuses even the burn, time is what ends it.
        if round == ROUNDS / 2 || round == ROUNDS - 6 {
            world = world.after(rules, Act::Expire, &mut seen);
        }
        for i in 0..bounds.controllers {
            if let Some(flight) = &world.controllers[usize::from(i)].flight {
                let act = if flight.reply.is_some() { Act::Answer(i) } else { Act::GiveUp(i) };
                world = world.after(rules, act, &mut seen);
            }
            world = world.after(rules, Act::Commit(i), &mut seen);
            for p in 0..bounds.policies {
                let write = world.controllers[usize::from(i)].side[usize::from(p)].write;
                if write.is_some_and(|w| w.phase == Phase::Resolving) {
                    world = world.after(rules, Act::Serve(i, p), &mut seen);
                    world = world.after(rules, Act::Judge(i, p), &mut seen);
                }
            }
            if world.controllers[usize::from(i)].flight.is_none() {
                world = world.after(rules, Act::Send(i), &mut seen);
            }
        }
        if world.broken != 0 {
            return false;
        }
        if world.is_settled() {
            return true;
        }
    }
    false
}

impl World {
    /// Nothing is open, in memory or on disk.
    fn is_settled(&self) -> bool {
        let quiet = |c: &Controller| {
            c.log.is_empty() && c.store.open.iter().all(Option::is_none) && c.side.iter().all(|s| s.write.is_none())
        };
        self.controllers.iter().all(quiet)
    }
}
