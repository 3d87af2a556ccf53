//! What came of all jobs, and whether that is as it must be.

use std::fmt;

use sim::{Comfy, Outcome};

use super::load::{Job, Told};

#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// What was done again and again, and how often.
    what: &'static str,
    times: usize,
    jobs: usize,
    /// Accepted, and never ended.
    lost: usize,
    /// Run more than once.
    doubled: usize,
    /// Of an end, to a client whose socket was open all the time.
    missing_events: usize,
    /// Ends that a client was told more than once.
    repeated_events: usize,
    /// Ends that their clients were told; of the others the socket broke meanwhile.
    heard: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, times, jobs, lost, doubled, missing_events, repeated_events, heard } = self;
        write!(
            f,
            "{what} {times}, jobs {jobs}, lost {lost}, doubled {doubled}, events of an end missing {missing_events}, \
             repeated {repeated_events}, heard {heard}"
        )
    }
}

impl Counts {
    pub(crate) fn of(kills: usize, jobs: &[Job], comfys: &[Comfy]) -> Self {
        Self::after("kills", kills, jobs, comfys)
    }

    pub(crate) fn after(what: &'static str, times: usize, jobs: &[Job], comfys: &[Comfy]) -> Self {
        let mut counts = Self { what, times, jobs: jobs.len(), ..Self::default() };
        for job in jobs {
            let succeeded = comfys.iter().map(|comfy| runs(comfy, &job.id)).sum::<usize>();
            counts.lost += usize::from(!job.has_ended || succeeded == 0);
            counts.doubled += usize::from(succeeded > 1);
            counts.missing_events += usize::from(job.told == Told::Missing);
            counts.repeated_events += usize::from(job.times_told > 1);
            counts.heard += usize::from(job.told == Told::Heard);
        }
        counts
    }

    #[track_caller]
    pub(crate) fn are_as_they_must_be(&self) {
        println!("{self}");
        let wrong = self.lost + self.doubled + self.missing_events + self.repeated_events;
        assert_eq!(wrong, 0, "{self}");
        assert!(self.jobs > self.times && self.heard > 0, "there was no load: {self}");
    }
}

/// How often a server ran it.
pub(crate) fn runs(comfy: &Comfy, job: &str) -> usize {
    let state = comfy.state();
    let of_job = state.runs.iter().filter(|run| run.extra_data["orchestrator"]["job"] == job);
    of_job.filter(|run| run.outcome == Outcome::Succeeded).count()
}
