//! The engine's own functions, asked in numbers: fence values, plans, batches, read-back, the meaning
//! of an answer. Answers are remembered, since they are pure. Decides nothing itself, but for the
//! zone's rules, which are Route 53's.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

use failoverd::domain::*;
use failoverd::engine::batch::{self, Packing, Weight};
use failoverd::engine::fence::{
    FENCE_TTL, Fence, FenceKind, FenceMode, FenceValue, ReadBack, burn_epoch, fence_name, next_epoch, quote, read_back,
};
use failoverd::engine::intent::{Kind, Meaning, meaning};
use failoverd::engine::plan::{Ground, Plan};
use failoverd::engine::zone::*;
use failoverd::seeded::Bug;

use super::world::{NO_TARGET, POLICIES, Part, Stamp, Standing, Why, Zone, name_of};

/// What the model may get wrong on purpose, to show that the promises then break.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flaw {
    #[default]
    None,
    /// The fence is written without being named: UPSERT alone.
    NoFence,
    /// An unchanged fence after a lost reply is taken for a refusal.
    ReadBackIsRefusal,
    /// A lost reply is taken for a refusal.
    LostIsRefusal,
    /// The request leaves before its intent is on disk.
    SendFirst,
    /// The age of a signature is judged when the reading ends, not when it began.
    LateExpiry,
    /// The age of a signature is counted from when the engine let it go, not from the last moment
    /// at which it may have been made.
    EarlyExpiry,
    /// A freeze that the fence tells is not heeded.
    FreezeIgnored,
}

/// How the zone is set up and how it refuses; the same for a whole configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    pub flaw: Flaw,
    /// A wrong version of the engine's own functions (feature `seeded-bugs`).
    pub bug: Option<Bug>,
    /// `write = "swap"`: DELETE and CREATE instead of UPSERT.
    pub swap: bool,
    /// Records in each policy.
    pub records: u8,
    /// A refusal names the first offending set only, not all of them.
    pub first_only: bool,
    /// This policy's records may not be written; whether the refusal says which.
    pub denied: Option<(u8, bool)>,
}

impl Rules {
    /// All of it in one number.
    fn key(&self) -> u32 {
        let denied = self.denied.map_or(0, |(p, named)| 1 + 2 * u32::from(p) + u32::from(named));
        let flags = u32::from(self.swap) | u32::from(self.first_only) << 1 | u32::from(self.records) << 2;
        let bug = self.bug.map_or(0, |bug| 1 + bug as u32);
        self.flaw as u32 | flags << 8 | denied << 16 | bug << 24
    }

    /// Asks the engine, in the version that these rules are about.
    fn ask<R>(&self, question: impl FnOnce() -> R) -> R {
        match self.bug {
            #[cfg(feature = "seeded-bugs")]
            Some(bug) => failoverd::seeded::with(bug, question),
            _ => question(),
        }
    }
}

/// Fence values and plans of one part of a request.
pub struct Facts {
    pub plan: Plan,
    pub changes: Vec<Change>,
    pub weight: Weight,
}

/// A refused request: which parts it names.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    pub named: [bool; POLICIES],
    pub denied: bool,
}

/// FNV-1a over words: the keys are small and not hostile.
#[derive(Default)]
struct Words(u64);

impl Hasher for Words {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.write_u64(u64::from(*b)));
    }
    fn write_u8(&mut self, n: u8) {
        self.write_u64(u64::from(n));
    }
    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
}

type Memo<K, V> = RefCell<HashMap<K, V, BuildHasherDefault<Words>>>;
type Applied = Result<Zone, Refusal>;

thread_local! {
    static FACTS: Memo<(u32, Part), Rc<Facts>> = RefCell::default();
    static APPLIED: Memo<(u32, Zone, [Option<Part>; POLICIES]), Applied> = RefCell::default();
    static JUDGED: Memo<(u8, Standing), Rc<(RecordRead, Fence)>> = RefCell::default();
    static READ_BACK: Memo<(u32, Part, Standing, bool), Verdict> = RefCell::default();
}

