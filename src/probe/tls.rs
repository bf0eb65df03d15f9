//! TLS over a connected stream: configurations kept by (CA file, verify), failures told apart,
//! days to expiry read. Sessions are never resumed: a resumed one shows no certificate.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::domain::{DownReason, TlsCheck, UnknownReason};

use super::{Failure, Phase, Progress, connect};

/// How often a CA file is looked at again, so that a rotated one needs no restart.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// A larger CA file is not one.
const CA_FILE_MAX: u64 = 16 * 1024 * 1024;
const DAY: i64 = 86_400;

/// Client configurations by what they trust.
#[derive(Default)]
pub(super) struct Configs(Mutex<HashMap<Trust, Arc<Slot>>>);

type Slot = tokio::sync::Mutex<Option<Loaded>>;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Trust {
    System,
    File(PathBuf),
    Anything,
}

struct Loaded {
    config: Arc<ClientConfig>,
    /// When the file was looked at last.
    seen: Instant,
    stamp: Option<Stamp>,
}

type Stamp = (u64, Option<SystemTime>);

impl Trust {
    pub(super) fn of(check: &TlsCheck) -> Trust {
        match (&check.ca_file, check.verify) {
            (_, false) => Trust::Anything,
            (Some(path), true) => Trust::File(path.clone()),
            (None, true) => Trust::System,
        }
    }
}

impl Configs {
    /// The configuration for `trust`, from the cache when its file did not change. A CA file that
    /// became unreadable after it was read once goes on counting as it was.
    pub(super) async fn get(&self, trust: &Trust) -> Result<Arc<ClientConfig>, Failure> {
        let slot = {
            let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match slots.get(trust) {
                Some(slot) => slot.clone(),
                None => slots.entry(trust.clone()).or_default().clone(),
            }
        };
        let mut slot = slot.lock().await;
        if let Some(loaded) = slot.as_mut() {
            if !loaded.stale(trust).await {
                return Ok(loaded.config.clone());
            }
            match load(trust).await {
                Ok(newer) => *loaded = newer,
                Err(error) => tracing::warn!(?trust, %error, "CA file not readable any more, the old content counts"),
            }
            return Ok(loaded.config.clone());
        }
        let loaded = load(trust).await.map_err(|e| Failure::unknown(UnknownReason::LocalFile, e))?;
        Ok(slot.insert(loaded).config.clone())
    }
}

impl Loaded {
    async fn stale(&mut self, trust: &Trust) -> bool {
        let Trust::File(path) = trust else { return false };
        if self.seen.elapsed() < LOOK_AGAIN {
            return false;
        }
        self.seen = Instant::now();
        let stamp = stamp(path).await.ok();
        stamp != self.stamp
    }
}

#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error("CA file {}: {error}", path.display())]
    Read { path: PathBuf, error: String },
    #[error("CA file {} has no PEM certificate", .0.display())]
    Empty(PathBuf),
    #[error("no system CA certificates found; install ca-certificates or set `ca_file`")]
    NoSystemRoots,
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

async fn load(trust: &Trust) -> Result<Loaded, LoadError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let (roots, stamp) = match trust {
        Trust::Anything => (None, None),
        Trust::System => (Some(system_roots().await?), None),
        Trust::File(path) => {
            let (roots, stamp) = file_roots(path).await?;
            (Some(roots), Some(stamp))
        }
    };
    let mut config = match roots {
        Some(roots) => builder.with_root_certificates(roots).with_no_client_auth(),
        None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptsAnyCertificate(provider)))
            .with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Loaded { config: Arc::new(config), seen: Instant::now(), stamp })
}

async fn system_roots() -> Result<RootCertStore, LoadError> {
    let mut roots = RootCertStore::empty();
    if let Ok(found) = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await {
        roots.add_parsable_certificates(found.certs);
    }
    if roots.is_empty() { Err(LoadError::NoSystemRoots) } else { Ok(roots) }
}

