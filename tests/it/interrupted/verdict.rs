//! How a killed process lives on, and whether what comes of it is right.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::AddAssign;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::world::World;
use crate::world::cut::{Cut, Told};

use super::{Calm, LOOK, PATIENCE, counted};

/// The differences that are expected, as data.
const LIST: &str = include_str!("differences.txt");
/// The store has answered by then.
const COMMIT: u64 = 2;

/// What came of one death.
pub struct After {
    pub name: String,
    pub action: usize,
    pub log: Vec<String>,
    how: String,
    /// An invariant that was broken.
    broken: Option<String>,
    /// Where it ended, when not where the uninterrupted run does.
    elsewhere: Option<String>,
    again: Vec<Told>,
    /// Reasons that hold for this death.
    reasons: BTreeSet<Reason>,
}

/// Why an interrupted run may end elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// It died before the freeze, unfreeze, ack or undrain that a person asked for was on disk.
    NotOnDisk,
    /// A switch, failback, apply, drain, adoption, release, takeover or force is asked of one moment; the
    /// process died before its write was accepted.
    AskedOfOneMoment,
    /// A command came within a second of the death: the new process had not read the zone yet and said so.
    AskedTooEarly,
    /// The last process of the script only observes: it resolves nothing that was left open.
    Observes,
}

impl Reason {
    const ALL: [(&str, Reason); 4] = [
        ("not-on-disk", Reason::NotOnDisk),
        ("asked-of-one-moment", Reason::AskedOfOneMoment),
        ("asked-too-early", Reason::AskedTooEarly),
        ("observes", Reason::Observes),
    ];

    /// Whether it may be the reason for what came of a death at `died`.
    fn holds(self, calm: &Calm, died: u64, world: &World) -> bool {
        let typed = |verbs: &[&str], before: u64, after: u64| {
            calm.steps.iter().any(|(at, step)| {
                let step = step.strip_prefix("cmd ").unwrap_or(step);
                let verb = step.strip_prefix("all ").unwrap_or(step).split(' ').next().unwrap_or_default();
                verbs.contains(&verb) && (at.saturating_sub(before)..=at + after).contains(&died)
            })
        };
        let asked = |verbs: &[&str], within: u64| typed(verbs, 0, within);
        match self {
            Reason::AskedTooEarly => typed(&["ack", "adopt", "switch", "failback"], 1_000, 0),
            Reason::NotOnDisk => asked(&["freeze", "unfreeze", "ack", "undrain"], COMMIT),
            Reason::AskedOfOneMoment => {
                let verbs = ["switch", "failback", "apply", "drain", "adopt", "release", "takeover", "force"];
                asked(&verbs, 60_000)
            }
            Reason::Observes => world.observes(),
        }
    }
}

#[derive(Clone, Copy, Default)]
pub struct Count {
    pub scenarios: usize,
    pub actions: usize,
    pub deaths: usize,
    pub entries_lost: usize,
    pub on_its_way: usize,
    pub landed: usize,
    pub frozen: usize,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Count) {
        self.scenarios += other.scenarios;
        self.actions += other.actions;
        self.deaths += other.deaths;
        self.entries_lost += other.entries_lost;
        self.on_its_way += other.on_its_way;
        self.landed += other.landed;
        self.frozen += other.frozen;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count { scenarios, actions, deaths, entries_lost, on_its_way, landed, frozen } = self;
        write!(
            f,
            "{scenarios} scenarios, {actions} actions, {deaths} deaths: {entries_lost} lost journal entries, \
             {on_its_way} had a request on its way ({landed} of these landed), {frozen} under a freeze on disk"
        )
    }
}

impl Count {
    /// Nothing of what is to be shown is missing.
    pub fn check(&self) {
        assert!(self.deaths >= self.actions, "{self}");
        for n in [self.scenarios / 150, self.entries_lost, self.on_its_way, self.landed, self.frozen] {
            assert!(n > 0, "{self}");
        }
    }
}

impl After {
    /// Nothing is to be said of it.
    pub fn is_plain(&self) -> bool {
        self.broken.is_none() && self.elsewhere.is_none() && self.again.is_empty()
    }

    fn ends_well(&self) -> bool {
        self.broken.is_none() && self.elsewhere.is_none()
    }

    /// The line that must be in the list for where it ended; `None` when it ended well or has no reason.
    fn line(&self) -> Option<String> {
        // No command that was lost excuses a broken promise.
        let may = |r: &Reason| self.broken.is_none() || *r == Reason::Observes;
        let reason = Reason::ALL.iter().find(|(_, r)| self.reasons.contains(r) && may(r));
        reason.filter(|_| !self.ends_well()).map(|(word, _)| format!("{} {word}", self.name))
    }

