//! The one task that owns the board. It waits for anything to happen, lets `step` say what is due, starts those
//! commands, and applies what came of them. What wakes it says only "look".

use std::sync::Arc;
use std::time::Duration;

use comfyui::api::FreeRequest;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::board::{Board, View};
use super::conclude::{self, Closing, Conclusion};
use super::perform::{self, Done, Sent, Tools};
use super::recover::Found;
use super::results;
use super::step::{Command, Lost, Settings, step};
use super::track::{Effect, Phase, Stop, Track};
use crate::event::{Event, Hub};
use crate::fleet::Fleet;
use crate::id::{BackendId, JobId};
use crate::job::{Job, Outcome};
use crate::limits;
use crate::metrics::Metrics;
use crate::poll::{Heard, SocketEvent};
use crate::queue::Ledger;
use crate::route::Assignment;

/// The longest time without a look: what becomes due by time alone is late by no more.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Rest of a backend that could not be given a job.
const REST: Duration = Duration::from_secs(2);

/// What a client asks of dispatch. The answer says only that it has been taken up.
pub enum Request {
    /// Stop it wherever it is: waiting, pending on a backend, running.
    Interrupt { job: JobId, reply: oneshot::Sender<()> },
    /// Take it out of the queue unless it runs.
    Remove { job: JobId, reply: oneshot::Sender<()> },
    /// Ask every backend that is up, or one, to free memory.
    Free { backend: Option<BackendId>, request: FreeRequest },
}

/// How others reach the driver.
#[derive(Clone)]
pub struct Desk {
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
}

/// What [`start`] is given; `run.rs` has it all.
pub struct Parts {
    pub queue: crate::queue::Queue,
    pub files: Arc<crate::files::Files>,
    pub clients: std::collections::HashMap<BackendId, comfyui::Client>,
    pub client_id: crate::id::ClientId,
    pub clock: crate::clock::Clock,
    pub settings: Settings,
    pub fleet: watch::Receiver<Arc<Fleet>>,
    pub hub: Arc<Hub>,
    pub metrics: Arc<Metrics>,
    pub heard: mpsc::Receiver<SocketEvent>,
    pub stop: CancellationToken,
}

pub fn start(parts: Parts) -> Desk {
    let (requests, incoming) = mpsc::channel(limits::REQUESTS);
    let (publish, view) = watch::channel(Arc::default());
    let Parts { queue, files, clients, client_id, clock, settings, fleet, hub, metrics, heard, stop } = parts;
    let ledger = queue.ledger();
    let board = Board::of(&ledger.borrow(), clock.now());
    let tools = Arc::new(Tools { queue, files, clients, delivered: Default::default(), client_id, clock });
    let under_way = JoinSet::new();
    let driver =
        Driver { tools, settings, fleet, ledger, hub, metrics, board, under_way, publish, reconciled: false };
    tokio::spawn(driver.run(heard, incoming, stop));
    Desk { requests, view }
}

