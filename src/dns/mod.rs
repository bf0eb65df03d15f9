//! The provider of zones and questions to authoritative servers.
//!
//! Reading and writing are two traits and two types, so that a process which must not write
//! can be built without the ability to. An adapter encodes, sends and classifies; it never
//! decides, never retries, and one call of it is as many HTTP requests as it says.

pub mod query;
pub mod route53;

use futures_util::future::BoxFuture;

use crate::domain::{RecordName, ZoneId, ZoneRef};
use crate::engine::zone::{ApiError, Change, ChangeStatus, LiveSet, RecordRead, WriteAnswer, ZoneInfo};

/// An answer and the HTTP requests it really took, so that the budget can be charged exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called<T> {
    pub result: T,
    pub calls: u32,
}

/// Name and set of everything in a zone. The name is lower case without trailing dot and with `*`
/// decoded; it is a text because a zone may hold names that no `RecordName` can.
pub type Listing = Vec<(String, LiveSet)>;

/// The part of a provider that cannot change anything.
pub trait ZoneReader: Send + Sync + 'static {
    /// Finds the one zone meant by `zone`; at most two requests. `servers`: the delegation set is wanted.
    fn resolve_zone<'a>(&'a self, zone: &'a ZoneRef, servers: bool) -> BoxFuture<'a, Result<ZoneInfo, ApiError>>;

    /// Every set at `name` and the TXT set at `fence`; two requests unless a name has more than a page of sets.
    fn read_record<'a>(
        &'a self,
        zone: &'a ZoneId,
        name: &'a RecordName,
        fence: &'a RecordName,
    ) -> BoxFuture<'a, Called<Result<RecordRead, ApiError>>>;

    /// `change_id` with or without its `/change/` prefix. One request.
    fn change_status<'a>(&'a self, change_id: &'a str) -> BoxFuture<'a, Result<ChangeStatus, ApiError>>;

    /// The whole zone in the provider's order; one request for each 300 sets.
    fn list_zone<'a>(&'a self, zone: &'a ZoneId) -> BoxFuture<'a, Called<Result<Listing, ApiError>>>;
}

/// The part of a provider that writes. Only `runtime::executor` may hold one.
pub trait ZoneWriter: Send + Sync + 'static {
    /// One batch, one request, all or nothing; `changes` in wire order, `comment` ≤ 256 characters.
    fn change<'a>(&'a self, zone: &'a ZoneId, changes: &'a [Change], comment: &'a str) -> BoxFuture<'a, WriteAnswer>;
}
