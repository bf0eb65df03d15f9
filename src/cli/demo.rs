//! `failoverd demo`: the whole story on this machine, told as a timeline with measured clocks.
//!
//! It only watches: what it prints comes from the control socket, the zone's history, real DNS
//! questions and a webhook receiver, and every step must be seen or the demo fails.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use crate::control::client::ask;
use crate::control::protocol::{Answer, Request};
use crate::dns::query;
use crate::domain::{RecordName, RecordType, UnixMs};
use crate::engine::journal::TransitionKind;
use crate::engine::report::{PolicyState, Report};
use crate::engine::zone::DnsAnswer;
use crate::runtime::clock::wall;
use crate::runtime::demo::{DemoError, REGIONS, World};
use crate::sandbox::HistoryResult;

use super::sandbox::until_told_to_stop;

/// The whole demo takes about half of this.
const LIMIT: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(40);
/// How often each name server is asked.
const ASK_EVERY: Duration = Duration::from_millis(10);
/// Lines wait this long, so that what several observers see comes out in order.
const SETTLE: Duration = Duration::from_millis(200);

#[derive(clap::Args, Clone, Debug)]
pub struct DemoArgs {
    /// Leave everything up when the story is told, until Ctrl-C
    #[arg(long)]
    pub keep: bool,
}

/// 0 when the story went as it should, else 1.
pub async fn run(args: DemoArgs) -> u8 {
    let told = tokio::select! {
        told = tell() => told,
        () = until_told_to_stop() => {
            anstream::eprintln!("error: the demo was stopped before its end");
            None
        }
    };
    let Some(mut world) = told else { return 1 };
    if args.keep {
        keep(&world).await;
    }
    match world.stop_daemon().await {
        Some(status) if status.success() => 0,
        status => {
            let how = status.map_or("not within 12 s".into(), |status| status.to_string());
            anstream::eprintln!("error: the daemon did not end in order: {how}");
            1
        }
    }
}

/// The world after its story, or `None` when it went wrong; that is then already told.
async fn tell() -> Option<World> {
    let mut world = match World::build().await {
        Ok(world) => world,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            return None;
        }
    };
    let mut story = Story::begin(&world);
    match story.tell(&mut world).await {
        Ok(()) => Some(world),
        Err(failure) => {
            story.flush(UnixMs(u64::MAX));
            failure.print(&story, &world);
            None
        }
    }
}

async fn keep(world: &World) {
    let dns = world.sandbox.dns_addr();
    anstream::println!(
        "\nEverything stays up until Ctrl-C. Ask it yourself:\n  dig @{} -p {} {} A +norecurse +short\n  \
         failoverd status -c {}",
        dns.ip(),
        dns.port(),
        world.record,
        world.config().display(),
    );
    until_told_to_stop().await;
}

/// Something somebody saw.
#[derive(Clone, Debug)]
struct Seen {
    at: UnixMs,
    what: What,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// The demo did it.
    Stage,
    /// The engine's journal, over the control socket.
    Engine(TransitionKind),
    /// The sandbox took a batch that writes the record.
    Batch { accepted: bool },
    /// A name server's answer changed.
    Dns { server: usize, address: Option<IpAddr> },
    Notice {
        /// That a move is proven.
        proven: bool,
    },
}

impl What {
    fn label(self) -> (&'static str, Style) {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match self {
            What::Stage => ("demo", Style::new().bold()),
            What::Engine(TransitionKind::Doubt | TransitionKind::TargetDown) => ("engine", colour(AnsiColor::Red)),
            What::Engine(TransitionKind::Proven | TransitionKind::TargetUp) => ("engine", colour(AnsiColor::Green)),
            What::Engine(_) => ("engine", Style::new()),
            What::Batch { .. } => ("zone", colour(AnsiColor::Yellow)),
            What::Dns { .. } => ("dns", colour(AnsiColor::Cyan)),
            What::Notice { .. } => ("notice", colour(AnsiColor::Magenta)),
        }
    }
}

struct Story {
    begun: UnixMs,
    deadline: Instant,
    state: PathBuf,
    servers: usize,
    seen: Vec<Seen>,
    /// Of `seen`, sorted by time, how many are printed.
    printed: usize,
    transitions: usize,
    batches: usize,
    notices: usize,
    report: Option<Report>,
    dns: mpsc::UnboundedReceiver<Seen>,
}

/// The measured clocks of one move, from its cause.
struct Clocks {
    cause: UnixMs,
    rows: Vec<(String, Option<UnixMs>)>,
}

enum Failure {
    World(DemoError),
    /// What was waited for.
    Late(&'static str),
}

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Failure {
        Failure::World(error)
    }
}

impl Story {
    fn begin(world: &World) -> Story {
        let (sender, dns) = mpsc::unbounded_channel();
        let servers = world.sandbox.dns_addrs();
        for (index, server) in servers.iter().enumerate() {
            tokio::spawn(watch_server(index, *server, world.record.clone(), sender.clone()));
        }
        Story {
            begun: wall(),
            deadline: Instant::now() + LIMIT,
            state: world.state(),
            servers: servers.len(),
            seen: Vec::new(),
            printed: 0,
            transitions: 0,
            batches: world.sandbox.history().len(),
            notices: 0,
            report: None,
            dns,
        }
    }

