//! Whose is the record: adopt, repair, release, takeover, force, and which fences each kind of write may
//! replace. Never writes over another cluster's fence but by `takeover` from exactly that cluster.

use crate::domain::{ClusterName, Epoch, Health, Members, PolicyId, Tick, UnixMs};

use super::event::CommandReply;
use super::fence::{Damage, Fence, FenceKind, FenceMode, FenceValue, fence_name, is_target_token};
use super::hand::{Asked, Hand};
use super::intent::Kind;
use super::journal::TransitionKind;
use super::live::token_of;
use super::notice::{NoticeKind, Severity};
use super::plan::Ground;
use super::state::{Cx, PolicyState, Words};
use super::switch;
use super::zone::LiveSet;

/// Which fences a write may replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Our own.
    Ours,
    /// Our own, or none: a record nobody has.
    Nobodys,
    /// Also one that is gone or cannot be read.
    Damaged,
    /// Another cluster's.
    Anothers,
    /// What stands is known to be what the lost write named.
    Standing,
}

impl Claim {
    pub fn of(kind: Kind) -> Claim {
        match kind {
            Kind::Adopt => Claim::Nobodys,
            Kind::Force => Claim::Damaged,
            Kind::Takeover => Claim::Anothers,
            Kind::Burn => Claim::Standing,
            _ => Claim::Ours,
        }
    }

    /// The set to be deleted, `None` where there is no fence; or why the write may not replace it.
    fn before(self, fence: &Fence) -> Result<Option<LiveSet>, String> {
        let allowed = match fence {
            Fence::Ours { .. } => true,
            Fence::Absent | Fence::Released { .. } => self != Claim::Ours,
            Fence::Foreign { .. } => matches!(self, Claim::Anothers | Claim::Standing),
            Fence::Unusable { damage: Damage::Spoiled { .. }, .. } => matches!(self, Claim::Damaged | Claim::Standing),
            Fence::Unusable { .. } => false,
        };
        if allowed { Ok(fence.standing().cloned()) } else { Err("a fence that is not ours stands in the way".into()) }
    }
}

/// What a plan stands on, one ground for each record.
pub(super) fn grounds(
    p: &PolicyState,
    cx: &Cx,
    kind: Kind,
    claim: Claim,
    epoch: Epoch,
    attempt: &str,
    to: Option<&Members>,
) -> Result<Vec<Ground>, String> {
    let zone =
        cx.shared.zones.get(p.zone.index()).and_then(|z| z.info.as_ref()).ok_or("the zone has not been found yet")?;
    if p.live.reads.len() != p.policy.records.len() {
        return Err("the live record has not been read yet".into());
    }
    let moves = p.brakes.moves_last_hour(cx.now.mono) + u32::from(kind.is_counted_move());
    let mut grounds = Vec::new();
    for ((name, read), fence) in p.policy.records.iter().zip(&p.live.reads).zip(&p.live.fences) {
        let standing_to = match fence.ours() {
            Some((value, _)) if is_target_token(&value.to) => value.to.clone(),
            _ => p.published().map(|m| token_of(&p.policy, m)).unwrap_or_default(),
        };
        let after = FenceValue {
            epoch,
            policy: p.policy.id.clone(),
            cluster: cx.shared.settings.cluster.clone(),
            instance: cx.shared.settings.instance.clone(),
            attempt: attempt.to_owned(),
            written: cx.now.wall,
            kind: FenceKind::Known(kind),
            moves,
            mode: match kind {
                Kind::Release => FenceMode::Released,
                Kind::Force if p.brakes.frozen.is_none() => FenceMode::Forced,
                _ => p.brakes.mode(),
            },
            until: UnixMs(0),
            config: p.policy.config_hash.clone(),
            to: to.map_or(standing_to, |to| token_of(&p.policy, to)),
        };
        grounds.push(Ground {
            fence_name: fence_name(name, &zone.name).map_err(|e| e.to_string())?,
            fence: claim.before(fence).map_err(|why| format!("{name}: {why}"))?,
            standing: read.sets.clone(),
            after,
        });
    }
    Ok(grounds)
}

