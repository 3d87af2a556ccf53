//! What a decision says about each backend, in words that a person can read.

use std::fmt;

use super::Candidate;
use super::vram::{Claim, gib};
use crate::clock::UnixMillis;
use crate::fleet::{Backend, Missing};
use crate::id::BackendId;
use crate::job::{Elsewhere, Job, Needs, Wishes};

/// A hard filter: the backend cannot run the job now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
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

#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Refused(Refusal),
    Possible { free: bool, wait_seconds: f64, fetch_seconds: f64, load_seconds: f64, run_seconds: f64 },
}

impl Verdict {
    pub fn completion_seconds(&self) -> Option<f64> {
        match self {
            Self::Refused(_) => None,
            Self::Possible { wait_seconds, fetch_seconds, load_seconds, run_seconds, .. } => {
                Some(wait_seconds + fetch_seconds + load_seconds + run_seconds)
            }
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Possible { free, wait_seconds, fetch_seconds, load_seconds, run_seconds } => {
                let state = if *free { "free".to_owned() } else { format!("busy for {wait_seconds:.1} s") };
                let model = match *load_seconds > 0.0 {
                    true => format!("load {load_seconds:.1} s"),
                    false => "nothing to load".to_owned(),
                };
                let files = match *fetch_seconds > 0.0 {
                    true => format!(", fetch files {fetch_seconds:.1} s"),
                    false => String::new(),
                };
                write!(f, "{state}{files}, {model}, run {run_seconds:.1} s")
            }
        }
    }
}

/// Why a job went where it went: one line, kept with the attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Why {
    pub chosen: BackendId,
    /// Every backend's verdict, the chosen one's too.
    pub considered: Vec<(BackendId, Verdict)>,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_chosen = |entry: &&(BackendId, Verdict)| entry.0 == self.chosen;
        if let Some((_, verdict)) = self.considered.iter().find(is_chosen) {
            write!(f, "earliest completion: {verdict}")?;
        }
        for (backend, verdict) in self.considered.iter().filter(|entry| !is_chosen(entry)) {
            write!(f, "; {backend}: {verdict}")?;
        }
        Ok(())
    }
}
