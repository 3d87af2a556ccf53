//! When an idle backend is asked to free its memory. `/free` costs the next job a reload, so it is never routine.

use std::sync::Arc;
use std::time::Duration;

use super::Candidate;
use crate::clock::UnixMillis;
use crate::id::BackendId;
use crate::job::Job;

/// A backend without work and since when.
pub struct Idle<'a> {
    pub candidate: &'a Candidate,
    pub since: UnixMillis,
}

/// The backends that have been idle for so long while they hold models that no waiting job names.
pub fn to_free<'a>(
    idle: impl IntoIterator<Item = Idle<'a>>,
    waiting: impl IntoIterator<Item = &'a Arc<Job>>,
    after: Duration,
    now: UnixMillis,
) -> Vec<BackendId> {
    let mut due: Vec<Idle<'a>> = idle.into_iter().filter(|idle| is_due(idle, after, now)).collect();
    let mut waiting = waiting.into_iter();
    while !due.is_empty()
        && let Some(job) = waiting.next()
    {
        due.retain(|idle| {
            !job.needs.assets.iter().any(|asset| idle.candidate.resident.contains(&asset.name))
        });
    }
    due.into_iter().map(|idle| idle.candidate.backend.id.clone()).collect()
}

fn is_due(idle: &Idle<'_>, after: Duration, now: UnixMillis) -> bool {
    let Candidate { backend, resident, .. } = idle.candidate;
    let alone = backend.backlog.as_ref().is_some_and(|read| read.value.total == 0);
    backend.health.is_up() && alone && !resident.is_empty() && now - idle.since >= after
}
