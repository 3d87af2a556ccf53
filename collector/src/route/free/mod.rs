//! When a backend is asked to free its memory, and why. `/free` costs the next job a reload, so it is never routine; and it
//! answers at once and proves nothing, so `watch` reads off the figures what came of it, and `record` remembers that.

mod record;
mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

pub use self::record::{Free, Frees, Outcome};
pub use self::watch::{Doing, Reading, Source, Verdict, Watch};
use super::vram::Claim;
use super::{Candidate, Fits, Refusal};
use crate::clock::UnixMillis;
use crate::fleet::Backend;
use crate::id::BackendId;
use crate::job::Job;

/// Less than this is a process without models: its context on the GPU, or Python and its libraries.
pub const HELD_BYTES: u64 = 1 << 30;
/// How long a backend has been idle before it is freed for the sake of others: jobs often come in rows.
const QUIET: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Idle for long while it holds memory.
    Idle,
    /// Other programs want its GPU.
    Others,
    /// Its host runs short of main memory.
    HostMemory,
    /// A job ran out of memory there.
    OutOfMemory,
    /// The next job needs more than is free, and ComfyUI has failed to make room before.
    BeforeJob,
    /// Somebody asked.
    Asked,
}

/// Which reasons count; `None` and false: it does not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    pub idle: Option<Duration>,
    /// Share of the GPU's memory: other programs hold as much, and less is free.
    pub others: Option<f64>,
    /// Share of the host's memory: less is available.
    pub host_memory: Option<f64>,
    pub out_of_memory: bool,
    pub before_job: bool,
}

/// A backend without work and since when, and what came of freeing it before.
pub struct Idle<'a> {
    pub candidate: &'a Candidate,
    pub since: UnixMillis,
    pub frees: &'a Frees,
}

impl Reason {
    pub const ALL: [Self; 6] =
        [Self::Idle, Self::Others, Self::HostMemory, Self::OutOfMemory, Self::BeforeJob, Self::Asked];

    pub fn label(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Others => "others",
            Self::HostMemory => "host_memory",
            Self::OutOfMemory => "out_of_memory",
            Self::BeforeJob => "before_job",
            Self::Asked => "asked",
        }
    }
}

/// The idle backends that are to be freed now, but none with models that a waiting job names and could use there.
pub fn to_free<'a>(
    idle: impl IntoIterator<Item = Idle<'a>>,
    waiting: impl IntoIterator<Item = &'a Arc<Job>>,
    fits: &Fits,
    rules: &Rules,
    now: UnixMillis,
) -> Vec<(BackendId, Reason)> {
    let due = idle.into_iter().filter_map(|idle| Some((idle.due(rules, now)?, idle)));
    let mut due: Vec<(Reason, Idle<'a>)> = due.collect();
    let mut waiting = waiting.into_iter();
    while !due.is_empty()
        && let Some(job) = waiting.next()
    {
        due.retain(|(_, idle)| !wants(job, fits, idle.candidate, now));
    }
    // Of a host that runs short the one that has been idle longest, and then it is looked again.
    due.sort_by_key(|(_, idle)| idle.since);
    let mut hosts = BTreeSet::new();
    due.retain(|(reason, idle)| *reason != Reason::HostMemory || hosts.insert(host(&idle.candidate.backend)));
    due.into_iter().map(|(reason, idle)| (idle.candidate.backend.id.clone(), reason)).collect()
}

fn host(backend: &Backend) -> String {
    backend.agent_url.host_str().unwrap_or_default().to_owned()
}

fn wants(job: &Job, fits: &Fits, candidate: &Candidate, now: UnixMillis) -> bool {
    let names = || job.needs.assets.iter().any(|asset| candidate.resident.contains(&asset.name));
    let backend = &candidate.backend;
    let is_open = || backend.draining_since.is_none() && Refusal::of_wishes(backend, &job.wishes).is_none();
    let claim = || Claim::of(job, fits, std::slice::from_ref(candidate), now);
    names() && is_open() && Refusal::of_job(candidate, job, claim(), now).is_none()
}

impl Idle<'_> {
    fn due(&self, rules: &Rules, now: UnixMillis) -> Option<Reason> {
        let backend = &self.candidate.backend;
        let alone = backend.backlog.as_ref().is_some_and(|read| read.value.total == 0);
        if !backend.health.is_up() || !alone || !self.frees.may_try(self.since, now) {
            return None;
        }
        let (idle_for, holds) = (now - self.since, self.holds_gpu_memory());
        if holds && rules.idle.is_some_and(|after| idle_for >= after) {
            return Some(Reason::Idle);
        }
        if idle_for < QUIET {
            return None;
        }
        if holds && rules.others.is_some_and(|share| self.others_want_it(share)) {
            return Some(Reason::Others);
        }
        let runs_short = rules.host_memory.is_some_and(|share| self.host_runs_short(share, now));
        (runs_short && (holds || self.holds_host_memory(now))).then_some(Reason::HostMemory)
    }

    /// By its agent's figure, or by what it was given, where there is none.
    fn holds_gpu_memory(&self) -> bool {
        match self.candidate.room.own_bytes {
            Some(own) => own >= HELD_BYTES,
            None => !self.candidate.resident.is_empty(),
        }
    }

    fn others_want_it(&self, share: f64) -> bool {
        let room = &self.candidate.room;
        let Some((others, available)) = room.others_bytes.zip(room.available_bytes) else { return false };
        let mark = others.saturating_add(available) as f64 * share;
        others as f64 >= mark && room.free_bytes.is_some_and(|free| (free as f64) < mark)
    }

    fn host_runs_short(&self, share: f64, now: UnixMillis) -> bool {
        let Some(figures) = self.candidate.backend.agent.as_ref().map(|read| &read.value) else {
            return false;
        };
        let memory = figures.host.memory.as_ref().filter(|read| figures.is_fresh(read, now));
        memory.is_some_and(|memory| {
            (memory.value.available_bytes as f64) < memory.value.total_bytes as f64 * share
        })
    }

    fn holds_host_memory(&self, now: UnixMillis) -> bool {
        let Some(figures) = self.candidate.backend.agent.as_ref().map(|read| &read.value) else {
            return false;
        };
        let process = figures.comfyui.as_ref().filter(|read| figures.is_fresh(read, now));
        process.and_then(|read| read.value.memory_bytes).is_some_and(|bytes| bytes >= 2 * HELD_BYTES)
    }
}

/// Whether memory is freed before this job, which is about to go to this idle backend: it needs more than is free, and
/// could have it, and ComfyUI there has failed to make room before.
pub fn comes_first(job: &Job, idle: &Idle<'_>, fits: &Fits, now: UnixMillis) -> bool {
    let room = &idle.candidate.room;
    let needed = || fits.of(&job.needs)?.needed_bytes(room.class.as_ref()?);
    let is_short = || needed().zip(room.free_bytes).is_some_and(|(needed, free)| needed > free);
    let has_it = job.needs.assets.iter().any(|asset| idle.candidate.resident.contains(&asset.name));
    !has_it && idle.holds_gpu_memory() && idle.frees.may_try(idle.since, now) && is_short()
}

#[cfg(test)]
mod tests;
