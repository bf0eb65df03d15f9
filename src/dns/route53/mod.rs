//! Route 53: encodes, sends, classifies answers. Decides nothing and retries nothing: one call
//! is one HTTP request, because the engine owns the budget and because a retry hides whether
//! the first request was applied.

mod answer;
mod convert;
mod door;
mod failure;
mod limit;
#[cfg(feature = "fuzzing")]
mod played;
mod reader;
mod writer;

use std::time::Duration;

use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_sdk_route53::Client;
use aws_sdk_route53::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::domain::address;

#[cfg(feature = "fuzzing")]
pub use played::played;
pub use reader::Reader;
pub use writer::Writer;

/// Where the API is and who we are there. `None` means what the AWS SDKs mean: environment,
/// shared configuration files, then the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Base URL instead of AWS; before `AWS_ENDPOINT_URL_ROUTE_53` and `AWS_ENDPOINT_URL`. Plain `http://` works.
    pub endpoint_url: Option<String>,
    /// Region whose partition and STS are used; Route 53 itself is global. Last default `us-east-1`.
    pub region: Option<String>,
    /// Role taken through STS before the first call.
    pub role_arn: Option<String>,
    /// Sign with made-up keys and look for no others: for the sandbox, so that no real key ever signs for it.
    pub placeholder_credentials: bool,
    pub timeouts: Timeouts,
}

/// Whole-call limits; each call is one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    pub read: Duration,
    pub write: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts { connect: Duration::from_secs(3), read: Duration::from_secs(10), write: Duration::from_secs(15) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error("`{0}` is no URL of an API: write `http://HOST:PORT` or `https://HOST`, without user, password or query")]
    EndpointUrl(String),
    #[error("the API's URL leads to an address nothing is sent to ({0}); write the URL of the service that is meant")]
    Forbidden(&'static str),
}

/// Both parts over one pool of connections.
#[derive(Clone, Debug)]
pub struct Connection {
    reader: Reader,
    writer: Writer,
}

impl Connection {
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    pub fn into_parts(self) -> (Reader, Writer) {
        (self.reader, self.writer)
    }
}

/// Prepares both parts. Sends nothing: wrong credentials show at the first call.
pub async fn connect(settings: &Settings) -> Result<Connection, ConnectError> {
    let shared = load(settings).await?;
    Ok(Connection { reader: shared.reader(settings), writer: shared.writer(settings) })
}

/// Prepares the read part alone, for a process that must not be able to write.
pub async fn connect_reader(settings: &Settings) -> Result<Reader, ConnectError> {
    Ok(load(settings).await?.reader(settings))
}

struct Shared {
    sdk: SdkConfig,
    /// The client for the API alone.
    http: SharedHttpClient,
    /// Host and port for messages.
    place: String,
}

/// Behaviour of the SDK as of this date; a newer SDK keeps it.
fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

async fn load(settings: &Settings) -> Result<Shared, ConnectError> {
    let place = settings.endpoint_url.as_deref().map(place_of).transpose()?;
    // Idle connections go before a server or a NAT drops them: a write on a dead one is ambiguous.
    let client = || {
        aws_smithy_http_client::Builder::new()
            .pool_idle_timeout(Duration::from_secs(20))
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
    };
    // Without the metadata service in the chain: a host outside AWS would wait for it.
    let region = RegionProviderChain::first_try(settings.region.clone().map(Region::new))
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new())
        .or_else("us-east-1");
    let mut loader = aws_config::defaults(behavior()).http_client(client().build_https()).region(region);
    if let Ok(name) = AppName::new("failoverd") {
        loader = loader.app_name(name);
    }
    if settings.placeholder_credentials {
        loader = loader.credentials_provider(Credentials::new("placeholder", "placeholder", None, None, "placeholder"));
    }
    let mut sdk = loader.load().await;
    if let Some(role) = &settings.role_arn {
        let provider = AssumeRoleProvider::builder(role).session_name("failoverd").configure(&sdk).build().await;
        sdk = sdk.into_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build();
    }
    let place = match (place, std::env::var("AWS_ENDPOINT_URL_ROUTE_53").ok().as_deref().or(sdk.endpoint_url())) {
        (Some(place), _) => place,
        (None, Some(url)) => place_of(url)?,
        (None, None) => "route53.amazonaws.com".into(),
    };
    Ok(Shared { sdk, http: client().build_with_resolver(door::Vetted), place })
}

/// `host:port` of a base URL; refuses what could carry a secret into a message.
fn place_of(url: &str) -> Result<String, ConnectError> {
    let wrong = || ConnectError::EndpointUrl(without_secret(url).into());
    let uri: http::Uri = url.parse().map_err(|_| wrong())?;
    let authority = uri.authority().filter(|a| !a.as_str().contains('@') && !a.host().is_empty()).ok_or_else(wrong)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.query().is_some() {
        return Err(wrong());
    }
    // A number is dialled without asking a resolver; every other spelling goes through one.
    let literal = authority.host().trim_matches(['[', ']']).parse().ok();
    if let Some(why) = literal.and_then(address::forbidden) {
        return Err(ConnectError::Forbidden(why));
    }
    Ok(authority.as_str().into())
}

/// The part of a text after a possible `user:password@`.
fn without_secret(url: &str) -> &str {
    let url = url.split('?').next().unwrap_or("");
    url.rsplit('@').next().unwrap_or("")
}

impl Shared {
    fn client(&self, settings: &Settings, operation: Duration) -> Client {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(settings.timeouts.connect)
            .operation_timeout(operation)
            .operation_attempt_timeout(operation)
            .build();
        let mut config = aws_sdk_route53::config::Builder::from(&self.sdk)
            .http_client(self.http.clone())
            .interceptor(limit::AnswerLimit)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts);
        if let Some(url) = &settings.endpoint_url {
            config = config.endpoint_url(url);
        }
        Client::from_conf(config.build())
    }

    fn reader(&self, settings: &Settings) -> Reader {
        Reader::new(self.client(settings, settings.timeouts.read), self.place.clone())
    }

    fn writer(&self, settings: &Settings) -> Writer {
        Writer::new(self.client(settings, settings.timeouts.write), self.place.clone())
    }
}

#[cfg(test)]
mod tests;
