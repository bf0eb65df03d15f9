//! The adapter over an API that is a function: request body in, status and answer out. For the fuzz targets; the
//! SDK, its parsers and everything of ours behind them are the real ones. Opens no socket.

use std::fmt;
use std::sync::Arc;

use aws_config::{Region, SdkConfig};
use aws_sdk_route53::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;

use super::{Reader, Settings, Shared, Writer, behavior};

type Play = Arc<dyn Fn(&[u8]) -> (u16, Vec<u8>) + Send + Sync>;

/// Both parts over `play`.
pub fn played(play: impl Fn(&[u8]) -> (u16, Vec<u8>) + Send + Sync + 'static) -> (Reader, Writer) {
    let player = Player(Arc::new(play));
    let keys = Credentials::new("placeholder", "placeholder", None, None, "placeholder");
    let sdk = SdkConfig::builder()
        .behavior_version(behavior())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .build();
    let http = http_client_fn(move |_, _| SharedHttpConnector::new(player.clone()));
    let shared = Shared { sdk, http, place: "127.0.0.1:1".into() };
    let settings = Settings { endpoint_url: Some("http://127.0.0.1:1".into()), ..Settings::default() };
    (shared.reader(&settings), shared.writer(&settings))
}

#[derive(Clone)]
struct Player(Play);

impl HttpConnector for Player {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (status, body) = (self.0)(request.body().bytes().unwrap_or_default());
        let mut response = match status.try_into() {
            Ok(status) => HttpResponse::new(status, SdkBody::from(body)),
            Err(_) => HttpResponse::new(
                aws_smithy_runtime_api::http::StatusCode::from(http::StatusCode::OK),
                SdkBody::from(body),
            ),
        };
        response.headers_mut().insert("content-type", "text/xml");
        HttpConnectorFuture::ready(Ok(response))
    }
}

impl fmt::Debug for Player {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Player")
    }
}
