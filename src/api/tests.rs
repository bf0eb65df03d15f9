//! The pages over a real socket, before a scripted controller.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::server::{HEAD_PATIENCE, MOST_AT_ONCE};
use super::{Oversight, Server};
use crate::domain::{Now, Tick, UnixMs};
use crate::engine::journal::Restored;
use crate::engine::{Fleet, Mode, report};
use crate::runtime::testing::{policy, settings};
use crate::secret::Secret;
use crate::telemetry::{Build, Counts, Reload, Sample};

const CANARY: &str = "canary-7d1f";

/// A controller that answers as told.
struct Scripted {
    answer: Result<Sample, String>,
    /// Never answers.
    hangs: bool,
    turned_ms_ago: AtomicU64,
    asked: AtomicUsize,
}

impl Oversight for Scripted {
    fn last_turn(&self) -> Duration {
        Duration::from_millis(self.turned_ms_ago.load(Ordering::SeqCst))
    }

    fn sample(&self) -> BoxFuture<'_, Result<Sample, String>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            if self.hangs {
                std::future::pending::<()>().await;
            }
            self.answer.clone()
        })
    }
}

/// Two policies that are judged, everything well.
fn well() -> Sample {
    let now = Now { mono: Tick(1_000), wall: UnixMs(1_800_000_000_000) };
    let policies = vec![policy("dns", "ns.example.com"), policy("web", "www.example.com")];
    let fleet = Fleet::new(settings(), policies, Mode::Active, Restored::default(), "run", now, &mut Vec::new());
    let mut reports: Vec<_> = fleet.policies().filter_map(|(idx, _)| report(&fleet, idx, now)).collect();
    reports.iter_mut().for_each(|r| r.state = crate::engine::report::PolicyState::Steady);
    Sample {
        at: now.wall,
        build: Build {
            version: "1.2.3".into(),
            commit: "0123456789ab".into(),
            cluster: "default".into(),
            instance: "a".into(),
            observe: false,
            started: now.wall,
        },
        vitals: fleet.vitals(now),
        reports,
        rehearsal_cadence: None,
        counts: Counts::default(),
        reload: Reload { at: now.wall, ok: true },
        notices: None,
        store: None,
    }
}

struct Served {
    address: SocketAddr,
    scripted: Arc<Scripted>,
    task: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(answer: Result<Sample, String>, hangs: bool, token: Option<&str>) -> Served {
    let turned_ms_ago = AtomicU64::new(100);
    let scripted = Arc::new(Scripted { answer, hangs, turned_ms_ago, asked: AtomicUsize::new(0) });
    let token = token.map(|t| Secret::new(t.to_owned()));
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0).into(), token.as_ref()).await.unwrap();
    let address = server.address();
    let task = tokio::spawn(server.serve(scripted.clone()));
    Served { address, scripted, task }
}

/// Sends `head` and reads until the other side closes.
async fn say(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await.expect("no end within 30 s");
    // A connection that is cut while we still send may be reset; what came before counts.
    let _ = read;
    String::from_utf8(answer).unwrap()
}

async fn get(address: SocketAddr, path: &str, more: &str) -> (u16, String) {
    let answer = say(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n")).await;
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"));
    (status, answer)
}

#[tokio::test]
async fn the_token_opens_metrics_and_nothing_else_needs_it() {
    let served = serve(Ok(well()), false, Some(CANARY)).await;
    let bearer = format!("Authorization: Bearer {CANARY}\r\n");
    for (path, headers, status, says) in [
        ("/metrics", "", 401, "Authorization: Bearer TOKEN"),
        ("/metrics", "Authorization: Bearer wrong\r\n", 401, "www-authenticate: Bearer"),
        ("/metrics", bearer.as_str(), 200, "failoverd_build_info{version=\"1.2.3\",commit=\"0123456789ab\"} 1"),
        ("/metrics", bearer.as_str(), 200, "content-type: text/plain; version=0.0.4"),
        ("/healthz", "", 200, "the loop turns"),
        ("/readyz", "", 200, "every policy is judged"),
    ] {
        let (got, answer) = get(served.address, path, headers).await;
        assert_eq!(got, status, "{path} {headers}: {answer}");
        assert!(answer.contains(says), "{path}: {answer}");
        assert!(!answer.contains(CANARY), "{path}: {answer}");
    }
    let open = serve(Ok(well()), false, None).await;
    assert_eq!(get(open.address, "/metrics", "").await.0, 200);
}

#[tokio::test]
async fn whatever_is_no_get_of_a_page_is_refused_in_one_line() {
    let served = serve(Ok(well()), false, None).await;
    for (head, status, says) in [
        ("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n", 405, "only GET"),
        ("DELETE /readyz HTTP/1.1\r\nHost: x\r\n\r\n", 405, "only GET"),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404, "there is /metrics, /healthz and /readyz"),
        ("GET /metrics/ HTTP/1.1\r\nHost: x\r\n\r\n", 404, "no such page"),
        ("PUT /v1/force HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 404, "no such page"),
        ("\u{16}\u{3}\u{1} not http\r\n\r\n", 400, ""),
    ] {
        let answer = say(served.address, head).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head:?}: {answer:?}");
        assert!(answer.contains(says), "{head:?}: {answer}");
    }
    let long = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(100_000));
    let answer = say(served.address, &long).await;
    assert!(!answer.contains("failoverd_build_info"), "a head of 100 kB is not read to its end");
    assert_eq!(get(served.address, "/healthz", "").await.0, 200, "and the next caller is served");
}

