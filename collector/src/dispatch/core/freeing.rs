//! Asking a backend to free its memory, and seeing what comes of it.

use std::sync::Arc;

use comfyui::api::FreeRequest;

use super::Core;
use crate::clock::UnixMillis;
use crate::dispatch::act::{FreeReply, Work};
use crate::dispatch::board::Freeing;
use crate::fleet::{Backend, Fleet};
use crate::id::BackendId;
use crate::limits;
use crate::route::Room;
use crate::route::free::{Doing, HELD_BYTES, Outcome, Reading, Reason, Verdict, Watch};

impl Core {
    /// While one is under way another request goes to the backend as well, but what comes of both is seen as one.
    pub(super) fn free(
        &mut self,
        backend: &Backend,
        reason: Reason,
        request: FreeRequest,
        reply: Option<FreeReply>,
        now: UnixMillis,
    ) {
        let (doing, held_bytes) = (self.doing(&backend.id), Room::of(backend, now).own_bytes);
        let before = Reading::best(backend, now);
        self.frees += 1;
        let is_given = !self.board.book.models_of(&backend.id).is_empty();
        let (next, belief) = (self.frees, self.board.belief(&backend.id, now));
        let number = belief.freeing.as_ref().map_or(next, |freeing| freeing.number);
        if belief.freeing.is_none() {
            let holds = held_bytes.map_or(is_given, |held| held >= HELD_BYTES);
            Arc::make_mut(&mut belief.frees).begin(number, reason, before, now);
            let freeing = Freeing { number, reason, before, held_bytes, holds, doing, watch: None };
            belief.freeing = Some(freeing);
        }
        self.begin(Work::Free { backend: backend.id.clone(), number, request, reply });
    }

    fn doing(&self, backend: &BackendId) -> Doing {
        let runs = self.board.tracks_on(backend).find(|track| !track.is_released());
        let others = self.board.book.candidate(backend).is_some_and(|candidate| candidate.foreign > 0);
        match runs {
            Some(track) => Doing::Ours(track.job.id),
            None if others => Doing::Others,
            None => Doing::Nothing,
        }
    }

    /// It has answered, which proves nothing yet.
    pub(super) fn freed(
        &mut self,
        backend: &BackendId,
        number: u64,
        result: &Result<(), comfyui::Error>,
        now: UnixMillis,
    ) {
        let belief = self.board.belief(backend, now);
        belief.wants_free = None;
        let Some(freeing) = belief.freeing.as_mut().filter(|freeing| freeing.number == number) else {
            return;
        };
        let reason = freeing.reason.label();
        match result {
            Ok(()) => {
                let Freeing { before, held_bytes, doing, .. } = *freeing;
                freeing.watch = Some(Watch::new(before, held_bytes, doing, now));
                self.board.book.forget_models(backend);
                tracing::debug!(%backend, reason, "backend was asked to free its memory");
            }
            Err(error) => {
                tracing::warn!(%backend, reason, %error, "backend could not be asked to free its memory");
                self.end_free(backend, Verdict { outcome: Outcome::Failed, after: None }, now);
            }
        }
    }

    pub(super) fn watch_frees(&mut self, fleet: &Fleet, now: UnixMillis) {
        for id in self.board.freeing() {
            let doing = self.doing(&id);
            let backend = fleet.get(&id).filter(|backend| !backend.health.is_down());
            let belief = self.board.belief(&id, now);
            let Some(watch) = belief.freeing.as_mut().and_then(|freeing| freeing.watch.as_mut()) else {
                continue;
            };
            let verdict = match backend {
                Some(backend) => {
                    let reading = watch.source().and_then(|source| Reading::by(source, backend, now));
                    watch.see(reading, doing, now)
                }
                // With its process its memory is gone too, but nobody saw it.
                None => Some(Verdict { outcome: Outcome::Unverified, after: None }),
            };
            if let Some(verdict) = verdict {
                self.end_free(&id, verdict, now);
            }
        }
    }

    fn end_free(&mut self, backend: &BackendId, verdict: Verdict, now: UnixMillis) {
        let belief = self.board.belief(backend, now);
        let Some(freeing) = belief.freeing.take() else { return };
        let outcome = match verdict.outcome {
            // There may have been nothing to free.
            Outcome::NotFreed if !freeing.holds => Outcome::Unverified,
            outcome => outcome,
        };
        if (freeing.reason, outcome) == (Reason::OutOfMemory, Outcome::Unverified) {
            // Where nobody sees when it has been freed, the next job must not be quicker.
            belief.rests_until = belief.rests_until.max(now.after(limits::TIDIES_UP_FOR));
        }
        let frees = Arc::make_mut(&mut belief.frees);
        let bytes =
            frees.end(freeing.number, outcome, verdict.after, now).and_then(|free| free.freed_bytes());
        let (reason, fails) = (freeing.reason, frees.fails());
        self.metrics.freed(reason, outcome, bytes.filter(|_| outcome == Outcome::Freed));
        let reason = reason.label();
        match (outcome, fails) {
            (Outcome::NotFreed, Some((times, _))) => {
                tracing::warn!(%backend, reason, times, "backend has not freed its memory again and again; it is tried more seldom. Restarting its ComfyUI frees it");
            }
            (Outcome::NotFreed, None) => tracing::warn!(%backend, reason, "backend has not freed its memory"),
            (Outcome::Freed, _) => tracing::info!(%backend, reason, bytes, "backend has freed its memory"),
            _ => {
                tracing::info!(%backend, reason, outcome = outcome.label(), "backend was asked to free its memory")
            }
        }
    }
}