fn remembered<K: Hash + Eq, V: Clone>(memo: &Memo<K, V>, key: K, make: impl FnOnce(&K) -> V) -> V {
    if let Some(known) = memo.borrow().get(&key) {
        return known.clone();
    }
    let made = make(&key);
    memo.borrow_mut().insert(key, made.clone());
    made
}

fn zone_name() -> RecordName {
    RecordName::new("example.com").unwrap()
}

fn cluster() -> ClusterName {
    ClusterName::new("prod").unwrap()
}

/// The policies of a configuration, by `swap` and number of records.
fn policy(rules: &Rules, number: u8) -> &'static Policy {
    static MADE: OnceLock<Vec<Policy>> = OnceLock::new();
    let all = MADE.get_or_init(|| {
        let mut all = Vec::new();
        for swap in [WriteMode::Upsert, WriteMode::Swap] {
            for records in 1..=2u8 {
                all.extend((0..POLICIES as u8).map(|number| new_policy(swap, records, number)));
            }
        }
        all
    });
    &all[(usize::from(rules.swap) * 2 + usize::from(rules.records.max(1)) - 1) * POLICIES + usize::from(number)]
}

fn new_policy(write: WriteMode, records: u8, number: u8) -> Policy {
    let record = |r: u8| RecordName::new(&format!("p{number}r{r}.example.com")).unwrap();
    let target = |t: u8| Target {
        name: TargetName::new(["east", "west"][usize::from(t)]).unwrap(),
        region: RegionName::new(["east", "west"][usize::from(t)]).unwrap(),
        priority: i32::from(t),
        content: Content::Addresses(
            AddressSet::new([format!("192.0.2.{}", address(number, t)).parse().unwrap()]).unwrap(),
        ),
        check: Check {
            kind: CheckKind::http(8080, &record(0), "/healthz"),
            cadence: Cadence::Every(Duration::from_secs(5)),
            fast_interval: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
            fall: 3,
            rise: 2,
            settle: 1,
            confirm: Duration::ZERO,
        },
    };
    Policy {
        id: PolicyId::new(&format!("p{number}")).unwrap(),
        zone: ZoneRef { name: Some(zone_name()), id: None },
        records: (0..records).map(record).collect(),
        ttl: Ttl::new(30).unwrap(),
        answers: 1,
        min_active: 1,
        importance: 0,
        adopt: Adopt::Auto,
        targets: vec![target(0), target(1)],
        failover: Failover { hold_down: Duration::from_secs(60), flap_budget: 4, write, drift: Drift::Alert },
        failback: Failback { mode: FailbackMode::Manual, soak: Duration::from_secs(300), window: None },
        observe: Duration::from_secs(30),
        reconcile: Duration::from_secs(300),
        notify: Vec::new(),
        config_hash: "abc123".into(),
    }
}

fn address(policy: u8, target: u8) -> u8 {
    10 * (policy + 1) + target
}

fn kind(why: Why) -> Kind {
    match why {
        Why::Failover => Kind::Failover,
        Why::Adopt | Why::Repair => Kind::Adopt,
        Why::Freeze => Kind::Freeze,
        Why::Burn => Kind::Burn,
    }
}

fn value(policy: u8, stamp: Stamp) -> FenceValue {
    FenceValue {
        epoch: Epoch(u64::from(stamp.epoch)),
        policy: PolicyId::new(&format!("p{policy}")).unwrap(),
        cluster: cluster(),
        instance: InstanceName::new(&format!("c{}", stamp.attempt >> 4)).unwrap(),
        attempt: name_of(stamp.attempt),
        written: UnixMs::from_secs(1_800_000_000),
        kind: FenceKind::Known(kind(stamp.kind)),
        moves: 0,
        mode: if stamp.frozen { FenceMode::Frozen } else { FenceMode::Auto },
        until: UnixMs(0),
        // The one thing a value does not say by itself in this model: adopt or repair.
        config: if stamp.kind == Why::Repair { "repair".into() } else { "abc123".into() },
        to: ["east", "west"][usize::from(stamp.to)].into(),
    }
}

