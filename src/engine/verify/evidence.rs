//! Evidence for or against a move that was accepted: what the servers answer, what the zone holds
//! when it is read back, what a probe of it says. Collects; the verdict is next door.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::domain::{AddressSet, Content, NameServers, Outcome, Tick};

use super::super::action::Action;
use super::super::event::{Probed, ServerAnswer};
use super::super::live::View;
use super::super::rehearse;
use super::super::state::{Cx, PolicyState, Shared, Urgency};
use super::super::zone::DnsAnswer;
use super::{Settling, each, tick};

const ASK: Duration = Duration::from_secs(1);
const ASK_FIRST: Duration = Duration::from_millis(200);
/// From one reading that shows something else to the next.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// From where it can be seen that a write took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum ProvenBy {
    /// Every authoritative server gives the very content.
    Servers,
    /// The zone as the API lists it: an alias is answered with addresses of somebody else, and a
    /// private zone has no servers to ask.
    Reading,
    /// No name server is configured: INSYNC alone.
    Insync,
}

/// From where a write of this policy can be proven.
pub(in crate::engine) fn proven_by(p: &PolicyState, shared: &Shared) -> ProvenBy {
    let private = || shared.zones.get(p.zone.index()).and_then(|z| z.info.as_ref()).is_some_and(|info| info.private);
    match (&shared.settings.verify.name_servers, p.policy.targets.first().map(|t| &t.content)) {
        (_, Some(Content::Alias(_))) => ProvenBy::Reading,
        (NameServers::These(list), _) if list.is_empty() => ProvenBy::Insync,
        (NameServers::Delegation, _) if private() => ProvenBy::Reading,
        _ => ProvenBy::Servers,
    }
}

pub(super) fn ask(s: &mut Settling, p: &PolicyState, cx: &mut Cx) {
    let Some(proof) = &mut s.proof else { return };
    if proven_by(p, cx.shared) != ProvenBy::Servers || proof.asking.is_some() || proof.next_ask > cx.now.mono {
        return;
    }
    match ask_everybody(p, cx) {
        Ok(()) => {}
        Err(later) => {
            proof.next_ask = later;
            return;
        }
    }
    proof.asking = Some(cx.now.mono);
    proof.asks += 1;
    proof.next_ask = cx.now.mono + if proof.asks < 10 { ASK_FIRST } else { ASK };
}

/// One round of questions to every server; the error is when the next may be asked.
pub(in crate::engine) fn ask_everybody(p: &PolicyState, cx: &mut Cx) -> Result<(), Tick> {
    let servers = match &cx.shared.settings.verify.name_servers {
        NameServers::These(list) => list.len(),
        NameServers::Delegation => {
            cx.shared.zones.get(p.zone.index()).and_then(|z| z.info.as_ref()).map_or(1, |info| info.name_servers.len())
        }
    };
    let questions = servers.max(1) * p.policy.records.len() * p.policy.record_types().len();
    let questions = u32::try_from(questions).unwrap_or(u32::MAX);
    if !cx.shared.proofs.take(questions, cx.now.mono) {
        return Err(cx.shared.proofs.ready_at(questions, cx.now.mono));
    }
    cx.out.push(Action::AskAll { policy: p.idx });
    Ok(())
}

/// What one answer says about `want`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Agrees {
    Yes,
    No,
    /// No usable answer.
    Unknown,
}

pub(in crate::engine) fn compare(answer: &ServerAnswer, want: &Content) -> Agrees {
    let wanted = |all: &AddressSet| answer.rtype.family().and_then(|family| all.of(family));
    match (&answer.answer, want) {
        (DnsAnswer::Failed(_), _) => Agrees::Unknown,
        (DnsAnswer::Addresses { set, .. }, Content::Addresses(all))
            if wanted(all).is_some_and(|w| w.iter().eq(set.iter().copied())) =>
        {
            Agrees::Yes
        }
        (DnsAnswer::Name(name), Content::Host(host)) if name == host => Agrees::Yes,
        _ => Agrees::No,
    }
}

