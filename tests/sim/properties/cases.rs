//! How many cases each property is tried with, in one table for both test binaries; and how a
//! property is tried.
//!
//! `PROPERTY_CASES=n` tries n times as many, from other seeds each time, and prints a ledger line for
//! each property. A case that fails is kept in `tests/proptest-regressions` and tried first from then on.

use std::time::Instant;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, FileFailurePersistence, RngSeed, TestCaseError, TestRunner};

/// What continuous integration tries, together at least this many.
#[allow(dead_code)]
pub const LEAST: u32 = 100_000;

/// Name of the property and its number of cases.
pub const CASES: [(&str, u32); 17] = [
    ("the_same_log_gives_the_same_bytes", 1_500),
    ("no_order_of_events_is_a_panic_or_a_spin", 1_500),
    ("a_fence_value_reads_back_however_it_is_spelt", 15_000),
    ("no_text_at_a_fence_is_a_panic_or_ours_by_mistake", 15_000),
    ("a_plan_is_never_empty_nor_foreign", 8_000),
    ("a_request_is_never_overfull", 400),
    ("a_refusal_names_whole_names_only", 6_000),
    ("ids_and_jitter_keep_their_range", 4_000),
    ("a_name_has_one_spelling", 12_000),
    ("no_two_records_of_a_zone_share_a_fence", 10_000),
    ("no_second_sees_more_calls_than_burst_and_rate", 4_000),
    ("a_set_of_targets_is_what_it_was_made_of", 4_000),
    ("a_policy_file_says_what_the_policy_is", 2_500),
    ("no_damage_to_a_file_is_a_panic_or_a_finding_outside_it", 3_000),
    ("a_duration_is_read_as_it_is_written", 6_000),
    ("no_text_is_a_duration_by_accident", 5_000),
    ("a_schedule_fires_after_now_or_is_refused", 3_000),
];

/// Tries the property `name` as often as the table says.
#[expect(clippy::disallowed_methods, reason = "how long it took is printed")]
pub fn hold<S: Strategy>(name: &'static str, input: S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let cases = CASES.iter().find(|(n, _)| *n == name).map(|(_, cases)| *cases);
    let cases = cases.unwrap_or_else(|| panic!("`{name}` is not in the table"));
    let times: Option<u32> = std::env::var("PROPERTY_CASES").ok().map(|times| times.parse().unwrap());
    let file: &'static str = Box::leak(format!("tests/proptest-regressions/{name}.txt").into_boxed_str());
    // The same cases each time, so that a change is judged by itself; a longer trial goes elsewhere.
    let seed =
        name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, b| (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let config = Config {
        cases: cases * times.unwrap_or(1),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(file))),
        rng_seed: if times.is_some() { RngSeed::Random } else { RngSeed::Fixed(seed) },
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let (started, cases) = (Instant::now(), config.cases);
    if let Err(why) = TestRunner::new(config).run(&input, property) {
        panic!("{name}: {why}");
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{name}: {cases} cases in {seconds:.1} s");
    if times.is_some() {
        println!("ledger: {{\"part\":\"properties\",\"cases\":{cases},\"seconds\":{seconds:.1}}}");
    }
}
