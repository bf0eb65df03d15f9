//! Daemons killed all the time, in every weather: at named points and at random moments, while
//! targets die and come back and the provider loses, delays and refuses requests.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use failoverd::runtime::failpoint;
use failoverd::sandbox::Fault;
use tokio::time::{Instant, sleep};

use crate::lost::dice::{Dice, figure};
use crate::real::PATIENCE;
use crate::servers::Mode;

use super::judge::{Known, judge};
use super::stage::{Plan, Stage};

/// Longest a request lies in the network.
const LATE: u64 = 900;
/// A stage is left before its flap budget is spent.
const MOVES: usize = 40;
const TICK: Duration = Duration::from_millis(4);

/// What all lanes count together.
#[derive(Default)]
pub struct Count {
    pub kills: AtomicUsize,
    pub with_open_intent: AtomicUsize,
    pub moves: AtomicUsize,
    pub stages: AtomicUsize,
    failed: AtomicBool,
}

/// Is told of every death, before the next life.
pub trait Undertaker {
    fn bury(&mut self, stage: &mut Stage, which: usize, dice: &mut Dice);
}

impl Undertaker for () {
    fn bury(&mut self, _: &mut Stage, _: usize, _: &mut Dice) {}
}

pub struct Orders<'a> {
    pub seed: u64,
    /// Stages at the same time.
    pub lanes: u64,
    pub shim: Option<PathBuf>,
    pub enough: &'a (dyn Fn(&Count) -> bool + Sync),
    /// Makes the undertaker of a new stage.
    pub hire: &'a (dyn Fn(&Stage) -> Box<dyn Undertaker + 'a> + Sync),
}

#[test]
fn killed_at_any_moment_in_every_weather() {
    let wanted = figure("KILLS", 200) as usize;
    let seed = figure("KILL_SEED", 20_261_121);
    println!("KILL_SEED={seed} KILLS={wanted}");
    let began = Instant::now();
    let read = |figure: &AtomicUsize| figure.load(Ordering::SeqCst);
    let count = rage(&Orders {
        seed,
        lanes: figure("KILL_LANES", 2),
        shim: None,
        enough: &|count| read(&count.kills) >= wanted,
        hire: &|_| Box::new(()),
    });
    let (kills, open, moves) = (read(&count.kills), read(&count.with_open_intent), read(&count.moves));
    let seconds = began.elapsed().as_secs_f64();
    println!("{} stages, {:.1} kills a second", read(&count.stages), kills as f64 / seconds);
    println!(
        "ledger: {{\"part\":\"kills\",\"seed\":{seed},\"kills\":{kills},\"restarts_with_open_intent\":{open},\
         \"moves\":{moves},\"seconds\":{seconds:.0}}}"
    );
    assert!(open * 20 >= kills, "only {open} of {kills} kills hit an open write: the storm is too calm");
    assert!(moves * 20 >= kills, "only {moves} moves in {kills} kills: the storm is too calm");
}

/// Kills until it is enough; panics when anything was harmed.
pub fn rage(orders: &Orders<'_>) -> Count {
    let count = Count::default();
    std::thread::scope(|scope| {
        for lane in 0..orders.lanes {
            let count = &count;
            scope.spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
                let _stop_others = StopOthers(count);
                runtime.block_on(run_lane(orders, lane, count));
            });
        }
    });
    count
}

struct StopOthers<'a>(&'a Count);

impl Drop for StopOthers<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.failed.store(true, Ordering::SeqCst);
        }
    }
}

async fn run_lane(orders: &Orders<'_>, lane: u64, count: &Count) {
    let enough = || (orders.enough)(count) || count.failed.load(Ordering::SeqCst);
    let seed = orders.seed;
    for number in 0.. {
        if enough() {
            return;
        }
        let mut dice = Dice::of(seed, &[lane, number]);
        let plan = Plan { pair: dice.percent(40), failback: dice.percent(40) };
        let mut stage = Stage::new(plan).await;
        stage.shim.clone_from(&orders.shim);
        stage.note(format!("seed {seed} lane {lane} stage {number}"));
        let undertaker = (orders.hire)(&stage);
        let mut storm = Storm { stage, undertaker, known: Known::new(), kills: 0, late_until: Instant::now() };
        count.stages.fetch_add(1, Ordering::SeqCst);
        storm.adopt().await;
        let mut moves = 0;
        while !enough() && moves < MOVES {
            for _ in 0..dice.within(8..24) {
                let before = storm.kills;
                if storm.life(&mut dice).await {
                    count.with_open_intent.fetch_add(1, Ordering::SeqCst);
                }
                count.kills.fetch_add(storm.kills - before, Ordering::SeqCst);
                if enough() {
                    break;
                }
            }
            let now = storm.settle(&mut dice).await;
            count.moves.fetch_add(now - moves, Ordering::SeqCst);
            moves = now;
        }
    }
}

struct Storm<'a> {
    stage: Stage,
    undertaker: Box<dyn Undertaker + 'a>,
    known: Known,
    kills: usize,
    /// When the last late request has landed.
    late_until: Instant,
}