    async fn tell(&mut self, world: &mut World) -> Result<(), Failure> {
        self.introduce(world);
        let at = |world: &World, k: usize| world.regions.get(k).map(|region| region.address.ip());
        let (home, away) = (at(world, 0), at(world, 1));

        world.start_daemon()?;
        self.stage("starts `failoverd run` on that configuration");
        self.until(world, "the record adopted and every region proven healthy", |story| story.is_calm()).await?;

        let killed = self.stage(&format!("kills {}: its port refuses connections", name(0)));
        world.kill(0).await;
        self.until(world, "a failover, seen by every name server, proven and told", |story| story.moved(killed, away))
            .await?;
        let failover = self.clocks(killed, away);

        world.revive(0).await?;
        let revived = self.stage(&format!("brings {} back", name(0)));
        self.until(world, "a failback after the soak, seen by every name server, proven and told", |story| {
            story.moved(revived, home)
        })
        .await?;
        let failback = self.clocks(revived, home);
        self.flush(UnixMs(u64::MAX));
        summary(&failover, &failback);
        Ok(())
    }

    fn introduce(&self, world: &World) {
        let bold = Style::new().bold();
        let servers: Vec<String> = world.sandbox.dns_addrs().iter().map(ToString::to_string).collect();
        anstream::println!("{bold}failoverd demo{bold:#}  one record, three regions, one failure and the way back\n");
        anstream::println!("  zone      {}  API {}", crate::runtime::demo::ZONE, world.sandbox.api_url());
        anstream::println!("  servers   {}", servers.join("  "));
        for region in &world.regions {
            anstream::println!("  region    {:<15} http://{}/healthz", region.name, region.address);
        }
        anstream::println!("  receiver  {}", world.receiver_url());
        anstream::println!("  files     {}\n", world.dir().display());
    }

    fn stage(&mut self, text: &str) -> UnixMs {
        let at = wall();
        self.seen.push(Seen { at, what: What::Stage, text: text.into() });
        at
    }

    /// Looks and prints until `done`, the deadline, or the daemon's end.
    async fn until(
        &mut self,
        world: &mut World,
        what: &'static str,
        done: impl Fn(&Story) -> bool,
    ) -> Result<(), Failure> {
        loop {
            world.check_daemon()?;
            self.look(world).await;
            let late = Instant::now() >= self.deadline;
            self.flush(UnixMs(wall().0.saturating_sub(u64::try_from(SETTLE.as_millis()).unwrap_or(0))));
            if done(self) {
                return Ok(());
            }
            if late {
                return Err(Failure::Late(what));
            }
            sleep(TICK).await;
        }
    }

    async fn look(&mut self, world: &World) {
        while let Ok(seen) = self.dns.try_recv() {
            self.seen.push(seen);
        }
        self.look_at_zone(world);
        for notice in world.notices().into_iter().skip(self.notices) {
            self.notices += 1;
            let title = notice.body.pointer("/data/title").and_then(|title| title.as_str()).unwrap_or("(no title)");
            let proven = notice.body.get("type").is_some_and(|kind| kind == "failoverd.moved");
            self.seen.push(Seen { at: notice.at, what: What::Notice { proven }, text: title.to_owned() });
        }
        let request = Request::History { policy: None, limit: 1000 };
        let history = timeout_at(self.deadline, ask(&self.state, request)).await;
        if let Ok(Ok(Answer::History { transitions })) = history {
            for transition in transitions.into_iter().skip(self.transitions) {
                self.transitions += 1;
                let what = What::Engine(transition.kind);
                self.seen.push(Seen { at: transition.at, what, text: transition.text });
            }
        }
        let status = timeout_at(self.deadline, ask(&self.state, Request::Status { policy: None })).await;
        if let Ok(Ok(Answer::Status(status))) = status {
            self.report = status.reports.into_iter().next();
        }
    }

    fn look_at_zone(&mut self, world: &World) {
        for entry in world.sandbox.history().into_iter().skip(self.batches) {
            self.batches += 1;
            let changes: Vec<String> =
                entry.changes.iter().map(|change| format!("{} {}", change.action, change.rtype)).collect();
            let list = changes.join(", ");
            let (accepted, text) = match &entry.result {
                HistoryResult::Accepted { change_id } => (true, format!("accepts {list} as one batch ({change_id})")),
                HistoryResult::Refused { code, .. } => (false, format!("refuses {list}: {code}")),
                HistoryResult::Lost => (false, format!("never got {list}")),
            };
            self.seen.push(Seen { at: entry.at, what: What::Batch { accepted }, text });
        }
    }

    fn is_calm(&self) -> bool {
        let steady =
            |report: &Report| report.state == PolicyState::Steady && report.fence.is_some() && report.moving.is_none();
        let healthy = |report: &Report| report.targets.iter().all(|t| t.health == crate::domain::Health::Up);
        self.report.as_ref().is_some_and(|report| steady(report) && healthy(report))
    }

