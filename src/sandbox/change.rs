//! Change batches: syntax of the whole batch first, then every change in order against a copy of
//! the zone; all or nothing. Error texts are the service's own. No state, no clock, no socket.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::alias::{self, Place};
use super::name::DnsName;
use super::value;
use super::zone::{RecordSet, SetKey, Sets};

/// ResourceRecord elements in one batch; UPSERT counts twice.
pub const MAX_RECORDS: usize = 1000;
/// Characters of all values in one batch; UPSERT counts twice.
pub const MAX_CHARACTERS: usize = 32_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Create,
    Delete,
    Upsert,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Create => "CREATE",
            Action::Delete => "DELETE",
            Action::Upsert => "UPSERT",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Change {
    pub action: Action,
    pub set: RecordSet,
}

#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub comment: Option<String>,
    pub changes: Vec<Change>,
}

/// Why nothing of a batch was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request itself is malformed.
    InvalidInput(String),
    /// One message for every change at fault.
    InvalidBatch(Vec<String>),
}

impl Refusal {
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::InvalidInput(_) => "InvalidInput",
            Refusal::InvalidBatch(_) => "InvalidChangeBatch",
        }
    }

    pub fn message(&self) -> String {
        match self {
            Refusal::InvalidInput(message) => message.clone(),
            Refusal::InvalidBatch(messages) => format!("[{}]", messages.join(", ")),
        }
    }
}

/// The zone after `batch`, or why it stays as it is.
pub fn apply(place: Place<'_>, sets: &Sets, batch: &Batch) -> Result<Sets, Refusal> {
    check_syntax(place.zone, batch)?;
    let mut next = sets.clone();
    let mut messages = Vec::new();
    for change in &batch.changes {
        if let Err(more) = apply_one(place, &mut next, change) {
            messages.extend(more);
        }
    }
    if messages.is_empty() { Ok(next) } else { Err(Refusal::InvalidBatch(messages)) }
}

fn check_syntax(zone: &DnsName, batch: &Batch) -> Result<(), Refusal> {
    if batch.changes.is_empty() {
        return Err(Refusal::InvalidInput(
            "1 validation error detected: Value '[]' at 'changeBatch.changes' failed to satisfy constraint: \
             Member must have length greater than or equal to 1"
                .into(),
        ));
    }
    check_size(batch)?;
    let mut messages = Vec::new();
    for change in &batch.changes {
        check_set(zone, &change.set, &mut messages);
    }
    check_repeats(batch, &mut messages);
    if messages.is_empty() { Ok(()) } else { Err(Refusal::InvalidBatch(messages)) }
}

fn check_size(batch: &Batch) -> Result<(), Refusal> {
    let (mut records, mut characters) = (0, 0);
    for Change { action, set } in &batch.changes {
        let times = if *action == Action::Upsert { 2 } else { 1 };
        records += times * set.values.len();
        characters += times * set.values.iter().map(|v| v.chars().count()).sum::<usize>();
    }
    // Both limits are told as a refused batch, not as InvalidInput (dnscontrol #1114 and #908).
    let over = |what: String| Err(Refusal::InvalidBatch(vec![what]));
    if records > MAX_RECORDS {
        return over(format!("Number of records limit of {MAX_RECORDS} exceeded."));
    }
    if characters > MAX_CHARACTERS {
        return over(format!("RDATA character limit of {MAX_CHARACTERS} exceeded."));
    }
    Ok(())
}

fn check_set(zone: &DnsName, set: &RecordSet, messages: &mut Vec<String>) {
    if !set.name.is_within(zone) {
        messages.push(format!("RRSet with DNS name {} is not permitted in zone {zone}", set.name));
    }
    if set.rtype == "CNAME" && set.name == *zone {
        messages
            .push(format!("RRSet of type CNAME with DNS name {} is not permitted at apex in zone {zone}", set.name));
    }
    if set.rtype == "CNAME" && set.values.len() > 1 {
        messages.push(format!(
            "Invalid Resource Record: FATAL problem: CNAMERRSetMultipleRecords (CNAME may have one record only) \
             encountered with '{}'",
            set.name
        ));
    }
    for (i, text) in set.values.iter().enumerate() {
        if set.values.iter().take(i).any(|earlier| earlier == text) {
            messages.push(format!("Duplicate Resource Record: '{text}'"));
        }
        if let Err(problem) = value::read(&set.rtype, text) {
            messages.push(format!("Invalid Resource Record: 'FATAL problem: {problem}'"));
        }
    }
}