impl Driver {
    async fn run(
        mut self,
        mut heard: mpsc::Receiver<SocketEvent>,
        mut requests: mpsc::Receiver<Request>,
        stop: CancellationToken,
    ) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let due = tokio::select! {
                () = stop.cancelled() => return,
                Some(event) = heard.recv() => self.hear(event),
                Some(done) = self.under_way.join_next() => self.apply(done),
                Some(request) = requests.recv() => self.take_up(request),
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
            self.board.desk(&backend.id, now);
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
                self.board.desk(&backend, self.tools.clock.now()).freeing = true;
                let freeing = perform::free(self.tools(), backend, "idle", perform::free_everything());
                self.under_way.spawn(freeing);
            }
        }
    }

    fn tools(&self) -> Arc<Tools> {
        Arc::clone(&self.tools)
    }

    fn dispatch(&mut self, job: Arc<Job>, assignment: Assignment) {
        let (now, models) = (self.tools.clock.now(), job.needs.models());
        let desk = self.board.desk(&assignment.backend, now);
        let loaded = models.0.is_subset(&desk.resident);
        if !models.0.is_empty() {
            desk.resident = models.0;
        }
        let attempt = job.attempts + 1;
        let track = Track::new(Arc::clone(&job), attempt, assignment.backend.clone(), now, loaded);
        self.board.tracks.insert(job.id, track);
        self.metrics.dispatched(&assignment.backend, loaded);
        self.metrics.job_wait_seconds.observe((now - job.submitted_at).as_secs_f64());
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
        if track.stop != Stop::No {
            let outcome = if track.started_at.is_some() { Outcome::Interrupted } else { Outcome::Cancelled };
            return self.fail(job, outcome, None);
        }
        let spent = lost != Lost::NeverSent;
        let spent_attempts = track.job.spent_attempts + u32::from(spent);
        if spent_attempts >= limits::ATTEMPTS {
            let reason = format!("{spent_attempts} attempts were lost; the last on {backend}: {reason}");
            let now = self.tools.clock.now();
            let message = results::error_message(job, "AttemptsLost", &reason, serde_json::Value::Null, now);
            conclude::log(job, &backend, Outcome::Failed, &reason);
            return self.fail(job, Outcome::Failed, Some(message));
        }
        track.phase = Phase::Concluding;
        tracing::warn!(%job, %backend, attempt, reason, "job waits again");
        self.metrics.requeued(lost.label());
        self.under_way.spawn(perform::requeue(self.tools(), job, attempt, spent, reason));
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

    /// True when something may be due.
    fn hear(&mut self, event: SocketEvent) -> bool {
        let now = self.tools.clock.now();
        match event.heard {
            Heard::Closed => false,
            Heard::Opened => {
                // It may be another process than before. Nothing is replayed, so whatever was followed there may have
                // gone on or ended unheard.
                self.forget_what_it_has(&event.backend);
                let tracks = self.board.tracks.values_mut().filter(|track| track.backend == event.backend);
                tracks.for_each(|track| track.doubt(now));
                true
            }
            Heard::Frame(frame) => {
                let Some(job) = self.owner_of(&event.backend, &frame) else { return false };
                let Some(track) = self.board.tracks.get_mut(&job) else { return false };
                let effects = track.hear(*frame, now);
                self.take_effect(job, effects)
            }
        }
    }

    fn owner_of(&self, backend: &BackendId, frame: &comfyui::Frame) -> Option<JobId> {
        let owner = self.board.tracks_on(backend).find(|track| track.owns(frame));
        let owner = owner.or_else(|| self.board.tracks_on(backend).find(|track| track.may_own()));
        owner.map(|track| track.job.id)
    }

    fn take_effect(&mut self, job: JobId, effects: Vec<Effect>) -> bool {
        let mut due = false;
        for effect in effects {
            let Some(track) = self.board.tracks.get(&job) else { break };
            let client = track.job.client_id.clone();
            match (effect, client) {
                (Effect::Tell(event), Some(client)) => self.hub.tell(&client, event),
                (Effect::Executing(text), Some(client)) => self.hub.tell_executing(&client, job, text),
                (Effect::Tell(_) | Effect::Executing(_), None) => {}
                (Effect::Released, _) => {
                    self.release(job);
                    due = true;
                }
                (Effect::Ended, _) => self.conclude(job, None),
            }
        }
        due
    }

    /// Its backend can take the next job.
    fn release(&mut self, job: JobId) {
        let now = self.tools.clock.now();
        let Some(track) = self.board.tracks.get(&job) else { return };
        let (backend, models) = (track.backend.clone(), track.job.needs.models());
        let succeeded = track.ending.outcome.is_none_or(|outcome| outcome == Outcome::Succeeded);
        let timing = track.timing().filter(|_| succeeded);
        self.board.desk(&backend, now).idle_since = now;
        if let Some(timing) = timing {
            self.metrics.job_run_seconds.observe(timing.run_seconds + timing.load_seconds.unwrap_or(0.0));
            Arc::make_mut(&mut self.board.estimates).learn(&models, timing);
        }
    }

    fn conclude(&mut self, job: JobId, entry: Option<Box<comfyui::api::HistoryEntry>>) {
        let Some(track) = self.board.tracks.get_mut(&job) else { return };
        track.phase = Phase::Concluding;
        let closing = Closing::of(track, entry);
        self.under_way.spawn(conclude::conclude(self.tools(), closing));
    }

    fn apply(&mut self, done: Result<Done, tokio::task::JoinError>) -> bool {
        match done {
            Ok(Done::Sent { job, attempt, sent }) => self.sent(job, attempt, sent),
            Ok(Done::LookedUp { job, attempt, found }) => self.looked_up(job, attempt, found),
            Ok(Done::Requeued { job, attempt }) => {
                if self.current(job, attempt).is_some() {
                    self.board.tracks.remove(&job);
                    self.hub.forget(job);
                }
            }
            Ok(Done::Concluded(conclusion)) => self.concluded(*conclusion),
            Ok(Done::Stopped { job, attempt, pending, result }) => {
                self.stopped(job, attempt, pending, result)
            }
            Ok(Done::Freed { backend, reason, result }) => self.freed(&backend, reason, &result),
            Ok(Done::Cancelled { job, result }) => self.cancelled(job, result),
            // A command never panics by its own doing; should one, its attempt stays in its phase and is seen there.
            Err(error) => tracing::error!(%error, "a command was lost"),
        }
        true
    }

    /// The track, if it is still this attempt.
    fn current(&mut self, job: JobId, attempt: u32) -> Option<&mut Track> {
        self.board.tracks.get_mut(&job).filter(|track| track.attempt == attempt)
    }

    fn sent(&mut self, job: JobId, attempt: u32, sent: Sent) {
        let now = self.tools.clock.now();
        let Some(track) = self.current(job, attempt).filter(|track| track.phase == Phase::Sending) else {
            return;
        };
        match sent {
            Sent::Accepted { prompt_id } => {
                let effects = track.accepted(prompt_id, now);
                self.observe_gap(job);
                self.take_effect(job, effects);
            }
            Sent::NotCommitted(error) => {
                tracing::debug!(%job, %error, "the job was not dispatched");
                let backend = track.backend.clone();
                self.board.tracks.remove(&job);
                if matches!(error, crate::queue::ChangeError::Store(_)) {
                    self.board.desk(&backend, now).rests_until = now.after(REST);
                }
            }
            Sent::Never { reason } => {
                let backend = track.backend.clone();
                self.board.desk(&backend, now).rests_until = now.after(REST);
                self.give_up(job, Lost::NeverSent, reason);
            }
            Sent::Undeliverable { reason } => self.give_up(job, Lost::Undeliverable, reason),
            Sent::Rejected(rejected) => {
                let (reason, document) = results::rejection(&rejected);
                conclude::log(job, &track.backend, Outcome::Failed, &reason);
                let message = results::error_message(job, "PromptRejected", &reason, document, now);
                self.fail(job, Outcome::Failed, Some(message));
            }
            Sent::Doubtful { reason } => {
                tracing::warn!(%job, backend = %track.backend, reason, "it is looked up whether the backend has the job");
                track.phase = Phase::Doubtful { not_before: now };
            }
        }
    }

    /// From the end of the backend's last job to its acceptance of this one, if this one was waiting by then.
    fn observe_gap(&mut self, job: JobId) {
        let now = self.tools.clock.now();
        let Some(track) = self.board.tracks.get(&job) else { return };
        let (backend, submitted_at) = (track.backend.clone(), track.job.submitted_at);
        let idle_since = self.board.desk(&backend, now).idle_since;
        if submitted_at < idle_since {
            self.metrics.dispatch_gap_seconds.observe((now - idle_since).as_secs_f64());
        }
    }

    fn looked_up(&mut self, job: JobId, attempt: u32, found: Result<Found, String>) {
        let now = self.tools.clock.now();
        // It may have ended, as frames told, while it was looked up.
        let Some(track) = self.current(job, attempt).filter(|track| track.phase == Phase::LookingUp) else {
            return;
        };
        match found {
            Ok(Found::Pending { prompt_id }) => {
                let effects = track.accepted(prompt_id, now);
                self.take_effect(job, effects);
            }
            Ok(Found::Running { prompt_id }) => {
                track.started_at.get_or_insert(now);
                let effects = track.accepted(prompt_id, now);
                self.take_effect(job, effects);
            }
            Ok(Found::Ended { prompt_id, entry }) => {
                track.prompt_id = Some(prompt_id);
                track.released_at.get_or_insert(now);
                let backend = track.backend.clone();
                self.board.desk(&backend, now).idle_since = now;
                self.conclude(job, Some(entry));
            }
            Ok(Found::Nowhere) if track.misses == 0 => {
                track.misses = 1;
                track.phase = Phase::Doubtful { not_before: now.after(limits::LOOKUP_AGAIN_AFTER) };
            }
            Ok(Found::Nowhere) => self.give_up(job, Lost::NotFound, Lost::NotFound.sentence().to_owned()),
            Err(reason) => {
                tracing::debug!(%job, reason, "the job could not be looked up");
                track.phase = Phase::Doubtful { not_before: now.after(limits::LOOKUP_AGAIN_AFTER) };
            }
        }
    }

    fn concluded(&mut self, conclusion: Conclusion) {
        let Conclusion { job, outcome, events } = conclusion;
        if let Some(track) = self.board.tracks.remove(&job.id) {
            conclude::log(job.id, &track.backend, outcome, "its node raised an exception, see its history");
        }
        self.hub.forget(job.id);
        self.metrics.ended(outcome);
        if let Some(client) = &job.client_id {
            events.into_iter().for_each(|event: Event| self.hub.tell(client, event));
        }
    }

    /// What was pending leaves no event behind, so it is looked up that it is gone.
    fn stopped(&mut self, job: JobId, attempt: u32, pending: bool, result: Result<(), comfyui::Error>) {
        let now = self.tools.clock.now();
        let Some(track) = self.current(job, attempt) else { return };
        match result {
            Ok(()) if pending => track.doubt(now),
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%job, %error, "the job could not be stopped yet");
                track.stop = Stop::Told { at: now };
            }
        }
    }

    fn cancelled(&mut self, job: JobId, result: Result<(), crate::queue::ChangeError>) {
        match result {
            Ok(()) => self.metrics.ended(Outcome::Cancelled),
            Err(error) => tracing::debug!(%job, %error, "the job was no longer waiting"),
        }
    }

    fn freed(&mut self, backend: &BackendId, reason: &'static str, result: &Result<(), comfyui::Error>) {
        self.metrics.freed(reason, result.is_ok());
        let now = self.tools.clock.now();
        let desk = self.board.desk(backend, now);
        desk.freeing = false;
        match result {
            Ok(()) => {
                desk.resident.clear();
                tracing::info!(%backend, reason, "backend was asked to free its memory");
            }
            Err(error) => {
                desk.idle_since = now;
                tracing::warn!(%backend, reason, %error, "backend could not be asked to free its memory");
            }
        }
    }

    fn take_up(&mut self, request: Request) -> bool {
        match request {
            Request::Interrupt { job, reply } => self.interrupt(job, false, reply),
            Request::Remove { job, reply } => self.interrupt(job, true, reply),
            Request::Free { backend, request } => {
                let fleet = self.fleet.borrow().clone();
                let up = fleet
                    .backends
                    .iter()
                    .filter(|b| b.health.is_up() && backend.as_ref().is_none_or(|id| *id == b.id));
                for backend in up {
                    self.under_way.spawn(perform::free(self.tools(), backend.id.clone(), "asked", request));
                }
            }
        }
        true
    }

    fn interrupt(&mut self, job: JobId, only_pending: bool, reply: oneshot::Sender<()>) {
        match self.board.tracks.get_mut(&job) {
            Some(track) => {
                let spared = only_pending && (track.runs() || track.is_released());
                if !spared && track.stop == Stop::No {
                    track.stop = Stop::Asked;
                }
                // Whoever asked may be gone.
                let _ = reply.send(());
            }
            None => drop(self.under_way.spawn(perform::cancel(self.tools(), job, reply))),
        }
    }
}