/// Reads a value back as the engine does.
fn stamp_of(value: &FenceValue) -> Stamp {
    let (controller, turn) = value.attempt.strip_prefix('c').and_then(|a| a.split_once('-')).unwrap();
    let why = match (&value.kind, value.config.as_str()) {
        (FenceKind::Known(Kind::Failover), _) => Why::Failover,
        (FenceKind::Known(Kind::Adopt), "repair") => Why::Repair,
        (FenceKind::Known(Kind::Adopt), _) => Why::Adopt,
        (FenceKind::Known(Kind::Freeze), _) => Why::Freeze,
        (FenceKind::Known(Kind::Burn), _) => Why::Burn,
        (other, _) => panic!("a fence says {other}"),
    };
    Stamp {
        attempt: controller.parse::<u8>().unwrap() << 4 | turn.parse::<u8>().unwrap(),
        epoch: u8::try_from(value.epoch.0).unwrap(),
        kind: why,
        frozen: value.mode == FenceMode::Frozen,
        to: u8::from(value.to == "west"),
    }
}

fn fence_sets(policy: u8, standing: Standing) -> Vec<LiveSet> {
    let text = match standing.stamp() {
        Some(stamp) => value(policy, stamp).encode(),
        None if standing == Standing::NOTHING => return Vec::new(),
        None => "v=1 e=2 somebody was here".into(),
    };
    vec![LiveSet::values("TXT", FENCE_TTL, vec![quote(&text)])]
}

fn address_set(policy: u8, content: u8) -> LiveSet {
    LiveSet::values("A", 30, vec![format!("192.0.2.{}", address(policy, content))])
}

fn judged(policy: u8, standing: Standing) -> Rc<(RecordRead, Fence)> {
    JUDGED.with(|memo| {
        remembered(memo, (policy, standing), |_| {
            let fence = fence_sets(policy, standing);
            let judged = Fence::classify(&fence, &cluster());
            Rc::new((RecordRead { sets: Vec::new(), fence }, judged))
        })
    })
}

/// What an automatic move asks of a fence: that it is ours, and not frozen.
pub fn may_move(rules: &Rules, policy: u8, standing: Standing) -> bool {
    let heeded = |value: &FenceValue| value.mode == FenceMode::Auto || rules.flaw == Flaw::FreezeIgnored;
    judged(policy, standing).1.ours().is_some_and(|(value, _)| heeded(value))
}

pub fn is_ours(policy: u8, standing: Standing) -> bool {
    judged(policy, standing).1.ours().is_some()
}

/// The highest epoch that can be read there.
pub fn epoch_of(policy: u8, standing: Standing) -> u8 {
    u8::try_from(judged(policy, standing).1.epoch().0).unwrap()
}

pub fn epoch_after(rules: &Rules, policy: u8, known: u8, standing: Standing) -> u8 {
    let fences = [judged(policy, standing).1.clone()];
    u8::try_from(rules.ask(|| next_epoch(Epoch(u64::from(known)), &fences)).0).unwrap()
}

pub fn epoch_of_burn(part: &Part, standing: Standing) -> u8 {
    let fences = [judged(part.policy, standing).1.clone()];
    u8::try_from(burn_epoch(Epoch(u64::from(part.after().epoch)), &fences).0).unwrap()
}

pub fn facts(rules: &Rules, part: &Part) -> Rc<Facts> {
    FACTS.with(|memo| {
        remembered(memo, (rules.key(), *part), |(_, part)| {
            let policy = policy(rules, part.policy);
            let after = part.after();
            let ground = |name: &RecordName| Ground {
                fence_name: fence_name(name, &zone_name()).unwrap(),
                fence: judged(part.policy, part.before).1.standing().cloned(),
                standing: vec![address_set(part.policy, part.seen)],
                after: value(part.policy, after),
            };
            let grounds: Vec<Ground> = policy.records.iter().map(ground).collect();
            let epoch = Epoch(u64::from(after.epoch));
            let kind = kind(after.kind);
            let plan = match kind.publishes() {
                true => Plan::publish(kind, policy, Members::one(TargetIdx(u32::from(after.to))), epoch, grounds),
                false => Plan::fence_only(kind, policy, epoch, grounds),
            };
            let plan = plan.expect("a plan");
            let mut changes = rules.ask(|| plan.changes());
            if rules.flaw == Flaw::NoFence {
                changes.retain(|c| c.op != ChangeOp::Delete || c.rtype != "TXT");
                changes.iter_mut().filter(|c| c.rtype == "TXT").for_each(|c| c.op = ChangeOp::Upsert);
            }
            let weight = Weight::of(&changes);
            Rc::new(Facts { plan, changes, weight })
        })
    })
}

