//! Which writes travel together: those of one kind as one statement, for what a commit costs is the way to the server and
//! back. Nothing overtakes an earlier write of the same job. Pure.

use std::collections::HashSet;

use super::super::store::Write;
use crate::job::Change;

/// Bytes of prompts in one statement, unless a single one has more, and ends of jobs with their results.
const STATEMENT_BYTES: usize = 16 * 1024 * 1024;
const STATEMENT_ENDS: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Submit,
    Dispatch,
    Accept,
    Requeue,
    /// A person moved a job or gave it another priority.
    Arrange,
    End,
    Notify,
    Archive,
    Forget,
}

#[derive(Debug)]
pub(super) struct Group<'w> {
    pub kind: Kind,
    pub writes: Vec<&'w Write>,
    bytes: usize,
}

/// In the order in which they are to be performed.
pub(super) fn groups(writes: &[Write]) -> Vec<Group<'_>> {
    let (mut groups, mut jobs, mut open): (Vec<Group<'_>>, _, _) = (Vec::new(), HashSet::new(), 0);
    for write in writes {
        // The tables of webhooks and of copies have nothing to do with the others.
        let is_apart = write.notice().is_some() || write.made().is_some();
        let is_first_of_its_job = job(write).is_some_and(|job| jobs.insert(job));
        if !is_first_of_its_job && !is_apart {
            // All that came before it is closed.
            open = groups.len();
            jobs.clear();
            jobs.extend(job(write));
        }
        let mut candidates = groups.iter_mut().skip(open);
        match candidates.rfind(|group| group.takes(write)) {
            Some(group) => group.add(write),
            None => groups.push(Group::of(write)),
        }
    }
    groups
}

impl<'w> Group<'w> {
    fn of(write: &'w Write) -> Self {
        Self { kind: kind(write), writes: vec![write], bytes: bytes(write) }
    }

    fn takes(&self, write: &Write) -> bool {
        let has_room = match self.kind {
            Kind::Submit => self.bytes.saturating_add(bytes(write)) <= STATEMENT_BYTES,
            Kind::End => self.writes.len() < STATEMENT_ENDS,
            Kind::Forget | Kind::Arrange => false,
            Kind::Dispatch | Kind::Accept | Kind::Requeue | Kind::Notify | Kind::Archive => true,
        };
        self.kind == kind(write) && has_room
    }

    fn add(&mut self, write: &'w Write) {
        self.bytes = self.bytes.saturating_add(bytes(write));
        self.writes.push(write);
    }
}

fn kind(write: &Write) -> Kind {
    match write {
        Write::Submit(_) => Kind::Submit,
        Write::Change(Change::Dispatch { .. }) => Kind::Dispatch,
        Write::Change(Change::Accept { .. }) => Kind::Accept,
        Write::Change(Change::Requeue { .. }) => Kind::Requeue,
        Write::Change(Change::Move { .. } | Change::Prefer { .. }) => Kind::Arrange,
        Write::Change(Change::End { .. }) => Kind::End,
        Write::Notify(_) => Kind::Notify,
        Write::Archive(_) => Kind::Archive,
        Write::Forget { .. } => Kind::Forget,
    }
}

/// `None` for what concerns several.
fn job(write: &Write) -> Option<crate::id::JobId> {
    match write {
        Write::Submit(submission) => Some(submission.id),
        Write::Change(change) => Some(change.job()),
        Write::Notify(notice) => Some(notice.job),
        Write::Archive(_) | Write::Forget { .. } => None,
    }
}

fn bytes(write: &Write) -> usize {
    write.submission().map_or(0, |submission| submission.prompt.get().len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMillis;
    use crate::id::JobId;
    use crate::job::{Course, Outcome};

    fn accept(job: JobId) -> Write {
        Write::Change(Change::Accept { job, attempt: 1, prompt_id: String::new() })
    }

    fn requeue(job: JobId) -> Write {
        let (at, reason, course) = (UnixMillis(1), String::new(), Course::default());
        Write::Change(Change::Requeue { job, attempt: 1, spent: false, at, reason, course })
    }

    fn end(job: JobId) -> Write {
        let (at, outcome, results, course) =
            (UnixMillis(1), Outcome::Succeeded, Box::default(), Course::default());
        Write::Change(Change::End { job, attempt: Some(1), at, outcome, results, course })
    }

    fn shapes(writes: &[Write]) -> Vec<(Kind, usize)> {
        groups(writes).iter().map(|group| (group.kind, group.writes.len())).collect()
    }

    #[test]
    fn writes_of_a_kind_travel_together_wherever_they_stand() {
        let [a, b, c, d] = std::array::from_fn(|_| JobId::random());
        let writes = [accept(a), requeue(b), accept(c), requeue(d)];
        assert_eq!(shapes(&writes), [(Kind::Accept, 2), (Kind::Requeue, 2)]);
    }

    #[test]
    fn nothing_overtakes_an_earlier_write_of_the_same_job() {
        let [a, b] = std::array::from_fn(|_| JobId::random());
        let writes = [accept(a), requeue(a), accept(a), accept(b)];
        assert_eq!(shapes(&writes), [(Kind::Accept, 1), (Kind::Requeue, 1), (Kind::Accept, 2)]);
        let forget = Write::Forget { jobs: vec![a], owner: None };
        let writes = [accept(a), forget, accept(b)];
        assert_eq!(shapes(&writes), [(Kind::Accept, 1), (Kind::Forget, 1), (Kind::Accept, 1)]);
    }

    #[test]
    fn webhooks_do_not_keep_the_ends_of_jobs_apart() {
        let notify = |job| {
            let (url, at) = ("https://h/".parse().unwrap(), UnixMillis(1));
            Write::Notify(crate::job::Notice { job, url, body: String::new(), at })
        };
        let [a, b] = std::array::from_fn(|_| JobId::random());
        let writes = [end(a), notify(a), end(b), notify(b)];
        assert_eq!(shapes(&writes), [(Kind::End, 2), (Kind::Notify, 2)]);
    }

    #[test]
    fn a_statement_has_a_bound() {
        let writes: Vec<Write> = (0..STATEMENT_ENDS + 1).map(|_| end(JobId::random())).collect();
        assert_eq!(shapes(&writes), [(Kind::End, STATEMENT_ENDS), (Kind::End, 1)]);
    }
}
