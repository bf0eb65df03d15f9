//! The three pages. One look at the controller serves whoever asks within a second.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::{Mutex, OnceCell};
use tokio::time::{Instant, timeout};

use crate::domain::time::human;
use crate::engine::report::PolicyState;
use crate::telemetry::{self, Sample};

use super::Oversight;
use super::token::{Door, HINT};

/// The loop has this long to answer.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// A look at the controller serves this long: many callers cost the loop no more than one.
const FRESH: Duration = Duration::from_secs(1);
/// A loop that has not turned for this long is stuck; it turns every second at least.
pub const STUCK: Duration = Duration::from_secs(10);
/// Policies that are named in one answer.
const MOST_NAMES: usize = 10;

/// The routes; `/metrics` is behind `door`.
pub fn router(oversight: Arc<dyn Oversight>, door: Door) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .fallback(async || say(StatusCode::NOT_FOUND, "no such page; there is /metrics, /healthz and /readyz"))
        .method_not_allowed_fallback(async || {
            say(StatusCode::METHOD_NOT_ALLOWED, "only GET; nothing can be changed here")
        })
        .with_state(Arc::new(Pages { oversight, door, last: Mutex::default() }))
}

struct Pages {
    oversight: Arc<dyn Oversight>,
    door: Door,
    last: Mutex<Option<(Instant, Look)>>,
}

type Look = Result<Arc<Looked>, String>;

struct Looked {
    sample: Arc<Sample>,
    page: OnceCell<Bytes>,
}

impl Pages {
    /// The controller as it is, or was within the last second. A failure serves as long, so that
    /// callers of a loop that hangs do not queue.
    async fn look(&self) -> Look {
        let mut last = self.last.lock().await;
        if let Some((at, look)) = &*last
            && at.elapsed() < FRESH
        {
            return look.clone();
        }
        let look = match timeout(PATIENCE, self.oversight.sample()).await {
            Ok(Ok(sample)) => Ok(Arc::new(Looked { sample: Arc::new(sample), page: OnceCell::new() })),
            Ok(Err(why)) => Err(why),
            Err(_) => Err(format!("the loop did not answer within {}", human(PATIENCE))),
        };
        *last = Some((Instant::now(), look.clone()));
        look
    }
}

impl Looked {
    async fn page(&self) -> Result<Bytes, String> {
        let write = || async {
            let sample = Arc::clone(&self.sample);
            // Thousands of policies take a while; other callers and the loop go on meanwhile.
            match tokio::task::spawn_blocking(move || telemetry::page(&sample)).await {
                Ok(page) => page.map(Bytes::from).map_err(|error| error.to_string()),
                Err(_) => Err("failoverd is stopping".to_owned()),
            }
        };
        self.page.get_or_try_init(write).await.cloned()
    }
}

async fn metrics(State(pages): State<Arc<Pages>>, headers: HeaderMap) -> Response {
    if !pages.door.opens_to(&headers) {
        let mut answer = say(StatusCode::UNAUTHORIZED, HINT);
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"failoverd\""));
        return answer;
    }
    let looked = match pages.look().await {
        Ok(looked) => looked,
        Err(why) => return say(StatusCode::SERVICE_UNAVAILABLE, &why),
    };
    match looked.page().await {
        Ok(page) => with_type(telemetry::CONTENT_TYPE, page.into_response()),
        Err(why) => say(StatusCode::INTERNAL_SERVER_ERROR, &why),
    }
}

/// Does the loop turn? Asks nothing of it.
async fn healthy(State(pages): State<Arc<Pages>>) -> Response {
    let age = pages.oversight.last_turn();
    if age < STUCK {
        return say(StatusCode::OK, "the loop turns");
    }
    let text = format!("the loop has not turned for {}; restart failoverd and report the log", human(age));
    say(StatusCode::SERVICE_UNAVAILABLE, &text)
}

async fn ready(State(pages): State<Arc<Pages>>) -> Response {
    match pages.look().await {
        Err(why) => say(StatusCode::SERVICE_UNAVAILABLE, &format!("not ready: {why}")),
        Ok(looked) => match unready(&looked.sample).as_slice() {
            [] => say(StatusCode::OK, "every policy is judged, the state file is written, this controller sees"),
            reasons => say(StatusCode::SERVICE_UNAVAILABLE, &format!("not ready: {}", reasons.join("; "))),
        },
    }
}

/// Everything that keeps this process from doing its work.
fn unready(sample: &Sample) -> Vec<String> {
    let mut reasons = Vec::new();
    if sample.vitals.blind {
        reasons.push("blind, so nothing moves (failoverd explain says why)".to_owned());
    }
    if sample.vitals.store_broken {
        reasons.push("the state file refuses entries, so nothing is written automatically".to_owned());
    }
    let judged = |state| state != PolicyState::Starting;
    let names: Vec<&str> = sample.reports.iter().filter(|r| !judged(r.state)).map(|r| r.policy.as_str()).collect();
    if !names.is_empty() {
        let shown = names.iter().take(MOST_NAMES).copied().collect::<Vec<_>>().join(", ");
        let more = match names.len().saturating_sub(MOST_NAMES) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        reasons.push(format!("not judged yet: {shown}{more}"));
    }
    reasons
}

/// One line of text.
fn say(status: StatusCode, text: &str) -> Response {
    with_type("text/plain; charset=utf-8", (status, format!("{text}\n")).into_response())
}

fn with_type(kind: &'static str, mut answer: Response) -> Response {
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
