//! What came of acts, applied to the board.

use std::sync::Arc;

use super::{Core, LONGEST_REST, REST};
use crate::clock::UnixMillis;
use crate::dispatch::act::{Act, Work};
use crate::dispatch::done::{Conclusion, Done, Sent};
use crate::dispatch::recover::Found;
use crate::dispatch::results;
use crate::dispatch::step::Lost;
use crate::dispatch::track::{Phase, Stop, Track};
use crate::event::Listener;
use crate::id::{BackendId, JobId};
use crate::job::Outcome;
use crate::limits;
use crate::queue::ChangeError;

impl Core {
    /// True: something may be due.
    pub(in crate::dispatch) fn apply(&mut self, done: Done, now: UnixMillis) -> bool {
        match done {
            Done::Sent { job, attempt, sent } => self.sent(job, attempt, sent, now),
            Done::LookedUp { job, attempt, found } => self.looked_up(job, attempt, found, now),
            Done::Requeued { job, attempt } => {
                if self.current(job, attempt).is_some() {
                    self.let_go(job);
                }
            }
            Done::Concluded(conclusion) => self.concluded(*conclusion, now),
            Done::Stopped { job, attempt, pending, result } => {
                self.stopped(job, attempt, pending, result, now)
            }
            Done::Freed { backend, number, result, reply } => {
                self.freed(&backend, number, &result, now);
                let told = result.map(|()| number).map_err(|error| error.to_string());
                // Whoever asked may be gone.
                let _ = reply.map(|reply| reply.send(told));
            }
            Done::Kept => {}
            Done::Cancelled { job, only_pending, result } => self.cancelled(job, only_pending, result),
            Done::Lost => self.acts.push(Act::Halt),
        }
        true
    }

    /// The job waits as before. Who asked meanwhile that it be stopped meant the job, not the attempt.
    fn let_go(&mut self, job: JobId) {
        self.acts.push(Act::TellNoMore(job));
        let Some(track) = self.board.tracks.remove(&job) else { return };
        if track.begun_before || track.begun {
            self.board.past(&track.job).begun = true;
        }
        if track.stop != Stop::No {
            // Whoever asked was answered when it was taken up.
            self.begin(Work::Cancel { job, only_pending: track.stop_only_pending, reply: None });
        }
    }

    /// The track, if it is still this attempt.
    fn current(&mut self, job: JobId, attempt: u32) -> Option<&mut Track> {
        self.board.tracks.get_mut(&job).filter(|track| track.attempt == attempt)
    }

    fn sent(&mut self, job: JobId, attempt: u32, sent: Sent, now: UnixMillis) {
        if let Some(past) = self.board.pasts.get_mut(&job) {
            past.unsent = None;
        }
        let Some(track) = self.current(job, attempt).filter(|track| track.phase == Phase::Sending) else {
            return;
        };
        let backend = track.backend.clone();
        match sent {
            Sent::Accepted { prompt_id } => {
                let effects = track.accepted(prompt_id, now);
                self.observe_acceptance(job, now);
                self.take_effect(job, effects, now);
            }
            Sent::NotCommitted(error) => {
                tracing::debug!(%job, %error, "the job was not dispatched");
                let waits_again = Arc::clone(&track.job);
                self.let_go(job);
                if matches!(error, ChangeError::Store(_)) {
                    self.board.past(&waits_again).unsent = Some(attempt);
                    // Through no fault of the backend's: it rests no longer each time.
                    self.board.belief(&backend, now).rests_until = now.after(REST);
                }
            }
            Sent::Never { reason } => {
                self.rest(&backend, now);
                self.give_up(job, Lost::NeverSent, reason, now);
            }
            Sent::Undeliverable { reason } => {
                self.rest(&backend, now);
                self.give_up(job, Lost::Undeliverable, reason, now);
            }
            Sent::Refused { reason } => {
                self.rest(&backend, now);
                self.give_up(job, Lost::Refused, reason, now);
            }
            Sent::Impossible { reason } => {
                self.fail_with(job, "Impossible", &reason, serde_json::Value::Null, now)
            }
            Sent::Rejected(rejected) => {
                if !self.goes_elsewhere(job, &rejected) {
                    let (reason, document) = results::rejection(&rejected);
                    self.fail_with(job, "PromptRejected", &reason, document, now);
                }
            }
            Sent::Doubtful { reason } => {
                tracing::warn!(%job, %backend, reason, "it is looked up whether the backend has the job");
                track.trouble = Some(reason);
                track.phase = Phase::Doubtful { not_before: now };
                self.rest(&backend, now);
            }
        }
    }

    /// Another backend shall be tried first, and this one not without a pause.
    fn rest(&mut self, backend: &BackendId, now: UnixMillis) {
        let belief = self.board.belief(backend, now);
        let pause = REST.saturating_mul(1 << belief.refusals.min(8)).min(LONGEST_REST);
        belief.refusals += 1;
        belief.rests_until = now.after(pause);
    }

