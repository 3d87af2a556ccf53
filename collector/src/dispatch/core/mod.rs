//! All that dispatch decides: a state machine that is told what happened and says what is to be done. Pure but for its
//! counters and its log: no task, no clock, no connection; the driver has those.

mod failing;
mod freeing;
mod hearing;
mod outcomes;

use std::sync::Arc;
use std::time::Duration;

use comfyui::api::FreeRequest;
use tokio::sync::oneshot;

use super::act::{Act, TakenUp, Work};
use super::board::{Board, View};
use super::conclude::Closing;
use super::kept::Kept;
use super::results;
use super::step::{Command, Lost, Settings, step};
use super::track::{Gpu, Phase, Stop, Track};
use super::usage::Usage;
use crate::clock::UnixMillis;
use crate::fleet::Fleet;
use crate::id::{BackendId, JobId};
use crate::job::{Job, Outcome};
use crate::limits;
use crate::metrics::Metrics;
use crate::queue::Ledger;
use crate::route::free::Reason;
use crate::route::{Assignment, Book, Tier};
use crate::tenant::Tenants;

/// What an idle backend is asked for: to unload its models, and to drop its cache of results too.
const EVERYTHING: FreeRequest = FreeRequest { unload_models: true, free_memory: true };
/// Rest of a backend that could not be given a job; it doubles with each time in a row.
const REST: Duration = Duration::from_secs(2);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// What a client asks of dispatch. The answer says only that it has been taken up.
pub enum Request {
    /// Stop it wherever it is: waiting, pending on a backend, running.
    Interrupt { job: JobId, reply: TakenUp },
    /// Take it out of the queue unless it runs.
    Remove { job: JobId, reply: TakenUp },
    /// How many jobs a backend has, by the fleet as it is now: none is given to it afterwards if it is draining.
    Count { backend: BackendId, reply: oneshot::Sender<usize> },
    /// All that decisions look at, as the next step leaves it: to see why a job waits, and what is expected.
    Look { reply: oneshot::Sender<Arc<Book>> },
    /// Ask every backend that is up, or one, to free memory.
    Free { backend: Option<BackendId>, request: FreeRequest },
    /// Ask one backend, and tell the free's number once it has accepted, or in words why it has not.
    FreeOne { backend: BackendId, request: FreeRequest, reply: oneshot::Sender<Result<u64, String>> },
}

pub(super) struct Core {
    settings: Settings,
    metrics: Arc<Metrics>,
    board: Board,
    reconciled: bool,
    /// Backends that were asked to free memory so far.
    frees: u64,
    /// When what was learned was kept last, and whether there is more since.
    kept_at: UnixMillis,
    learned: bool,
    acts: Vec<Act>,
    /// Who asked for what decisions look at.
    looks: Vec<oneshot::Sender<Arc<Book>>>,
}

impl Core {
    /// At start: every attempt in the ledger is in doubt.
    pub(super) fn of(
        ledger: &Ledger,
        kept: Kept,
        usage: Usage,
        settings: Settings,
        metrics: Arc<Metrics>,
        now: UnixMillis,
    ) -> Self {
        let mut board = Board::knowing(settings.policy, kept, usage);
        board.take_up_found(ledger, now);
        Self {
            settings,
            metrics,
            board,
            reconciled: false,
            frees: 0,
            kept_at: now,
            learned: false,
            acts: Vec::new(),
            looks: Vec::new(),
        }
    }