/// Reads the zone back until it shows what was written; what it shows instead is kept.
pub(super) fn read_back(s: &mut Settling, p: &mut PolicyState, cx: &mut Cx) {
    let (accepted, now) = (s.accepted, cx.now.mono);
    let Some(proof) = s.proof.as_mut().filter(|proof| proof.shown.is_none()) else { return };
    if proven_by(p, cx.shared) != ProvenBy::Reading || p.live.is_reading() {
        return;
    }
    if let Some(at) = p.live.read_at.filter(|at| *at > accepted && Some(*at) != proof.read) {
        proof.read = Some(at);
        if p.live.members() == Some(&proof.to) {
            proof.shown = Some(at);
            proof.differs = None;
            return;
        }
        proof.differs = Some(match &p.live.view {
            View::Targets(members) => p.names_text(members),
            _ => p.live.drift.clone().unwrap_or_else(|| "something else".to_owned()),
        });
        proof.next_ask = now + READ_AGAIN;
    }
    if proof.next_ask <= now {
        proof.next_ask = now + READ_AGAIN;
        // A proof may wait; a fence that a move stands on, and what was sent, may not.
        p.read_now(cx, Urgency::Reconcile);
    }
}

/// Every server's answers of one round.
pub(in crate::engine) fn answers(p: &mut PolicyState, cx: &mut Cx, asked: Tick, answers: &[ServerAnswer]) {
    each(p, cx, |s, p, cx| {
        let (accepted, collecting) = (s.accepted, s.is_collecting(p));
        let Some(proof) = s.proof.as_mut().filter(|_| collecting) else { return };
        proof.asking = None;
        if asked < accepted {
            return;
        }
        let Some(want) = p.policy.content(&proof.to) else { return };
        proof.disagree.clear();
        proof.silent.clear();
        for a in answers {
            match compare(a, &want) {
                Agrees::Unknown => proof.silent.push(a.server),
                Agrees::No => proof.disagree.push((a.server, a.answer.to_string())),
                Agrees::Yes => {
                    let DnsAnswer::Addresses { set, .. } = &a.answer else { continue };
                    for probe in &mut proof.probes {
                        let member = p.policy.target(probe.target).and_then(|t| t.addresses());
                        let given = set.iter().copied().find(|address| member.is_some_and(|m| m.contains(*address)));
                        probe.address = probe.address.filter(IpAddr::is_ipv4).or(given).or(probe.address);
                    }
                }
            }
        }
        proof.silent.dedup();
        let mut servers: Vec<SocketAddr> = answers.iter().map(|a| a.server).collect();
        servers.sort();
        servers.dedup();
        proof.servers = servers.len();
        if proof.disagree.is_empty() && proof.silent.is_empty() && !answers.is_empty() {
            if proof.every_server.is_none() {
                proof.every_server = Some(cx.now.mono);
                s.clocks.every_server = Some(cx.now.mono.since(accepted));
            }
        } else {
            proof.every_server = None;
        }
    });
    rehearse::answers(p, cx, asked, answers);
    tick(p, cx);
}

pub(super) fn probe(s: &mut Settling, p: &PolicyState, cx: &mut Cx) {
    let Some(proof) = &mut s.proof else { return };
    if !proof.is_seen() || proof.next_probe > cx.now.mono {
        return;
    }
    for probe in proof.probes.iter_mut().filter(|probe| !probe.probing) {
        let own = p.policy.target(probe.target).and_then(|t| t.addresses());
        if proof.shown.is_some() {
            // No server gave an address: the one that was written is pinned.
            probe.address = own.and_then(|set| set.iter().next());
        }
        if own.is_some() && probe.address.is_none() {
            continue;
        }
        probe.probing = true;
        cx.out.push(Action::ProbeByName { policy: p.idx, target: probe.target, address: probe.address });
    }
}

/// The probe at the address an authoritative answer gave. What failed before this controller last began to see
/// speaks against nothing.
pub(in crate::engine) fn by_name(p: &mut PolicyState, cx: &mut Cx, probed: &Probed) {
    each(p, cx, |s, p, cx| {
        let next = cx.now.mono + p.fast_interval().max(ASK);
        let collecting = s.is_collecting(p);
        let Some(proof) = s.proof.as_mut().filter(|_| collecting) else { return };
        let Some(probe) = proof.probes.iter_mut().find(|probe| probe.target == probed.target) else { return };
        let sight = &mut cx.shared.sight;
        probe.probing = false;
        probe.last = Some(probed.outcome);
        if probe.failing_since.is_some_and(|at| at < sight.sees_since) {
            probe.forget_failures();
        }
        match probed.outcome {
            Outcome::Up => probe.forget_failures(),
            Outcome::Down(_) if probed.started < sight.sees_since => {}
            Outcome::Down(_) => {
                if probe.failing_since.is_none() {
                    probe.failing_since = Some(probed.started);
                    sight.hurry();
                }
                probe.failures += 1;
            }
            Outcome::Unknown(_) => {}
        }
        proof.next_probe = next;
    });
    tick(p, cx);
}
