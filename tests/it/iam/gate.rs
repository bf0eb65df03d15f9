//! A reverse proxy that lets through what an IAM policy allows and answers the rest as Route 53 does. Signatures are
//! not looked at: the question is what the policy allows, not who asks.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::request;
use super::rules::{Asked, Policy, Verdict};
use crate::proxy::{forward, read_request};

/// Stops when dropped; a request it could not judge fails the test then.
pub struct Gate {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    upstream: SocketAddr,
    policy: Policy,
    seen: Mutex<Vec<Seen>>,
    troubles: Mutex<Vec<String>>,
}

/// A request and what became of it; `asked` is `None` for one that is no known call.
#[derive(Clone, Debug)]
pub struct Seen {
    pub line: String,
    pub asked: Option<Asked>,
    pub verdict: Verdict,
}

impl Gate {
    pub async fn start(upstream: &str, policy: &str) -> Gate {
        let policy = Policy::parse(policy).unwrap_or_else(|e| panic!("{e}\n{policy}"));
        let upstream = upstream.trim_start_matches("http://").parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { upstream, policy, seen: Mutex::default(), troubles: Mutex::default() });
        let serving = shared.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, serving.clone()));
            }
        });
        Gate { address, shared, accepting }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub fn refused(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|s| !s.verdict.allowed).collect()
    }

    /// Statements of the policy that allowed nothing so far.
    pub fn unused(&self) -> Vec<String> {
        let used: BTreeSet<String> = self.seen().into_iter().flat_map(|s| s.verdict.by).collect();
        self.shared.policy.sids().filter(|sid| !used.contains(*sid)).map(String::from).collect()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.accepting.abort();
        let troubles = self.shared.troubles.lock().unwrap();
        assert!(troubles.is_empty() || std::thread::panicking(), "{troubles:#?}");
    }
}

async fn serve(mut client: TcpStream, shared: Arc<Shared>) {
    let Some(bytes) = read_request(&mut client).await else { return };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let line = head.lines().next().unwrap_or_default().to_owned();
    let mut words = line.split(' ');
    let asked = request::asked(words.next().unwrap_or_default(), words.next().unwrap_or_default(), body);
    let refused = Verdict { allowed: false, by: Vec::new() };
    let verdict = match asked.as_ref().map(|asked| shared.policy.decide(asked)) {
        Some(Ok(verdict)) => verdict,
        Some(Err(trouble)) => {
            shared.troubles.lock().unwrap().push(format!("{line}: {trouble}"));
            refused
        }
        None => refused,
    };
    let allowed = verdict.allowed;
    let denial = denied(asked.as_ref());
    shared.seen.lock().unwrap().push(Seen { line, asked, verdict });
    let reply = if allowed { forward(shared.upstream, &bytes).await.unwrap_or_default() } else { denial };
    let _ = client.write_all(&reply).await;
}

/// Route 53's own 403.
fn denied(asked: Option<&Asked>) -> Vec<u8> {
    let (action, resource) = asked.map_or(("this call", "*"), |a| (a.action.as_str(), a.resource.as_str()));
    let body = format!(
        "<?xml version=\"1.0\"?>\n<ErrorResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Error>\
         <Type>Sender</Type><Code>AccessDenied</Code><Message>User: arn:aws:sts::123456789012:assumed-role/failoverd/i-1 \
         is not authorized to perform: {action} on resource: {resource} because no identity-based policy allows the \
         {action} action</Message></Error><RequestId>gate</RequestId></ErrorResponse>"
    );
    let length = body.len();
    format!("HTTP/1.1 403 Forbidden\r\ncontent-type: text/xml\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
        .into_bytes()
}
