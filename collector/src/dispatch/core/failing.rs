//! What a job's end says of its backend, and whether a job that failed for its backend's sake waits again.

use std::sync::Arc;
use std::time::Duration;

use comfyui::api::{HistoryEntry, PromptRejected};

use super::Core;
use crate::clock::UnixMillis;
use crate::dispatch::act::Act;
use crate::dispatch::failure::{self, Failure, Kind, Lacking};
use crate::dispatch::step::Lost;
use crate::dispatch::track::{Phase, Stop, Track};
use crate::id::JobId;
use crate::job::Outcome;
use crate::route::free::{Outcome as Freed, Reason};
use crate::route::{GpuClass, fits_somewhere, suits};

/// Rest of a backend whose GPU has failed; it doubles with each time in a row.
const SUSPECT_REST: Duration = Duration::from_secs(30);
const LONGEST_SUSPECT_REST: Duration = Duration::from_secs(1800);

impl Core {
    /// Once for each attempt that has ended on a backend. `entry`: what the backend remembers of it, where its end was
    /// not heard.
    pub(super) fn learn_of_backend(&mut self, job: JobId, entry: Option<&HistoryEntry>, now: UnixMillis) {
        let Some(track) = self.board.tracks.get(&job) else { return };
        let by_entry = entry.and_then(|entry| entry.status.as_ref()).map(|status| status.completed);
        let succeeded = match track.ending.outcome {
            Some(outcome) => outcome == Outcome::Succeeded,
            None => by_entry.unwrap_or(true),
        };
        match failure::of(&track.ending, entry) {
            Some(Failure { kind: Kind::OutOfMemory, .. }) => self.ran_out_of_memory(job, now),
            Some(Failure { kind: Kind::BrokenContext, .. }) => self.gpu_failed(job, now),
            None if succeeded => self.has_run(job, now),
            None => {}
        }
    }

    fn has_run(&mut self, job: JobId, now: UnixMillis) {
        let Some(track) = self.board.tracks.get(&job) else { return };
        let (backend, needs) = (track.backend.clone(), Arc::clone(&track.job.needs));
        self.board.pace.learn(&needs.models(), &track.pauses);
        let needed_bytes = track.gpu.needed_bytes(track.models_loaded);
        if let Some(class) = self.class_of(track) {
            self.board.book.fits_mut().has_run(&needs, &class, needed_bytes);
        }
        let past = self.board.pasts.get(&job).and_then(|past| past.out_of_memory_on.as_ref());
        let failed_here = past == Some(&backend);
        let belief = self.board.belief(&backend, now);
        belief.gpu_failures = 0;
        let freed = belief
            .frees
            .last()
            .next_back()
            .is_some_and(|free| free.reason == Reason::OutOfMemory && free.outcome == Freed::Freed);
        // With its memory freed it ran what it could not run before.
        belief.keeps_models |= failed_here && freed;
        self.learned = true;
    }

    /// If it was not known when the job was sent, or the attempt was found at start, it is by now.
    fn class_of(&self, track: &Track) -> Option<GpuClass> {
        track.gpu.class.clone().or_else(|| self.board.book.candidate(&track.backend)?.room.class.clone())
    }

    fn ran_out_of_memory(&mut self, job: JobId, now: UnixMillis) {
        let frees = self.settings.free.out_of_memory;
        let Some(track) = self.board.tracks.get(&job) else { return };
        let (backend, needs) = (track.backend.clone(), Arc::clone(&track.job.needs));
        if let Some(class) = self.class_of(track) {
            // Where nothing is freed, trying again shows nothing new.
            let times = if frees { 1 } else { 2 };
            self.board.book.fits_mut().ran_out_of_memory(&needs, &class, times, now);
        }
        self.board.belief(&backend, now).wants_free = frees.then_some(now);
        // Rare, and worth much: it is kept at once.
        (self.learned, self.kept_at) = (true, UnixMillis::default());
    }

    /// It rests, and then gets one job: if that runs it is trusted again.
    fn gpu_failed(&mut self, job: JobId, now: UnixMillis) {
        let Some(backend) = self.board.tracks.get(&job).map(|track| track.backend.clone()) else { return };
        let belief = self.board.belief(&backend, now);
        let rest = SUSPECT_REST.saturating_mul(1 << belief.gpu_failures.min(8)).min(LONGEST_SUSPECT_REST);
        belief.gpu_failures = belief.gpu_failures.saturating_add(1);
        belief.rests_until = belief.rests_until.max(now.after(rest));
        let (failures, rest) = (belief.gpu_failures, rest.as_secs());
        tracing::warn!(%backend, failures, "the GPU of the backend has failed, so it rests for {rest} s; its ComfyUI may have to be restarted");
    }

    /// Whether the attempt, which has ended, is not the job's end: its client hears of another one only.
    pub(super) fn tries_again(&mut self, job: JobId, entry: Option<&HistoryEntry>, now: UnixMillis) -> bool {
        let Some(track) = self.board.tracks.get(&job).filter(|track| track.phase != Phase::Sending) else {
            return false;
        };
        let Some(failure) = failure::of(&track.ending, entry).filter(|_| self.has_attempts_left(track))
        else {
            return false;
        };
        let (backend, of) = (track.backend.clone(), Arc::clone(&track.job));
        let (fits, candidates) = (self.board.book.fits(), self.board.book.candidates());
        let lost = match failure.kind {
            Kind::OutOfMemory if fits_somewhere(&track.job, fits, candidates, now) => Lost::OutOfMemory,
            Kind::OutOfMemory => return false,
            Kind::BrokenContext => Lost::BrokenContext,
        };
        let past = self.board.past(&of);
        match failure.kind {
            Kind::OutOfMemory => past.out_of_memory_on = Some(backend),
            Kind::BrokenContext => drop(past.unfit.insert(backend, lost)),
        }
        self.wait_again(job, lost, format!("{} ({})", lost.sentence(), failure.told));
        true
    }

    fn has_attempts_left(&self, track: &Track) -> bool {
        track.stop == Stop::No && track.job.spent_attempts + 1 < track.job.wishes.attempts()
    }

    /// Whether a prompt that its backend refused goes to another one: what this one lacks another may have. Files that it
    /// was given may have been taken away.
    pub(super) fn goes_elsewhere(&mut self, job: JobId, rejected: &PromptRejected) -> bool {
        let Some(track) = self.board.tracks.get(&job).filter(|track| self.has_attempts_left(track)) else {
            return false;
        };
        let (backend, of) = (track.backend.clone(), Arc::clone(&track.job));
        let Some(lacking) = failure::lacking(rejected) else { return false };
        let given = lacking == Lacking::File && !(of.needs.files.is_empty() && of.needs.outputs.is_empty());
        let elsewhere = self.board.book.candidates().iter().any(|candidate| {
            let is_other = candidate.backend.id != backend && !candidate.conduct.unfit.contains(&job);
            is_other && suits(&candidate.backend, &of)
        });
        if given {
            self.acts.push(Act::ForgetDelivered(backend));
        } else if elsewhere {
            self.board.past(&of).unfit.insert(backend, Lost::Lacking);
        } else {
            return false;
        }
        let (reason, _) = super::results::rejection(rejected);
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        self.wait_again(job, Lost::Lacking, format!("{} ({reason})", Lost::Lacking.sentence()));
        true
    }
}
