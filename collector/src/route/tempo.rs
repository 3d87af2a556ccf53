//! The rule's seconds beside ours: where jobs are many times shorter than the rule was tuned for, it lives as much quicker.
//! Times go into the router and come out of it through here.

use super::Choice;
use crate::clock::UnixMillis;

/// How many of the rule's seconds pass in one of ours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tempo(pub f64);

impl Tempo {
    /// A time in the rule's seconds.
    pub(super) fn at(self, time: UnixMillis) -> f64 {
        self.of(time.as_seconds())
    }

    /// So many of our seconds in the rule's.
    pub(super) fn of(self, seconds: f64) -> f64 {
        seconds * self.0
    }

    /// So many of the rule's seconds in ours.
    pub(super) fn seconds(self, of_rule: f64) -> f64 {
        of_rule / self.0
    }

    /// Our seconds to load, and to run.
    pub(super) fn cost(self, choice: &Choice) -> [f64; 2] {
        [choice.load_seconds, choice.run_seconds].map(|seconds| self.seconds(seconds))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::job::Job;
    use crate::route::drawn_tests::many;
    use crate::route::tests::{NOW, waiting};
    use crate::route::{Assignment, Book, Candidate, Fits, Learned, Policy, Verdict};

    /// A power of two: no rounding differs.
    const TIMES: f64 = 4.0;

    #[test]
    fn a_fleet_so_many_times_quicker_gets_the_same_decisions_and_hears_of_them_in_its_own_seconds() {
        let slower = |assignment: Assignment| {
            let mut why = assignment.why;
            (why.load_seconds, why.run_seconds) = (why.load_seconds * TIMES, why.run_seconds * TIMES);
            Assignment { why, ..assignment }
        };
        let mut decisions = 0;
        // What fetching a file takes is no time of the rule's.
        let without_files = |jobs: Vec<Arc<Job>>| -> Vec<Arc<Job>> {
            jobs.into_iter().filter(|job| job.needs.outputs.is_empty()).collect()
        };
        for (candidates, jobs) in many().map(|(fleet, jobs)| (fleet, without_files(jobs))) {
            let book = |tempo: f64| {
                let policy = Policy { tempo, ..Policy::default() };
                let mut book = Book::knowing(policy, Fits::default(), Learned::default());
                let quicker = |candidate: &Candidate| {
                    let residual_seconds = candidate.residual_seconds.map(|seconds| seconds / tempo);
                    Candidate { residual_seconds, ..candidate.clone() }
                };
                book.see(candidates.iter().map(quicker).collect(), waiting(&jobs), NOW);
                book
            };
            let (mut usual, mut quick) = (book(1.0), book(TIMES));
            for job in &jobs {
                let ends = |book: &Book| -> Vec<Option<f64>> {
                    let verdicts = book.explain(job, NOW);
                    verdicts.iter().map(|(_, verdict): &(_, Verdict)| verdict.completion_seconds()).collect()
                };
                let in_rule = |ends: Option<f64>| ends.map(|seconds| seconds * TIMES);
                assert_eq!(ends(&usual), ends(&quick).into_iter().map(in_rule).collect::<Vec<_>>());
            }
            let quick: Vec<Assignment> = quick.route(usize::MAX, NOW).into_iter().map(slower).collect();
            decisions += quick.len();
            assert_eq!(usual.route(usize::MAX, NOW), quick);
        }
        assert!(decisions > 100);
    }
}
