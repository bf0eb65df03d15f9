//! HTTP/1.1 over a fresh connection, plain or TLS: one request, bounded answer, asked-for redirects.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use url::Url;

use crate::domain::{DownReason, HttpCheck, TlsCheck, UnknownReason};

use super::capped::Capped;
use super::tls::Trust;
use super::{Failure, Phase, Progress, Shared, connect, expect, tls};

/// Most bytes buffered of a connection, and so of the head of an answer.
pub(super) const HEAD_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 100;
/// Bytes of frame and body for one byte of body: a chunk of one byte has six.
const FRAMED: usize = 6;
/// Redirects followed at most, whatever a check says.
const REDIRECTS_MAX: u8 = 3;
const AGENT: &str = concat!("failoverd/", env!("CARGO_PKG_VERSION"));

/// `Ok` means up. The status is judged before the body is read; the body is judged on its first
/// `max_body` bytes, as they came (a content encoding is not undone).
pub(super) async fn probe(
    shared: &Shared,
    check: &HttpCheck,
    address: IpAddr,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let mut hop = Hop::first(check)?;
    let mut left = check.redirects.min(REDIRECTS_MAX);
    let follow = left > 0;
    let body = loop {
        match exchange(shared, check, &hop, SocketAddr::new(address, hop.port), follow, progress).await? {
            Answer::Body { bytes, cut } => break (bytes, cut),
            Answer::Redirect(to, status) if left > 0 => {
                left -= 1;
                hop = hop.follow(&to, status)?;
            }
            Answer::Redirect(to, _) => {
                let more = format!("more than {} redirects, the last to {to}", check.redirects);
                return Err(Failure::down(DownReason::Redirect, more));
            }
        }
    };
    expect::body(&check.expect, &body.0, body.1, &shared.patterns)?;
    let min = hop.tls.as_ref().and_then(|tls| tls.min_cert_days);
    match (min, progress.cert_days) {
        (Some(min), Some(days)) if days < i64::from(min) => {
            Err(Failure::down(DownReason::CertificateExpiresSoon, format_args!("{days} days left, {min} wanted")))
        }
        (Some(_), None) => Err(Failure::down(DownReason::CertificateUntrusted, "its expiry cannot be read")),
        _ => Ok(()),
    }
}

/// One request and where it goes; the address is pinned outside.
#[derive(Debug)]
struct Hop {
    tls: Option<TlsCheck>,
    port: u16,
    /// Host header, as the check or a `Location` wrote it.
    host: String,
    /// Path and query.
    path: String,
    method: Method,
    headers: HeaderMap,
}

enum Answer {
    Redirect(String, StatusCode),
    Body { bytes: Vec<u8>, cut: bool },
}

