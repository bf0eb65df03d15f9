//! The part that cannot change anything: zones, records, changes.

use std::error::Error;
use std::fmt;

use aws_sdk_route53::Client;
use aws_sdk_route53::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_route53::operation::list_resource_record_sets::ListResourceRecordSetsOutput;
use aws_sdk_route53::types::{ChangeStatus as SdkStatus, HostedZone, ResourceRecordSet, RrType};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::dns::{Called, Listing, ZoneReader};
use crate::domain::{RecordName, ZoneId, ZoneRef};
use crate::engine::zone::{ApiError, ApiErrorKind, ChangeStatus, LiveSet, RecordRead, ZoneInfo};

use super::answer::{Asked, api_error, error};
use super::convert::{absolute, listed_name, live_set};
use super::failure::{Failure, shortened};
use super::writer::bare_change_id;

/// Sets asked for when one name is meant; a name with more takes another request.
const NAME_PAGE: i32 = 50;
/// Requests spent on one name before giving up: 250 sets at one name are not a record we manage.
const NAME_PAGES: u32 = 5;
/// The API's own maximum.
const ZONE_PAGE: i32 = 300;
/// 120,000 sets: twelve times the quota of a zone.
const ZONE_PAGES: u32 = 400;

#[derive(Clone)]
pub struct Reader {
    client: Client,
    place: String,
}

/// Where a listing goes on: name, type, set identifier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Start {
    name: Option<String>,
    rtype: Option<RrType>,
    identifier: Option<String>,
}

impl Reader {
    pub(super) fn new(client: Client, place: String) -> Reader {
        Reader { client, place }
    }

    fn failed<E>(&self, action: &'static str, subject: &str, e: &SdkError<E, HttpResponse>) -> ApiError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        api_error(&Failure::of(e, &[]), Asked { action, subject, place: &self.place })
    }

    async fn resolve(&self, zone: &ZoneRef, servers: bool) -> Result<ZoneInfo, ApiError> {
        match (&zone.id, &zone.name) {
            (Some(id), name) => {
                let info = self.by_id(id).await?;
                match name {
                    Some(name) if *name != info.name => Err(other(format!(
                        "zone_id {id} is the zone `{}`, but `{name}` is configured; correct zone or zone_id",
                        info.name
                    ))),
                    _ if servers => Ok(info),
                    _ => Ok(ZoneInfo { name_servers: Vec::new(), ..info }),
                }
            }
            (None, Some(name)) => {
                let info = self.by_name(name).await?;
                if servers && !info.private { self.by_id(&info.id).await } else { Ok(info) }
            }
            (None, None) => Err(other("neither zone nor zone_id is configured".into())),
        }
    }

    async fn by_id(&self, id: &ZoneId) -> Result<ZoneInfo, ApiError> {
        let subject = format!("hostedzone/{id}");
        let got = self
            .client
            .get_hosted_zone()
            .id(id.as_str())
            .send()
            .await
            .map_err(|e| self.failed("GetHostedZone", &subject, &e))?;
        let zone = got.hosted_zone().ok_or_else(|| other(format!("GetHostedZone of {id} answered without a zone")))?;
        let servers = got.delegation_set().map(|set| set.name_servers().to_vec()).unwrap_or_default();
        zone_info(zone, servers)
    }

    async fn by_name(&self, name: &RecordName) -> Result<ZoneInfo, ApiError> {
        let page = self
            .client
            .list_hosted_zones_by_name()
            .dns_name(absolute(name))
            .send()
            .await
            .map_err(|e| self.failed("ListHostedZonesByName", name.as_str(), &e))?;
        let same: Vec<&HostedZone> =
            page.hosted_zones().iter().filter(|zone| listed_name(zone.name()) == name.as_str()).collect();
        match same.as_slice() {
            [zone] => zone_info(zone, Vec::new()),
            [] => Err(error(
                ApiErrorKind::NoSuchZone,
                format!(
                    "no hosted zone named `{name}` in the account of these credentials; check zone, and the account or role_arn"
                ),
            )),
            several => {
                let each = |text: fn(&ZoneId, &str) -> String| -> Vec<String> {
                    several.iter().map(|zone| text(&ZoneId::new(zone.id()), kind(zone))).collect()
                };
                Err(other(format!(
                    "{} hosted zones are named `{name}`: {}; write {} in the policy",
                    several.len(),
                    each(|id, kind| format!("{id} ({kind})")).join(", "),
                    each(|id, kind| format!("zone_id = \"{id}\" for the {kind} one")).join(" or "),
                )))
            }
        }
    }

    async fn list(&self, zone: &ZoneId, from: Start, page: i32) -> Result<ListResourceRecordSetsOutput, ApiError> {
        self.client
            .list_resource_record_sets()
            .hosted_zone_id(zone.as_str())
            .set_start_record_name(from.name)
            .set_start_record_type(from.rtype)
            .set_start_record_identifier(from.identifier)
            .max_items(page)
            .send()
            .await
            .map_err(|e| self.failed("ListResourceRecordSets", &format!("hostedzone/{zone}"), &e))
    }

