//! The world around dispatch, simulated under a seed: backends that die, restart, get stuck and lose what they knew, a
//! network that cuts, delays and loses, a store that fails, clients that submit and cancel, and this program killed
//! between any two steps and started again under another wall clock. Everything that decides is the product's own
//! (`core`, `fleet::apply`, `Ledger`, `conclude`'s end); what only performs (`perform`) stands here in stages.
//!
//! What must hold is asked at every step: see `laws.rs`.
//!
//! What is assumed of real networks: a request that a process has not read when that process dies is gone with it, and one
//! that lies before a stuck process is read before any later one is answered.

mod backends;
mod comfy;
mod errand;
mod fate;
mod laws;
mod store;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::comfy::{Comfy, Network};
use self::errand::{Stage, Then};
use self::store::Store;
use super::act::Act;
use super::core::{Core, Request};
use super::done::Done;
use super::kept::Kept;
use super::step::Settings;
use super::usage::Usage;
use crate::clock::UnixMillis;
use crate::fleet::{Backend, Fleet};
use crate::id::{BackendId, JobId};
use crate::job::{Job, Needs};
use crate::metrics::Metrics;
use crate::poll::{Heard, SocketEvent};
use crate::route::Policy;
use crate::route::free::Rules;

const LOOK_EVERY: u64 = 250;
const POLL_EVERY: u64 = 1000;
/// How long clients submit and everything goes wrong.
const TROUBLE: u64 = 10 * 60_000;
/// How long after it everything must have ended.
const PEACE: u64 = 30 * 60_000;

/// Seeds that once failed.
const FAILED_ONCE: [u64; 0] = [];

#[test]
fn nothing_is_lost_and_nothing_runs_twice_whatever_happens() {
    let asked = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    if let Some(seed) = asked("ORCHESTRATOR_WORLD_SEED") {
        return println!("{:?}", World::lived(seed));
    }
    let until = Instant::now() + Duration::from_secs(asked("ORCHESTRATOR_WORLD_SECONDS").unwrap_or(3));
    let mut counts = Counts::default();
    for seed in FAILED_ONCE.into_iter().chain(std::iter::repeat_with(|| fastrand::u64(..))) {
        counts.add(World::lived(seed));
        if Instant::now() > until {
            break;
        }
    }
    println!("{counts:?}");
    assert!(counts.jobs > 0 && counts.kills > 0 && counts.restarts > 0);
}

#[derive(Debug, Default)]
struct Counts {
    worlds: u64,
    steps: u64,
    jobs: u64,
    attempts: u64,
    kills: u64,
    restarts: u64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.worlds += other.worlds;
        self.steps += other.steps;
        self.jobs += other.jobs;
        self.attempts += other.attempts;
        self.kills += other.kills;
        self.restarts += other.restarts;
    }
}

enum Happening {
    Look,
    Poll(usize),
    Work(usize),
    Connect(usize),
    /// A frame of this connection arrives.
    Frame(usize, u32, Box<comfyui::Frame>),
    Stage(u32, Box<Stage>),
    /// A prompt that nobody waits for any more arrives at this process.
    Arrive(usize, u32, JobId, u32),
    Submit,
    Cancel,
    Trouble,
    Heal(usize),
    Reborn,
}

struct World {
    rng: fastrand::Rng,
    now: u64,
    /// How far the wall clock of the present process is off.
    skew: u64,
    next: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    sequence: u64,
    faulty: bool,
    comfies: Vec<Comfy>,
    store: Store,
    core: Option<Core>,
    fleet: Fleet,
    /// Which process of ours: what an earlier one had under way is gone.
    life: u32,
    under_way: usize,
    /// Jobs whose end is committed and not told yet.
    untold: BTreeSet<JobId>,
    /// In which life of the program.
    begins_told: BTreeSet<(u32, JobId)>,
    ends_told: BTreeSet<JobId>,
    /// Whose end nobody may have been told: the program died in between.
    excused: BTreeSet<JobId>,
    cancelled: BTreeSet<JobId>,
    succeeded: BTreeSet<JobId>,
    failed: BTreeSet<JobId>,
    counts: Counts,
    seed: u64,
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "at {} ms of the world ORCHESTRATOR_WORLD_SEED={}: {:?}",
                self.now, self.seed, self.counts
            );
        }
    }
}

