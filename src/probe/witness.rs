//! Asks an address outside whether this controller can see at all.

use std::net::SocketAddr;

use ::http::{Request, header};
use bytes::Bytes;
use http_body_util::Empty;
use rustls_pki_types::ServerName;
use url::{Host, Url};

use crate::domain::WitnessKind;

use super::capped::Capped;
use super::http::{Conversation, HEAD_MAX};
use super::tls::Trust;
use super::{Phase, Progress, Shared, connect, tls};

pub(super) async fn answers(shared: &Shared, kind: &WitnessKind) -> bool {
    let asked = match kind {
        WitnessKind::Tcp(peer) => connect::tcp(*peer, &mut progress()).await.ok().map(drop),
        WitnessKind::Url(url) => ask(shared, url).await,
    };
    asked.is_some()
}

/// Any answer with an HTTP head counts, whatever its status. Addresses are tried in turn.
async fn ask(shared: &Shared, url: &str) -> Option<()> {
    let url = Url::parse(url).ok()?;
    let port = url.port_or_known_default()?;
    let peers: Vec<SocketAddr> = match url.host()? {
        Host::Domain(name) => tokio::net::lookup_host((name, port)).await.ok()?.collect(),
        Host::Ipv4(ip) => vec![(ip, port).into()],
        Host::Ipv6(ip) => vec![(ip, port).into()],
    };
    for peer in peers {
        if ask_at(shared, &url, peer).await.is_some() {
            return Some(());
        }
    }
    None
}

async fn ask_at(shared: &Shared, url: &Url, peer: SocketAddr) -> Option<()> {
    let mut progress = progress();
    let host = url.host_str()?;
    let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let request = Request::builder().uri(path).header(header::HOST, authority).header(header::CONNECTION, "close");
    let request = request.body(Empty::<Bytes>::new()).ok()?;
    if url.scheme() == "https" {
        let config = shared.tls.get(&Trust::System).await.ok()?;
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).ok()?;
        let stream = connect::tcp(peer, &mut progress).await.ok()?;
        let stream = tls::handshake(stream, config, name, &mut progress).await.ok()?;
        Conversation::begin(Capped::new(stream, HEAD_MAX), request).await.ok()?.head().await.ok().map(drop)
    } else {
        let stream = connect::tcp(peer, &mut progress).await.ok()?;
        Conversation::begin(Capped::new(stream, HEAD_MAX), request).await.ok()?.head().await.ok().map(drop)
    }
}

fn progress() -> Progress {
    Progress { phase: Phase::Connect, ..Progress::default() }
}