    /// Every set at `name`, from `rtype` on when given. Names are sorted, so the first other name ends it.
    async fn at_name(
        &self,
        zone: &ZoneId,
        name: &RecordName,
        rtype: Option<RrType>,
        calls: &mut u32,
    ) -> Result<Vec<LiveSet>, ApiError> {
        let ours = |text: &str| listed_name(text) == name.as_str();
        let mut sets = Vec::new();
        let mut from = Start { name: Some(absolute(name)), rtype, identifier: None };
        for _ in 0..NAME_PAGES {
            *calls += 1;
            let page = self.list(zone, from, NAME_PAGE).await?;
            sets.extend(page.resource_record_sets().iter().filter(|set| ours(set.name())).map(live_set));
            match next(&page) {
                Some(next) if next.name.as_deref().is_some_and(ours) => from = next,
                _ => return Ok(sets),
            }
        }
        Err(other(format!("more than {} record sets at `{name}`; such a name cannot be managed", sets.len())))
    }

    async fn record(
        &self,
        zone: &ZoneId,
        name: &RecordName,
        fence: &RecordName,
        calls: &mut u32,
    ) -> Result<RecordRead, ApiError> {
        let sets = self.at_name(zone, name, None, calls).await?;
        let mut fence = self.at_name(zone, fence, Some(RrType::Txt), calls).await?;
        fence.retain(|set| set.rtype == "TXT");
        Ok(RecordRead { sets, fence })
    }

    async fn whole(&self, zone: &ZoneId, calls: &mut u32) -> Result<Listing, ApiError> {
        let mut all: Listing = Vec::new();
        let mut from = Start::default();
        for _ in 0..ZONE_PAGES {
            *calls += 1;
            let page = self.list(zone, from.clone(), ZONE_PAGE).await?;
            all.extend(page.resource_record_sets().iter().map(named_set));
            match next(&page) {
                None => return Ok(all),
                Some(next) if next == from => {
                    return Err(other(format!("the listing of zone {zone} does not advance")));
                }
                Some(next) => from = next,
            }
        }
        Err(other(format!("zone {zone} has more than {} record sets", all.len())))
    }

    async fn status(&self, change_id: &str) -> Result<ChangeStatus, ApiError> {
        let id = bare_change_id(change_id);
        match self.client.get_change().id(id).send().await {
            Ok(got) => match got.change_info().map(|info| info.status().clone()) {
                Some(SdkStatus::Insync) => Ok(ChangeStatus::Insync),
                Some(SdkStatus::Pending) => Ok(ChangeStatus::Pending),
                unknown => Err(other(format!("GetChange of {id} answered with the unknown status {unknown:?}"))),
            },
            Err(e) if e.code() == Some("NoSuchChange") => Ok(ChangeStatus::Vanished),
            Err(e) => Err(self.failed("GetChange", &format!("change/{id}"), &e)),
        }
    }
}

/// All three continuation fields together, `None` at the end.
fn next(page: &ListResourceRecordSetsOutput) -> Option<Start> {
    page.is_truncated().then(|| Start {
        name: page.next_record_name().map(String::from),
        rtype: page.next_record_type().cloned(),
        identifier: page.next_record_identifier().map(String::from),
    })
}

fn named_set(set: &ResourceRecordSet) -> (String, LiveSet) {
    (listed_name(set.name()), live_set(set))
}

fn is_private(zone: &HostedZone) -> bool {
    zone.config().is_some_and(|config| config.private_zone())
}

fn kind(zone: &HostedZone) -> &'static str {
    if is_private(zone) { "private" } else { "public" }
}

fn zone_info(zone: &HostedZone, servers: Vec<String>) -> Result<ZoneInfo, ApiError> {
    let name = RecordName::new(zone.name())
        .map_err(|e| other(format!("zone {} has a name that cannot be used: {e}", ZoneId::new(zone.id()))))?;
    let name_servers = servers.iter().map(|host| host.trim_end_matches('.').to_ascii_lowercase()).collect();
    Ok(ZoneInfo { id: ZoneId::new(zone.id()), name, name_servers, private: is_private(zone) })
}

/// Names, ids and words of an answer may be in it: cut as all text from outside.
fn other(message: String) -> ApiError {
    error(ApiErrorKind::Other, shortened(&message))
}

impl ZoneReader for Reader {
    fn resolve_zone<'a>(&'a self, zone: &'a ZoneRef, servers: bool) -> BoxFuture<'a, Result<ZoneInfo, ApiError>> {
        self.resolve(zone, servers).boxed()
    }

    fn read_record<'a>(
        &'a self,
        zone: &'a ZoneId,
        name: &'a RecordName,
        fence: &'a RecordName,
    ) -> BoxFuture<'a, Called<Result<RecordRead, ApiError>>> {
        async move {
            let mut calls = 0;
            let result = self.record(zone, name, fence, &mut calls).await;
            Called { result, calls }
        }
        .boxed()
    }

    fn change_status<'a>(&'a self, change_id: &'a str) -> BoxFuture<'a, Result<ChangeStatus, ApiError>> {
        self.status(change_id).boxed()
    }

    fn list_zone<'a>(&'a self, zone: &'a ZoneId) -> BoxFuture<'a, Called<Result<Listing, ApiError>>> {
        async move {
            let mut calls = 0;
            let result = self.whole(zone, &mut calls).await;
            Called { result, calls }
        }
        .boxed()
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader({})", self.place)
    }
}
