//! The part that writes: one batch, one request, one classified answer.

use std::fmt;

use aws_sdk_route53::Client;
use aws_sdk_route53::operation::change_resource_record_sets::ChangeResourceRecordSetsError;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::dns::ZoneWriter;
use crate::domain::ZoneId;
use crate::engine::zone::{ApiErrorKind, Change, WriteAnswer};

use super::answer::{Asked, error, write_answer};
use super::convert::batch;
use super::failure::Failure;

#[derive(Clone)]
pub struct Writer {
    client: Client,
    place: String,
}

impl Writer {
    pub(super) fn new(client: Client, place: String) -> Writer {
        Writer { client, place }
    }

    async fn send(&self, zone: &ZoneId, changes: &[Change], comment: &str) -> WriteAnswer {
        let batch = match batch(changes, comment) {
            Ok(batch) => batch,
            Err(e) => return WriteAnswer::NotSent(error(ApiErrorKind::Other, format!("the batch is incomplete: {e}"))),
        };
        let request = self.client.change_resource_record_sets().hosted_zone_id(zone.as_str()).change_batch(batch);
        match request.send().await {
            Ok(done) => match done.change_info().map(|info| info.id()) {
                Some(id) if !id.is_empty() => WriteAnswer::Accepted { change_id: bare_change_id(id).into() },
                _ => WriteAnswer::Ambiguous("HTTP status 200 without a change id".into()),
            },
            Err(e) => {
                let messages = match e.as_service_error() {
                    Some(ChangeResourceRecordSetsError::InvalidChangeBatch(refused)) => refused.messages(),
                    _ => &[],
                };
                let subject = format!("hostedzone/{zone}");
                let asked = Asked { action: "ChangeResourceRecordSets", subject: &subject, place: &self.place };
                write_answer(&Failure::of(&e, messages), asked)
            }
        }
    }
}

impl ZoneWriter for Writer {
    fn change<'a>(&'a self, zone: &'a ZoneId, changes: &'a [Change], comment: &'a str) -> BoxFuture<'a, WriteAnswer> {
        self.send(zone, changes, comment).boxed()
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writer({})", self.place)
    }
}

/// A change id without the prefix that answers carry.
pub(super) fn bare_change_id(id: &str) -> &str {
    id.strip_prefix("/change/").unwrap_or(id)
}