    /// The configuration has changed.
    pub(super) fn go_by(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// What the jobs of each owner may have from now on.
    pub(super) fn grant(&mut self, tenants: Arc<Tenants>) {
        self.board.usage.tenants = tenants;
    }

    /// What is to be done since this was asked last, in order.
    pub(super) fn take_acts(&mut self) -> Vec<Act> {
        std::mem::take(&mut self.acts)
    }

    fn begin(&mut self, work: Work) {
        self.acts.push(Act::Begin(work));
    }

    /// Looks at everything. `under_way`: acts that were not answered yet.
    pub(super) fn step(&mut self, fleet: &Fleet, ledger: &Ledger, under_way: usize, now: UnixMillis) -> View {
        self.see_restarts(fleet, now);
        for job in self.board.take_up_found(ledger, now) {
            let reason = "it was not known whether this attempt was written, so it was not sent".to_owned();
            self.give_up(job, Lost::NeverSent, reason, now);
        }
        self.watch_frees(fleet, now);
        let room = limits::COMMANDS_UNDER_WAY.saturating_sub(under_way + self.acts.len());
        let commands = step(&mut self.board, fleet, ledger, &self.settings, room, now);
        self.watch_memory();
        for command in commands {
            self.obey(command, fleet, ledger, now);
        }
        self.keep_learned(now);
        self.show_book();
        self.reconciled = self.reconciled || self.board.is_reconciled(fleet);
        View {
            candidates: Arc::clone(self.board.book.candidates()),
            running: self.board.running(now),
            loads: self.board.loads(),
            frees: self.board.frees(),
            spent: self.board.spent.clone(),
            reconciled: self.reconciled,
        }
    }

    /// A backend that is down holds neither models nor, for all we know, the files it was given.
    fn see_restarts(&mut self, fleet: &Fleet, now: UnixMillis) {
        for backend in &fleet.backends {
            let belief = self.board.belief(&backend.id, now);
            if backend
                .backlog
                .as_ref()
                .is_some_and(|read| read.value.foreign.is_some_and(|others| others > 0))
            {
                belief.others_at = now;
            }
            if backend.health.is_down() {
                self.is_new(&backend.id);
            } else if self.board.has_other_process(backend, now) {
                self.is_new(&backend.id);
                self.doubt_all(&backend.id, now);
            }
        }
    }

    /// Another process stands, or will stand, in its place: it holds nothing, was given nothing, and its GPU may work again.
    fn is_new(&mut self, backend: &BackendId) {
        self.board.begin_anew(backend);
        self.acts.push(Act::ForgetDelivered(backend.clone()));
    }

    /// What ComfyUI holds of the GPU while a job runs is what such a job takes.
    fn watch_memory(&mut self) {
        let candidates = Arc::clone(self.board.book.candidates());
        let known = candidates.iter().filter(|candidate| candidate.room.own_bytes.is_some());
        for candidate in known {
            let tracks = self.board.tracks.values_mut().filter(|track| track.backend == candidate.backend.id);
            tracks.for_each(|track| track.see_memory(&candidate.room));
        }
    }

    fn show_book(&mut self) {
        if self.looks.is_empty() {
            return;
        }
        let book = Arc::new(self.board.book.clone());
        for reply in self.looks.drain(..) {
            // Whoever asked may be gone.
            let _ = reply.send(Arc::clone(&book));
        }
    }

    fn keep_learned(&mut self, now: UnixMillis) {
        if !self.learned || now - self.kept_at < limits::KEEP_LEARNED_EVERY {
            return;
        }
        (self.learned, self.kept_at) = (false, now);
        let Board { book, pace, .. } = &self.board;
        let kept = Kept { fits: book.fits().clone(), pace: pace.clone(), learned: book.learned() };
        self.begin(Work::Keep(Box::new(kept)));
    }

    fn obey(&mut self, command: Command, fleet: &Fleet, ledger: &Ledger, now: UnixMillis) {
        match command {
            Command::Dispatch(assignment) => {
                if let Some(job) = ledger.get(assignment.job) {
                    self.dispatch(Arc::clone(job), assignment, now);
                }
            }
            Command::LookUp(job) => self.look_up(job),
            Command::GiveUp { job, reason } => self.give_up(job, reason, reason.sentence().to_owned(), now),
            Command::Stop(job) => self.stop(job, now),
            Command::Free(id, reason) => {
                if let Some(backend) = fleet.get(&id) {
                    self.free(backend, reason, EVERYTHING, None, now);
                }
            }
        }
    }

    fn dispatch(&mut self, job: Arc<Job>, assignment: Assignment, now: UnixMillis) {
        let loaded = assignment.loads.iter().all(|(_, from)| *from == Tier::Vram);
        if !assignment.loads.is_empty() {
            self.board.count_load(&assignment.backend, loaded);
        }
        self.metrics.decided(assignment.why.rule);
        let attempt = job.attempts + 1;
        let mut track = Track::new(Arc::clone(&job), attempt, assignment.backend.clone(), now, loaded);
        let candidate = self.board.book.candidate(&assignment.backend);
        track.gpu = candidate.map(|its| Gpu::of(&its.room)).unwrap_or_default();
        track.loads = assignment.loads.clone();
        track.expected_seconds = Some(assignment.why.load_seconds + assignment.why.run_seconds);
        track.begun_before = self.board.pasts.get(&job.id).is_some_and(|past| past.begun);
        self.board.tracks.insert(job.id, track);
        tracing::debug!(job = %job.id, backend = %assignment.backend, attempt, why = %assignment.why, "job dispatched");
        self.begin(Work::Dispatch { job, attempt, assignment });
    }

    fn look_up(&mut self, job: JobId) {
        let Some(track) = self.board.tracks.get_mut(&job) else { return };
        track.phase = Phase::LookingUp;
        let (backend, attempt, prompt_id) = (track.backend.clone(), track.attempt, track.prompt_id.clone());
        self.begin(Work::LookUp { backend, job, attempt, prompt_id });
    }

    /// The attempt is over without an end: the job waits again, unless its attempts are used up or nobody wants it.
    fn give_up(&mut self, job: JobId, lost: Lost, reason: String, now: UnixMillis) {
        let Some(track) = self.board.tracks.get_mut(&job) else { return };
        let backend = track.backend.clone();
        if track.ending.outcome.is_some() {
            // It had told how it ended before it was lost.
            if self.tries_again(job, None, now) {
                return;
            }
            let Some(track) = self.board.tracks.get_mut(&job) else { return };
            track.phase = Phase::Concluding;
            let closing = Closing::of_frames(track);
            self.begin(Work::Conclude(Box::new(closing)));
            return;
        }
        if track.stop != Stop::No {
            let outcome = if track.started_at.is_some() { Outcome::Interrupted } else { Outcome::Cancelled };
            return self.fail(job, outcome, None);
        }
        let reason = track.trouble.take().map_or(reason.clone(), |trouble| format!("{reason} ({trouble})"));
        let spent_attempts = track.job.spent_attempts + u32::from(lost.is_spent());
        if spent_attempts >= track.job.wishes.attempts() {
            let reason = format!("{spent_attempts} attempts were lost; the last on {backend}: {reason}");
            return self.fail_with(job, "AttemptsLost", &reason, serde_json::Value::Null, now);
        }
        self.wait_again(job, lost, reason);
    }

    fn wait_again(&mut self, job: JobId, lost: Lost, reason: String) {
        let Some(track) = self.board.tracks.get_mut(&job) else { return };
        let (backend, attempt, course) = (track.backend.clone(), track.attempt, track.course());
        track.phase = Phase::Concluding;
        tracing::warn!(%job, %backend, attempt, reason, "job waits again");
        self.metrics.requeued(lost);
        self.begin(Work::Requeue { job, attempt, spent: lost.is_spent(), reason, course });
    }

    fn fail_with(&mut self, job: JobId, kind: &str, reason: &str, extra: serde_json::Value, now: UnixMillis) {
        let message = results::error_message(job, kind, reason, extra, now);
        self.fail(job, Outcome::Failed, Some(message));
    }

    fn fail(&mut self, job: JobId, outcome: Outcome, last: Option<comfyui::Message>) {
        let Some(track) = self.board.tracks.get_mut(&job) else { return };
        track.phase = Phase::Concluding;
        let closing = Closing::without_backend(track, outcome, last);
        self.begin(Work::Conclude(Box::new(closing)));
    }

    fn stop(&mut self, job: JobId, now: UnixMillis) {
        let Some(track) = self.board.tracks.get_mut(&job) else { return };
        let Some(prompt_id) = track.prompt_id.clone() else { return };
        track.stop = Stop::Told { at: now };
        let (backend, attempt, pending) = (track.backend.clone(), track.attempt, !track.runs());
        self.begin(Work::Stop { backend, job, attempt, prompt_id, pending });
    }

    pub(super) fn take_up(&mut self, request: Request, fleet: &Fleet, now: UnixMillis) {
        match request {
            Request::Interrupt { job, reply } => self.interrupt(job, false, reply),
            Request::Remove { job, reply } => self.interrupt(job, true, reply),
            Request::Count { backend, reply } => {
                // Whoever asked may be gone.
                let _ = reply.send(self.board.tracks_on(&backend).count());
            }
            Request::Look { reply } => self.looks.push(reply),
            Request::Free { backend, request } => {
                let meant = |id: &BackendId| backend.as_ref().is_none_or(|backend| backend == id);
                let up = fleet.backends.iter().filter(|b| b.health.is_up() && meant(&b.id));
                up.for_each(|backend| self.free(backend, Reason::Asked, request, None, now));
            }
            Request::FreeOne { backend, request, reply } => match fleet.get(&backend) {
                Some(backend) => self.free(backend, Reason::Asked, request, Some(reply), now),
                // Whoever asked may be gone.
                None => drop(reply.send(Err(format!("{backend} is no longer part of the fleet")))),
            },
        }
    }

    fn interrupt(&mut self, job: JobId, only_pending: bool, reply: TakenUp) {
        if !self.board.tracks.contains_key(&job) {
            self.begin(Work::Cancel { job, only_pending, reply: Some(reply) });
            return;
        }
        self.ask_to_stop(job, only_pending);
        // Whoever asked may be gone.
        let _ = reply.send(Ok(()));
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
