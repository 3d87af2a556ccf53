//! Every way in which a job changes, and which change is legal in which state. The queue asks this file before it
//! commits anything, whoever asked for the change.

use std::net::IpAddr;

use serde_json::value::RawValue;

use super::{Attempt, Course, Job, Needs, Outcome, Place, Results, State, Wishes};
use crate::clock::UnixMillis;
use crate::id::{BackendId, ClientId, JobId};
use crate::limits;

/// A job as it was submitted. The documents go to the backend as they came, byte for byte.
#[derive(Clone, Debug)]
pub struct Submission {
    pub id: JobId,
    /// The client chose the id, so it may have submitted the job before.
    pub id_given: bool,
    pub number: Option<f64>,
    pub front: bool,
    pub client_id: Option<ClientId>,
    pub peer: Option<IpAddr>,
    pub owner: Option<String>,
    /// How many jobs of this owner may wait, this one included.
    pub max_waiting: Option<usize>,
    pub needs: Needs,
    pub wishes: Wishes,
    pub prompt: Box<RawValue>,
    pub extra_data: serde_json::Map<String, serde_json::Value>,
    pub partial_execution_targets: Option<Vec<String>>,
    /// The output nodes that will run, as `/queue` and `/history` list them.
    pub outputs_to_execute: Vec<String>,
    /// SHA-256 of all that makes the job what it is: the same id with another body is a conflict.
    pub fingerprint: [u8; 32],
    pub submitted_at: UnixMillis,
}

#[derive(Clone, Debug)]
pub enum Change {
    /// The intent to run it there, committed before anything is sent.
    Dispatch { job: JobId, backend: BackendId, at: UnixMillis, why: String },
    /// The backend has taken it.
    Accept { job: JobId, attempt: u32, prompt_id: String },
    /// It is proved that this attempt did not run, or will never tell: it waits again, at its old place. `spent`: the
    /// attempt counts towards the bound.
    Requeue { job: JobId, attempt: u32, spent: bool, at: UnixMillis, reason: String, course: Course },
    /// It waits at another place.
    Move { job: JobId, number: f64 },
    /// It counts for more or less among those that wait.
    Prefer { job: JobId, priority: f64 },
    /// `attempt` is `None` for a job that never left the queue.
    End {
        job: JobId,
        attempt: Option<u32>,
        at: UnixMillis,
        outcome: Outcome,
        results: Box<Results>,
        course: Course,
    },
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("job {job} is {state}, so it cannot {change}")]
pub struct Illegal {
    pub job: JobId,
    pub state: &'static str,
    pub change: &'static str,
}

impl Submission {
    /// The id of the workflow that the web interface saves with a picture. One that no database's index would take is none.
    pub fn workflow_id(&self) -> Option<&str> {
        let id = self.extra_data.get("extra_pnginfo")?.get("workflow")?.get("id")?.as_str()?;
        (id.len() <= limits::WORKFLOW_ID_BYTES).then_some(id)
    }

    pub fn job(&self, arrival: u64) -> Job {
        Job {
            id: self.id,
            place: Place::new(self.number, self.front, arrival),
            client_id: self.client_id.clone(),
            peer: self.peer,
            owner: self.owner.clone(),
            needs: std::sync::Arc::new(self.needs.clone()),
            wishes: std::sync::Arc::new(self.wishes.clone()),
            submitted_at: self.submitted_at,
            attempts: 0,
            spent_attempts: 0,
            state: State::Waiting,
        }
    }
}

impl Change {
    pub fn job(&self) -> JobId {
        match self {
            Self::Dispatch { job, .. }
            | Self::Accept { job, .. }
            | Self::Requeue { job, .. }
            | Self::Move { job, .. }
            | Self::Prefer { job, .. }
            | Self::End { job, .. } => *job,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Dispatch { .. } => "be dispatched",
            Self::Accept { .. } => "be accepted by a backend",
            Self::Requeue { .. } => "wait again",
            Self::Move { .. } => "be moved in the queue",
            Self::Prefer { .. } => "be given another priority",
            Self::End { .. } => "end",
        }
    }
}