/// The `adopt` command that fits what is published now.
pub(super) fn adopt_command(p: &PolicyState, repair: bool) -> String {
    let flag = if repair { " --repair" } else { "" };
    let to = match p.published() {
        Some(members) => p.policy.names(members).iter().map(|n| format!(" --to {n}")).collect(),
        None => " --to TARGET".to_owned(),
    };
    format!("failoverd adopt {}{flag}{to}", p.policy.id)
}

/// What to type about a fence that cannot be used.
pub(super) fn cure(p: &PolicyState, damage: &Damage) -> String {
    match damage {
        Damage::Spoiled { .. } => format!("find out who wrote it, then `{}`", adopt_command(p, true)),
        Damage::Newer => "upgrade failoverd here; an older program never writes over a newer one's fence".into(),
        Damage::Shared(cluster) => format!(
            "one of its values is cluster {cluster}'s: agree with them who owns the record and delete the other value by hand"
        ),
        Damage::NotSimple => format!("delete that TXT record by hand, then `{}`", adopt_command(p, true)),
    }
}

/// Why a write of `claim` cannot be made on the fences as read, with the next command.
fn in_the_way(p: &PolicyState, claim: Claim) -> Option<String> {
    let id = &p.policy.id;
    p.policy.records.iter().zip(&p.live.fences).find_map(|(name, fence)| match fence {
        Fence::Foreign { value, .. } => Some(format!(
            "{name} belongs to {}/{} (policy {}); let it release the record, or `failoverd takeover {id} --from {}`",
            value.cluster, value.instance, value.policy, value.cluster
        )),
        Fence::Unusable { damage: Damage::Spoiled { .. }, .. } if claim == Claim::Damaged => None,
        Fence::Unusable { why, damage } => {
            Some(format!("the fence of {name} cannot be used: {why}; {}", cure(p, damage)))
        }
        Fence::Absent if p.had_fence(name) && claim != Claim::Damaged => Some(format!(
            "the fence of {name} is gone although epoch {} was written; find out who deleted it, then `{}`",
            p.known_epoch,
            adopt_command(p, true)
        )),
        Fence::Absent | Fence::Ours { .. } | Fence::Released { .. } => None,
    })
}

/// Why the record as it stands cannot be replaced by any write of ours. What stood in the way may
/// have been cleared since: it is read again for the next try.
fn unreplaceable(p: &mut PolicyState, to: &Members, now: Tick) -> Option<String> {
    let obstacle = to.iter().find_map(|idx| p.obstacle_to(idx))?;
    let text = format!("{}; {}; when it is done, type it again in a moment", obstacle.text, obstacle.next);
    p.live.reconcile_due = now;
    Some(text)
}

/// The zone is known as it is now.
pub(super) fn is_read(p: &PolicyState) -> Result<(), String> {
    if p.live.read_at.is_none() {
        return Err("the zone has not been read yet; try again in a moment".into());
    }
    if p.live.stale {
        return Err("the zone is being read; try again in a moment".into());
    }
    Ok(())
}

/// And nothing of ours is being written.
fn settled(p: &PolicyState) -> Result<(), String> {
    is_read(p)?;
    match &p.write {
        Some(write) => {
            Err(format!("write {} ({}) has no outcome yet; try again in a moment", write.intent.id, write.intent.kind))
        }
        None => Ok(()),
    }
}

pub(super) fn adopt(p: &mut PolicyState, cx: &mut Cx, to: &Members, repair: bool, said: &str) -> CommandReply {
    let id = p.policy.id.clone();
    let claim = if repair { Claim::Damaged } else { Claim::Nobodys };
    let down = to.iter().find(|i| p.health_of(*i).is_none_or(|h| h.state() != Health::Up));
    let refusal = in_the_way(p, claim).or_else(|| unreplaceable(p, to, cx.now.mono)).or_else(|| {
        let next = "adopt when its probes succeed, or name another target";
        down.map(|bad| format!("{} is not up; {next}", p.evidence(bad, cx.now)))
    });
    if let Some(text) = refusal.or_else(|| settled(p).err()) {
        return CommandReply::Refused(format!("{id}: {text}"));
    }
    match switch::start_on(p, cx, Kind::Adopt, claim, Some(to.clone()), said) {
        Ok(()) => {
            if let Some(write) = &mut p.write {
                write.set_by_hand();
            }
            let names = p.names_text(to);
            CommandReply::Accepted(format!("{id}: adopting with {names}; `failoverd status` shows the proof"))
        }
        Err(why) => CommandReply::Refused(format!("{id}: {why}")),
    }
}