impl Storm<'_> {
    /// The record is adopted before the storm: without a fence no dead target is left.
    async fn adopt(&mut self) {
        self.start_all();
        self.rest(Instant::now()).await;
    }

    fn start_all(&mut self) {
        for which in 0..self.stage.instances.len() {
            self.stage.start(which, None);
        }
    }

    /// Waits until nothing is under way anywhere.
    async fn rest(&self, begun: Instant) {
        for which in 0..self.stage.instances.len() {
            while let Some(why) = self.stage.unrest(which).await {
                assert!(begun.elapsed() < PATIENCE, "not at rest: {why}\n{}", self.stage.story());
                sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// One daemon from its start (or from wherever it is) to its death. True when it began with
    /// an open write.
    async fn life(&mut self, dice: &mut Dice) -> bool {
        let point = dice.percent(45).then(|| *dice.pick(&failpoint::ALL)).filter(|point| *point != "after-lock");
        self.weather(dice, point.is_some()).await;
        self.fault(dice, point);
        let victim = dice.index(self.stage.instances.len());
        let mut open = false;
        for which in 0..self.stage.instances.len() {
            open |= self.stage.start(which, point.filter(|_| which == victim));
        }
        let longest = if point.is_some() {
            1_400
        } else if dice.percent(10) {
            1_500
        } else {
            650
        };
        let end =
            Instant::now() + if point.is_some() { Duration::from_millis(longest) } else { dice.millis(30..longest) };
        let turn = dice.percent(30).then(|| Instant::now() + dice.millis(50..500));
        let mut turn = turn.filter(|at| *at < end);
        while Instant::now() < end && !self.stage.is_dead(victim) {
            if turn.take_if(|at| *at <= Instant::now()).is_some() {
                self.turn(dice).await;
            }
            sleep(TICK).await;
        }
        // Now and then everything goes at once.
        let all = self.stage.plan.pair && dice.percent(25);
        for which in 0..self.stage.instances.len() {
            if (all || which == victim) && self.stage.instances[which].daemon.is_some() {
                self.stage.kill(which);
                self.kills += 1;
                self.undertaker.bury(&mut self.stage, which, dice);
            }
        }
        self.late_until = Instant::now() + Duration::from_millis(LATE);
        open
    }

    /// What the targets are like at the start of a life; a named point of a move needs a move.
    async fn weather(&mut self, dice: &mut Dice, needs_a_move: bool) {
        let active = self.stage.publishes_east();
        let (active_up, standby_up) = match dice.within(0..100) {
            _ if needs_a_move => (false, true),
            0..55 => (false, true),
            55..80 => (true, true),
            80..90 => (true, false),
            90..95 => (false, false),
            _ => return,
        };
        let down = if dice.percent(70) { Mode::Refuse } else { Mode::Status(503) };
        for (east, up) in [(active, active_up), (!active, standby_up)] {
            let how = if up { Mode::Ok } else { down.clone() };
            self.stage.set(east, up, how).await;
        }
    }

    /// Something changes while the daemon lives.
    async fn turn(&mut self, dice: &mut Dice) {
        if dice.percent(40) {
            return self.fault(dice, None);
        }
        let east = dice.percent(50);
        let up = !self.stage.is_up(east);
        self.stage.set(east, up, if up { Mode::Ok } else { Mode::Refuse }).await;
    }

    fn fault(&mut self, dice: &mut Dice, point: Option<&str>) {
        let faults = self.stage.place.sandbox.faults().clone();
        if faults.armed().len() > 3 {
            faults.clear();
        }
        let fault = match dice.within(0..100) {
            _ if point == Some("after-burn-sent") => Fault::ReplyLost { after_commit: false },
            0..9 => Fault::ReplyLost { after_commit: true },
            9..18 => Fault::ReplyLost { after_commit: false },
            18..24 => Fault::Status5xx { commit: true },
            24..30 => Fault::Status5xx { commit: false },
            30..42 => Fault::Late(dice.millis(20..LATE)),
            42..48 => Fault::Delay(dice.millis(20..LATE)),
            48..52 => Fault::Throttle(dice.within(1..4) as u32),
            52..56 => Fault::PriorRequestNotComplete(dice.within(1..3) as u32),
            56..60 => Fault::ForgetChange,
            _ => return,
        };
        self.stage.note(format!("{fault:?}"));
        faults.arm(fault);
    }

    /// Faults stop, everybody is started and left alone until all is at rest; then the judge looks.
    /// Half of the time the active target is dead at first, and must be left. Returns the moves so far.
    async fn settle(&mut self, dice: &mut Dice) -> usize {
        self.stage.place.sandbox.faults().clear();
        self.stage.note("settle");
        let active = self.stage.publishes_east();
        let dead = dice.percent(50);
        self.stage.set(!active, true, Mode::Ok).await;
        self.stage.set(active, !dead, if dead { Mode::Refuse } else { Mode::Ok }).await;
        self.start_all();
        let begun = Instant::now();
        while dead && self.stage.publishes_east() == active {
            assert!(begun.elapsed() < PATIENCE, "the dead target was not left\n{}", self.stage.story());
            sleep(Duration::from_millis(20)).await;
        }
        self.stage.set(active, true, Mode::Ok).await;
        sleep(self.late_until.saturating_duration_since(Instant::now())).await;
        self.rest(begun).await;
        for which in 0..self.stage.instances.len() {
            self.stage.end(which);
        }
        judge(&self.stage, self.kills, &mut self.known)
    }
}
