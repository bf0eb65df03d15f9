//! The schedule under tokio's paused clock: time passes only while everything waits, so starts
//! are exact to the grid.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::domain::{AddressSet, Cadence, CheckKind, TcpCheck};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn item(policy: u32, target: u32, interval: Duration) -> Item {
    let last = u8::try_from(target + 1).unwrap_or(255);
    Item {
        policy: PolicyIdx(policy),
        target: TargetIdx(target),
        check: Check {
            kind: CheckKind::Tcp(TcpCheck { port: 1, exchange: None }),
            cadence: Cadence::Every(interval),
            fast_interval: ms(200),
            timeout: ms(500),
            fall: 3,
            rise: 2,
            settle: 1,
            confirm: Duration::ZERO,
        },
        content: Content::Addresses(
            AddressSet::new([IpAddr::V4(Ipv4Addr::new(127, 0, u8::try_from(policy).unwrap(), last))]).unwrap(),
        ),
    }
}

/// A schedule whose probes take `lasting` and are written down.
struct Bench {
    origin: Instant,
    /// Added to the wall clock, in milliseconds: a clock somebody set.
    jump: Arc<std::sync::atomic::AtomicI64>,
    starts: Arc<Mutex<Vec<(Content, Duration)>>>,
    handle: ScheduleHandle,
    batches: mpsc::Receiver<Vec<Ended>>,
}

impl Bench {
    fn new(lasting: Duration) -> Bench {
        Bench::with(lasting, 1024, 4096)
    }

    fn with(lasting: Duration, batches: usize, in_flight: usize) -> Bench {
        let (origin, starts) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
        let written = starts.clone();
        let measure = move |item: Arc<Item>| {
            let written = written.clone();
            async move {
                written.lock().unwrap().push((item.content.clone(), origin.elapsed()));
                tokio::time::sleep(lasting).await;
                TargetReport { outcome: Outcome::Up, resolution: None, addresses: Vec::new() }
            }
        };
        let jump = Arc::new(std::sync::atomic::AtomicI64::new(0));
        let set = jump.clone();
        let wall = move || {
            let wall = 1_795_219_200_000 + i64::try_from(origin.elapsed().as_millis()).unwrap();
            UnixMs(u64::try_from(wall + set.load(Ordering::SeqCst)).unwrap())
        };
        let (out, batches) = mpsc::channel(batches);
        let handle = spawn_with(measure, out, wall, std::future::pending(), in_flight);
        Bench { origin, jump, starts, handle, batches }
    }

    /// Starts of `item` from `from` on, in milliseconds since the origin.
    fn starts(&self, item: &Item, from: Duration) -> Vec<u64> {
        let starts = self.starts.lock().unwrap();
        let of = starts.iter().filter(|(content, at)| *content == item.content && *at >= from);
        of.map(|(_, at)| u64::try_from(at.as_millis()).unwrap()).collect()
    }

    async fn until(&self, at: Duration) {
        sleep_until(self.origin + at).await;
    }

    fn ended(&mut self) -> Vec<Ended> {
        std::iter::from_fn(|| self.batches.try_recv().ok()).flatten().collect()
    }
}

#[tokio::test(start_paused = true)]
async fn starts_are_spread_evenly_and_go_from_start_to_start() {
    let bench = Bench::new(ms(150));
    let items: Vec<Item> = (0..4).map(|t| item(0, t, ms(1000))).chain([item(1, 0, ms(600))]).collect();
    bench.handle.replace(items.clone());
    bench.until(ms(5000)).await;
    for (item, expected) in items.iter().zip([
        vec![1000, 2000, 3000, 4000],
        vec![1250, 2250, 3250, 4250],
        vec![1500, 2500, 3500, 4500],
        vec![1750, 2750, 3750, 4750],
        vec![1200, 1800, 2400, 3000, 3600, 4200, 4800],
    ]) {
        assert_eq!(bench.starts(item, ms(1000)), expected, "{item:?}");
        assert!(bench.starts(item, ms(0)).first().is_some_and(|first| *first < 200), "first within fast_interval");
    }
}