/// Every record is another cluster's or was released: nothing is lost when the policy goes.
pub(super) fn is_given_up(p: &PolicyState) -> bool {
    let given_up = |f: &Fence| matches!(f, Fence::Released { .. } | Fence::Foreign { .. });
    !p.live.fences.is_empty() && p.live.fences.iter().all(given_up)
}

/// Gives the record up. Begun on a reading younger than the command.
pub(super) fn release(p: &mut PolicyState, cx: &mut Cx, said: &str) -> CommandReply {
    let id = p.policy.id.clone();
    let ours = &cx.shared.settings.cluster;
    let fences = &p.live.fences;
    if !fences.is_empty() && fences.iter().all(|f| matches!(f, Fence::Released { value, .. } if value.cluster == *ours))
    {
        return CommandReply::Accepted(format!("{id}: is released already"));
    }
    if let Err(text) = settled(p).and_then(|()| may_write(p)) {
        return CommandReply::Refused(format!("{id}: {text}"));
    }
    p.write_trouble = None;
    p.ask(cx, Asked::Release, said);
    CommandReply::Accepted(format!("{id}: the fence is read once more, then it says released; nothing else changes"))
}

/// Every fence is ours, so that a person may write what they like.
pub(super) fn may_write(p: &PolicyState) -> Result<(), String> {
    if let Some(text) = in_the_way(p, Claim::Nobodys) {
        return Err(text);
    }
    if !p.live.fences.iter().all(|f| f.ours().is_some()) {
        return Err(format!("it is not adopted, so it is not ours to write; `{}` adopts it", adopt_command(p, false)));
    }
    Ok(())
}

/// Takes the record of exactly the cluster `from`. Begun on a reading younger than the command.
pub(super) fn takeover(p: &mut PolicyState, cx: &mut Cx, from: &ClusterName, said: &str) -> CommandReply {
    let id = p.policy.id.clone();
    if let Err(text) = settled(p).and_then(|()| may_take(p, from)) {
        return CommandReply::Refused(format!("{id}: {text}"));
    }
    p.write_trouble = None;
    p.ask(cx, Asked::Takeover(from.clone()), said);
    CommandReply::Accepted(format!("{id}: the fence is read once more, then taken from cluster {from}"))
}

/// One record of theirs is enough: what is ours, nobody's or without a fence comes with it, for
/// nothing else a person can type would make such a policy whole.
fn may_take(p: &PolicyState, from: &ClusterName) -> Result<(), String> {
    let theirs = |f: &Fence| matches!(f, Fence::Foreign { value, .. } if value.cluster == *from);
    let some = p.live.fences.iter().any(theirs);
    for (name, fence) in p.policy.records.iter().zip(&p.live.fences) {
        match fence {
            Fence::Foreign { value, .. } if value.cluster == *from => {}
            Fence::Foreign { value, .. } => {
                let owner = format!("{}/{} (policy {})", value.cluster, value.instance, value.policy);
                return Err(format!(
                    "{name} belongs to {owner}, not to {from}; `failoverd takeover {} --from {}`",
                    p.policy.id, value.cluster
                ));
            }
            Fence::Ours { .. } | Fence::Released { .. } | Fence::Absent if some => {}
            Fence::Ours { .. } => return Err(format!("{name} is this cluster's already; there is nothing to take")),
            Fence::Released { value, .. } => {
                return Err(format!("{name} was released by {}; `{}`", value.cluster, adopt_command(p, false)));
            }
            Fence::Absent => return Err(format!("{name} has no fence; `{}`", adopt_command(p, p.had_fence(name)))),
            Fence::Unusable { why, damage } => {
                return Err(format!("the fence of {name} cannot be used: {why}; {}", cure(p, damage)));
            }
        }
    }
    Ok(())
}

