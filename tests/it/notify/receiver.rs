//! A scripted HTTP receiver on loopback that remembers every request with its headers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;

#[derive(Clone)]
pub enum Answer {
    /// Status and body.
    Status(u16, &'static str),
    /// Status and `Retry-After`.
    Wait(u16, &'static str),
    /// Status and a body of the given length.
    Flood(u16, usize),
    /// 400 with the request's own path as its body.
    Echo,
    Redirect(String),
    Hang,
}

pub struct Request {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub struct Receiver {
    base: String,
    shared: Arc<Shared>,
}

struct Shared {
    script: Mutex<VecDeque<Answer>>,
    always: Mutex<Answer>,
    requests: Mutex<Vec<Arc<Request>>>,
}

impl Receiver {
    pub async fn start(always: Answer) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shared =
            Arc::new(Shared { script: Mutex::default(), always: Mutex::new(always), requests: Mutex::default() });
        let app = Router::new().fallback(take).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Receiver { base, shared }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Answers for the next requests, before the usual one.
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.script.lock().unwrap().extend(answers);
    }

    pub fn always(&self, answer: Answer) {
        *self.shared.always.lock().unwrap() = answer;
    }

    pub fn requests(&self) -> Vec<Arc<Request>> {
        self.shared.requests.lock().unwrap().clone()
    }
}

async fn take(State(shared): State<Arc<Shared>>, uri: axum::http::Uri, headers: HeaderMap, body: Bytes) -> Response {
    let path = uri.to_string();
    shared.requests.lock().unwrap().push(Arc::new(Request { path: path.clone(), headers, body }));
    let scripted = shared.script.lock().unwrap().pop_front();
    let answer = scripted.unwrap_or_else(|| shared.always.lock().unwrap().clone());
    let status = |code| StatusCode::from_u16(code).unwrap();
    match answer {
        Answer::Status(code, body) => (status(code), body).into_response(),
        Answer::Wait(code, after) => (status(code), [(header::RETRY_AFTER, after)]).into_response(),
        Answer::Flood(code, length) => (status(code), "x".repeat(length)).into_response(),
        Answer::Echo => (StatusCode::BAD_REQUEST, format!("cannot POST {path}")).into_response(),
        Answer::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Answer::Hang => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            StatusCode::OK.into_response()
        }
    }
}
