//! The hard filters: what forbids that a backend runs a job now, in words that a person can read. All of them stand here; a
//! decision never weighs one.

use std::fmt;

use super::vram::{Claim, gib};
use super::{Candidate, away};
use crate::clock::UnixMillis;
use crate::fleet::{Backend, Missing};
use crate::id::BackendId;
use crate::job::{Elsewhere, Job, Needs, Wishes};
use crate::tenant::Exhausted;

/// A hard filter: the backend cannot run the job now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Wherever: its owner has what it may.
    Exhausted(Exhausted),
    /// Whatever its state: an operator wants it to get none.
    Draining,
    Down,
    EventsNotHeard,
    OffersUnknown,
    Resting,
    /// Its GPU has failed, so it rests, and then gets one job to prove itself.
    Suspect,
    /// Its memory is being freed; what is loaded now would go as well.
    Freeing,
    /// It could not run this very job.
    Unfit,
    Lacks(Missing),
    /// The job asks for another.
    Elsewhere(Elsewhere),
    /// Such a job has run out of memory on this class of GPU, or on one with more memory.
    TooBig {
        gpu: String,
    },
    /// Such a job takes more of the GPU's memory than can be free there now.
    NoRoom {
        needed_bytes: u64,
        available_bytes: u64,
        others_bytes: u64,
    },
    /// A file that the job loads is with a backend that is down.
    FileAway {
        file: String,
        owner: BackendId,
    },
}

impl Refusal {
    /// What forbids any job.
    pub(super) fn of(candidate: &Candidate, now: UnixMillis) -> Option<Self> {
        let backend = &candidate.backend;
        if backend.draining_since.is_some() {
            Some(Self::Draining)
        } else if !backend.health.is_up() {
            Some(Self::Down)
        } else if backend.socket_since.is_none() {
            Some(Self::EventsNotHeard)
        } else if backend.catalog.is_none() {
            Some(Self::OffersUnknown)
        } else {
            candidate.rests(now)
        }
    }

    /// What the job itself forbids.
    pub(super) fn of_wishes(backend: &Backend, wishes: &Wishes) -> Option<Self> {
        wishes.elsewhere(&backend.id, &backend.tags).map(Self::Elsewhere)
    }

    /// What forbids the job there whatever the backend does now; else for how long files have to be brought there first.
    pub(super) fn or_fetch_seconds(
        fleet: &[Candidate],
        candidate: &Candidate,
        job: &Job,
        claim: Claim<'_>,
        now: UnixMillis,
    ) -> Result<f64, Self> {
        let refusal = Self::of_wishes(&candidate.backend, &job.wishes);
        match refusal.or_else(|| Self::of_job(candidate, job, claim, now)) {
            Some(refusal) => Err(refusal),
            None => away::fetch_seconds(fleet, &candidate.backend.id, &job.needs),
        }
    }

    /// What forbids this job.
    pub(super) fn of_job(
        candidate: &Candidate,
        job: &Job,
        claim: Claim<'_>,
        now: UnixMillis,
    ) -> Option<Self> {
        if candidate.conduct.unfit.contains(&job.id) {
            return Some(Self::Unfit);
        }
        let lacks = Self::of_needs(&candidate.backend, &job.needs);
        lacks.or_else(|| claim.refusal(&candidate.room, now))
    }

    fn of_needs(backend: &Backend, needs: &Needs) -> Option<Self> {
        backend.catalog.as_ref()?.lacks(needs).map(Self::Lacks)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhausted(exhausted) => exhausted.fmt(f),
            Self::Draining => f.write_str("is draining"),
            Self::Down => f.write_str("is down"),
            Self::EventsNotHeard => f.write_str("its WebSocket is not open"),
            Self::OffersUnknown => f.write_str("what it offers is not known yet"),
            Self::Resting => f.write_str("rests after a failure"),
            Self::Elsewhere(Elsewhere::Backend(wanted)) => write!(f, "the job asks for {wanted}"),
            Self::Elsewhere(Elsewhere::Tag(tag)) => write!(f, "the job asks for the tag {tag}"),
            Self::Suspect => {
                f.write_str("rests, since its GPU has failed; ComfyUI there may have to be restarted")
            }
            Self::Freeing => f.write_str("is freeing its memory"),
            Self::Unfit => f.write_str("could not run this job when it was tried there"),
            Self::TooBig { gpu } => {
                write!(f, "is too big: such a job has run out of memory on {gpu}")
            }
            Self::NoRoom { needed_bytes, available_bytes, others_bytes } => write!(
                f,
                "has too little GPU memory now: such a job takes {}, of which {} can be free, as other programs hold {}",
                gib(*needed_bytes),
                gib(*available_bytes),
                gib(*others_bytes)
            ),
            Self::Lacks(missing) => write!(f, "lacks {missing}"),
            Self::FileAway { file, owner } => {
                write!(f, "lacks {file}, which is with {owner}, and that is down")
            }
        }
    }
}

/// Whether a backend has all that a job asks for, whatever its state now; false while what it offers is not known.
pub fn suits(backend: &Backend, job: &Job) -> bool {
    let offers = backend.catalog.as_ref().is_some_and(|catalog| catalog.lacks(&job.needs).is_none());
    offers && Refusal::of_wishes(backend, &job.wishes).is_none()
}

impl Candidate {
    /// Why it gets no job now, of what will pass by itself.
    pub fn rests(&self, now: UnixMillis) -> Option<Refusal> {
        if self.rests_until > now {
            Some(if self.conduct.suspect { Refusal::Suspect } else { Refusal::Resting })
        } else {
            self.conduct.freeing.then_some(Refusal::Freeing)
        }
    }
}