impl Hop {
    fn first(check: &HttpCheck) -> Result<Hop, Failure> {
        let invalid = |what: &str| Failure::unknown(UnknownReason::InvalidCheck, what);
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        for (name, value) in &check.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("header name"))?;
            headers.insert(name, HeaderValue::from_str(value).map_err(|_| invalid("header value"))?);
        }
        Ok(Hop {
            tls: check.tls.clone(),
            port: check.port,
            host: check.host.clone(),
            path: check.path.clone(),
            method: Method::from_bytes(check.method.as_bytes()).map_err(|_| invalid("method"))?,
            headers,
        })
    }

    /// The hop a `Location` asks for: same host, same or more secure scheme; anything else is `Down`.
    fn follow(self, location: &str, status: StatusCode) -> Result<Hop, Failure> {
        let refused = |why: &str| Failure::down(DownReason::Redirect, format_args!("{why}: {location}"));
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let authority = host_only(&self.host);
        let base = format!("{scheme}://{authority}:{}{}", self.port, self.path);
        let base = Url::parse(&base).map_err(|_| refused("not a URL"))?;
        let to = base.join(location).map_err(|_| refused("not a URL"))?;
        let secure = match (to.scheme(), &self.tls) {
            ("https", _) => true,
            ("http", None) => false,
            _ => return Err(refused("to a less secure scheme")),
        };
        if to.host_str() != base.host_str() {
            return Err(refused("to another host"));
        }
        let port = to.port_or_known_default().ok_or_else(|| refused("not a URL"))?;
        let tls = match (secure, self.tls) {
            (false, _) => None,
            (true, Some(tls)) => Some(tls),
            (true, None) => {
                let sni = authority.trim_matches(['[', ']']).to_owned();
                Some(TlsCheck { sni, verify: true, ca_file: None, min_cert_days: None })
            }
        };
        let host = match to.port() {
            _ if port == self.port && secure == (scheme == "https") => self.host,
            Some(port) => format!("{authority}:{port}"),
            None => authority.to_owned(),
        };
        let path = to.query().map_or_else(|| to.path().to_owned(), |query| format!("{}?{query}", to.path()));
        // RFC 9110, 15.4: what every client does.
        let method = match status {
            StatusCode::SEE_OTHER if self.method != Method::HEAD => Method::GET,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND if self.method == Method::POST => Method::GET,
            _ => self.method,
        };
        Ok(Hop { tls, port, host, path, method, ..self })
    }

    fn request(&self) -> Result<Request<Empty<Bytes>>, Failure> {
        let invalid = |e: ::http::Error| Failure::unknown(UnknownReason::InvalidCheck, e);
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(&self.path)
            .header(header::HOST, &self.host)
            .body(Empty::new())
            .map_err(invalid)?;
        for (name, value) in &self.headers {
            request.headers_mut().insert(name, value.clone());
        }
        Ok(request)
    }
}

/// `www.example.com` of `www.example.com:8080`; brackets of an IPv6 literal stay.
fn host_only(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!host.contains(':') || host.ends_with(']')) =>
        {
            host
        }
        _ => authority,
    }
}

async fn exchange(
    shared: &Shared,
    check: &HttpCheck,
    hop: &Hop,
    peer: SocketAddr,
    follow: bool,
    progress: &mut Progress,
) -> Result<Answer, Failure> {
    let request = hop.request()?;
    let Some(settings) = &hop.tls else {
        let stream = connect::tcp(peer, progress).await?;
        return converse(stream, request, check, follow, progress).await;
    };
    let name = ServerName::try_from(settings.sni.clone()).map_err(|_| {
        Failure::unknown(UnknownReason::InvalidCheck, format_args!("`{}` is no server name", settings.sni))
    })?;
    progress.phase = Phase::Prepare;
    let config = shared.tls.get(&Trust::of(settings)).await?;
    let stream = connect::tcp(peer, progress).await?;
    let stream = tls::handshake(stream, config, name, progress).await?;
    converse(stream, request, check, follow, progress).await
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Empty<Bytes>>,
    check: &HttpCheck,
    follow: bool,
    progress: &mut Progress,
) -> Result<Answer, Failure> {
    progress.phase = Phase::FirstByte;
    let begun = Instant::now();
    let max = usize::try_from(check.max_body).unwrap_or(usize::MAX);
    let stream = Capped::new(stream, max.saturating_mul(FRAMED).saturating_add(HEAD_MAX));
    let mut conversation = Conversation::begin(stream, request).await.map_err(|e| failure(&e, Phase::FirstByte))?;
    let response = conversation.head().await.map_err(|e| failure(&e, Phase::FirstByte))?;
    progress.phases.first_byte = Some(begun.elapsed());
    let status = response.status();
    progress.status = Some(status.as_u16());
    if follow && let Some(to) = location(&response) {
        return Ok(Answer::Redirect(to?, status));
    }
    if !check.expect.status.iter().any(|range| range.contains(status.as_u16())) {
        return Err(crate::domain::Outcome::Down(DownReason::Status(status.as_u16())).into());
    }
    progress.phase = Phase::Body;
    let begun = Instant::now();
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    let mut cut = false;
    while let Some(frame) = conversation.drive(body.frame()).await {
        let frame = frame.map_err(|e| failure(&e, Phase::Body))?;
        let Some(data) = frame.data_ref() else { continue };
        let room = data.get(..max.saturating_sub(bytes.len()));
        bytes.extend_from_slice(room.unwrap_or(data));
        progress.body_bytes = bytes.len() as u64;
        if room.is_some() && bytes.len() >= max {
            cut = room.map(<[u8]>::len) != Some(data.len());
            break;
        }
    }
    progress.phases.body = Some(begun.elapsed());
    Ok(Answer::Body { bytes, cut })
}

