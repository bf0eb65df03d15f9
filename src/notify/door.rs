//! Where a notice may not go: addresses that nothing is sent to, by number or by name.

use std::net::{IpAddr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::domain::address;

/// The system's resolver without the answers that are never dialled. What is left is what is dialled:
/// nobody asks again between the look and the connection.
pub(super) struct Vetted;

#[derive(Debug, thiserror::Error)]
#[error("the name leads to an address nothing is sent to: {0}")]
struct Forbidden(&'static str);

impl Resolve for Vetted {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed = address::allowed(found.map(|peer| peer.ip())).map_err(Forbidden)?;
            // The client puts the port in.
            Ok(Box::new(allowed.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}

/// The address that a URL spells; such a one is dialled without asking a resolver.
pub(super) fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_leads_where_nothing_is_sent_is_not_resolved() {
        for (name, allowed) in [
            ("2852039166", false),
            ("0xa9.254.43518", false),
            ("0", false),
            ("fe80::1", false),
            ("64:ff9b::a9fe:a9fe", false),
            ("2130706433", true),
            ("localhost", true),
        ] {
            let found = Vetted.resolve(name.parse().unwrap()).await;
            assert_eq!(found.is_ok(), allowed, "{name}");
            let Err(error) = found else { continue };
            assert!(error.to_string().starts_with("the name leads to an address nothing is sent to: "), "{error}");
        }
    }
}
