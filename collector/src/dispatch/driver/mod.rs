//! The one task that owns the board. It waits for anything to happen, lets `step` say what is due, starts those
//! commands, and applies what came of them. What wakes it says only "look".

mod hearing;
mod outcomes;

use std::sync::Arc;
use std::time::Duration;

use comfyui::api::FreeRequest;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::board::{Board, View};
use super::conclude::{self, Closing};
use super::done::Done;
use super::perform;
use super::results;
use super::step::{Command, Lost, Settings, step};
use super::tools::Tools;
use super::track::{Phase, Stop, Track};
use crate::event::Hub;
use crate::fleet::Fleet;
use crate::id::{BackendId, JobId};
use crate::job::{Job, Outcome};
use crate::metrics::Metrics;
use crate::poll::SocketEvent;
use crate::queue::Ledger;
use crate::route::Assignment;
use crate::{lifecycle, limits};

/// The longest time without a look: what becomes due by time alone is late by no more.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What an idle backend is asked for: to unload its models, and to drop its cache of results too.
const EVERYTHING: FreeRequest = FreeRequest { unload_models: true, free_memory: true };
/// Rest of a backend that could not be given a job; it doubles with each time in a row.
const REST: Duration = Duration::from_secs(2);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// What a client asks of dispatch. The answer says only that it has been taken up.
pub enum Request {
    /// Stop it wherever it is: waiting, pending on a backend, running.
    Interrupt { job: JobId, reply: oneshot::Sender<()> },
    /// Take it out of the queue unless it runs.
    Remove { job: JobId, reply: oneshot::Sender<()> },
    /// How many jobs a backend has, by the fleet as it is now: none is given to it afterwards if it is draining.
    Count { backend: BackendId, reply: oneshot::Sender<usize> },
    /// Ask every backend that is up, or one, to free memory.
    Free { backend: Option<BackendId>, request: FreeRequest },
    /// Ask one backend, and tell what it answered, in words where it refused.
    FreeOne { backend: BackendId, request: FreeRequest, reply: oneshot::Sender<Result<(), String>> },
}

/// How others reach the driver.
#[derive(Clone)]
pub struct Dispatch {
    pub requests: mpsc::Sender<Request>,
    pub view: watch::Receiver<Arc<View>>,
}

struct Driver {
    tools: Arc<Tools>,
    settings: Settings,
    fleet: watch::Receiver<Arc<Fleet>>,
    ledger: watch::Receiver<Arc<Ledger>>,
    hub: Arc<Hub>,
    metrics: Arc<Metrics>,
    board: Board,
    under_way: JoinSet<Done>,
    publish: watch::Sender<Arc<View>>,
    reconciled: bool,
    stop: CancellationToken,
}

/// What [`start`] is given; `run.rs` has it all.
pub struct Parts {
    pub queue: crate::queue::Queue,
    pub files: Arc<crate::files::Files>,
    pub clients: crate::clients::Clients,
    pub client_id: crate::id::ClientId,
    pub clock: crate::clock::Clock,
    pub settings: Settings,
    pub fleet: watch::Receiver<Arc<Fleet>>,
    pub hub: Arc<Hub>,
    pub metrics: Arc<Metrics>,
    pub heard: mpsc::Receiver<SocketEvent>,
    pub stop: CancellationToken,
}

pub fn start(parts: Parts) -> Dispatch {
    let (requests, incoming) = mpsc::channel(limits::REQUESTS);
    let (publish, view) = watch::channel(Arc::default());
    let Parts { queue, files, clients, client_id, clock, settings, fleet, hub, metrics, heard, stop } = parts;
    let ledger = queue.ledger();
    let board = Board::of(&ledger.borrow(), clock.now());
    let tools = Arc::new(Tools { queue, files, clients, delivered: Default::default(), client_id, clock });
    let under_way = JoinSet::new();
    let driver = Driver {
        tools,
        settings,
        fleet,
        ledger,
        hub,
        metrics,
        board,
        under_way,
        publish,
        reconciled: false,
        stop,
    };
    lifecycle::vital("dispatch", driver.stop.clone(), driver.run(heard, incoming));
    Dispatch { requests, view }
}