    pub fn text(&self) -> String {
        let parts = [self.broken.clone(), self.elsewhere.as_ref().map(|at| format!("ends elsewhere: {at}"))];
        let again = self.again.iter().map(|(kind, title, _)| format!("told again: {kind:?}: {title}"));
        let parts: Vec<String> = parts.into_iter().flatten().chain(again).collect();
        format!(
            "{}: {}",
            self.how,
            if parts.is_empty() { "as if nothing had happened".into() } else { parts.join("; ") }
        )
    }
}

/// The process is started again, the script goes on, the faults end.
pub fn live_on(calm: &Calm, mut cut: Cut) -> (Count, After) {
    let lands = cut.action % 2 == 1;
    let run = catch_unwind(AssertUnwindSafe(|| run_on(calm, &mut cut, lands)));
    let broken = run.err().map(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default()
    });
    let (world, expected) = (&cut.world, &calm.standing[usize::from(lands)]);
    let standing = world.standing();
    let more = |t: &Told, n: usize| n > calm.told[usize::from(lands)].get(t).copied().unwrap_or(0).max(1);
    let after = After {
        name: calm.name.clone(),
        action: cut.action,
        log: world.log.clone(),
        how: format!(
            "killed after {} with {} journal entries lost{}",
            cut.what,
            cut.lost_entries,
            match (cut.on_its_way, lands) {
                (false, _) => "",
                (true, false) => ", a request on its way that never lands",
                (true, true) => ", a request on its way that lands later",
            }
        ),
        broken,
        elsewhere: (standing != *expected).then(|| standing.to_string()),
        again: counted(world.told()).into_iter().filter(|(t, n)| more(t, *n)).map(|(t, _)| t).collect(),
        reasons: Reason::ALL.into_iter().map(|(_, r)| r).filter(|r| r.holds(calm, cut.at, world)).collect(),
    };
    let count = Count {
        deaths: 1,
        entries_lost: cut.lost_entries,
        on_its_way: usize::from(cut.on_its_way),
        landed: usize::from(cut.on_its_way && lands),
        frozen: usize::from(cut.frozen),
        ..Count::default()
    };
    (count, after)
}

fn run_on(calm: &Calm, cut: &mut Cut, lands: bool) {
    let (died, last) = (cut.at, calm.end + PATIENCE);
    let world = &mut cut.world;
    world.heal(calm.end, lands);
    if cut.on_its_way && lands {
        let delay = [25, 90, 500, 5000, u64::MAX / 2][cut.action / 2 % 5];
        world.at(died + delay, "late lands");
    }
    world.come_back();
    // Long enough to see that it stays where it is.
    let soak = world.policy().failback.soak.as_millis() as u64;
    let mut at = (calm.end + soak + LOOK).min(last);
    loop {
        world.until(at);
        let is_there = world.open_intents().is_empty() && world.standing() == calm.standing[usize::from(lands)];
        if is_there || at >= last {
            break;
        }
        at = (at + LOOK).min(last);
    }
    world.check_intents();
    let thawed = |(at, step): &(u64, String)| {
        let lifts = ["unfreeze", "restart empty", "restart observe"].iter().any(|s| step.contains(s));
        // What a peer lifted before may be read after, when only the freeze that it lifted is on disk.
        *at >= died && lifts || step == "peer unfreezes"
    };
    if cut.frozen && !calm.steps.iter().any(thawed) {
        assert!(world.is_frozen(), "I12: a freeze that was answered and is on disk was forgotten");
    }
}

/// What no line of the list allows, and lines that nothing needs: scenario, action, what is wrong.
/// With `UPDATE=1` the list is written anew; what has no reason stays wrong.
pub fn judge(afters: &[After]) -> Vec<(String, usize, String)> {
    let (comments, listed): (Vec<&str>, Vec<&str>) = LIST.lines().partition(|l| l.starts_with('#') || l.is_empty());
    let mut needed: BTreeSet<String> = BTreeSet::new();
    let mut wrong = Vec::new();
    for after in afters {
        match after.line() {
            Some(line) => drop(needed.insert(line)),
            None if after.ends_well() => {}
            None => wrong.push((after.name.clone(), after.action, after.text())),
        }
        needed.extend(after.again.iter().map(|(kind, ..)| format!("told-again {kind:?}")));
    }
    if std::env::var_os("UPDATE").is_some() {
        let lines: Vec<&str> = comments.into_iter().chain(needed.iter().map(String::as_str)).collect();
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/interrupted/differences.txt");
        std::fs::write(file, lines.join("\n") + "\n").unwrap();
        return wrong;
    }
    for after in afters {
        let again = after.again.iter().map(|(kind, ..)| format!("told-again {kind:?}"));
        let missing: Vec<String> =
            after.line().into_iter().chain(again).filter(|l| !listed.contains(&l.as_str())).collect();
        if !missing.is_empty() {
            wrong.push((
                after.name.clone(),
                after.action,
                format!("{}; not listed: {}", after.text(), missing.join(", ")),
            ));
        }
    }
    for line in listed.into_iter().filter(|l| !needed.contains(*l)) {
        wrong.push((String::new(), 0, format!("differences.txt: no death needs `{line}` any more")));
    }
    wrong
}
