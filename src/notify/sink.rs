//! One receiver and one attempt to reach it.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Url, redirect};

use crate::domain::{NotifierName, UnixMs, address};
use crate::engine::notice::Notice;
use crate::secret::Secret;

use super::{answer, door, render, sign};

/// Whole attempt, from name lookup to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read.
const ANSWER: usize = 4096;
/// Characters of an answer that are quoted.
const QUOTE: usize = 200;

/// How one attempt ended. No text contains the receiver's URL or key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendResult {
    Delivered,
    /// May succeed later; `after`: the least wait the receiver asked for, at most an hour.
    Retry {
        after: Option<Duration>,
        error: String,
    },
    /// Will not succeed by trying again.
    Dead {
        error: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkKind {
    /// Slack incoming webhook.
    Slack,
    /// JSON with the headers of the Standard Webhooks specification.
    Webhook,
}

/// One configured receiver.
#[derive(Clone, Debug)]
pub struct Sink {
    name: NotifierName,
    kind: SinkKind,
    url: Secret,
    key: Option<Secret>,
}

#[derive(Debug, thiserror::Error)]
#[error("no HTTP client for notices: {0}; is the package ca-certificates installed?")]
pub struct ClientError(String);

/// The client for every sink: no redirects, 10 s in all, TLS verified with the system's roots,
/// proxies from the environment, no name that leads to an address nothing is sent to. Installs rustls's ring provider when no other is installed.
pub fn client() -> Result<Client, ClientError> {
    // An error only says that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .timeout(TIMEOUT)
        .redirect(redirect::Policy::none())
        .dns_resolver(door::Vetted)
        .user_agent(concat!("failoverd/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| ClientError(causes(&e.without_url())))
}

impl Sink {
    /// `key` signs the requests of a webhook; Slack has none.
    pub fn new(name: NotifierName, kind: SinkKind, url: Secret, key: Option<Secret>) -> Sink {
        Sink { name, kind, url, key }
    }

    pub fn name(&self) -> &NotifierName {
        &self.name
    }

    /// Tries once, 10 s at most. `at` is the time of this attempt.
    pub async fn send(&self, client: &Client, at: UnixMs, notice: &Notice) -> SendResult {
        let Ok(url) = Url::parse(self.url.expose().trim()) else {
            return SendResult::Dead { error: "the configured URL is not a URL".into() };
        };
        if !matches!(url.scheme(), "http" | "https") {
            return SendResult::Dead { error: "the configured URL is neither http nor https".into() };
        }
        if let Some(why) = door::literal(&url).and_then(address::forbidden) {
            return SendResult::Dead {
                error: format!("the configured URL leads to an address nothing is sent to: {why}"),
            };
        }
        let payload = match self.kind {
            SinkKind::Slack => render::slack(notice),
            SinkKind::Webhook => render::webhook(notice),
        };
        let body = payload.to_string();
        let mut request = client.post(url).header(CONTENT_TYPE, "application/json");
        if self.kind == SinkKind::Webhook {
            let id = self.message_id(notice);
            request = request.header("webhook-id", &id).header("webhook-timestamp", at.secs());
            if let Some(key) = &self.key {
                let Some(signature) = sign::signature(key, &id, at.secs(), body.as_bytes()) else {
                    return SendResult::Dead {
                        error: "the configured secret starts with whsec_ but is no base64".into(),
                    };
                };
                request = request.header("webhook-signature", signature);
            }
        }
        match request.body(body).send().await {
            Ok(mut response) => {
                let status = response.status().as_u16();
                let retry_after =
                    response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).map(ToOwned::to_owned);
                // After a good status the rest of the answer says nothing that matters.
                let said = if (200..300).contains(&status) { String::new() } else { read_start(&mut response).await };
                answer::judge(status, retry_after.as_deref(), &self.without_secrets(&said), at)
            }
            Err(error) => {
                let error = error.without_url();
                let told = self.without_secrets(&causes(&error));
                if error.is_builder() {
                    SendResult::Dead { error: told }
                } else {
                    SendResult::Retry { after: None, error: told }
                }
            }
        }
    }

    /// How an attempt with this answer ends.
    #[cfg(feature = "fuzzing")]
    pub fn heard(&self, status: u16, retry_after: Option<&str>, body: &[u8], at: UnixMs) -> SendResult {
        let said = String::from_utf8_lossy(body.get(..ANSWER).unwrap_or(body));
        answer::judge(status, retry_after, &self.without_secrets(&said), at)
    }

    /// The same for every attempt, so that a receiver can drop doubles; no dot, since the
    /// signature joins with dots.
    fn message_id(&self, notice: &Notice) -> String {
        let safe = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        notice.id.chars().take(200).map(safe).chain("-".chars()).chain(self.name.as_str().chars()).collect()
    }

    /// Other people's text may echo what we sent: the URL, its path and its tokens go.
    fn without_secrets(&self, text: &str) -> String {
        let url = self.url.expose().trim();
        let mut clean = text.replace(url, "(url)");
        if let Ok(parsed) = Url::parse(url) {
            let parts = parsed.path_segments().into_iter().flatten().chain(parsed.query()).chain(parsed.password());
            for part in parts.filter(|part| part.len() >= 6) {
                clean = clean.replace(part, "(secret)");
            }
        }
        if text.len() >= ANSWER {
            // The cut may have left the beginning of an echo at the end.
            clean = clean.chars().take(clean.chars().count().saturating_sub(url.len())).collect();
        }
        if let Some(key) = self.key.as_ref().map(|k| k.expose().trim()).filter(|key| !key.is_empty()) {
            clean = clean.replace(key, "(secret)");
        }
        let printable = clean.chars().map(|c| if c.is_control() { ' ' } else { c });
        printable.take(QUOTE).collect::<String>().trim().to_owned()
    }
}

async fn read_start(response: &mut reqwest::Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend(chunk.iter().take(ANSWER - bytes.len())),
            Ok(None) | Err(_) => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An error with all its causes, since reqwest's own text hides the reason.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = inner.source();
    }
    text
}