impl Driver {
    async fn run(mut self, mut heard: mpsc::Receiver<SocketEvent>, mut requests: mpsc::Receiver<Request>) {
        let stop = self.stop.clone();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let due = tokio::select! {
                () = stop.cancelled() => return,
                Some(event) = heard.recv() => self.hear(event),
                Some(done) = self.under_way.join_next() => self.apply(done),
                Some(request) = requests.recv() => {
                    let due = self.take_up(request);
                    while let Ok(another) = requests.try_recv() {
                        self.take_up(another);
                    }
                    due
                }
                Ok(()) = self.ledger.changed() => true,
                Ok(()) = self.fleet.changed() => true,
                _ = look.tick() => true,
            };
            if due {
                self.step();
            }
        }
    }

    fn step(&mut self) {
        let (fleet, ledger) =
            (self.fleet.borrow_and_update().clone(), self.ledger.borrow_and_update().clone());
        let now = self.tools.clock.now();
        self.see_restarts(&fleet, now);
        let due = step(&self.board, &fleet, &ledger, &self.settings, now);
        for command in due.commands {
            if self.under_way.len() >= limits::COMMANDS_UNDER_WAY {
                break;
            }
            self.begin(command, &ledger);
        }
        self.reconciled = self.reconciled || self.board.is_reconciled(&fleet);
        let estimates = Arc::clone(&self.board.estimates);
        self.publish.send_replace(Arc::new(View {
            candidates: due.candidates,
            estimates,
            reconciled: self.reconciled,
        }));
    }

    /// A backend that is down holds neither models nor, for all we know, the files it was given.
    fn see_restarts(&mut self, fleet: &Fleet, now: crate::clock::UnixMillis) {
        for backend in &fleet.backends {
            self.board.belief(&backend.id, now);
            if backend.health.is_down() {
                self.forget_what_it_has(&backend.id);
            }
        }
    }

    fn forget_what_it_has(&mut self, backend: &BackendId) {
        self.board.forget_residency(backend);
        self.tools.delivered.forget(backend);
    }

    fn begin(&mut self, command: Command, ledger: &Ledger) {
        match command {
            Command::Dispatch(assignment) => {
                if let Some(job) = ledger.get(assignment.job) {
                    self.dispatch(Arc::clone(job), assignment);
                }
            }
            Command::LookUp(job) => self.look_up(job),
            Command::GiveUp { job, reason } => self.give_up(job, reason, reason.sentence().to_owned()),
            Command::Stop(job) => self.stop(job),
            Command::FreeIdle(backend) => {
                self.board.belief(&backend, self.tools.clock.now()).freeing = true;
                let freeing = perform::free(self.tools(), backend, "idle", EVERYTHING, None);
                self.under_way.spawn(freeing);
            }
        }
    }

    fn tools(&self) -> Arc<Tools> {
        Arc::clone(&self.tools)
    }

    fn dispatch(&mut self, job: Arc<Job>, assignment: Assignment) {
        let (now, models) = (self.tools.clock.now(), job.needs.models());
        let belief = self.board.belief(&assignment.backend, now);
        let loaded = models.0.is_subset(&belief.resident);
        if !models.0.is_empty() {
            belief.resident = models.0;
        }
        let attempt = job.attempts + 1;
        let track = Track::new(Arc::clone(&job), attempt, assignment.backend.clone(), now, loaded);
        self.board.tracks.insert(job.id, track);
        tracing::debug!(job = %job.id, backend = %assignment.backend, attempt, why = %assignment.why, "job dispatched");
        self.under_way.spawn(perform::dispatch(self.tools(), job, attempt, assignment));
    }

    fn look_up(&mut self, job: JobId) {
        let Some(track) = self.board.tracks.get_mut(&job) else { return };
        track.phase = Phase::LookingUp;
        let (backend, attempt, prompt_id) = (track.backend.clone(), track.attempt, track.prompt_id.clone());
        self.under_way.spawn(perform::look_up(self.tools(), backend, job, attempt, prompt_id));
    }

    /// The attempt is over without an end: the job waits again, unless its attempts are used up or nobody wants it.
    fn give_up(&mut self, job: JobId, lost: Lost, reason: String) {
        let Some(track) = self.board.tracks.get_mut(&job) else { return };
        let (backend, attempt) = (track.backend.clone(), track.attempt);
        if track.ending.outcome.is_some() {
            // It had told how it ended before it was lost.
            track.phase = Phase::Concluding;
            let closing = Closing::of_frames(track);
            self.under_way.spawn(conclude::conclude(self.tools(), closing));
            return;
        }
        if track.stop != Stop::No {
            let outcome = if track.started_at.is_some() { Outcome::Interrupted } else { Outcome::Cancelled };
            return self.fail(job, outcome, None);
        }
        let reason = track.trouble.take().map_or(reason.clone(), |trouble| format!("{reason} ({trouble})"));
        let spent_attempts = track.job.spent_attempts + u32::from(lost.is_spent());
        if spent_attempts >= limits::ATTEMPTS {
            let reason = format!("{spent_attempts} attempts were lost; the last on {backend}: {reason}");
            return self.fail_with(job, "AttemptsLost", &reason, serde_json::Value::Null);
        }
        track.phase = Phase::Concluding;
        tracing::warn!(%job, %backend, attempt, reason, "job waits again");
        self.metrics.requeued(lost.label());
        self.under_way.spawn(perform::requeue(self.tools(), job, attempt, lost.is_spent(), reason));
    }

    fn fail_with(&mut self, job: JobId, kind: &str, reason: &str, extra: serde_json::Value) {
        let message = results::error_message(job, kind, reason, extra, self.tools.clock.now());
        self.fail(job, Outcome::Failed, Some(message));
    }

    fn fail(&mut self, job: JobId, outcome: Outcome, last: Option<comfyui::Message>) {
        let Some(track) = self.board.tracks.get_mut(&job) else { return };
        track.phase = Phase::Concluding;
        let closing = Closing::without_backend(track, outcome, last);
        self.under_way.spawn(conclude::conclude(self.tools(), closing));
    }

    fn stop(&mut self, job: JobId) {
        let now = self.tools.clock.now();
        let Some(track) = self.board.tracks.get_mut(&job) else { return };
        let Some(prompt_id) = track.prompt_id.clone() else { return };
        track.stop = Stop::Told { at: now };
        let (backend, attempt, pending) = (track.backend.clone(), track.attempt, !track.runs());
        self.under_way.spawn(perform::stop(self.tools(), backend, job, attempt, prompt_id, pending));
    }

    fn take_up(&mut self, request: Request) -> bool {
        match request {
            Request::Interrupt { job, reply } => self.interrupt(job, false, reply),
            Request::Remove { job, reply } => self.interrupt(job, true, reply),
            Request::Count { backend, reply } => {
                // Whoever asked may be gone.
                let _ = reply.send(self.board.tracks_on(&backend).count());
            }
            Request::Free { backend, request } => {
                let fleet = self.fleet.borrow().clone();
                let up = fleet
                    .backends
                    .iter()
                    .filter(|b| b.health.is_up() && backend.as_ref().is_none_or(|id| *id == b.id));
                for backend in up {
                    let freeing = perform::free(self.tools(), backend.id.clone(), "asked", request, None);
                    self.under_way.spawn(freeing);
                }
            }
            Request::FreeOne { backend, request, reply } => {
                self.under_way.spawn(perform::free(self.tools(), backend, "asked", request, Some(reply)));
            }
        }
        true
    }

    fn interrupt(&mut self, job: JobId, only_pending: bool, reply: oneshot::Sender<()>) {
        if !self.board.tracks.contains_key(&job) {
            self.under_way.spawn(perform::cancel(self.tools(), job, only_pending, reply));
            return;
        }
        self.ask_to_stop(job, only_pending);
        // Whoever asked may be gone.
        let _ = reply.send(());
    }

    /// A job that a backend has: what is to be done about it is seen at the next step.
    fn ask_to_stop(&mut self, job: JobId, only_pending: bool) {
        let Some(track) = self.board.tracks.get_mut(&job) else { return };
        let spared = only_pending && (track.runs() || track.is_released());
        if spared || (track.stop != Stop::No && !track.stop_only_pending) {
            return;
        }
        (track.stop, track.stop_only_pending) = (Stop::Asked, only_pending);
    }
}
