//! After every action of every text scenario the process is killed and started again; the script goes
//! on, then every fault ends, and within two hours of the world's time it must have converged: every
//! intent has its one outcome, which is what the zone's history says (I6, I11, L2); every batch of
//! ours replaced exactly the fence that stood (I1) and held what targets hold (I2); a freeze on disk
//! was kept (I12); and the record ends where the same script, uninterrupted, ends.
//!
//! A process dies after an action in each way it can: of what the store was handed and has not
//! answered, any first part is on disk, and a request on its way has arrived or has not. One that
//! has not lands later (odd actions: 25 ms, 90 ms, 0.5 s or 5 s after the death, or when the faults
//! end) or never (even ones). Deaths that leave equal worlds are one death.
//!
//! `interrupted/differences.txt` lists where an interrupted run may end elsewhere or say something
//! again. Each line has a reason that is checked for each death, and one that no death needs is an
//! error. `PREFIX=NAME:K cargo test --all-features --test it -- interrupted:: --nocapture` shows the
//! deaths after action K of one scenario.

mod verdict;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::scenarios;
use crate::world::cut::{Cut, Standing, Told};
use verdict::{After, Count};

/// Within this after the last fault everything must have converged, in milliseconds.
const PATIENCE: u64 = 2 * 3600 * 1000;
/// How often it is looked whether it has.
const LOOK: u64 = 120 * 1000;

/// What a script comes to when nothing is interrupted; both by whether held requests land.
struct Calm {
    name: String,
    end: u64,
    standing: [Standing; 2],
    told: [BTreeMap<Told, usize>; 2],
    /// A person's commands and restarts, with their time.
    steps: Vec<(u64, String)>,
}

struct Death {
    calm: Arc<Calm>,
    cut: Cut,
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long it took is printed")]
fn killed_after_any_action_of_any_scenario_it_comes_back_and_converges() {
    let (started, wanted) = (Instant::now(), std::env::var("PREFIX").ok());
    let wanted = wanted.as_deref().map(|w| w.split_once(':').expect("PREFIX=NAME:ACTION"));
    quiet_deaths();
    let (count, afters) = die_everywhere(wanted.map(|(name, k)| (name, k.parse().unwrap())));
    println!("{count}, {:.0} s", started.elapsed().as_secs_f64());
    if wanted.is_some() {
        return;
    }
    count.check();
    let wrong = verdict::judge(&afters);
    if let Some((name, action, _)) = wrong.iter().find(|(name, ..)| !name.is_empty()) {
        let _ = die_everywhere(Some((name, *action)));
    }
    for (name, action, what) in &wrong {
        let again = "cargo test --all-features --test it -- interrupted:: --nocapture";
        let place = format!("scenario {name}, action {action}: reproduce with PREFIX={name}:{action} {again}\n  ");
        println!("{}{what}", if name.is_empty() { "" } else { &place });
    }
    assert!(wrong.is_empty(), "{} deaths or lines are wrong, see above", wrong.len());
}

/// Every death of every scenario, or those of one action with their logs.
fn die_everywhere(only: Option<(&str, usize)>) -> (Count, Vec<After>) {
    let (to_workers, deaths) = sync_channel::<Death>(256);
    let (deaths, results) = (Mutex::new(deaths), Mutex::new((Count::default(), Vec::new())));
    let workers = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(1, 8));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let live_on = || {
                while let Some(death) = next(&deaths) {
                    let (name, action) = (death.calm.name.clone(), death.cut.action);
                    let (count, after) = verdict::live_on(&death.calm, death.cut);
                    if only.is_some() {
                        println!("{}\n==== {name}, action {action}: {}", after.log.join("\n"), after.text());
                    }
                    let mut results = results.lock().unwrap();
                    results.0 += count;
                    results.1.extend((!after.is_plain()).then_some(after));
                }
            };
            std::thread::Builder::new().name(DEATH.into()).spawn_scoped(scope, live_on).unwrap();
        }
        for (file, input) in scenarios::all() {
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            if only.is_none_or(|(wanted, _)| wanted == name || name.starts_with(&format!("{wanted}-"))) {
                let actions = interrupt(&name, &input, only.map(|(_, k)| k), &to_workers);
                results.lock().unwrap().0 += Count { scenarios: 1, actions, ..Count::default() };
            }
        }
        drop(to_workers);
    });
    let (count, mut afters) = results.into_inner().unwrap();
    afters.sort_by(|a, b| (&a.name, a.action).cmp(&(&b.name, b.action)));
    (count, afters)
}

/// Runs one scenario and hands over every way to die in it. Returns how many actions it took.
fn interrupt(name: &str, input: &str, only: Option<usize>, to_workers: &SyncSender<Death>) -> usize {
    let calm = Arc::new(calm(name, input));
    let (out, cuts) = sync_channel(1);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            let (mut world, end) = scenarios::stage(input);
            if only.is_none() {
                world.silence();
            }
            world.keep_books(out);
            world.run(end);
            world.actions()
        });
        for cut in cuts {
            if only.is_none_or(|k| k == cut.action) {
                to_workers.send(Death { calm: Arc::clone(&calm), cut }).unwrap();
            }
        }
        run.join().unwrap()
    })
}

fn calm(name: &str, input: &str) -> Calm {
    let run = |lands: bool| {
        let (mut world, end) = scenarios::stage(input);
        world.silence();
        world.heal(end, lands);
        world.run(end + PATIENCE);
        (world.standing(), counted(world.told()), end)
    };
    let ((dropped, told_dropped, end), (landed, told_landed, _)) = (run(false), run(true));
    let step = |line: &str| {
        let (at, what) = line.trim().split_once("s ")?;
        Some(((at.parse::<f64>().ok()? * 1000.0) as u64, what.to_owned()))
    };
    Calm {
        name: name.to_owned(),
        end,
        standing: [dropped, landed],
        told: [told_dropped, told_landed],
        steps: input.lines().filter_map(step).collect(),
    }
}

fn counted(told: &[Told]) -> BTreeMap<Told, usize> {
    let mut counts = BTreeMap::new();
    told.iter().for_each(|t| *counts.entry(t.clone()).or_default() += 1);
    counts
}

fn next(deaths: &Mutex<Receiver<Death>>) -> Option<Death> {
    deaths.lock().unwrap().recv().ok()
}

const DEATH: &str = "a killed process";

/// What a death breaks is told at the end, with the way to see it again; not as a panic of its own.
fn quiet_deaths() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() != Some(DEATH) {
            loud(panic);
        }
    }));
}