impl World {
    fn lived(seed: u64) -> Counts {
        let mut world = Self::new(seed);
        world.run();
        world.check_end();
        std::mem::take(&mut world.counts)
    }

    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let count = rng.usize(1..5);
        let name = |at: usize| format!("b{at}").parse::<BackendId>().unwrap();
        let comfies: Vec<Comfy> = (0..count).map(|at| Comfy::new(name(at), rng.bool())).collect();
        let mut world = Self {
            rng,
            now: 0,
            skew: 1_000_000_000,
            next: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            sequence: 0,
            faulty: true,
            comfies,
            store: Store::default(),
            core: None,
            fleet: Fleet::of([]),
            life: 0,
            under_way: 0,
            untold: BTreeSet::new(),
            begins_told: BTreeSet::new(),
            ends_told: BTreeSet::new(),
            excused: BTreeSet::new(),
            cancelled: BTreeSet::new(),
            succeeded: BTreeSet::new(),
            failed: BTreeSet::new(),
            counts: Counts { worlds: 1, ..Counts::default() },
            seed,
        };
        world.awake();
        for at in 0..count {
            world.at(1, Happening::Poll(at));
            world.at(1, Happening::Work(at));
            world.at(1, Happening::Connect(at));
        }
        for happening in [Happening::Look, Happening::Submit, Happening::Cancel, Happening::Trouble] {
            world.at(1, happening);
        }
        world
    }

    fn clock(&self) -> UnixMillis {
        UnixMillis(self.now + self.skew)
    }

    fn at(&mut self, after: u64, happening: Happening) {
        self.sequence += 1;
        self.next.push(Reverse((self.now + after, self.sequence)));
        self.happenings.insert(self.sequence, happening);
    }

    /// Mostly quick, sometimes not: what was sent later may arrive earlier.
    fn delay(&mut self) -> u64 {
        if self.rng.u8(..) < 8 { self.rng.u64(100..900) } else { self.rng.u64(1..20) }
    }

    fn run(&mut self) {
        while let Some(Reverse((now, key))) = self.next.pop() {
            if self.faulty && now > TROUBLE {
                self.faulty = false;
                self.make_peace();
            }
            let over = now > TROUBLE && self.store.ledger.is_empty() && self.untold.is_empty();
            if over || now > TROUBLE + PEACE {
                return;
            }
            self.now = now;
            self.counts.steps += 1;
            if let Some(happening) = self.happenings.remove(&key) {
                self.happen(happening);
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Look => {
                self.look();
                self.at(LOOK_EVERY, Happening::Look);
            }
            Happening::Poll(at) => {
                self.poll(at);
                self.at(POLL_EVERY, Happening::Poll(at));
            }
            Happening::Work(at) => {
                self.work(at);
                let pause = self.rng.u64(50..1500);
                self.at(pause, Happening::Work(at));
            }
            Happening::Connect(at) => {
                self.connect(at);
                self.at(POLL_EVERY, Happening::Connect(at));
            }
            Happening::Frame(at, socket, frame) => {
                if self.comfies[at].socket == Some(socket) {
                    let backend = self.comfies[at].id.clone();
                    self.hear(SocketEvent { backend, heard: Heard::Frame(frame) });
                }
            }
            Happening::Stage(life, stage) if life == self.life && self.core.is_some() => self.stage(*stage),
            Happening::Stage(..) => {}
            Happening::Arrive(at, process, job, attempt) => {
                if self.comfies[at].process == Some(process) {
                    self.deliver(at, job, attempt);
                }
            }
            Happening::Submit => self.submit(),
            Happening::Cancel => self.cancel(),
            Happening::Trouble => self.trouble(),
            Happening::Heal(at) => {
                self.comfies[at].network = Network::Fine;
                self.comfies[at].start();
            }
            Happening::Reborn => self.awake(),
        }
    }

    // The program.

    fn awake(&mut self) {
        if self.core.is_some() {
            return;
        }
        let free =
            Rules { idle: None, others: None, host_memory: None, out_of_memory: true, before_job: true };
        let settings = Settings { free, rerun_after_unreachable: None, policy: Policy::default() };
        let metrics = Arc::new(Metrics::new().unwrap());
        let url: url::Url = "http://127.0.0.1:1".parse().unwrap();
        let backend = |comfy: &Comfy| Backend::new(comfy.id.clone(), url.clone(), url.clone());
        self.fleet = Fleet::of(self.comfies.iter().map(backend));
        self.core = Some(Core::of(
            &self.store.ledger,
            Kept::default(),
            Usage::default(),
            settings,
            metrics,
            self.clock(),
        ));
    }

    fn killed(&mut self) {
        if self.core.take().is_none() {
            return;
        }
        self.life += 1;
        self.under_way = 0;
        self.store.unsent.clear();
        self.excused.append(&mut self.untold);
        self.comfies.iter_mut().for_each(|comfy| comfy.socket = None);
        // The next process may be started under another time of day.
        self.skew = self.rng.u64(0..2_000_000_000);
        self.counts.kills += 1;
        let pause = self.rng.u64(100..20_000);
        self.at(pause, Happening::Reborn);
    }

    fn look(&mut self) {
        let (now, under_way) = (self.clock(), self.under_way);
        let Some(core) = &mut self.core else { return };
        core.step(&self.fleet, &self.store.ledger, under_way, now);
        self.act();
    }

    fn hear(&mut self, event: SocketEvent) {
        let now = self.clock();
        let Some(core) = &mut self.core else { return };
        if core.hear(event, now) { self.look() } else { self.act() }
    }

    fn apply(&mut self, done: Done) {
        let now = self.clock();
        let Some(core) = &mut self.core else { return };
        if core.apply(done, now) { self.look() } else { self.act() }
    }

    fn act(&mut self) {
        let acts = self.core.as_mut().map(Core::take_acts).unwrap_or_default();
        for act in acts {
            match act {
                Act::Begin(work) => {
                    self.under_way += 1;
                    let (delay, life) = (self.delay(), self.life);
                    self.at(delay, Happening::Stage(life, Box::new(Stage::of(work))));
                }
                Act::Tell { job, event, .. } => self.tell(job, &event),
                Act::Halt => panic!("it wants to end"),
                Act::TellEnd { job, events, .. } => events.iter().for_each(|event| self.tell(job, event)),
                Act::TellExecuting { .. } | Act::TellNoMore(_) | Act::TellFewer | Act::ForgetDelivered(_) => {
                }
            }
        }
    }

    fn stage(&mut self, stage: Stage) {
        match self.go_on(stage) {
            Then::After(delay, stage) => self.at(delay, Happening::Stage(self.life, Box::new(stage))),
            Then::Done(done) => {
                self.under_way -= 1;
                self.apply(done);
            }
        }
    }
}

fn job(rng: &mut fastrand::Rng, arrival: u64, now: UnixMillis) -> Job {
    let id = uuid::Builder::from_random_bytes(rng.u128(..).to_le_bytes()).into_uuid().to_string();
    let needs = Needs { classes: ["C".to_owned()].into(), ..Needs::default() };
    Job {
        id: JobId::canonical(&id).unwrap(),
        needs: Arc::new(needs),
        submitted_at: now,
        ..Job::for_tests(arrival)
    }
}
