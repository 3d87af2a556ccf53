//! Which commands are due: (board, fleet, ledger, time) → commands. Pure and level-triggered: it looks at what is, not
//! at what woke it.

use std::time::Duration;

use super::board::Board;
use super::track::{Phase, Stop, Track};
use crate::clock::UnixMillis;
use crate::config::{Config, Routing};
use crate::fleet::{Backend, Fleet, Status};
use crate::id::{BackendId, JobId};
use crate::limits;
use crate::queue::Ledger;
use crate::route::free::{self, Reason, Rules};
use crate::route::{Assignment, Policy};

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// When memory is freed though nobody asks.
    pub free: Rules,
    /// When a backend has been unreachable for so long, its jobs run again elsewhere although they may still run there;
    /// `None`: they wait until it can be asked, or until nothing listens at its address.
    pub rerun_after_unreachable: Option<Duration>,
    /// What decides; settled at the start.
    pub policy: Policy,
}

impl Settings {
    pub fn of(config: &Config) -> Self {
        let freeing = &config.freeing;
        let free = Rules {
            idle: freeing.after_idle,
            others: freeing.for_others,
            host_memory: freeing.below_host_memory,
            out_of_memory: freeing.after_out_of_memory,
            before_job: freeing.before_jobs,
        };
        let Routing { tempo, fairness, overdue_after } = config.routing;
        let policy = Policy {
            tempo,
            lag_weight: fairness,
            overdue_seconds: tempo * overdue_after.as_secs_f64(),
            ..Policy::default()
        };
        Self { free, rerun_after_unreachable: config.rerun_after_unreachable, policy }
    }
}

#[derive(Debug, PartialEq)]
pub(super) enum Command {
    Dispatch(Assignment),
    LookUp(JobId),
    /// The attempt is lost: it did not run, or will never tell.
    GiveUp {
        job: JobId,
        reason: Lost,
    },
    Stop(JobId),
    Free(BackendId, Reason),
}

/// Why an attempt is lost; the label in the metrics, and a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    ProcessGone,
    Unreachable,
    Removed,
    NotFound,
    NeverSent,
    Undeliverable,
    Refused,
    OutOfMemory,
    BrokenContext,
    Lacking,
}

impl Lost {
    pub const ALL: [Self; 10] = [
        Self::ProcessGone,
        Self::Unreachable,
        Self::Removed,
        Self::NotFound,
        Self::NeverSent,
        Self::Undeliverable,
        Self::Refused,
        Self::OutOfMemory,
        Self::BrokenContext,
        Self::Lacking,
    ];

    pub fn label(self) -> &'static str {
        match self {
            Self::ProcessGone => "process_gone",
            Self::Unreachable => "unreachable",
            Self::Removed => "backend_removed",
            Self::NotFound => "not_found",
            Self::NeverSent => "never_sent",
            Self::Undeliverable => "undeliverable",
            Self::Refused => "refused",
            Self::OutOfMemory => "out_of_memory",
            Self::BrokenContext => "broken_context",
            Self::Lacking => "lacking",
        }
    }

    /// Whether the attempt is bounded: the backend had it, or could be reached and did not take it.
    pub(super) fn is_spent(self) -> bool {
        self != Self::NeverSent
    }

    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::ProcessGone => "nothing listens at the backend's address any more, so its process is gone",
            Self::Unreachable => "the backend has been unreachable for as long as the configuration waits",
            Self::Removed => "the backend is no longer part of the fleet",
            Self::NotFound => "the backend has it neither in its queue nor in its history",
            Self::NeverSent => "the backend could not be reached",
            Self::Undeliverable => "the backend could not be given what the job needs",
            Self::Refused => "the backend refused it",
            Self::OutOfMemory => "its GPU ran out of memory",
            Self::BrokenContext => "its GPU failed, so that its ComfyUI may have to be restarted",
            Self::Lacking => "the backend lacks what it needs, and another may have it",
        }
    }
}