#[tokio::test(start_paused = true)]
async fn doubt_starts_the_whole_policy_and_calm_returns_to_the_own_phase() {
    let bench = Bench::new(ms(30));
    let (a, b, other) = (item(0, 0, ms(10_000)), item(0, 1, ms(10_000)), item(1, 0, ms(10_000)));
    bench.handle.replace(vec![a.clone(), b.clone(), other.clone()]);
    bench.until(ms(5003)).await;
    bench.handle.pace(PolicyIdx(0), true);
    bench.until(ms(5500)).await;
    // Said twice is said once.
    bench.handle.pace(PolicyIdx(0), true);
    bench.until(ms(5900)).await;
    let fast = vec![5005, 5205, 5405, 5605, 5805];
    assert_eq!(bench.starts(&a, ms(5000)), fast);
    // b's own phase, 3333 ms, came before; at 5003 it had rested longer than fast_interval.
    assert_eq!(bench.starts(&b, ms(5000)), fast);
    assert_eq!(bench.starts(&other, ms(1000)), Vec::<u64>::new());
    bench.handle.pace(PolicyIdx(0), false);
    bench.until(ms(24_000)).await;
    assert_eq!(bench.starts(&a, ms(5900)), vec![10_000, 20_000]);
    assert_eq!(bench.starts(&b, ms(5900)), vec![13_335, 23_335]);
    assert_eq!(bench.starts(&other, ms(1000)), vec![6670, 16_670]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_probe_is_never_overtaken_by_its_next() {
    let mut bench = Bench::new(ms(450));
    let slow = item(0, 0, ms(300));
    bench.handle.replace(vec![slow.clone()]);
    bench.until(ms(2000)).await;
    // The own phase points are 300 ms apart; those that pass in flight are left out.
    assert_eq!(bench.starts(&slow, ms(0)), vec![0, 600, 1200, 1800]);
    bench.handle.pace(PolicyIdx(0), true);
    bench.until(ms(3400)).await;
    // fast_interval is 200 ms, but the end of the probe is later.
    assert_eq!(bench.starts(&slow, ms(1800)), vec![1800, 2250, 2700, 3150]);
    let ended = bench.ended();
    assert!(ended.iter().all(|e| e.ended - e.started == ms(450)), "{ended:?}");
    assert!(ended.windows(2).all(|pair| pair[0].ended <= pair[1].started));
}

#[tokio::test(start_paused = true)]
async fn a_target_just_probed_waits_for_its_fast_interval() {
    let bench = Bench::new(ms(10));
    let a = item(0, 0, ms(1000));
    bench.handle.replace(vec![a.clone()]);
    bench.until(ms(3020)).await;
    bench.handle.pace(PolicyIdx(0), true);
    bench.until(ms(3500)).await;
    assert_eq!(bench.starts(&a, ms(3000)), vec![3000, 3200, 3400]);
}

#[tokio::test(start_paused = true)]
async fn probes_that_end_within_one_tick_are_one_batch() {
    let mut bench = Bench::new(ms(20));
    let items: Vec<Item> = (0..50).map(|t| item(0, t, ms(10_000))).collect();
    bench.handle.replace(items);
    bench.until(ms(1000)).await;
    bench.ended();
    bench.handle.pace(PolicyIdx(0), true);
    let batch = bench.batches.recv().await.unwrap();
    assert_eq!(batch.len(), 50);
    assert_eq!(bench.origin.elapsed(), ms(1000) + ms(20));
}

#[tokio::test(start_paused = true)]
async fn replacing_keeps_what_is_equal_and_forgets_the_rest() {
    let mut bench = Bench::new(ms(400));
    let (kept, changed, gone) = (item(0, 0, ms(1000)), item(0, 1, ms(1000)), item(0, 2, ms(1000)));
    let first = bench.handle.replace(vec![kept.clone(), changed.clone(), gone.clone()]);
    bench.until(ms(3100)).await;
    assert!(bench.ended().iter().all(|e| e.generation == first));
    let mut newer = changed.clone();
    newer.check.fall += 1;
    // At 3100 ms `kept` is in flight since 3000 ms.
    let second = bench.handle.replace(vec![kept.clone(), newer.clone()]);
    bench.until(ms(3350)).await;
    assert_eq!(bench.starts(&kept, ms(3000)), vec![3000]);
    bench.until(ms(6100)).await;
    assert_eq!(bench.starts(&kept, ms(3000)), vec![3000, 4000, 5000, 6000]);
    assert_eq!(bench.starts(&gone, ms(3100)), Vec::<u64>::new());
    assert_eq!(bench.starts(&newer, ms(4000)), vec![4500, 5500]);
    let ended = bench.ended();
    assert!(ended.iter().all(|e| e.generation == second && e.target != TargetIdx(2)), "{ended:?}");
    assert!(ended.iter().any(|e| e.target == TargetIdx(0) && e.started == bench.origin + ms(3000)));
}

#[tokio::test(start_paused = true)]
async fn without_a_free_place_a_probe_is_unknown_after_its_timeout() {
    let mut bench = Bench::with(ms(700), 1024, 1);
    let items = vec![item(0, 0, ms(10_000)), item(0, 1, ms(10_000))];
    bench.handle.replace(items.clone());
    bench.until(ms(2000)).await;
    let ended = bench.ended();
    let of = |target: u32| ended.iter().find(|e| e.target == TargetIdx(target)).unwrap();
    assert_eq!(of(0).report.outcome, Outcome::Up);
    assert_eq!(of(1).report.outcome, Outcome::Unknown(UnknownReason::Overloaded));
    assert_eq!(of(1).ended - of(1).started, items[1].check.timeout);
    assert_eq!(bench.starts(&items[1], ms(0)), Vec::<u64>::new());
    // With the cause gone the same target is measured.
    bench.until(ms(7000)).await;
    assert_eq!(bench.ended().last().unwrap().report.outcome, Outcome::Up);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_sleeps_holds_up_no_probe_and_loses_none() {
    let mut bench = Bench::with(ms(10), 1, 4096);
    let a = item(0, 0, ms(100));
    bench.handle.replace(vec![a.clone()]);
    bench.until(ms(10_050)).await;
    assert_eq!(bench.starts(&a, ms(0)).len(), 101);
    let mut ended = bench.ended();
    tokio::time::sleep(ms(20)).await;
    ended.extend(bench.ended());
    assert_eq!(ended.len(), 101);
    assert!(ended.windows(2).all(|pair| pair[0].started < pair[1].started), "in order");
}

#[tokio::test(start_paused = true)]
async fn cron_sets_the_calm_cadence_and_doubt_the_fast_one() {
    let bench = Bench::new(ms(10));
    let mut a = item(0, 0, ms(0));
    // The bench's wall clock starts on a full hour.
    a.check.cadence = Cadence::Schedule("30 */10 * * * *".into());
    bench.handle.replace(vec![a.clone()]);
    let minute = ms(60_000);
    bench.until(minute * 25).await;
    assert_eq!(bench.starts(&a, ms(0)), vec![0, 30_000, 630_000, 1_230_000]);
    bench.handle.pace(PolicyIdx(0), true);
    bench.until(minute * 25 + ms(500)).await;
    bench.handle.pace(PolicyIdx(0), false);
    bench.until(minute * 35).await;
    assert_eq!(bench.starts(&a, minute * 25), vec![1_500_000, 1_500_200, 1_500_400, 1_830_000]);
}

fn cron(target: u32, text: &str) -> Item {
    let mut item = item(0, target, ms(0));
    item.check.cadence = Cadence::Schedule(text.into());
    item
}

#[tokio::test(start_paused = true)]
async fn what_a_schedule_fires_while_its_probe_runs_is_left_out() {
    let mut bench = Bench::new(ms(2500));
    let a = cron(0, "* * * * * *");
    bench.handle.replace(vec![a.clone()]);
    bench.until(ms(9100)).await;
    assert_eq!(bench.starts(&a, ms(0)), vec![0, 3000, 6000, 9000]);
    // Doubt: the fast interval is 200 ms, but the end of the probe is later.
    bench.handle.pace(PolicyIdx(0), true);
    bench.until(ms(15_000)).await;
    assert_eq!(bench.starts(&a, ms(9100)), vec![11_500, 14_000]);
    assert!(bench.ended().iter().all(|e| e.ended - e.started == ms(2500)), "a timeout never shrinks");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_moves_the_schedule_within_a_minute_and_never_stops_it() {
    let (hour, minute) = (3_600_000, 60_000);
    let hourly = || cron(0, "0 0 * * * *");
    // (jump at 10 min, starts after it within 3 h of the monotonic clock)
    let cases: [(i64, Vec<u64>); 4] = [
        (0, vec![hour, 2 * hour, 3 * hour]),
        // Forward over a firing: made up for at the next look, then by the new clock.
        (55 * 60_000, vec![11 * minute, 65 * minute, 125 * minute]),
        // Back by a day: the next full hour of the new clock, not tomorrow's.
        (-86_400_000, vec![hour, 2 * hour, 3 * hour]),
        (-5 * 60_000, vec![65 * minute, 125 * minute]),
    ];
    for (jump, expected) in cases {
        let bench = Bench::new(ms(10));
        let a = hourly();
        bench.handle.replace(vec![a.clone()]);
        bench.until(ms(10 * minute)).await;
        bench.jump.store(jump, Ordering::SeqCst);
        bench.until(ms(3 * hour + 100)).await;
        let starts = bench.starts(&a, ms(10 * minute));
        assert_eq!(starts.len(), expected.len(), "{jump}: {starts:?}");
        for (start, expected) in starts.iter().zip(&expected) {
            assert!(start.abs_diff(*expected) <= minute, "{jump}: {starts:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_never_fires_again_becomes_a_probe_a_minute() {
    let bench = Bench::new(ms(10));
    // The bench's wall clock starts on the 21st of November 2026.
    let (last, over) = (cron(0, "0 30 * 21-25 11 * 2026"), cron(1, "0 0 0 1 1 * 2020"));
    bench.handle.replace(vec![last.clone(), over.clone()]);
    let minute = ms(60_000);
    bench.until(minute * 10 + ms(500)).await;
    assert_eq!(bench.starts(&last, minute), Vec::<u64>::new());
    assert_eq!(bench.starts(&over, minute).len(), 10, "{:?}", bench.starts(&over, ms(0)));
    let after = minute * 60 * 24 * 6;
    bench.until(after).await;
    let starts = bench.starts(&last, after - minute * 10);
    assert!((9..=11).contains(&starts.len()), "{starts:?}");
}

#[tokio::test(start_paused = true)]
async fn however_rare_a_schedule_doubt_is_fast_and_calm_waits_for_the_schedule() {
    let bench = Bench::new(ms(10));
    let (rare, other) = (cron(0, "0 0 3 * * *"), cron(1, "0 0 3 * * *"));
    bench.handle.replace(vec![rare.clone(), other.clone()]);
    let minute = ms(60_000);
    bench.until(minute * 10).await;
    assert_eq!((bench.starts(&rare, ms(1000)).len(), bench.starts(&other, ms(1000)).len()), (0, 0));
    bench.handle.pace(PolicyIdx(0), true);
    bench.until(minute * 20 - ms(100)).await;
    for item in [&rare, &other] {
        let starts = bench.starts(item, minute * 10);
        assert_eq!(starts.len(), 3000, "every 200 ms for ten minutes");
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] == 200));
    }
    bench.handle.pace(PolicyIdx(0), false);
    bench.until(minute * 120).await;
    assert_eq!(bench.starts(&rare, minute * 20), Vec::<u64>::new());
}

#[test]
fn a_host_name_takes_as_many_places_as_it_had_addresses_last() {
    let host = Content::Host(crate::domain::RecordName::new("lb.example.net").unwrap());
    let given = Content::Addresses(AddressSet::new(["192.0.2.1", "192.0.2.2"].map(|a| a.parse().unwrap())).unwrap());
    let report = |addresses: usize| {
        let report = ProbeReport {
            address: Ipv4Addr::LOCALHOST.into(),
            outcome: Outcome::Up,
            phases: Phases::default(),
            status: None,
            cert_days: None,
            body_bytes: 0,
            detail: String::new(),
        };
        TargetReport { outcome: Outcome::Up, resolution: None, addresses: vec![report; addresses] }
    };
    for (content, last, places) in [
        (&given, None, 2),
        (&given, Some(2), 2),
        (&host, None, ADDRESSES_MAX),
        (&host, Some(0), ADDRESSES_MAX),
        (&host, Some(1), QUESTIONS),
        (&host, Some(5), 5),
    ] {
        assert_eq!(width(content, last.map(report).as_ref()), places, "{content} {last:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_name_of_unknown_width_leaves_room_for_its_addresses() {
    let bench = Bench::with(ms(300), 1024, ADDRESSES_MAX + 1);
    let host = |target: u32| {
        let name = crate::domain::RecordName::new(&format!("lb{target}.example.net")).unwrap();
        Item { content: Content::Host(name), ..item(0, target, ms(10_000)) }
    };
    let items = vec![host(0), host(1), item(0, 2, ms(10_000))];
    bench.handle.replace(items.clone());
    bench.until(ms(1000)).await;
    // Both names at once would be too many; the second waits, the address behind it too.
    assert_eq!(bench.starts(&items[0], ms(0)), vec![0]);
    assert_eq!(bench.starts(&items[1], ms(0)), vec![300]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_schedule_sleeps_and_a_dropped_handle_ends_it() {
    let mut bench = Bench::new(ms(10));
    bench.handle.replace(vec![item(0, 0, ms(1000))]);
    bench.until(ms(1500)).await;
    bench.ended();
    let Bench { handle, mut batches, .. } = bench;
    drop(handle);
    assert!(batches.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_is_followed_by_the_next() {
    let (out, mut batches) = mpsc::channel(8);
    let tries = Arc::new(AtomicU64::new(0));
    let measure = move |_: Arc<Item>| {
        let tries = tries.clone();
        async move {
            assert!(tries.fetch_add(1, Ordering::SeqCst) > 0, "the first probe of this test panics");
            TargetReport { outcome: Outcome::Up, resolution: None, addresses: Vec::new() }
        }
    };
    let handle = spawn_with(measure, out, || UnixMs(0), std::future::pending(), 8);
    handle.replace(vec![item(0, 0, ms(1000))]);
    let batch = timeout(ms(5000), batches.recv()).await.unwrap().unwrap();
    assert_eq!(batch.len(), 1);
}