    /// True when everybody who should have has seen the record go to `address` since `cause`.
    fn moved(&self, cause: UnixMs, address: Option<IpAddr>) -> bool {
        let told = self
            .first(cause, What::Engine(TransitionKind::Proven))
            .is_some_and(|proven| self.first(proven, What::Notice { proven: true }).is_some());
        told && self.first(cause, What::Batch { accepted: true }).is_some()
            && (0..self.servers).all(|server| self.first(cause, What::Dns { server, address }).is_some())
    }

    fn first(&self, since: UnixMs, what: What) -> Option<UnixMs> {
        self.seen.iter().filter(|seen| seen.at >= since && seen.what == what).map(|seen| seen.at).min()
    }

    fn clocks(&self, cause: UnixMs, address: Option<IpAddr>) -> Clocks {
        let engine = |kind| self.first(cause, What::Engine(kind));
        let servers: Vec<Option<UnixMs>> =
            (0..self.servers).map(|server| self.first(cause, What::Dns { server, address })).collect();
        let proven = engine(TransitionKind::Proven);
        let rows = [
            ("first failed probe", engine(TransitionKind::Doubt)),
            ("confirmed down", engine(TransitionKind::TargetDown)),
            ("proven healthy again", engine(TransitionKind::TargetUp)),
            ("decided", engine(TransitionKind::Decided)),
            ("accepted by the API", self.first(cause, What::Batch { accepted: true })),
            ("first new DNS answer", servers.iter().copied().flatten().min()),
            ("every name server", servers.iter().copied().flatten().max()),
            ("INSYNC", engine(TransitionKind::Insync)),
            ("proven from outside", proven),
            ("notice delivered", proven.and_then(|proven| self.first(proven, What::Notice { proven: true }))),
        ];
        Clocks { cause, rows: rows.into_iter().map(|(label, at)| (label.to_owned(), at)).collect() }
    }

    /// Prints what was seen until `before`, in order of time.
    fn flush(&mut self, before: UnixMs) {
        if let Some(rest) = self.seen.get_mut(self.printed..) {
            rest.sort_by_key(|seen| seen.at);
        }
        while let Some(seen) = self.seen.get(self.printed).filter(|seen| seen.at <= before) {
            let after = seen.at.since(self.begun).as_secs_f64();
            let (label, style) = seen.what.label();
            anstream::println!("{after:>8.3}  {style}{label:<7}{style:#} {}", seen.text);
            self.printed += 1;
        }
    }
}

fn name(region: usize) -> &'static str {
    REGIONS.get(region).copied().unwrap_or("the region")
}

async fn watch_server(index: usize, server: SocketAddr, record: RecordName, out: mpsc::UnboundedSender<Seen>) {
    let mut last = None;
    loop {
        let answer = query::ask(server, &record, RecordType::A, Duration::from_millis(500)).await;
        let at = wall();
        let text = format!("name server {} answers {answer}", index + 1);
        let address = match &answer {
            DnsAnswer::Addresses { set, .. } => set.first().copied(),
            _ => None,
        };
        if last != Some(address) {
            last = Some(address);
            if out.send(Seen { at, what: What::Dns { server: index, address }, text }).is_err() {
                return;
            }
        }
        sleep(ASK_EVERY).await;
    }
}

fn summary(failover: &Clocks, failback: &Clocks) {
    let bold = Style::new().bold();
    for (title, clocks) in [("failover: after the kill", failover), ("failback: after the return", failback)] {
        anstream::println!("\n{bold}{title}{bold:#}");
        for (label, at) in &clocks.rows {
            if let Some(at) = at {
                anstream::println!("  {label:<22} {:>7.3} s", at.since(clocks.cause).as_secs_f64());
            }
        }
    }
    anstream::println!(
        "\nMeasured on this machine, against a sandbox that stands for Route 53: each move was one batch fenced by a \
         TXT record, was read back from every name server over UDP, and was told to a webhook.\n\n{bold}Next{bold:#}\n  \
         failoverd demo --keep     leaves all of this up for dig and `failoverd status`\n  \
         failoverd sandbox         a zone of your own to try policies on\n  \
         failoverd run --observe   your own zone, watched and never written"
    );
}

impl Failure {
    fn print(&self, story: &Story, world: &World) {
        match self {
            Failure::World(error) => anstream::eprintln!("\nerror: {error}"),
            Failure::Late(what) => {
                anstream::eprintln!("\nerror: not within {} s: {what}", LIMIT.as_secs());
            }
        }
        if let Some(report) = &story.report {
            anstream::eprintln!("the policy is {:?}, the record publishes {:?}", report.state, report.live);
            for refusal in &report.refusals {
                anstream::eprintln!("  refused: {} ({})", refusal.text, refusal.change);
            }
        }
        for line in world.log_tail(20) {
            anstream::eprintln!("  daemon: {line}");
        }
    }
}
