//! What `perform` does over a network, in stages between which anything may happen.

use comfyui::api::HistoryEntry;

use super::comfy::Comfy;
use super::{Happening, World};
use crate::dispatch::act::{TakenUp, Work};
use crate::dispatch::conclude::Closing;
use crate::dispatch::done::{Conclusion, Done, Sent};
use crate::dispatch::recover::{self, Found, Known};
use crate::id::{BackendId, JobId};
use crate::job::{Change, Course, Outcome};
use crate::queue::ChangeError;

/// How long a request waits for an answer that does not come.
const TIMEOUT: u64 = 10_000;
/// How long after it was given up a request may still arrive: the pause between the two lookups that must both miss it.
const LATE: u64 = crate::limits::LOOKUP_AGAIN_AFTER.as_millis() as u64;

pub(super) enum Stage {
    Intend { job: JobId, attempt: u32, backend: BackendId, why: String },
    Post { job: JobId, attempt: u32, backend: BackendId },
    Answered { job: JobId, attempt: u32, sent: Sent },
    ReadQueue { job: JobId, attempt: u32, backend: BackendId, prompt_id: Option<String> },
    ReadHistory { job: JobId, attempt: u32, backend: BackendId, prompt_id: Option<String> },
    Requeue { job: JobId, attempt: u32, spent: bool, reason: String, course: Course },
    ReadResults { closing: Box<Closing>, tries: u32 },
    End { closing: Box<Closing> },
    Stop { backend: BackendId, job: JobId, attempt: u32, prompt_id: String, pending: bool },
    Cancel { job: JobId, only_pending: bool, reply: Option<TakenUp> },
    Finish(Box<Done>),
}

impl Stage {
    pub(super) fn of(work: Work) -> Self {
        match work {
            Work::Dispatch { job, attempt, assignment } => {
                let why = assignment.why.to_string();
                Self::Intend { job: job.id, attempt, backend: assignment.backend, why }
            }
            Work::LookUp { backend, job, attempt, prompt_id } => {
                Self::ReadQueue { job, attempt, backend, prompt_id }
            }
            Work::Requeue { job, attempt, spent, reason, course } => {
                Self::Requeue { job, attempt, spent, reason, course }
            }
            Work::Conclude(closing) => Self::ReadResults { closing, tries: 0 },
            Work::Stop { backend, job, attempt, prompt_id, pending } => {
                Self::Stop { backend, job, attempt, prompt_id, pending }
            }
            Work::Cancel { job, only_pending, reply } => Self::Cancel { job, only_pending, reply },
            Work::Free { backend, number, reply, .. } => {
                Self::Finish(Box::new(Done::Freed { backend, number, result: Ok(()), reply }))
            }
            Work::Keep(_) => Self::Finish(Box::new(Done::Kept)),
        }
    }
}

/// What comes after a stage.
pub(super) enum Then {
    After(u64, Stage),
    Done(Done),
}

impl World {
    pub(super) fn go_on(&mut self, stage: Stage) -> Then {
        let (now, clock) = (self.now, self.clock());
        match stage {
            Stage::Intend { job, attempt, backend, why } => {
                let change = Change::Dispatch { job, backend: backend.clone(), at: clock, why };
                match self.store.change(&change, now) {
                    Ok(()) => self.soon(Stage::Post { job, attempt, backend }),
                    Err(error) => Then::Done(Done::Sent { job, attempt, sent: Sent::NotCommitted(error) }),
                }
            }
            Stage::Post { job, attempt, backend } => {
                self.store.unsent.remove(&(job, attempt));
                self.post(job, attempt, &backend)
            }
            Stage::Answered { job, attempt, sent } => {
                if let Sent::Accepted { prompt_id } = &sent {
                    let change = Change::Accept { job, attempt, prompt_id: prompt_id.clone() };
                    // Should it fail, the mark still finds the job.
                    let _ = self.store.change(&change, now);
                }
                Then::Done(Done::Sent { job, attempt, sent })
            }
            Stage::ReadQueue { job, attempt, backend, prompt_id } => {
                let known = Known { job, attempt, prompt_id: prompt_id.as_deref() };
                let Some(comfy) = self.reached(&backend) else { return self.unknown(job, attempt) };
                match recover::in_queue(&comfy.queue(), known) {
                    Some(found) => Then::Done(Done::LookedUp { job, attempt, found: Ok(found) }),
                    None => self.soon(Stage::ReadHistory { job, attempt, backend, prompt_id }),
                }
            }
            Stage::ReadHistory { job, attempt, backend, prompt_id } => {
                let known = Known { job, attempt, prompt_id: prompt_id.as_deref() };
                let Some(comfy) = self.reached(&backend) else { return self.unknown(job, attempt) };
                let found: Found = recover::in_history(comfy.history(), known);
                Then::Done(Done::LookedUp { job, attempt, found: Ok(found) })
            }
            Stage::Requeue { job, attempt, spent, reason, course } => {
                let change =
                    Change::Requeue { job, attempt, spent, at: clock, reason: reason.clone(), course };
                match self.store.change(&change, now) {
                    Err(ChangeError::Store(_)) => {
                        Then::After(1000, Stage::Requeue { job, attempt, spent, reason, course })
                    }
                    _ => Then::Done(Done::Requeued { job, attempt }),
                }
            }
            Stage::ReadResults { mut closing, tries } => {
                if closing.entry.is_none()
                    && let Some(prompt_id) = closing.prompt_id.clone()
                {
                    let entry = self.reached(&closing.backend).and_then(|comfy| entry(comfy, &prompt_id));
                    let entry =
                        entry.filter(|entry| recover::is_attempt(&entry.prompt.extra_data, closing.attempt));
                    closing.entry = entry.map(Box::new);
                    if closing.entry.is_none() && tries < 3 {
                        return Then::After(500, Stage::ReadResults { closing, tries: tries + 1 });
                    }
                }
                self.soon(Stage::End { closing })
            }
            Stage::End { closing } => self.end(closing),
            Stage::Stop { backend, job, attempt, prompt_id, pending } => {
                let comfy = self.reached(&backend);
                let result = comfy.map(|comfy| stop(comfy, &prompt_id, pending));
                let result = result.ok_or_else(|| timed_out(&backend));
                Then::Done(Done::Stopped { job, attempt, pending, result })
            }
            Stage::Cancel { job, only_pending, reply } => {
                let (outcome, results, course) = (Outcome::Cancelled, Box::default(), Course::default());
                let change = Change::End { job, attempt: None, at: clock, outcome, results, course };
                let result = self.store.change(&change, now);
                let _ = reply.map(|reply| reply.send(Ok(())));
                Then::Done(Done::Cancelled { job, only_pending, result })
            }
            Stage::Finish(done) => Then::Done(*done),
        }
    }