/// The commands that are due, as many as there is room for.
pub(super) fn step(
    board: &mut Board,
    fleet: &Fleet,
    ledger: &Ledger,
    settings: &Settings,
    room: usize,
    now: UnixMillis,
) -> Vec<Command> {
    board.see(fleet, ledger, now);
    let mut commands: Vec<Command> = Vec::new();
    for track in board.tracks.values() {
        commands.extend(care(board, track, fleet.get(&track.backend).map(AsRef::as_ref), settings, now));
    }
    commands.extend(board.want_free(now).map(|backend| Command::Free(backend.clone(), Reason::OutOfMemory)));
    // What was given out is dispatched: a decision counts on it.
    let assignments = board.route(room.saturating_sub(commands.len()), now);
    let chosen: Vec<BackendId> = assignments.iter().map(|assignment| assignment.backend.clone()).collect();
    for assignment in assignments {
        let frees = settings.free.before_job && frees_first(board, ledger, &assignment, now);
        commands.push(match frees {
            true => {
                // The job that it was given does not run now, and nothing will be left of what it holds.
                board.book.forget_models(&assignment.backend);
                Command::Free(assignment.backend, Reason::BeforeJob)
            }
            false => Command::Dispatch(assignment),
        });
    }
    let idle = board.idle().filter(|idle| !chosen.contains(&idle.candidate.backend.id));
    let waiting = board.undispatched(ledger).filter(|job| !board.book.is_exhausted(job));
    let due = free::to_free(idle, waiting, board.book.fits(), &settings.free, now);
    commands.extend(due.into_iter().map(|(backend, reason)| Command::Free(backend, reason)));
    commands.truncate(room);
    commands
}

/// The backend has failed to make room before, and this job needs more than is free.
fn frees_first(board: &Board, ledger: &Ledger, assignment: &Assignment, now: UnixMillis) -> bool {
    let Some(job) = ledger.get(assignment.job).filter(|_| board.keeps_models(&assignment.backend)) else {
        return false;
    };
    let mut idle = board.idle();
    idle.find(|idle| idle.candidate.backend.id == assignment.backend)
        .is_some_and(|idle| free::comes_first(job, &idle, board.book.fits(), now))
}

/// What one attempt needs now.
fn care(
    board: &Board,
    track: &Track,
    backend: Option<&Backend>,
    settings: &Settings,
    now: UnixMillis,
) -> Option<Command> {
    let job = track.job.id;
    let open = matches!(track.phase, Phase::Following | Phase::Doubtful { .. });
    if let Some(reason) = lost(backend, settings, now).filter(|_| open) {
        return Some(Command::GiveUp { job, reason });
    }
    if open && track.stop != Stop::No && backend.is_some_and(|backend| backend.health.is_down()) {
        // Nobody wants it any more, so it need not be known what becomes of it there.
        return Some(Command::GiveUp { job, reason: Lost::Unreachable });
    }
    let is_up = backend.is_some_and(|backend| backend.health.is_up());
    match track.phase {
        Phase::Doubtful { not_before } if is_up && not_before <= now => Some(Command::LookUp(job)),
        Phase::Following if is_up && is_silent(board, track, backend, now) => Some(Command::LookUp(job)),
        Phase::Following if is_up && stop_is_due(track, now) => Some(Command::Stop(job)),
        _ => None,
    }
}

fn lost(backend: Option<&Backend>, settings: &Settings, now: UnixMillis) -> Option<Lost> {
    let Some(backend) = backend else { return Some(Lost::Removed) };
    if backend.refused_for().is_some_and(|refused| refused >= limits::GONE_AFTER) {
        return Some(Lost::ProcessGone);
    }
    match (backend.health.status, settings.rerun_after_unreachable) {
        (Status::Down { since, .. }, Some(patience)) if now - since >= patience => Some(Lost::Unreachable),
        _ => None,
    }
}

/// Its end may have been missed: the backend says that it has nothing to do, or went on to the next job long ago, or
/// nothing was heard for far longer than such jobs are silent.
fn is_silent(board: &Board, track: &Track, backend: Option<&Backend>, now: UnixMillis) -> bool {
    let long_ago = |at: UnixMillis| now - at >= limits::SILENT_AFTER;
    let empty = backend.and_then(|backend| backend.backlog.as_ref());
    let empty = empty
        .is_some_and(|read| read.value.total == 0 && read.at > track.heard_at && long_ago(track.heard_at));
    let patience = || board.pace.patience(&track.job.needs.models());
    let stalled = || now - track.heard_at >= limits::LEAST_SILENCE && now - track.heard_at >= patience();
    empty || track.released_at.is_some_and(long_ago) || stalled()
}

fn stop_is_due(track: &Track, now: UnixMillis) -> bool {
    match track.stop {
        Stop::No => false,
        _ if track.stop_only_pending && track.runs() => false,
        Stop::Asked => true,
        // What was pending when it was told may have begun since, or the telling have failed.
        Stop::Told { at } => !track.is_released() && now - at >= limits::SILENT_AFTER,
    }
}

#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;
