//! A sample as a page in Prometheus' text format, version 0.0.4.

use std::collections::BTreeSet;

use prometheus::TextEncoder;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram as Buckets, LabelPair, Metric as Series};
use prometheus::proto::{MetricFamily, MetricType};
use serde::Serialize;

use crate::domain::Health;
use crate::engine::intent::Kind as MoveKind;
use crate::engine::journal::TransitionKind;
use crate::engine::report::{LiveState, PolicyState, Report};

use super::sample::{Histogram, MoveOutcome};
use super::{Action, Kind, LAG_BOUNDS, Metric, PROBE_BOUNDS, Sample};

/// What a reader is told the page is.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const STATES: [PolicyState; 9] = [
    PolicyState::Starting,
    PolicyState::Steady,
    PolicyState::Displaced,
    PolicyState::Doubt,
    PolicyState::Stuck,
    PolicyState::Moving,
    PolicyState::WriteRefused,
    PolicyState::Detached,
    PolicyState::Blind,
];

const LIVE: [&str; 6] = ["not-read", "targets", "split", "foreign", "absent", "unreadable"];

const HEALTH: [(Health, &str); 3] = [(Health::Up, "up"), (Health::Down, "down"), (Health::Unknown, "unknown")];

/// Transitions that are on the page before the first of them, so that a rule sees it come.
const FROM_ZERO: [TransitionKind; 20] = [
    TransitionKind::TargetDown,
    TransitionKind::Decided,
    TransitionKind::Refused,
    TransitionKind::Applied,
    TransitionKind::NotApplied,
    TransitionKind::PeerMoved,
    TransitionKind::Proven,
    TransitionKind::Contradicted,
    TransitionKind::Unverified,
    TransitionKind::Blind,
    TransitionKind::Drift,
    TransitionKind::Locked,
    TransitionKind::FenceTrouble,
    TransitionKind::ApiTrouble,
    TransitionKind::StoreTrouble,
    TransitionKind::Forced,
    TransitionKind::FleetFrozen,
    TransitionKind::WriteRefused,
    TransitionKind::Obstacle,
    TransitionKind::RehearsalFailed,
];

