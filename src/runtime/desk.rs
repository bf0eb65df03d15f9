//! Where requests arrive: history is read from the store, everything else goes to the loop. A
//! person's request becomes the engine's command: names become numbers, or the answer says which
//! name is wrong. Decides nothing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use crate::control::protocol::{Answer, PlanToApply, Request};
use crate::control::server::Handler;
use crate::domain::{ClusterName, Members, Policy, PolicyId, PolicyIdx, TargetIdx};
use crate::engine::event::{Command, CommandKind, SavedPlan};
use crate::engine::report::LiveState;
use crate::store::Store;

use super::controller::{Asked, Wakeup};

/// Most transitions one request gets.
const MOST_HISTORY: u32 = 10_000;

/// Answers requests to one controller.
pub struct Desk {
    pub inbox: mpsc::UnboundedSender<Wakeup>,
    /// `None`: this process remembers nothing.
    pub store: Option<Store>,
}

impl Handler for Desk {
    fn handle(&self, request: Request, by: String) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            if let Request::History { policy, limit } = request {
                return self.history(policy.as_deref(), limit).await;
            }
            let (answer, answered) = oneshot::channel();
            let asked = Wakeup::Asked(Asked { request, by, answer });
            if self.inbox.send(asked).is_err() {
                return Answer::error("failoverd is stopping");
            }
            answered.await.unwrap_or_else(|_| Answer::error("failoverd is stopping"))
        })
    }
}

impl Desk {
    async fn history(&self, policy: Option<&str>, limit: u32) -> Answer {
        let Some(store) = &self.store else { return Answer::error("this process keeps no history") };
        let policy = match policy.map(PolicyId::new).transpose() {
            Ok(policy) => policy,
            Err(error) => return Answer::error(error.to_string()),
        };
        match store.history(policy, limit.min(MOST_HISTORY)).await {
            Ok(mut transitions) => {
                transitions.reverse();
                Answer::History { transitions }
            }
            Err(error) => Answer::error(error.to_string()),
        }
    }
}

/// The command that `request` stands for, or the answer it gets at once. `live`: what the record of
/// a policy publishes.
pub fn command<'a>(
    policies: impl Iterator<Item = (PolicyIdx, &'a Arc<Policy>)> + Clone,
    live: impl Fn(PolicyIdx) -> Option<LiveState>,
    request: Request,
    by: String,
) -> Result<Command, Box<Answer>> {
    let subject = request.subject().map(|name| find(policies, name)).transpose()?;
    let (idx, kind, reason) = match (request, subject) {
        (Request::Freeze { reason, .. }, subject) => (subject.map(|(idx, _)| idx), CommandKind::Freeze, reason),
        (Request::Unfreeze { reason, .. }, subject) => (subject.map(|(idx, _)| idx), CommandKind::Unfreeze, reason),
        (request, Some((idx, policy))) => {
            let (kind, reason) = about(idx, policy, live, request)?;
            (Some(idx), kind, reason)
        }
        (_, None) => return Err(wrong("this request is no command")),
    };
    Ok(Command { kind, policy: idx, by, reason })
}

fn about(
    idx: PolicyIdx,
    policy: &Policy,
    live: impl Fn(PolicyIdx) -> Option<LiveState>,
    request: Request,
) -> Result<(CommandKind, String), Box<Answer>> {
    Ok(match request {
        Request::Ack { reason, .. } => (CommandKind::Ack, reason),
        Request::Adopt { to, repair, reason, .. } => {
            let to = if to.is_empty() { published(policy, live(idx))? } else { members(policy, &to)? };
            (CommandKind::Adopt { to, repair }, reason)
        }
        Request::Switch { to, drain_ms, reason, .. } => {
            (CommandKind::Switch { to: members(policy, &to)?, drain: Duration::from_millis(drain_ms) }, reason)
        }
        Request::Failback { reason, .. } => (CommandKind::Failback, reason),
        Request::Drain { target, hard, reason, .. } => {
            (CommandKind::Drain { target: one(policy, &target)?, hard }, reason)
        }
        Request::Undrain { target, reason, .. } => (CommandKind::Undrain { target: one(policy, &target)? }, reason),
        Request::Release { reason, .. } => (CommandKind::Release, reason),
        Request::Takeover { from, reason, .. } => {
            let from = ClusterName::new(&from).map_err(|error| wrong(format!("--from: {error}")))?;
            (CommandKind::Takeover { from }, reason)
        }
        Request::Force { to, reason, .. } => (CommandKind::Force { to: members(policy, &to)? }, reason),
        Request::Apply { plan, reason, .. } => (CommandKind::Apply(Box::new(saved(policy, plan)?)), reason),
        Request::Ping
        | Request::Status { .. }
        | Request::Examine
        | Request::OrphanNoted { .. }
        | Request::Explain { .. }
        | Request::History { .. }
        | Request::Freeze { .. }
        | Request::Unfreeze { .. } => return Err(wrong("this request is no command about one policy")),
    })
}

