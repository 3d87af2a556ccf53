//! Frames from backends, passed on to clients and to the board.

use std::sync::Arc;

use comfyui::Frame;
use comfyui::api::HistoryEntry;

use super::Core;
use crate::clock::UnixMillis;
use crate::dispatch::act::{Act, Work};
use crate::dispatch::conclude::Closing;
use crate::dispatch::track::{Effect, Phase};
use crate::event::Listener;
use crate::id::{BackendId, JobId};
use crate::job::Outcome;
use crate::poll::{Heard, SocketEvent};

impl Core {
    /// True when something may be due.
    pub(in crate::dispatch) fn hear(&mut self, event: SocketEvent, now: UnixMillis) -> bool {
        match event.heard {
            Heard::Closed => {
                self.doubt_all(&event.backend, now);
                true
            }
            Heard::Opened => {
                // It may be another process than before. Nothing is replayed, so whatever was followed there may have
                // gone on or ended unheard.
                self.is_new(&event.backend);
                self.board.belief(&event.backend, now).opened_at = now;
                self.doubt_all(&event.backend, now);
                true
            }
            Heard::Frame(frame) => {
                let Some(job) = self.owner_of(&event.backend, &frame) else { return false };
                let Some(track) = self.board.tracks.get_mut(&job) else { return false };
                let effects = track.hear(*frame, now);
                self.take_effect(job, effects, now)
            }
        }
    }

    pub(super) fn doubt_all(&mut self, backend: &BackendId, now: UnixMillis) {
        let tracks = self.board.tracks.values_mut().filter(|track| track.backend == *backend);
        tracks.for_each(|track| track.doubt(now));
    }

    fn owner_of(&self, backend: &BackendId, frame: &Frame) -> Option<JobId> {
        let owner = self.board.tracks_on(backend).find(|track| track.owns(frame));
        let owner = owner.or_else(|| self.board.tracks_on(backend).find(|track| track.may_own()));
        owner.map(|track| track.job.id)
    }

    pub(super) fn take_effect(&mut self, job: JobId, effects: Vec<Effect>, now: UnixMillis) -> bool {
        let mut due = false;
        for effect in effects {
            let Some(track) = self.board.tracks.get(&job) else { break };
            let listener = Listener::of(&track.job);
            match effect {
                Effect::Tell(event) => self.acts.push(Act::Tell { job, listener, event }),
                Effect::Executing(text) => self.acts.push(Act::TellExecuting { job, listener, text }),
                Effect::Released => {
                    self.release(job, now);
                    due = true;
                }
                Effect::Ended => self.conclude(job, None, now),
            }
        }
        due
    }

    /// Its backend can take the next job.
    fn release(&mut self, job: JobId, now: UnixMillis) {
        let Some(track) = self.board.tracks.get(&job) else { return };
        let (backend, of, loads) = (track.backend.clone(), Arc::clone(&track.job), track.loads.clone());
        let succeeded = track.ending.outcome.is_none_or(|outcome| outcome == Outcome::Succeeded);
        let timing = track.timing().filter(|_| succeeded);
        let loaded = timing.and_then(|timing| timing.load_seconds).filter(|_| !track.models_loaded);
        self.board.belief(&backend, now).idle_since = now;
        if let Some(timing) = timing {
            self.metrics.job_run_seconds.observe(timing.all_seconds);
            loaded.into_iter().for_each(|seconds| self.metrics.model_load_seconds.observe(seconds));
            self.board.book.learn(&backend, &of, &loads, timing);
        }
        self.learn_of_backend(job, None, now);
    }

    pub(super) fn conclude(&mut self, job: JobId, entry: Option<Box<HistoryEntry>>, now: UnixMillis) {
        if self.tries_again(job, entry.as_deref(), now) {
            return;
        }
        let Some(track) = self.board.tracks.get_mut(&job) else { return };
        track.phase = Phase::Concluding;
        let closing = Closing::of(track, entry);
        self.begin(Work::Conclude(Box::new(closing)));
    }
}