/// Which of the `ready` parts, in this order, ride in one request; each with the most it rides with.
pub fn packed(rules: &Rules, ready: &[(Part, u8)]) -> Vec<Part> {
    let mut packing = Packing::default();
    let mut members = Vec::new();
    for (part, cap) in ready {
        let weight = facts(rules, part).weight;
        if packing.admits(weight, usize::from(*cap)) {
            packing.add(weight, usize::from(*cap));
            members.push(*part);
        }
    }
    members
}

/// One request at the zone, all or nothing (Route 53 API reference, ChangeResourceRecordSets).
pub fn applied(rules: &Rules, zone: &Zone, parts: &[Option<Part>; POLICIES]) -> Applied {
    APPLIED.with(|memo| remembered(memo, (rules.key(), *zone, *parts), |(_, zone, parts)| apply(rules, zone, parts)))
}

type Sets = BTreeMap<(RecordName, String), LiveSet>;

fn sets_of(rules: &Rules, zone: &Zone) -> Sets {
    let mut sets = Sets::new();
    for number in 0..POLICIES as u8 {
        let at = usize::from(number);
        for name in &policy(rules, number).records {
            sets.insert((name.clone(), "A".into()), address_set(number, zone.content[at]));
            let fence = fence_name(name, &zone_name()).unwrap();
            sets.extend(fence_sets(number, zone.fence[at]).into_iter().map(|set| ((fence.clone(), "TXT".into()), set)));
        }
    }
    sets
}

fn apply(rules: &Rules, zone: &Zone, parts: &[Option<Part>; POLICIES]) -> Applied {
    let facts: Vec<Rc<Facts>> = parts.iter().flatten().map(|part| facts(rules, part)).collect();
    let mut sets = sets_of(rules, zone);
    let mut wrong = Vec::new();
    for change in batch::in_wire_order(facts.iter().map(|f| f.changes.clone()).collect()) {
        let key = (change.name.clone(), change.rtype.clone());
        let Data::Values { ttl, values } = &change.data else { panic!("an alias in {change:?}") };
        let set = LiveSet::values(&change.rtype, *ttl, values.clone());
        let what = format!("resource record set [name='{}.', type='{}']", change.name, change.rtype);
        match (change.op, sets.get(&key)) {
            (ChangeOp::Delete, None) => wrong.push(format!("Tried to delete {what} but it was not found")),
            (ChangeOp::Delete, Some(old)) if *old != set => {
                wrong.push(format!("Tried to delete {what} but the values provided do not match the current values"))
            }
            (ChangeOp::Create, Some(_)) => wrong.push(format!("Tried to create {what} but it already exists")),
            (ChangeOp::Delete, Some(_)) => {
                sets.remove(&key);
            }
            (ChangeOp::Create | ChangeOp::Upsert, _) => {
                sets.insert(key, set);
            }
        }
    }
    let bad = rules.denied.filter(|(number, _)| parts.iter().flatten().any(|part| part.policy == *number));
    let message = match bad {
        Some((number, true)) => format!("not authorized to change p{number}r0.example.com. in zone example.com."),
        Some((_, false)) => "not authorized to change these in zone example.com.".to_owned(),
        None if rules.first_only => wrong.first().cloned().unwrap_or_default(),
        None => format!("[{}]", wrong.join(", ")),
    };
    if bad.is_some() || !wrong.is_empty() {
        let mut named = [false; POLICIES];
        for (part, facts) in parts.iter().flatten().zip(&facts) {
            named[usize::from(part.policy)] = batch::names(&message, &facts.plan);
        }
        return Err(Refusal { named, denied: bad.is_some() });
    }
    Ok(zone_of(rules, &sets))
}