async fn file_roots(path: &Path) -> Result<(RootCertStore, Stamp), LoadError> {
    let failed = |error: String| LoadError::Read { path: path.into(), error };
    let stamp = stamp(path).await.map_err(|e| failed(e.to_string()))?;
    if stamp.0 > CA_FILE_MAX {
        return Err(failed(format!("is larger than {CA_FILE_MAX} bytes")));
    }
    let pem = tokio::fs::read(path).await.map_err(|e| failed(e.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|e| failed(e.to_string()))?;
        roots.add(certificate).map_err(|e| failed(e.to_string()))?;
    }
    if roots.is_empty() { Err(LoadError::Empty(path.into())) } else { Ok((roots, stamp)) }
}

async fn stamp(path: &Path) -> io::Result<Stamp> {
    let meta = tokio::fs::metadata(path).await?;
    Ok((meta.len(), meta.modified().ok()))
}

/// The handshake; fills in the days to expiry also when the certificate is refused for its age.
pub(super) async fn handshake(
    stream: TcpStream,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    progress: &mut Progress,
) -> Result<TlsStream<TcpStream>, Failure> {
    progress.phase = Phase::Tls;
    let begun = Instant::now();
    match TlsConnector::from(config).connect(name, stream).await {
        Ok(stream) => {
            progress.phases.tls = Some(begun.elapsed());
            let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            progress.cert_days = leaf.and_then(|leaf| days_left(leaf, UnixTime::now()));
            Ok(stream)
        }
        Err(error) => {
            let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            let Some(tls) = tls else { return Err(connect::failure(&error, Phase::Tls)) };
            if let rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }) = tls {
                progress.cert_days = Some(whole_days(seconds(not_after) - seconds(time)));
            }
            Err(Failure::down(reason(tls), tls))
        }
    }
}

fn reason(error: &rustls::Error) -> DownReason {
    use CertificateError as Bad;
    match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                DownReason::CertificateExpired
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => DownReason::CertificateName,
            _ => DownReason::CertificateUntrusted,
        },
        _ => DownReason::TlsHandshake,
    }
}

/// Whole days from `now` until `leaf` expires, by the clock the verifier goes by.
fn days_left(leaf: &CertificateDer<'_>, now: UnixTime) -> Option<i64> {
    let (_, certificate) = x509_parser::parse_x509_certificate(leaf).ok()?;
    Some(whole_days(certificate.validity().not_after.timestamp().saturating_sub(seconds(&now))))
}

fn seconds(time: &UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn whole_days(seconds: i64) -> i64 {
    seconds.div_euclid(DAY)
}

/// `verify_tls = false`: proves only that the other side holds the key of the certificate it
/// shows. Anybody can stand in for the target.
#[derive(Debug)]
struct AcceptsAnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptsAnyCertificate {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ca() -> String {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[tokio::test(start_paused = true)]
    async fn a_rotated_ca_file_is_read_again_and_a_lost_one_goes_on_counting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let trust = Trust::File(path.clone());
        let configs = Configs::default();
        assert!(configs.get(&trust).await.is_err(), "a file that was never there");

        std::fs::write(&path, ca()).unwrap();
        let first = configs.get(&trust).await.unwrap();
        std::fs::write(&path, ca() + &ca()).unwrap();
        assert!(Arc::ptr_eq(&first, &configs.get(&trust).await.unwrap()), "not looked at again yet");
        tokio::time::advance(LOOK_AGAIN).await;
        let second = configs.get(&trust).await.unwrap();
        assert!(!Arc::ptr_eq(&first, &second));

        std::fs::remove_file(&path).unwrap();
        tokio::time::advance(LOOK_AGAIN).await;
        assert!(Arc::ptr_eq(&second, &configs.get(&trust).await.unwrap()));
    }

    #[test]
    fn days_are_whole_and_negative_after_the_end() {
        for (seconds, days) in [(0, 0), (DAY - 1, 0), (DAY, 1), (-1, -1), (-DAY, -1), (-DAY - 1, -2)] {
            assert_eq!(whole_days(seconds), days, "{seconds}");
        }
    }
}