/// Break-glass: asks no health, no witness, no brake and no store; never empty, never foreign.
pub(super) fn force(p: &mut PolicyState, cx: &mut Cx, to: &Members, said: &str) -> CommandReply {
    let id = p.policy.id.clone();
    if p.live.read_at.is_some()
        && let Err(text) = may_force(p, to, cx.now.mono)
    {
        return CommandReply::Refused(format!("{id}: {text}"));
    }
    p.write_trouble = None;
    switch::drop_unsent(p, cx, "forced by a person");
    p.hands.retain(|h| !matches!(h.what, Asked::Force(_)));
    p.ask(cx, Asked::Force(to.clone()), said);
    let names = p.names_text(to);
    CommandReply::Accepted(format!(
        "{id}: forcing {names}, whatever its health; automatic moves wait for `failoverd unfreeze {id}`"
    ))
}

fn may_force(p: &mut PolicyState, to: &Members, now: Tick) -> Result<(), String> {
    fits(p, to)?;
    match in_the_way(p, Claim::Damaged).or_else(|| unreplaceable(p, to, now)) {
        Some(text) => Err(text),
        None => Ok(()),
    }
}

/// Targets of this policy, and no more than it may publish at once.
pub(super) fn fits(p: &PolicyState, to: &Members) -> Result<(), String> {
    if p.policy.content(to).is_none() {
        return Err("no such target; `failoverd status` lists them".into());
    }
    if to.count() > usize::try_from(p.policy.answers).unwrap_or(usize::MAX) {
        return Err(format!("{} targets are more than answers = {}; name fewer", to.count(), p.policy.answers));
    }
    Ok(())
}

/// Begins the write of a hand that goes first; the zone was read after the command.
pub(super) fn begin(p: &mut PolicyState, cx: &mut Cx, hand: &Hand) -> Result<(), String> {
    match &hand.what {
        Asked::Release => {
            may_write(p)?;
            switch::start(p, cx, Kind::Release, None, &hand.said)
        }
        Asked::Takeover(_) if p.live.fences.iter().all(|f| f.ours().is_some()) => {
            // A lost request was burnt by a fence that is ours.
            p.hand_written(cx, Kind::Takeover, p.brakes.mode());
            Ok(())
        }
        Asked::Takeover(from) => {
            may_take(p, from)?;
            let theirs: Vec<FenceValue> = p.live.fences.iter().filter_map(Fence::value).cloned().collect();
            for value in &theirs {
                p.take_moves(cx.now, value);
            }
            switch::start(p, cx, Kind::Takeover, None, &hand.said)
        }
        Asked::Force(to) => {
            may_force(p, to, cx.now.mono)?;
            switch::start(p, cx, Kind::Force, Some(to.clone()), &hand.said)?;
            if let Some(write) = &mut p.write {
                write.set_by_hand();
            }
            Ok(())
        }
        Asked::Unfreeze | Asked::Ack => Ok(()),
    }
}

/// The fence says what a person asked for: journalled and told.
pub(super) fn told(p: &mut PolicyState, cx: &mut Cx, hand: &Hand) {
    let id: PolicyId = p.policy.id.clone();
    let said = &hand.said;
    match &hand.what {
        Asked::Release => {
            p.journal(cx, TransitionKind::Released, format!("released {said}"));
            let next = vec![
                "no instance of this cluster writes it until a person adopts it; probing goes on".to_owned(),
                "another cluster may adopt it now".to_owned(),
            ];
            let words = Words { why: vec![said.clone()], next, undo: Some(adopt_command(p, false)), moved: None };
            p.tell(cx, NoticeKind::Released, Severity::Warning, format!("{id}: released"), words);
        }
        Asked::Takeover(from) => {
            p.journal(cx, TransitionKind::TakenOver, format!("taken over from cluster {from} {said}"));
            let next = vec![
                format!("cluster {from} only watches from now on"),
                "automatic moves are possible within the brakes".to_owned(),
            ];
            let undo = Some(format!("failoverd release {id}"));
            let words = Words { why: vec![said.clone()], next, undo, moved: None };
            p.tell(
                cx,
                NoticeKind::TakenOver,
                Severity::Warning,
                format!("{id}: taken over from cluster {from}"),
                words,
            );
        }
        // The notice goes out with the proof that begins.
        Asked::Force(to) => {
            let names = p.names_text(to);
            p.journal(cx, TransitionKind::Forced, format!("forced to {names} {said}"));
        }
        Asked::Unfreeze | Asked::Ack => {}
    }
}
