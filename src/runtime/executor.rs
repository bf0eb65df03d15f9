//! The only holder of a write client.
//!
//! A process that observes is built with [`Hands::Observe`], which holds nothing to write with
//! (invariant I14: a type, not an `if`). Never retries and never decides: one call, one answer.

use std::sync::Arc;

use crate::dns::ZoneWriter;
use crate::domain::ZoneId;
use crate::engine::zone::{ApiError, ApiErrorKind, Change, Data, WriteAnswer};

use super::failpoint::failpoint;

/// What this process can do to a zone.
pub enum Hands {
    /// Nothing.
    Observe,
    Active(Executor),
}

/// Carries out writes.
#[derive(Clone)]
pub struct Executor {
    writer: Arc<dyn ZoneWriter>,
}

impl Executor {
    pub fn new(writer: Arc<dyn ZoneWriter>) -> Executor {
        Executor { writer }
    }

    /// Sends one batch and waits for its answer; bounded by the writer's own deadline.
    pub async fn write(&self, zone: &ZoneId, changes: &[Change], comment: &str) -> WriteAnswer {
        failpoint!("before-send");
        let answer = self.writer.change(zone, changes, comment).await;
        failpoint!("after-send-before-reply");
        if is_burn(changes) {
            failpoint!("after-burn-sent");
        }
        answer
    }
}

/// The answer for a write that this process will not send.
pub fn not_sent(why: &str) -> WriteAnswer {
    WriteAnswer::NotSent(ApiError { kind: ApiErrorKind::Other, message: why.to_owned() })
}

fn is_burn(changes: &[Change]) -> bool {
    changes.iter().any(|change| match &change.data {
        Data::Values { values, .. } => values.iter().any(|value| value.contains(" k=burn ")),
        Data::Alias(_) => false,
    })
}