/// The zone in numbers again, read as the engine reads it.
fn zone_of(rules: &Rules, sets: &Sets) -> Zone {
    let mut zone = Zone { fence: [Standing::NOTHING; POLICIES], content: [0; POLICIES] };
    for number in 0..POLICIES as u8 {
        let records = policy(rules, number).records.iter();
        let read: Vec<(Standing, u8)> = records.map(|name| record_of(number, name, sets)).collect();
        assert!(read.windows(2).all(|pair| pair[0] == pair[1]), "half of a policy was written: {read:?}");
        (zone.fence[usize::from(number)], zone.content[usize::from(number)]) = read[0];
    }
    zone
}

fn record_of(policy: u8, name: &RecordName, sets: &Sets) -> (Standing, u8) {
    let content = sets.get(&(name.clone(), "A".into()));
    let content = (0..2).find(|t| content == Some(&address_set(policy, *t)));
    let fence: Vec<LiveSet> =
        sets.get(&(fence_name(name, &zone_name()).unwrap(), "TXT".into())).cloned().into_iter().collect();
    let standing = match Fence::classify(&fence, &cluster()) {
        Fence::Absent => Standing::NOTHING,
        Fence::Ours { value, .. } => Standing::of(stamp_of(&value)),
        Fence::Unusable { .. } => Standing::SPOILED,
        other => panic!("nobody wrote {other:?}"),
    };
    (standing, content.unwrap_or(NO_TARGET))
}

/// What a reading says about a write whose outcome is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Applied,
    Lost,
    Expired,
    Refused,
    MayLand,
}

pub fn verdict(rules: &Rules, part: &Part, standing: Standing, expired: bool) -> Verdict {
    READ_BACK.with(|memo| {
        remembered(memo, (rules.key(), *part, standing, expired), |(_, part, standing, expired)| {
            let records = usize::from(rules.records.max(1));
            let (read, fence) = &*judged(part.policy, *standing);
            let before = vec![judged(part.policy, part.before).1.standing().cloned(); records];
            let reads = vec![read.clone(); records];
            let fences = vec![fence.clone(); records];
            let attempt = name_of(part.after().attempt);
            match rules.ask(|| read_back(&attempt, &before, &reads, &fences, *expired)) {
                ReadBack::Applied => Verdict::Applied,
                ReadBack::Lost { .. } => Verdict::Lost,
                ReadBack::Expired => Verdict::Expired,
                ReadBack::MayLand if rules.flaw == Flaw::ReadBackIsRefusal => Verdict::Refused,
                ReadBack::MayLand => Verdict::MayLand,
            }
        })
    })
}

/// What came back for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Accepted,
    Refused { denied: bool },
    Throttled,
    Ambiguous,
    NotSent,
}

pub fn meaning_of(rules: &Rules, answer: Answer, burning: bool, mine: bool) -> Meaning {
    let refused = |code| WriteAnswer::Refused { code, message: String::new() };
    let answer = match answer {
        Answer::Accepted => WriteAnswer::Accepted { change_id: String::new() },
        Answer::Refused { denied: true } => refused(RefusedCode::Denied),
        Answer::Refused { denied: false } => refused(RefusedCode::Precondition),
        Answer::Throttled => refused(RefusedCode::Throttled),
        Answer::Ambiguous if rules.flaw == Flaw::LostIsRefusal => return Meaning::Refused,
        Answer::Ambiguous => WriteAnswer::Ambiguous(String::new()),
        Answer::NotSent => WriteAnswer::NotSent(ApiError { kind: ApiErrorKind::Unreachable, message: String::new() }),
    };
    meaning(&answer, burning, mine)
}

pub fn half(size: usize) -> u8 {
    u8::try_from(batch::half(size)).unwrap()
}