    fn soon(&mut self, stage: Stage) -> Then {
        Then::After(self.delay(), stage)
    }

    /// A server that answers now.
    fn reached(&mut self, backend: &BackendId) -> Option<&mut Comfy> {
        let now = self.now;
        self.comfies.iter_mut().find(|comfy| comfy.id == *backend && comfy.answers(now))
    }

    fn unknown(&mut self, job: JobId, attempt: u32) -> Then {
        let found = Err("no answer".to_owned());
        Then::After(TIMEOUT, Stage::Finish(Box::new(Done::LookedUp { job, attempt, found })))
    }

    /// The prompt may arrive or not, and the answer may come or not.
    fn post(&mut self, job: JobId, attempt: u32, backend: &BackendId) -> Then {
        let chance = self.rng.f64();
        let delay = self.delay();
        let doubtful = || Sent::Doubtful { reason: "no answer".into() };
        let now = self.now;
        let Some(at) = self.comfies.iter().position(|comfy| comfy.id == *backend) else {
            let sent = Sent::Never { reason: "removed".into() };
            return Then::Done(Done::Sent { job, attempt, sent });
        };
        let comfy = &mut self.comfies[at];
        let answer = |delay, sent| Then::After(delay, Stage::Answered { job, attempt, sent });
        if comfy.process.is_none() {
            return answer(delay, Sent::Never { reason: "refused".into() });
        }
        if comfy.stuck_until > now {
            comfy.inbox.push((job, attempt));
            return answer(TIMEOUT, doubtful());
        }
        if comfy.network == super::comfy::Network::Cut {
            return answer(
                TIMEOUT,
                if chance < 0.5 { doubtful() } else { Sent::Never { reason: "no route".into() } },
            );
        }
        if self.faulty && chance < 0.03 {
            // A proxy between them speaks up: nothing arrived, or something did.
            return answer(delay, Sent::Refused { reason: "413".into() });
        }
        if self.faulty && chance < 0.06 {
            return answer(delay, doubtful());
        }
        if let Some(process) = comfy.process.filter(|_| self.faulty && chance < 0.09) {
            // The connection broke, and what stands before the backend passes the prompt on all the same.
            let late = self.rng.u64(1..LATE);
            self.at(late, Happening::Arrive(at, process, job, attempt));
            return answer(delay.min(late), doubtful());
        }
        let prompt_id = self.deliver(at, job, attempt);
        if self.faulty && chance < 0.12 {
            return answer(TIMEOUT, doubtful());
        }
        answer(delay, Sent::Accepted { prompt_id })
    }

    fn end(&mut self, closing: Box<Closing>) -> Then {
        if self.store.fails(self.now) {
            return Then::After(1000, Stage::End { closing });
        }
        let (job, attempt, course, at) = (closing.job.clone(), closing.attempt, closing.course, self.clock());
        let ended = closing.end(at);
        let (outcome, results) = (ended.outcome, Box::new(ended.results));
        let change = Change::End { job: job.id, attempt: Some(attempt), at, outcome, results, course };
        let delay = match self.store.change(&change, self.now) {
            // Tried again, it finds that the job has ended.
            Err(ChangeError::Store(_)) => 1000,
            _ => self.delay(),
        };
        let is_over = self.store.ended.contains_key(&job.id);
        let events = if is_over { ended.events } else { Vec::new() };
        self.untold.extend((!events.is_empty()).then_some(job.id));
        let conclusion = Conclusion { job, outcome, reason: ended.reason, events };
        Then::After(delay, Stage::Finish(Box::new(Done::Concluded(Box::new(conclusion)))))
    }
}

fn entry(comfy: &Comfy, prompt_id: &str) -> Option<HistoryEntry> {
    comfy.history().swap_remove(prompt_id)
}

/// A server of 2024 interrupts whatever runs, so it is asked only when that is the one.
fn stop(comfy: &mut Comfy, prompt_id: &str, pending: bool) {
    match pending {
        true => comfy.pending.retain(|prompt| prompt.id != prompt_id),
        false => {
            if let Some(prompt) = comfy.running.as_mut().filter(|prompt| prompt.id == prompt_id) {
                prompt.interrupted = true;
            }
        }
    }
}

fn timed_out(backend: &BackendId) -> comfyui::Error {
    comfyui::Error { operation: "stop", backend: backend.to_string(), cause: comfyui::Cause::Timeout }
}