/// The same set twice is refused, but for DELETE and then CREATE: that is how one is replaced.
fn check_repeats(batch: &Batch, messages: &mut Vec<String>) {
    let mut seen: BTreeMap<SetKey, Vec<Action>> = BTreeMap::new();
    for change in &batch.changes {
        let actions = seen.entry(change.set.key()).or_default();
        actions.push(change.action);
        let legal = matches!(actions.as_slice(), [_] | [Action::Delete, Action::Create]);
        if !legal && actions.len() == 2 {
            messages.push(format!(
                "The request contains an invalid set of changes for a resource record set '{} {}'",
                change.set.rtype, change.set.name
            ));
        }
    }
}

fn apply_one(place: Place<'_>, sets: &mut Sets, change: &Change) -> Result<(), Vec<String>> {
    let (set, zone) = (&change.set, place.zone);
    let one = |message: String| Err(vec![message]);
    let key = set.key();
    let live = sets.get(&key).cloned();
    match (change.action, live) {
        (Action::Create, Some(_)) => {
            return one(format!("Tried to create resource record set {} but it already exists", set.label()));
        }
        (Action::Delete, None) => {
            return one(format!("Tried to delete resource record set {} but it was not found", set.label()));
        }
        (Action::Delete, Some(live)) => {
            if !set.matches_exactly(&live) {
                return one(format!(
                    "Tried to delete resource record set {} but the values provided do not match the current values",
                    set.label()
                ));
            }
            if set.name == *zone && set.rtype == "SOA" {
                return one("A HostedZone must contain exactly one SOA record.".into());
            }
            if set.name == *zone && set.rtype == "NS" {
                return one("A HostedZone must contain at least one NS record for the zone itself.".into());
            }
            sets.remove(&key);
            return Ok(());
        }
        (Action::Create, None) | (Action::Upsert, _) => {}
    }
    check_neighbours(zone, sets, set).map_err(|message| vec![message])?;
    let faults = alias::faults(place, sets, set);
    if !faults.is_empty() {
        return Err(faults);
    }
    sets.insert(key, Arc::new(set.clone()));
    Ok(())
}

fn check_neighbours(zone: &DnsName, sets: &Sets, set: &RecordSet) -> Result<(), String> {
    let name_key = set.name.sort_key();
    let from = (name_key.clone(), String::new(), String::new());
    for (_, other) in sets.range(from..).take_while(|((name, _, _), _)| *name == name_key) {
        if other.rtype != set.rtype {
            if set.rtype == "CNAME" {
                return Err(format!(
                    "RRSet of type CNAME with DNS name {} is not permitted as it conflicts with other records with \
                     the same DNS name in zone {zone}",
                    set.name
                ));
            }
            if other.rtype == "CNAME" {
                return Err(format!(
                    "RRSet of type {} with DNS name {} is not permitted because a conflicting RRSet of type CNAME \
                     with the same DNS name already exists in zone {zone}",
                    set.rtype, set.name
                ));
            }
            continue;
        }
        if other.set_identifier == set.set_identifier {
            continue;
        }
        match (&set.set_identifier, &other.routing) {
            (None, _) => {
                return Err(format!(
                    "RRSet with DNS name {}, type {} cannot be created as other RRSets exist with the same name and \
                     type.",
                    set.name, set.rtype
                ));
            }
            (Some(id), None) => {
                return Err(format!(
                    "RRSet with DNS name {}, type {}, SetIdentifier {id} cannot be created as a simple RRSet exists \
                     with the same name and type.",
                    set.name, set.rtype
                ));
            }
            (Some(id), Some(theirs)) => {
                let ours = set.routing.as_ref().map(super::zone::Routing::kind);
                if ours != Some(theirs.kind()) {
                    return Err(format!(
                        "RRSet with DNS name {}, type {}, SetIdentifier {id} cannot be created because a {} RRSet \
                         exists with the same name and type.",
                        set.name,
                        set.rtype,
                        theirs.kind()
                    ));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