impl Job {
    /// The job after `change`, or why that change may not happen to it now.
    pub fn after(&self, change: &Change) -> Result<Job, Illegal> {
        let mut job = self.clone();
        job.state = match (&self.state, change) {
            (State::Waiting, Change::Dispatch { backend, at, .. }) => {
                job.attempts += 1;
                State::Dispatched(Attempt {
                    number: job.attempts,
                    backend: backend.clone(),
                    dispatched_at: *at,
                    prompt_id: None,
                })
            }
            (State::Dispatched(now), Change::Accept { attempt, prompt_id, .. }) if now.number == *attempt => {
                State::Dispatched(Attempt { prompt_id: Some(prompt_id.clone()), ..now.clone() })
            }
            (State::Dispatched(now), Change::Requeue { attempt, spent, .. }) if now.number == *attempt => {
                job.spent_attempts += u32::from(*spent);

                State::Waiting
            }
            (State::Waiting, Change::Move { number, .. }) => {
                job.place = Place { number: *number, given: true, ..job.place };
                State::Waiting
            }
            (State::Waiting, Change::Prefer { priority, .. }) => {
                std::sync::Arc::make_mut(&mut job.wishes).priority = Some(*priority);
                State::Waiting
            }
            (State::Waiting, Change::End { attempt: None, outcome, .. }) => State::Ended(*outcome),
            (State::Dispatched(now), Change::End { attempt: Some(attempt), outcome, .. })
                if now.number == *attempt =>
            {
                State::Ended(*outcome)
            }
            _ => return Err(self.illegal(change)),
        };
        Ok(job)
    }

    fn illegal(&self, change: &Change) -> Illegal {
        let state = match self.state {
            State::Waiting => "waiting",
            State::Dispatched(_) => "with a backend in another attempt",
            State::Ended(_) => "ended",
        };
        Illegal { job: self.id, state, change: change.name() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dispatch(job: &Job) -> Change {
        let (backend, at) = ("a".parse().unwrap(), UnixMillis(1));
        Change::Dispatch { job: job.id, backend, at, why: String::new() }
    }

    fn end(job: &Job, attempt: Option<u32>) -> Change {
        let (outcome, results, course) = (Outcome::Succeeded, Box::default(), Course::default());
        Change::End { job: job.id, attempt, at: UnixMillis(2), outcome, results, course }
    }

    fn requeue(job: &Job, attempt: u32) -> Change {
        let (reason, course) = ("gone".into(), Course::default());
        Change::Requeue { job: job.id, attempt, spent: true, at: UnixMillis(2), reason, course }
    }

    #[test]
    fn a_job_that_waits_again_keeps_its_place_and_counts_its_attempts() {
        let first = Job::for_tests(1);
        let sent = first.after(&dispatch(&first)).unwrap();
        let again = sent.after(&requeue(&sent, 1)).unwrap();
        assert_eq!(again, Job { attempts: 1, spent_attempts: 1, ..first });
        assert_eq!(again.after(&dispatch(&again)).unwrap().attempt().unwrap().number, 2);
    }

    #[test]
    fn an_earlier_attempt_can_no_longer_end_the_job() {
        let job = Job::for_tests(1);
        let sent = job.after(&dispatch(&job)).unwrap();
        let again = sent.after(&requeue(&sent, 1)).unwrap();
        let second = again.after(&dispatch(&again)).unwrap();
        assert!(second.after(&end(&second, Some(1))).is_err());
        assert!(second.after(&requeue(&second, 1)).is_err());
        assert!(second.after(&end(&second, Some(2))).is_ok());
    }

    #[test]
    fn only_a_job_that_waits_is_moved_or_preferred() {
        let job = Job::for_tests(1);
        let to_front = Change::Move { job: job.id, number: -3.0 };
        let moved = job.after(&to_front).unwrap();
        assert_eq!((moved.place.number, moved.place.arrival), (-3.0, job.place.arrival));
        let prefer = Change::Prefer { job: job.id, priority: 2.0 };
        assert_eq!(job.after(&prefer).unwrap().wishes.priority, Some(2.0));
        let sent = job.after(&dispatch(&job)).unwrap();
        assert!(sent.after(&to_front).is_err() && sent.after(&prefer).is_err());
    }

    #[test]
    fn nothing_happens_to_a_job_twice() {
        let job = Job::for_tests(1);
        let sent = job.after(&dispatch(&job)).unwrap();
        assert!(sent.after(&dispatch(&sent)).is_err());
        assert!(sent.after(&end(&sent, None)).is_err(), "it left the queue, so it cannot be cancelled in it");
        let ended = sent.after(&end(&sent, Some(1))).unwrap();
        for change in [dispatch(&ended), requeue(&ended, 1), end(&ended, Some(1)), end(&ended, None)] {
            assert!(ended.after(&change).is_err());
        }
    }

    #[test]
    fn places_order_as_comfyui_orders_them() {
        let mut places = [
            Place::new(None, false, 1),
            Place::new(None, true, 2),
            Place::new(None, true, 3),
            Place::new(Some(-7.0), false, 4),
            Place::new(None, false, 5),
        ];
        places.sort();
        let shown: Vec<String> = places.iter().map(|place| place.number_json().to_string()).collect();
        assert_eq!(shown, ["-7.0", "-3", "-2", "1", "5"]);
    }
}