/// Where a redirect answer points; `None` when the answer is no redirect.
fn location(response: &Response<Incoming>) -> Option<Result<String, Failure>> {
    use StatusCode as S;
    let redirects = [S::MOVED_PERMANENTLY, S::FOUND, S::SEE_OTHER, S::TEMPORARY_REDIRECT, S::PERMANENT_REDIRECT];
    redirects.contains(&response.status()).then(|| {
        let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
        to.map(str::to_owned).ok_or_else(|| Failure::down(DownReason::Redirect, "no readable Location"))
    })
}

/// A request in progress on one connection. The connection runs inside the probe's own future, so
/// that it ends with it.
pub(super) struct Conversation<C, R> {
    connection: Pin<Box<C>>,
    open: bool,
    reply: Option<Pin<Box<R>>>,
}

impl Conversation<(), ()> {
    pub(super) async fn begin<S: AsyncRead + AsyncWrite + Unpin>(
        stream: S,
        request: Request<Empty<Bytes>>,
    ) -> hyper::Result<
        Conversation<impl Future<Output = hyper::Result<()>>, impl Future<Output = hyper::Result<Response<Incoming>>>>,
    > {
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_MAX)
            .max_headers(HEADERS_MAX)
            .handshake(TokioIo::new(stream))
            .await?;
        let reply = async move { sender.send_request(request).await };
        Ok(Conversation { connection: Box::pin(connection), open: true, reply: Some(Box::pin(reply)) })
    }
}

impl<C, R> Conversation<C, R>
where
    C: Future<Output = hyper::Result<()>>,
    R: Future<Output = hyper::Result<Response<Incoming>>>,
{
    /// The head of the answer; to be called once.
    pub(super) async fn head(&mut self) -> hyper::Result<Response<Incoming>> {
        match self.reply.take() {
            Some(reply) => self.drive(reply).await,
            None => std::future::pending().await,
        }
    }

    /// Runs the connection while waiting for `work`.
    async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            if self.open && self.connection.as_mut().poll(context).is_ready() {
                self.open = false;
            }
            work.as_mut().poll(context)
        })
        .await
    }
}