    /// The gap is from the end of the backend's last job to its acceptance of this one, if this one was waiting by then.
    fn observe_acceptance(&mut self, job: JobId, now: UnixMillis) {
        let Some(track) = self.board.tracks.get(&job) else { return };
        let (backend, submitted_at) = (track.backend.clone(), track.job.submitted_at);
        let models_loaded = (!track.loads.is_empty()).then_some(track.models_loaded);
        self.metrics.dispatched(&backend, models_loaded);
        self.metrics.job_wait_seconds.observe((track.dispatched_at - submitted_at).as_secs_f64());
        let belief = self.board.belief(&backend, now);
        belief.refusals = 0;
        if submitted_at < belief.idle_since {
            self.metrics.dispatch_gap_seconds.observe((now - belief.idle_since).as_secs_f64());
        }
    }

    fn looked_up(&mut self, job: JobId, attempt: u32, found: Result<Found, String>, now: UnixMillis) {
        // It may have ended, as frames told, while it was looked up.
        let Some(track) = self.current(job, attempt).filter(|track| track.phase == Phase::LookingUp) else {
            return;
        };
        match found {
            Ok(Found::Pending { prompt_id }) => {
                let effects = track.accepted(prompt_id, now);
                self.take_effect(job, effects, now);
            }
            Ok(Found::Running { prompt_id }) => {
                track.see_running(false, now);
                if track.stop != Stop::No {
                    // It was told while it was pending, and began.
                    track.stop = if track.stop_only_pending { Stop::No } else { Stop::Asked };
                }
                let effects = track.accepted(prompt_id, now);
                self.take_effect(job, effects, now);
            }
            Ok(Found::Ended { prompt_id, entry }) => {
                track.prompt_id = Some(prompt_id);
                let (backend, unheard) = (track.backend.clone(), track.released_at.is_none());
                track.released_at.get_or_insert(now);
                self.board.belief(&backend, now).idle_since = now;
                if unheard {
                    self.learn_of_backend(job, Some(&entry), now);
                }
                self.conclude(job, Some(entry), now);
            }
            Ok(Found::Nowhere) if track.misses == 0 => {
                track.misses = 1;
                track.phase = Phase::Doubtful { not_before: now.after(limits::LOOKUP_AGAIN_AFTER) };
            }
            Ok(Found::Nowhere) => {
                self.give_up(job, Lost::NotFound, Lost::NotFound.sentence().to_owned(), now)
            }
            Err(reason) => {
                tracing::debug!(%job, reason, "the job could not be looked up");
                track.phase = Phase::Doubtful { not_before: now.after(limits::LOOKUP_AGAIN_AFTER) };
            }
        }
    }

    fn concluded(&mut self, conclusion: Conclusion, now: UnixMillis) {
        let Conclusion { job, outcome, reason, events } = conclusion;
        let track = self.board.tracks.remove(&job.id);
        self.board.pasts.remove(&job.id);
        if let (Some(track), Some(owner)) = (&track, &job.owner) {
            self.board.usage.add(owner, track.dispatched_at, now);
            self.metrics.used(owner, now - track.dispatched_at);
        }
        let backend = track.as_ref().map(|track| track.backend.as_str());
        match outcome {
            Outcome::Failed => tracing::warn!(job = %job.id, backend, reason, "job failed"),
            _ => tracing::debug!(job = %job.id, backend, outcome = outcome.as_str(), "job ended"),
        }
        self.acts.push(Act::TellNoMore(job.id));
        self.metrics.ended(outcome);
        if outcome == Outcome::Succeeded {
            self.metrics.job_total_seconds.observe((now - job.submitted_at).as_secs_f64());
        }
        self.acts.push(Act::TellEnd { job: job.id, listener: Listener::of(&job), events });
    }

    /// What was pending leaves no event behind, so it is looked up that it is gone.
    fn stopped(
        &mut self,
        job: JobId,
        attempt: u32,
        pending: bool,
        result: Result<(), comfyui::Error>,
        now: UnixMillis,
    ) {
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

    /// A job that was dispatched in the same moment is stopped where it is.
    fn cancelled(&mut self, job: JobId, only_pending: bool, result: Result<(), ChangeError>) {
        match result {
            Ok(()) => {
                self.board.pasts.remove(&job);
                self.metrics.ended(Outcome::Cancelled);
                self.acts.push(Act::TellFewer);
            }
            Err(ChangeError::Illegal(illegal)) => {
                tracing::debug!(%job, %illegal, "the job was no longer waiting");
                self.ask_to_stop(job, only_pending);
            }
            Err(error) => tracing::warn!(%job, %error, "the job could not be taken out of the queue"),
        }
    }
}