/// The policy named `name`, or the answer that names the nearest.
pub fn find<'a>(
    policies: impl Iterator<Item = (PolicyIdx, &'a Arc<Policy>)> + Clone,
    name: &str,
) -> Result<(PolicyIdx, &'a Arc<Policy>), Box<Answer>> {
    policies.clone().find(|(_, policy)| policy.id.as_str() == name).ok_or_else(|| {
        let names: Vec<&str> = policies.map(|(_, policy)| policy.id.as_str()).collect();
        wrong(super::unknown_name("policy", name, &names))
    })
}

fn one(policy: &Policy, name: &str) -> Result<TargetIdx, Box<Answer>> {
    policy.target_named(name).ok_or_else(|| {
        let names: Vec<&str> = policy.targets.iter().map(|t| t.name.as_str()).collect();
        wrong(super::unknown_name("target", name, &names))
    })
}

fn members(policy: &Policy, names: &[String]) -> Result<Members, Box<Answer>> {
    let indices = names.iter().map(|name| one(policy, name)).collect::<Result<Vec<_>, _>>()?;
    let members = Members::new(indices).ok_or_else(|| wrong("no target is named; add --to TARGET"))?;
    let most = usize::try_from(policy.answers).unwrap_or(usize::MAX);
    if members.count() > most {
        return Err(wrong(format!(
            "{} publishes at most {most} at once (`answers`), not {}; name fewer with --to",
            policy.id,
            members.count()
        )));
    }
    Ok(members)
}

/// What the record publishes, for an adoption that names nothing.
fn published(policy: &Policy, live: Option<LiveState>) -> Result<Members, Box<Answer>> {
    if let Some(LiveState::Targets { names }) = live
        && let Some(members) = Members::new(names.iter().filter_map(|name| policy.target_named(name.as_str())))
    {
        return Ok(members);
    }
    let first = policy.targets.first().map_or("TARGET", |t| t.name.as_str());
    Err(Box::new(Answer::Refused {
        text: format!(
            "the live record publishes no target of `{0}`; say which: failoverd adopt {0} --to {first}",
            policy.id
        ),
    }))
}

fn saved(policy: &Policy, plan: PlanToApply) -> Result<SavedPlan, Box<Answer>> {
    let to = members(policy, &plan.to)?;
    Ok(SavedPlan { kind: plan.kind, to, zone: plan.zone, config: plan.config })
}

fn wrong(text: impl Into<String>) -> Box<Answer> {
    Box::new(Answer::error(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::testing::policy;

    #[test]
    fn names_become_numbers_or_a_hint() {
        let mut web = policy("web", "www.example.com");
        web.answers = 2;
        let (web, dns) = (Arc::new(web), Arc::new(policy("dns", "ns.example.com")));
        let known = [(PolicyIdx(3), &web), (PolicyIdx(4), &dns)];
        let ask = |request| command(known.into_iter(), |_| None, request, "ada".into());
        let text = |name: &str| name.to_owned();
        let switch = |policy: &str, to: &[&str]| Request::Switch {
            policy: policy.into(),
            to: to.iter().map(|t| text(t)).collect(),
            drain_ms: 1500,
            reason: text("r"),
        };
        let both = ask(switch("web", &["west", "east"])).unwrap();
        let to = Members::new([TargetIdx(0), TargetIdx(1)]).unwrap();
        assert_eq!(both.kind, CommandKind::Switch { to, drain: Duration::from_millis(1500) });
        assert_eq!((both.policy, both.by.as_str(), both.reason.as_str()), (Some(PolicyIdx(3)), "ada", "r"));
        for (request, said) in [
            (switch("wbe", &["west"]), "did you mean `web`?"),
            (switch("web", &["wst"]), "did you mean `west`?"),
            (switch("web", &[]), "no target is named"),
            (switch("dns", &["east", "west"]), "at most 1 at once"),
            (Request::Drain { policy: text("web"), target: text("x"), hard: true, reason: text("") }, "no target `x`"),
            (Request::Takeover { policy: text("web"), from: text("A b"), reason: text("r") }, "is not a label"),
            (
                Request::Adopt { policy: text("web"), to: vec![], repair: false, reason: text("") },
                "adopt web --to east",
            ),
            (Request::Ping, "no command"),
        ] {
            let answer = ask(request).unwrap_err();
            let (Answer::Error { text } | Answer::Refused { text }) = &*answer else { panic!("{answer:?}") };
            assert!(text.contains(said), "{text}");
        }
        let all = ask(Request::Freeze { policy: None, reason: text("night") }).unwrap();
        assert_eq!((all.policy, all.kind), (None, CommandKind::Freeze));
    }
}
