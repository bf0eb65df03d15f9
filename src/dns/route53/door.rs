//! Where no request to the API goes: addresses that nothing is sent to. Credentials come by another
//! client, which must reach the metadata service.

use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};

use crate::domain::address;

/// The system's resolver without the answers that are never dialled.
#[derive(Clone, Debug)]
pub(super) struct Vetted;

#[derive(Debug, thiserror::Error)]
#[error("the name of the API leads to an address nothing is sent to: {0}")]
struct Forbidden(&'static str);

impl ResolveDns for Vetted {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(async move {
            let found = tokio::net::lookup_host((name, 0)).await.map_err(ResolveDnsError::new)?;
            address::allowed(found.map(|peer| peer.ip())).map_err(|why| ResolveDnsError::new(Forbidden(why)))
        })
    }
}
