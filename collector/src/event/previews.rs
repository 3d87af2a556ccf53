//! The newest picture of each running job's unfinished result, for who begins to look. Bounded in bytes: what does not
//! fit is not kept.

use std::collections::HashMap;

use bytes::Bytes;

use crate::id::JobId;
use crate::limits;

#[derive(Default)]
pub(super) struct Previews {
    newest: HashMap<JobId, Preview>,
    bytes: usize,
    last_number: u64,
}

/// A picture as ComfyUI's binary frame holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// Another one for each picture.
    pub number: u64,
    pub frame: Bytes,
}

impl Previews {
    pub(super) fn keep(&mut self, job: JobId, frame: &Bytes) {
        self.forget(job);
        if frame.len() <= limits::PREVIEW_BYTES && self.bytes + frame.len() <= limits::PREVIEWS_BYTES {
            self.bytes += frame.len();
            self.last_number += 1;
            self.newest.insert(job, Preview { number: self.last_number, frame: frame.clone() });
        }
    }

    pub(super) fn forget(&mut self, job: JobId) {
        if let Some(gone) = self.newest.remove(&job) {
            self.bytes -= gone.frame.len();
        }
    }

    pub(super) fn of(&self, job: JobId) -> Option<&Preview> {
        self.newest.get(&job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_kept_until_the_job_is_forgotten_and_nothing_beyond_the_bounds() {
        let (mut previews, job) = (Previews::default(), JobId::random());
        previews.keep(job, &Bytes::from_static(b"one"));
        previews.keep(job, &Bytes::from_static(b"two"));
        assert_eq!(previews.of(job), Some(&Preview { number: 2, frame: Bytes::from_static(b"two") }));
        let large = Bytes::from(vec![0; limits::PREVIEW_BYTES]);
        let jobs: Vec<JobId> = (0..limits::PREVIEWS_BYTES / large.len()).map(|_| JobId::random()).collect();
        jobs.iter().for_each(|job| previews.keep(*job, &large));
        assert!(previews.of(jobs[jobs.len() - 1]).is_none() && previews.of(jobs[0]).is_some());
        previews.keep(job, &Bytes::from(vec![0; limits::PREVIEW_BYTES + 1]));
        assert_eq!(previews.of(job), None, "an older one would be taken for the newest");
        jobs.iter().for_each(|job| previews.forget(*job));
        assert_eq!(previews.bytes, 0);
    }
}