fn failure(error: &hyper::Error, phase: Phase) -> Failure {
    if error.is_parse_too_large() {
        return Failure::down(DownReason::NotHttp, "the head of the answer is too large");
    }
    if error.is_parse() {
        return Failure::down(DownReason::NotHttp, error);
    }
    let source = std::error::Error::source(error);
    match source.and_then(|source| source.downcast_ref::<std::io::Error>()) {
        // Broken chunks come as an error of the body that no system call made.
        Some(io) if matches!(io.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData) => {
            Failure::down(DownReason::NotHttp, io)
        }
        Some(io) => connect::failure(io, phase),
        None => Failure::down(DownReason::ClosedEarly, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CheckKind, Outcome, RecordName};

    fn hop(tls: bool, host: &str, port: u16) -> Hop {
        let CheckKind::Http(mut check) = CheckKind::http(port, &RecordName::new("www.example.com").unwrap(), "/a/b?c")
        else {
            panic!()
        };
        check.host = host.into();
        check.tls =
            tls.then(|| TlsCheck { sni: "sni.example".into(), verify: true, ca_file: None, min_cert_days: Some(7) });
        Hop::first(&check).unwrap()
    }

    #[test]
    fn a_redirect_stays_with_its_host_and_never_gets_less_secure() {
        let host = "www.example.com";
        type To = (bool, u16, &'static str, &'static str);
        // (secure, from port, Location) → Some((secure, port, Host header, path))
        let cases: &[(bool, u16, &str, Option<To>)] = &[
            (false, 8080, "/x?y#z", Some((false, 8080, host, "/x?y"))),
            (false, 8080, "x", Some((false, 8080, host, "/a/x"))),
            (false, 8080, "//www.example.com:8080/x", Some((false, 8080, host, "/x"))),
            (false, 8080, "http://WWW.example.com/", Some((false, 80, host, "/"))),
            (false, 80, "https://www.example.com/x", Some((true, 443, host, "/x"))),
            (false, 80, "https://www.example.com:8443/x", Some((true, 8443, "www.example.com:8443", "/x"))),
            (true, 443, "/x", Some((true, 443, host, "/x"))),
            (true, 443, "https://www.example.com/x", Some((true, 443, host, "/x"))),
            (true, 443, "http://www.example.com/x", None),
            (false, 80, "http://example.com/x", None),
            (false, 80, "http://169.254.169.254/latest", None),
            (false, 80, "//evil.example/x", None),
            (false, 80, "ftp://www.example.com/x", None),
            (false, 80, "http://[", None),
        ];
        for (secure, port, location, expected) in cases {
            let followed = hop(*secure, host, *port).follow(location, StatusCode::FOUND);
            match (followed, expected) {
                (Ok(to), Some((secure, port, host, path))) => {
                    assert_eq!(
                        (to.tls.is_some(), to.port, to.host.as_str(), to.path.as_str()),
                        (*secure, *port, *host, *path),
                        "{location}"
                    );
                }
                (Err(failure), None) => assert_eq!(failure.outcome, Outcome::Down(DownReason::Redirect), "{location}"),
                (other, _) => panic!("{location}: {other:?}"),
            }
        }
        let upgraded = hop(false, host, 80).follow("https://www.example.com/", StatusCode::FOUND).unwrap().tls.unwrap();
        assert_eq!((upgraded.sni.as_str(), upgraded.verify), (host, true));
        assert_eq!(
            hop(true, "www.example.com:444", 444).follow("/x", StatusCode::FOUND).unwrap().host,
            "www.example.com:444"
        );
    }

    #[test]
    fn a_host_is_read_out_of_an_authority() {
        for (authority, host) in
            [("a.b", "a.b"), ("a.b:80", "a.b"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("192.0.2.1:1", "192.0.2.1")]
        {
            assert_eq!(host_only(authority), host);
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn no_bytes_of_the_other_side_panic_or_exceed_the_cap(
            start in proptest::sample::select(vec![
                "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "HTTP/1.1 302 OK\r\nlocation: ",
            ]),
            rest in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let CheckKind::Http(mut check) = CheckKind::http(80, &RecordName::new("a.example").unwrap(), "/") else {
                panic!()
            };
            check.max_body = 100;
            let mut progress = Progress { phase: Phase::Connect, ..Progress::default() };
            let (near, mut far) = tokio::io::duplex(4096);
            let request = Hop::first(&check).unwrap().request().unwrap();
            let answer = runtime.block_on(async {
                tokio::io::AsyncWriteExt::write_all(&mut far, &[start.as_bytes(), &rest].concat()).await.unwrap();
                tokio::io::AsyncWriteExt::shutdown(&mut far).await.unwrap();
                converse(near, request, &check, true, &mut progress).await
            });
            match answer {
                Ok(Answer::Body { bytes, .. }) => assert!(bytes.len() <= 100 && progress.body_bytes <= 100),
                Ok(Answer::Redirect(..)) => {}
                Err(failure) => assert!(matches!(failure.outcome, Outcome::Down(_)), "{failure:?}"),
            }
        }
    }
}
