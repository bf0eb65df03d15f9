//! What is hashed: one zone, its controllers, the requests between them, and what was told.
//! Numbers only; `product` makes of them the texts that the engine's functions take. Decides nothing.

use std::fmt;

/// Most policies of a configuration.
pub const POLICIES: usize = 2;

/// What a record holds that is empty, or publishes what no target of its policy has.
pub const NO_TARGET: u8 = 3;

/// What stands at a fence's name: nothing, a text that is no fence, or a value of ours.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Standing(u32);

/// A fence value, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub attempt: Attempt,
    pub epoch: u8,
    pub kind: Why,
    pub frozen: bool,
    pub to: u8,
}

/// Number of one write: four bits for its controller, four for its turn. 48 and more: written before the run.
pub type Attempt = u8;

/// Why a write is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    Failover,
    Adopt,
    Repair,
    Freeze,
    Burn,
}

impl Why {
    const ALL: [Why; 5] = [Why::Failover, Why::Adopt, Why::Repair, Why::Freeze, Why::Burn];
}

impl Standing {
    pub const NOTHING: Standing = Standing(0);
    pub const SPOILED: Standing = Standing(1);

    pub fn of(stamp: Stamp) -> Standing {
        let kind = stamp.kind as u32;
        assert!(stamp.attempt < 64 && stamp.epoch < 32 && stamp.to < 4, "{stamp:?} needs more bits");
        let fields = [(0, u32::from(stamp.attempt)), (6, u32::from(stamp.epoch)), (11, kind)];
        let flags = [(15, u32::from(stamp.frozen)), (16, u32::from(stamp.to)), (20, 1)];
        Standing(fields.into_iter().chain(flags).fold(0, |sum, (at, bits)| sum | bits << at))
    }

    pub fn stamp(self) -> Option<Stamp> {
        let bits = |at: u32, width: u32| ((self.0 >> at) & ((1 << width) - 1)) as u8;
        (self.0 >> 20 == 1).then(|| Stamp {
            attempt: bits(0, 6),
            epoch: bits(6, 5),
            kind: Why::ALL[usize::from(bits(11, 4))],
            frozen: bits(15, 1) == 1,
            to: bits(16, 2),
        })
    }

    pub fn is_frozen(self) -> bool {
        self.stamp().is_some_and(|s| s.frozen)
    }
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stamp() {
            None if *self == Standing::NOTHING => f.write_str("nothing"),
            None => f.write_str("spoiled"),
            Some(s) => {
                let frozen = if s.frozen { " frozen" } else { "" };
                write!(f, "e{} {:?} {}{frozen} to {}", s.epoch, s.kind, name_of(s.attempt), s.to)
            }
        }
    }
}

/// `c0-3`: the attempt as it stands in a fence.
pub fn name_of(attempt: Attempt) -> String {
    format!("c{}-{}", attempt >> 4, attempt & 15)
}

pub fn bit(attempt: Attempt) -> u64 {
    1 << attempt
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zone {
    pub fence: [Standing; POLICIES],
    /// The target each record publishes.
    pub content: [u8; POLICIES],
}

/// One policy's part of a request: what a plan is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part {
    pub policy: u8,
    pub before: Standing,
    pub after: Standing,
    /// What the record published when the plan was made.
    pub seen: u8,
}

impl Part {
    pub fn after(&self) -> Stamp {
        self.after.stamp().expect("a write leaves a value of ours")
    }
}

/// A request on its way; the order of `Vec<Request>` means nothing, so it is kept sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request {
    pub parts: [Option<Part>; POLICIES],
    /// Its controller waits for the answer.
    pub awaited: bool,
    pub from: u8,
}

impl Request {
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().flatten()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reading {
    pub fence: Standing,
    pub content: u8,
    /// The write's signature had run out when the reading began.
    pub expired: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    Recording,
    Queued,
    Sent,
    Resolving,
    BurnQueued(Standing),
    BurnSent(Standing),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    pub part: Part,
    pub phase: Phase,
    /// Its last signature has run out.
    pub expired: bool,
    /// Most writes that ride with it.
    pub cap: u8,
    /// Of an earlier run: only resolved.
    pub restored: bool,
}

/// What one controller knows and does about one policy; lost in a crash, but for `hand`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Side {
    pub live: Option<Reading>,
    pub reading: Option<Reading>,
    pub write: Option<Write>,
    /// Highest epoch ever seen.
    pub known: u8,
    /// A person asked for a freeze that no fence says yet.
    pub hand: bool,
}

/// Not yet on disk, in the order of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    Intent(Part),
    Outcome(u8, Attempt, Outcome),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Applied,
    /// Another attempt stands, or the old fence was gone: not applied from now on.
    Lost,
    Refused,
    Burned,
    Expired,
    NotSent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    Accepted,
    /// Which policies the refusal names.
    Refused {
        named: [bool; POLICIES],
        denied: bool,
    },
}

/// The one request a controller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flight {
    pub members: [bool; POLICIES],
    pub reply: Option<Reply>,
}

/// What survives a crash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Store {
    pub open: [Option<Part>; POLICIES],
    pub known: [u8; POLICIES],
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Controller {
    pub side: [Side; POLICIES],
    pub log: Vec<Entry>,
    pub flight: Option<Flight>,
    pub store: Store,
    /// Attempts given out.
    pub attempts: u8,
    pub decisions: u8,
}

/// How often each thing may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Replies that do not come, before or after the commit.
    pub lost: u8,
    /// Requests that never leave, or are throttled.
    pub held_up: u8,
    pub duplicates: u8,
    pub crashes: u8,
    /// Crashes that take the disk along.
    pub disks: u8,
    /// Fifteen minutes pass.
    pub expiries: u8,
    pub rollbacks: u8,
    /// A person deletes a fence, writes nonsense over it, repairs it, freezes.
    pub deletes: u8,
    pub spoils: u8,
    pub repairs: u8,
    pub freezes: u8,
}

impl Faults {
    pub fn plus(self, other: Faults) -> Faults {
        Faults {
            lost: self.lost + other.lost,
            held_up: self.held_up + other.held_up,
            duplicates: self.duplicates + other.duplicates,
            crashes: self.crashes + other.crashes,
            disks: self.disks + other.disks,
            expiries: self.expiries + other.expiries,
            rollbacks: self.rollbacks + other.rollbacks,
            deletes: self.deletes + other.deletes,
            spoils: self.spoils + other.spoils,
            repairs: self.repairs + other.repairs,
            freezes: self.freezes + other.freezes,
        }
    }
}

/// Attempts by what became of them, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Told {
    pub durable: u64,
    pub applied: u64,
    /// Told: applied.
    pub done: u64,
    /// Told: not applied from now on.
    pub lost: u64,
    /// Told: never applied.
    pub never: u64,
    /// The network holds or held a second copy; its answer may be the one that is heard.
    pub copied: u64,
    /// Somebody put back a value from before: a request that names it may apply.
    pub excused: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub zone: Zone,
    /// What a rollback returns to.
    pub past: Option<Zone>,
    pub controllers: Vec<Controller>,
    pub net: Vec<Request>,
    pub left: Faults,
    pub told: Told,
    /// Promises broken, one bit each.
    pub broken: u8,
}