#[tokio::test]
async fn ready_says_what_is_missing() {
    use crate::engine::report::PolicyState;
    let (mut blind, mut broken, mut starting) = (well(), well(), well());
    blind.vitals.blind = true;
    broken.vitals.store_broken = true;
    starting.reports[1].state = PolicyState::Starting;
    let mut many = well();
    many.reports = vec![starting.reports[1].clone(); 25];
    for (answer, says) in [
        (Ok(blind), "blind"),
        (Ok(broken), "the state file refuses entries"),
        (Ok(starting), "not judged yet: web\n"),
        (Ok(many), "web and 15 more\n"),
        (Err("failoverd is stopping".to_owned()), "failoverd is stopping"),
    ] {
        let served = serve(answer, false, None).await;
        let (status, answer) = get(served.address, "/readyz", "").await;
        assert_eq!(status, 503, "{says}: {answer}");
        assert!(answer.contains("not ready: ") && answer.contains(says), "{says}: {answer}");
    }
}

#[tokio::test]
async fn a_loop_that_hangs_is_unhealthy_and_holds_nobody_up() {
    let served = serve(Ok(well()), true, None).await;
    let begun = Instant::now();
    let answers = join_all((0..20).map(|_| get(served.address, "/metrics", ""))).await;
    for (status, answer) in answers {
        assert!(status == 503 && answer.contains("the loop did not answer within 3s"), "{answer}");
    }
    assert!(begun.elapsed() < Duration::from_secs(6), "callers do not queue: {:?}", begun.elapsed());
    assert_eq!(served.scripted.asked.load(Ordering::SeqCst), 1, "and the loop is asked once for all of them");

    assert_eq!(get(served.address, "/healthz", "").await.0, 200, "it turned a moment ago");
    served.scripted.turned_ms_ago.store(12_000, Ordering::SeqCst);
    let (status, answer) = get(served.address, "/healthz", "").await;
    assert!(status == 503 && answer.contains("has not turned for 12s"), "{answer}");
}

#[tokio::test]
async fn slow_callers_are_cut_off_and_the_next_is_served() {
    let served = serve(Ok(well()), false, None).await;
    let begun = Instant::now();
    // Fewer than there are places: nobody waits.
    let mut slow = Vec::new();
    for _ in 0..MOST_AT_ONCE - 2 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ").await.unwrap();
        slow.push(stream);
    }
    assert_eq!(get(served.address, "/metrics", "").await.0, 200);
    assert!(begun.elapsed() < HEAD_PATIENCE, "not held up: {:?}", begun.elapsed());
    // More than there are places: a place is free as soon as the first are cut off.
    for _ in 0..MOST_AT_ONCE {
        slow.push(TcpStream::connect(served.address).await.unwrap());
    }
    assert_eq!(get(served.address, "/metrics", "").await.0, 200);
    assert!(begun.elapsed() < HEAD_PATIENCE * 4, "{:?}", begun.elapsed());
    let mut rest = Vec::new();
    let first = slow.first_mut().unwrap();
    timeout(HEAD_PATIENCE, first.read_to_end(&mut rest)).await.expect("the first is cut off").unwrap_or_default();
}

/// Connects `first`, reads until it is cut off, and connects again, for ever.
async fn pester(address: SocketAddr, first: &'static str) {
    loop {
        let Ok(mut stream) = TcpStream::connect(address).await else { continue };
        let _ = stream.write_all(first.as_bytes()).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
}

#[tokio::test]
async fn those_who_connect_and_say_nothing_starve_nobody() {
    for first in ["", "GET /healthz HTTP/1.1\r\nX-Slow: "] {
        let served = serve(Ok(well()), false, None).await;
        let mut silent = tokio::task::JoinSet::new();
        for _ in 0..2 * MOST_AT_ONCE {
            silent.spawn(pester(served.address, first));
        }
        for _ in 0..20 {
            let asked = timeout(Duration::from_secs(1), get(served.address, "/healthz", ""));
            assert_eq!(asked.await.expect("an answer within 1 s").0, 200, "{first:?}");
        }
    }
    // Whoever has asked keeps its place and is answered: here after the loop's 3 s.
    let served = serve(Ok(well()), true, None).await;
    let callers = join_all((0..MOST_AT_ONCE - 1).map(|_| get(served.address, "/metrics", "")));
    let crowd = async {
        timeout(Duration::from_secs(1), async {
            while served.scripted.asked.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("the loop is asked");
        let mut silent = tokio::task::JoinSet::new();
        for _ in 0..MOST_AT_ONCE {
            silent.spawn(pester(served.address, ""));
        }
        silent.join_next().await
    };
    tokio::select! {
        answers = callers => assert!(answers.iter().all(|(status, _)| *status == 503), "{answers:?}"),
        _ = crowd => unreachable!("nobody there gives up"),
    }
}

#[tokio::test]
async fn an_end_closes_every_conversation() {
    let served = serve(Ok(well()), false, None).await;
    assert_eq!(get(served.address, "/healthz", "").await.0, 200);
    let mut open = TcpStream::connect(served.address).await.unwrap();
    open.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    served.task.abort();
    let mut rest = Vec::new();
    let _ = timeout(Duration::from_secs(3), open.read_to_end(&mut rest)).await.expect("it is closed at once");
    let gone = async {
        while TcpStream::connect(served.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(3), gone).await.expect("nothing listens any more");
}

#[tokio::test]
async fn a_taken_address_is_told_with_what_to_type() {
    let served = serve(Ok(well()), false, None).await;
    let error = Server::bind(served.address, None).await.unwrap_err();
    assert!(error.to_string().contains(&served.address.to_string()), "{error}");
    assert!(error.hint().contains("ss -ltnp"), "{}", error.hint());
}