/// The page could not be written, which only a bug can do.
#[derive(Debug, thiserror::Error)]
#[error("the metrics could not be written out, which is a defect of failoverd: {0}")]
pub struct PageError(#[from] prometheus::Error);

/// All metrics of `sample`; families without a series are left out.
pub fn page(sample: &Sample) -> Result<String, PageError> {
    let mut page = Page::default();
    process(&mut page, sample);
    world(&mut page, sample);
    policies(&mut page, sample);
    targets(&mut page, sample);
    Ok(TextEncoder::new().encode_to_string(&page.families)?)
}

fn process(page: &mut Page, sample: &Sample) {
    let build = &sample.build;
    let mode = if build.observe { "observe" } else { "active" };
    page.one(&super::BUILD_INFO, &[&build.version, &build.commit], 1.0);
    page.one(&super::INSTANCE_INFO, &[&build.cluster, &build.instance, mode], 1.0);
    page.one(&super::START_TIME, &[], seconds(build.started.0));
    page.histograms(&super::LOOP_LAG, LAG_BOUNDS, [(vec![], &sample.counts.lag)]);
    page.one(&super::CONFIG_RELOAD_OK, &[], flag(sample.reload.ok));
    page.one(&super::CONFIG_TIME, &[], seconds(sample.reload.at.0));
}

fn world(page: &mut Page, sample: &Sample) {
    let (vitals, counts) = (&sample.vitals, &sample.counts);
    page.one(&super::BLIND, &[], flag(vitals.blind));
    let witnesses = vitals.witnesses.iter().filter_map(|(name, up)| Some((vec![name.as_str()], flag((*up)?))));
    page.many(&super::WITNESS, witnesses);
    page.one(&super::STORE_BROKEN, &[], flag(vitals.store_broken));
    let store = sample.store.iter().flat_map(|s| [("ok", s.ok), ("failed", s.failed)]);
    page.many(&super::STORE_WRITES, store.map(|(answer, n)| (vec![answer], count(n))));
    if let Some(notices) = sample.notices {
        page.one(&super::NOTICES_WAITING, &[], count(notices.waiting));
        page.one(&super::NOTICES_DEAD, &[], count(notices.dead));
    }
    page.one(&super::API_CALLS_LEFT, &[], vitals.api_calls_left);
    let requests = Action::answers().map(|key| {
        let made = counts.requests.get(&key).copied().unwrap_or(0);
        (vec![key.0.as_str(), key.1.as_str()], count(made))
    });
    page.many(&super::API_REQUESTS, requests);
    let mut kinds: Vec<TransitionKind> = FROM_ZERO.into_iter().chain(counts.transitions.keys().copied()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let named: Vec<(String, u64)> =
        kinds.iter().map(|k| (word(k), counts.transitions.get(k).copied().unwrap_or(0))).collect();
    page.many(&super::TRANSITIONS, named.iter().map(|(kind, n)| (vec![kind.as_str()], count(*n))));
}

fn policies(page: &mut Page, sample: &Sample) {
    let reports = || sample.reports.iter().map(|r| (r.policy.as_str(), r));
    let states: Vec<(PolicyState, String)> = STATES.into_iter().map(|s| (s, word(&s))).collect();
    let state = reports().flat_map(|(policy, r)| {
        states.iter().map(move |(state, word)| (vec![policy, word.as_str()], flag(r.state == *state)))
    });
    page.many(&super::POLICY_STATE, state);
    let live =
        reports().flat_map(|(policy, r)| LIVE.map(|live| (vec![policy, live], flag(live_word(&r.live) == live))));
    page.many(&super::POLICY_LIVE, live);
    let fences = || reports().filter_map(|(policy, r)| Some((policy, r.fence.as_ref()?)));
    page.many(&super::POLICY_EPOCH, fences().map(|(policy, f)| (vec![policy], count(f.epoch.0))));
    let age = |at| sample.at.since(at).as_secs_f64();
    page.many(&super::POLICY_FENCE_AGE, fences().map(|(policy, f)| (vec![policy], age(f.written))));
    let mut reads: Vec<_> = sample.vitals.read_ages.iter().collect();
    reads.sort_unstable();
    page.many(&super::POLICY_READ_AGE, reads.iter().map(|(p, age)| (vec![p.as_str()], age.as_secs_f64())));
    let mut every: Vec<_> = sample.vitals.read_every.iter().collect();
    every.sort_unstable();
    page.many(&super::POLICY_READ_EVERY, every.iter().map(|(p, every)| (vec![p.as_str()], every.as_secs_f64())));
    let brakes = reports().flat_map(|(policy, r)| brakes(r).map(|(brake, holds)| (vec![policy, brake], flag(holds))));
    page.many(&super::POLICY_BRAKE, brakes);
    // One rule may refuse for several records of a policy; a series is there once.
    let refused: BTreeSet<(&str, String)> =
        reports().flat_map(|(policy, r)| r.refusals.iter().map(move |refusal| (policy, word(&refusal.rule)))).collect();
    page.many(&super::POLICY_REFUSED, refused.iter().map(|(policy, rule)| (vec![*policy, rule.as_str()], 1.0)));
    let tonight = reports().filter_map(|(policy, r)| Some((vec![policy], flag(r.tonight.as_ref()?.is_sent()))));
    page.many(&super::POLICY_TONIGHT, tonight);
    // A move needs budget for itself and its undo.
    let left = |r: &Report| f64::from(r.brakes.flap_budget.saturating_sub(r.brakes.moves_last_hour.saturating_add(1)));
    page.many(&super::POLICY_BUDGET, reports().map(|(policy, r)| (vec![policy], left(r))));
    let obstacles = reports().map(|(policy, r)| (vec![policy], length(r.obstacles.len())));
    page.many(&super::POLICY_OBSTACLES, obstacles);
    moves(page, sample);
    rehearsals(page, sample);
}

fn brakes(r: &Report) -> [(&'static str, bool); 7] {
    let mode = r.fence.as_ref().map_or("", |f| f.mode.as_str());
    [
        ("frozen", r.brakes.frozen.is_some()),
        ("forced", mode == "forced"),
        ("released", mode == "released"),
        ("locked", r.brakes.locked),
        ("hold-down", r.brakes.hold_down.is_some()),
        ("failback-blocked", r.brakes.failback_blocked),
        ("unverified", r.brakes.unverified),
    ]
}

fn moves(page: &mut Page, sample: &Sample) {
    let counted = &sample.counts.moves;
    // A rule sees the first one come; other kinds appear with it.
    let always = sample.reports.iter().flat_map(|r| {
        [MoveKind::Failover, MoveKind::Failback].map(|kind| (r.policy.clone(), kind, MoveOutcome::Proven))
    });
    let mut keys: Vec<_> = always.chain(counted.keys().cloned()).collect();
    keys.sort_unstable();
    keys.dedup();
    let moves = keys.iter().map(|key @ (policy, kind, outcome)| {
        let made = counted.get(key).copied().unwrap_or(0);
        (vec![policy.as_str(), kind.as_str(), outcome.as_str()], count(made))
    });
    page.many(&super::MOVES, moves);
    let proven = sample.counts.proven.iter();
    page.many(&super::PROVEN_AGE, proven.map(|(policy, age)| (vec![policy.as_str()], age.as_secs_f64())));
}

fn rehearsals(page: &mut Page, sample: &Sample) {
    if let Some(cadence) = sample.rehearsal_cadence {
        page.one(&super::REHEARSAL_CADENCE, &[], cadence.as_secs_f64());
    }
    let all = || {
        sample
            .reports
            .iter()
            .map(|r| (r.policy.as_str(), r.rehearsal.as_ref().filter(|last| !last.ok || last.walked())))
    };
    let result = all().flat_map(|(policy, last)| {
        let is = last.map_or("never", |l| if l.ok { "ok" } else { "failed" });
        ["ok", "failed", "never"].map(|result| (vec![policy, result], flag(result == is)))
    });
    page.many(&super::REHEARSAL, result);
    let known = || all().filter_map(|(policy, last)| Some((policy, last?)));
    let ages = known().map(|(policy, last)| (vec![policy], sample.at.since(last.at).as_secs_f64()));
    page.many(&super::REHEARSAL_AGE, ages);
    let took = known().flat_map(|(policy, last)| {
        let phases = [("accepted", last.accepted), ("servers", last.every_server), ("insync", last.insync)];
        phases.into_iter().filter_map(move |(phase, took)| Some((vec![policy, phase], took?.as_secs_f64())))
    });
    page.many(&super::REHEARSAL_TOOK, took);
}

fn targets<'a>(page: &mut Page, sample: &'a Sample) {
    let of = |r: &'a Report| r.targets.iter().map(|t| (r.policy.as_str(), t.name.as_str(), t));
    let all = || sample.reports.iter().flat_map(of);
    let health = all().flat_map(|(policy, target, t)| {
        HEALTH.map(|(health, word)| (vec![policy, target, t.region.as_str(), word], flag(t.health == health)))
    });
    page.many(&super::TARGET_HEALTH, health);
    let active = all().map(|(policy, target, t)| (vec![policy, target, t.region.as_str()], flag(t.active)));
    page.many(&super::TARGET_ACTIVE, active);
    page.many(&super::TARGET_DRAINED, all().map(|(p, target, t)| (vec![p, target], flag(t.drained.is_some()))));
    page.many(&super::TARGET_FAILURES, all().map(|(p, target, t)| (vec![p, target], f64::from(t.failures))));
    let ages = all().filter_map(|(p, target, t)| Some((vec![p, target], t.age?.as_secs_f64())));
    page.many(&super::TARGET_AGE, ages);
    let probes = || sample.counts.probes.iter().map(|p| (p.policy.as_str(), p.target.as_str(), p));
    let outcomes = probes().flat_map(|(policy, target, p)| {
        [("up", p.up), ("down", p.down), ("unknown", p.unknown)].map(|(o, n)| (vec![policy, target, o], count(n)))
    });
    page.many(&super::PROBES, outcomes);
    let durations = probes().map(|(policy, target, p)| (vec![policy, target], &p.durations));
    page.histograms(&super::PROBE_DURATION, PROBE_BOUNDS, durations);
}

fn live_word(live: &LiveState) -> &'static str {
    match live {
        LiveState::NotRead => "not-read",
        LiveState::Targets { .. } => "targets",
        LiveState::Split { .. } => "split",
        LiveState::Foreign { .. } => "foreign",
        LiveState::Absent => "absent",
        LiveState::Unreadable { .. } => "unreadable",
    }
}

/// A word as reports and history spell it.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// Exact up to 2^53, which no count of this program reaches.
#[allow(clippy::cast_precision_loss, reason = "exact up to 2^53")]
fn count(n: u64) -> f64 {
    n as f64
}

fn length(n: usize) -> f64 {
    count(u64::try_from(n).unwrap_or(u64::MAX))
}

fn seconds(ms: u64) -> f64 {
    count(ms) / 1000.0
}

#[derive(Default)]
struct Page {
    families: Vec<MetricFamily>,
}

impl Page {
    fn one(&mut self, metric: &Metric, labels: &[&str], value: f64) {
        self.many(metric, [(labels.to_vec(), value)]);
    }

    /// One series for each of `values`: the values of the metric's labels, in their order.
    fn many<'a>(&mut self, metric: &Metric, values: impl IntoIterator<Item = (Vec<&'a str>, f64)>) {
        let series = values.into_iter().map(|(labels, value)| {
            let mut series = labelled(metric, &labels);
            if metric.kind == Kind::Counter {
                let mut counter = Counter::default();
                counter.set_value(value);
                series.set_counter(counter);
            } else {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                series.set_gauge(gauge);
            }
            series
        });
        self.add(metric, series.collect());
    }

    fn histograms<'a>(
        &mut self,
        metric: &Metric,
        bounds: &[f64],
        values: impl IntoIterator<Item = (Vec<&'a str>, &'a Histogram)>,
    ) {
        let series = values.into_iter().map(|(labels, histogram)| {
            let mut buckets = Buckets::default();
            let cumulative = histogram.cumulative(bounds).map(|(bound, below)| {
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(bound);
                bucket.set_cumulative_count(below);
                bucket
            });
            buckets.set_bucket(cumulative.collect());
            buckets.set_sample_count(histogram.total());
            buckets.set_sample_sum(histogram.sum());
            let mut series = labelled(metric, &labels);
            series.set_histogram(buckets);
            series
        });
        self.add(metric, series.collect());
    }

    fn add(&mut self, metric: &Metric, series: Vec<Series>) {
        // The encoder refuses a family without a series.
        if series.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(metric.name.to_owned());
        family.set_help(metric.help.to_owned());
        family.set_field_type(match metric.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Histogram => MetricType::HISTOGRAM,
        });
        family.set_metric(series);
        self.families.push(family);
    }
}

fn labelled(metric: &Metric, values: &[&str]) -> Series {
    debug_assert_eq!(metric.labels.len(), values.len(), "{}", metric.name);
    let pair = |(name, value): (&&str, &&str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    Series::from_label(metric.labels.iter().zip(values).map(pair).collect())
}
