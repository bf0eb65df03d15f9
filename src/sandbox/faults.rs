//! What may be made to go wrong: armed from outside (a handle or the control address), taken by
//! the service when it meets the case. Nothing here acts by itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One fault. As JSON: `"forget_change"`, `{"throttle": 3}`, `{"reply_lost": {"after_commit": true}}`,
/// durations in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection of the next batch ends without an answer. One-shot.
    ReplyLost { after_commit: bool },
    /// The next n calls of any kind: 400 Throttling.
    Throttle(u32),
    /// The next n batches: 400 PriorRequestNotComplete.
    PriorRequestNotComplete(u32),
    /// The next batch: 500 InternalError, applied or not. One-shot.
    Status5xx { commit: bool },
    /// The next batch is held this long before it is looked at; until then the zone's other
    /// batches get PriorRequestNotComplete. It is applied even when its sender hangs up. One-shot.
    Delay(#[serde(with = "millis")] Duration),
    /// The next batch reaches the service this much later, as if it lay in the network: meanwhile
    /// the zone takes other batches. It is applied even when its sender hangs up. One-shot.
    Late(#[serde(with = "millis")] Duration),
    /// Every call of this action (`ListResourceRecordSets`, with or without `route53:`): 403
    /// AccessDenied, until cleared.
    Deny(String),
    /// Every call: 403 ExpiredToken, until cleared.
    ExpiredCredentials,
    /// The next accepted change is applied, but GetChange does not know it. One-shot.
    ForgetChange,
    /// The next accepted change is rolled back, with all after it in its zone, and forgotten when
    /// its PENDING period ends. One-shot.
    StrandChange,
    /// The name server (all without a number, else by index) keeps answering what it answers now,
    /// until cleared.
    DnsStale { server: Option<usize> },
    /// The name server does not answer at all, until cleared.
    DnsSilent { server: Option<usize> },
    /// The next n refused batches are told in the older `<InvalidChangeBatch>` document.
    OldBatchError(u32),
}

/// A handle on the armed faults; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Vec<Fault>>>);

/// What the service does with the batch at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BatchFaults {
    pub hold: Option<Hold>,
    pub commit: bool,
    pub reply: Reply,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    InFlight(Duration),
    OnTheWire(Duration),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reply {
    #[default]
    Sent,
    Lost,
    InternalError,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ChangeFaults {
    pub forget: bool,
    pub strand: bool,
}

impl Faults {
    pub fn arm(&self, fault: Fault) {
        tracing::info!(?fault, "sandbox fault armed");
        self.with(|list| list.push(fault));
    }

    /// Arms the same one-shot fault for the next `times` cases.
    pub fn arm_times(&self, times: usize, fault: Fault) {
        (0..times).for_each(|_| self.arm(fault.clone()));
    }

    /// Takes back every armed fault.
    pub fn clear(&self) {
        self.with(Vec::clear);
    }

    /// What is armed and not yet used up, oldest first.
    pub fn armed(&self) -> Vec<Fault> {
        self.with(|list| list.clone())
    }

    /// The refusal of any call of `action`: code and message.
    pub(super) fn refuse_call(&self, action: &str) -> Option<(u16, &'static str, String)> {
        if self.armed().contains(&Fault::ExpiredCredentials) {
            let text = "The security token included in the request is expired";
            return Some((403, "ExpiredToken", text.into()));
        }
        let denied = |fault: &Fault| matches!(fault, Fault::Deny(a) if a.trim_start_matches("route53:") == action);
        if self.armed().iter().any(denied) {
            let text = format!(
                "User: arn:aws:iam::000000000000:user/sandbox is not authorized to perform: route53:{action} because \
                 no identity-based policy allows the route53:{action} action"
            );
            return Some((403, "AccessDenied", text));
        }
        let throttled = self.count_down(|fault| if let Fault::Throttle(n) = fault { Some(n) } else { None });
        throttled.then(|| (400, "Throttling", "Rate exceeded".into()))
    }

    pub(super) fn prior_request(&self) -> bool {
        self.count_down(|fault| if let Fault::PriorRequestNotComplete(n) = fault { Some(n) } else { None })
    }

    pub(super) fn old_batch_error(&self) -> bool {
        self.count_down(|fault| if let Fault::OldBatchError(n) = fault { Some(n) } else { None })
    }

    pub(super) fn next_batch(&self) -> BatchFaults {
        let hold = self.take(|fault| match fault {
            Fault::Delay(for_) => Some(Hold::InFlight(*for_)),
            Fault::Late(for_) => Some(Hold::OnTheWire(*for_)),
            _ => None,
        });
        let end = self.take(|fault| match fault {
            Fault::ReplyLost { after_commit } => Some((*after_commit, Reply::Lost)),
            Fault::Status5xx { commit } => Some((*commit, Reply::InternalError)),
            _ => None,
        });
        let (commit, reply) = end.unwrap_or((true, Reply::Sent));
        BatchFaults { hold, commit, reply }
    }

    pub(super) fn next_change(&self) -> ChangeFaults {
        let take = |wanted: Fault| self.take(|fault| (*fault == wanted).then_some(())).is_some();
        ChangeFaults { forget: take(Fault::ForgetChange), strand: take(Fault::StrandChange) }
    }

    pub(super) fn dns_stale(&self, index: usize) -> bool {
        self.with(|list| {
            list.iter().any(|f| matches!(f, Fault::DnsStale { server } if server.is_none_or(|s| s == index)))
        })
    }

    pub(super) fn dns_silent(&self, index: usize) -> bool {
        self.with(|list| {
            list.iter().any(|f| matches!(f, Fault::DnsSilent { server } if server.is_none_or(|s| s == index)))
        })
    }

    fn take<T>(&self, pick: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        self.with(|list| {
            let (at, found) = list.iter().enumerate().find_map(|(i, fault)| pick(fault).map(|found| (i, found)))?;
            list.remove(at);
            Some(found)
        })
    }

    fn count_down(&self, pick: impl Fn(&mut Fault) -> Option<&mut u32>) -> bool {
        self.with(|list| {
            let mut hit = false;
            for fault in list.iter_mut() {
                if let Some(left) = pick(fault).filter(|left| **left > 0) {
                    *left -= 1;
                    hit = true;
                    break;
                }
            }
            list.retain_mut(|fault| pick(fault).is_none_or(|left| *left > 0));
            hit
        })
    }

    fn with<T>(&self, f: impl FnOnce(&mut Vec<Fault>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        u64::deserialize(d).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_faults_run_out_and_one_shots_fire_once() {
        let faults = Faults::default();
        faults.arm(Fault::Throttle(2));
        faults.arm(Fault::ReplyLost { after_commit: true });
        let throttled: Vec<bool> = (0..3).map(|_| faults.refuse_call("GetChange").is_some()).collect();
        assert_eq!(throttled, [true, true, false]);
        assert_eq!(faults.next_batch(), BatchFaults { hold: None, commit: true, reply: Reply::Lost });
        assert_eq!(faults.next_batch(), BatchFaults { hold: None, commit: true, reply: Reply::Sent });
        assert_eq!(faults.armed(), []);
    }

    #[test]
    fn a_denied_action_leaves_the_others_alone() {
        let faults = Faults::default();
        faults.arm(Fault::Deny("route53:GetChange".into()));
        assert!(faults.refuse_call("GetChange").is_some());
        assert!(faults.refuse_call("ListHostedZones").is_none());
        faults.clear();
        assert!(faults.refuse_call("GetChange").is_none());
    }

    #[test]
    fn faults_have_one_spelling_in_json() {
        for (json, fault) in [
            (r#""forget_change""#, Fault::ForgetChange),
            (r#"{"throttle":3}"#, Fault::Throttle(3)),
            (r#"{"delay":250}"#, Fault::Delay(Duration::from_millis(250))),
            (r#"{"reply_lost":{"after_commit":false}}"#, Fault::ReplyLost { after_commit: false }),
            (r#"{"dns_stale":{"server":null}}"#, Fault::DnsStale { server: None }),
            (r#"{"deny":"GetChange"}"#, Fault::Deny("GetChange".into())),
        ] {
            assert_eq!(serde_json::from_str::<Fault>(json).unwrap(), fault);
            assert_eq!(serde_json::to_string(&fault).unwrap(), json);
        }
    }
}
