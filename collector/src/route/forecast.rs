//! What is expected of the waiting jobs, were nothing to change: the rule of this folder, applied to one after the other.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{Candidate, Claim, Desk, Estimates, Verdict};
use crate::clock::UnixMillis;
use crate::id::{BackendId, JobId};
use crate::job::Job;
use crate::limits;

#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    pub job: JobId,
    pub outlook: Outlook,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Outlook {
    Somewhere(Expected),
    /// No backend may run it now: for what, and which ones refuse it so; the most frequent first.
    Nowhere(Vec<(String, Vec<BackendId>)>),
}

/// Where a job is expected to run, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    pub backend: BackendId,
    pub starts_in_seconds: f64,
    pub ends_in_seconds: f64,
    /// Nothing is to be loaded there, and it names models.
    finds_models: bool,
    /// Another backend is free and could run it, but would end it later.
    beside_a_free_one: bool,
}

/// Of the first of `waiting`, as many as a decision looks at.
pub fn forecast<'a>(
    candidates: &[Candidate],
    waiting: impl IntoIterator<Item = &'a Arc<Job>>,
    estimates: &Estimates,
    now: UnixMillis,
) -> Vec<Forecast> {
    let mut desks: Vec<Desk<'_>> =
        candidates.iter().map(|candidate| Desk::new(candidates, candidate, estimates, now)).collect();
    let jobs = waiting.into_iter().take(limits::ROUTE_LOOKAHEAD);
    let outlooks = jobs.map(|job| {
        let claim = Claim::of(job, &estimates.fits, candidates, now);
        let verdicts = desks.iter().map(|desk| desk.judge(job, claim, estimates, now)).collect();
        Forecast { job: job.id, outlook: outlook(&mut desks, job, verdicts) }
    });
    outlooks.collect()
}

fn outlook(desks: &mut [Desk<'_>], job: &Job, verdicts: Vec<Verdict>) -> Outlook {
    let completions =
        verdicts.iter().enumerate().filter_map(|(at, verdict)| Some((at, verdict.completion_seconds()?)));
    let best = completions.min_by(|(_, a), (_, b)| a.total_cmp(b));
    let Some((at, ends_in_seconds)) = best else {
        return Outlook::Nowhere(refusals(desks, verdicts));
    };
    let is_free = |verdict: &Verdict| matches!(verdict, Verdict::Possible { free: true, .. });
    let (starts_in_seconds, finds_models) = match verdicts.get(at) {
        Some(Verdict::Possible { wait_seconds, load_seconds, .. }) => {
            (*wait_seconds, *load_seconds == 0.0 && !job.needs.assets.is_empty())
        }
        _ => (0.0, false),
    };
    let Some(desk) = desks.get_mut(at) else { return Outlook::Nowhere(Vec::new()) };
    desk.reserve(job, ends_in_seconds);
    Outlook::Somewhere(Expected {
        backend: desk.candidate.backend.id.clone(),
        starts_in_seconds,
        ends_in_seconds,
        finds_models,
        beside_a_free_one: !verdicts.get(at).is_some_and(is_free) && verdicts.iter().any(is_free),
    })
}

fn refusals(desks: &[Desk<'_>], verdicts: Vec<Verdict>) -> Vec<(String, Vec<BackendId>)> {
    let mut by_words: BTreeMap<String, Vec<BackendId>> = BTreeMap::new();
    for (desk, verdict) in desks.iter().zip(verdicts) {
        if let Verdict::Refused(refusal) = verdict {
            by_words.entry(refusal.to_string()).or_default().push(desk.candidate.backend.id.clone());
        }
    }
    let mut refusals: Vec<_> = by_words.into_iter().collect();
    refusals.sort_by_key(|(_, backends)| std::cmp::Reverse(backends.len()));
    refusals
}

fn refused((words, backends): &(String, Vec<BackendId>)) -> String {
    match backends.as_slice() {
        [one] => format!("{one} {words}"),
        several => format!("{} backends: {words}", several.len()),
    }
}

/// Why it waits, as one sentence.
impl fmt::Display for Outlook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = match self {
            Self::Somewhere(expected) => expected,
            Self::Nowhere(refusals) if refusals.is_empty() => return f.write_str("there is no backend"),
            Self::Nowhere(refusals) => {
                let lines: Vec<String> = refusals.iter().map(refused).collect();
                return write!(f, "no backend can run it now: {}", lines.join("; "));
            }
        };
        let Expected { backend, starts_in_seconds, finds_models, beside_a_free_one, .. } = expected;
        match (*starts_in_seconds > 0.0, finds_models, beside_a_free_one) {
            (false, ..) => write!(f, "goes to {backend} now"),
            (true, true, true) => {
                write!(
                    f,
                    "waits for {backend}, which has its models; loading them on a free one would take longer"
                )
            }
            (true, true, false) => write!(f, "waits for {backend}, which has its models"),
            (true, false, _) => write!(f, "waits for {backend}, where it is expected to end first"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::tests::{NOW, busy, estimates, idle, job};

    fn lines(candidates: &[Candidate], jobs: &[Arc<Job>]) -> Vec<String> {
        let forecasts = forecast(candidates, jobs, &estimates(), NOW);
        let times = |outlook: &Outlook| match outlook {
            Outlook::Somewhere(expected) => {
                format!("{:.0}-{:.0} s: ", expected.starts_in_seconds, expected.ends_in_seconds)
            }
            Outlook::Nowhere(_) => String::new(),
        };
        forecasts.iter().map(|one| format!("{}{}", times(&one.outlook), one.outlook)).collect()
    }

    #[test]
    fn jobs_queue_up_behind_each_other_and_models_that_one_brings_are_there_for_the_next() {
        let fleet = [idle("a", &["m"]), busy("b", &["n"], 5.0)];
        let jobs = [job(1, "m"), job(2, "m"), job(3, "n"), job(4, "")];
        assert_eq!(
            lines(&fleet, &jobs),
            [
                "0-20 s: goes to a now",
                "5-35 s: waits for b, where it is expected to end first",
                "20-50 s: waits for a, where it is expected to end first",
                "35-55 s: waits for b, where it is expected to end first",
            ]
        );
    }

    #[test]
    fn a_job_that_waits_for_its_models_says_so() {
        let fleet = [idle("a", &[]), busy("b", &["m"], 5.0)];
        let words = "waits for b, which has its models; loading them on a free one would take longer";
        assert_eq!(lines(&fleet, &[job(1, "m")]), [format!("5-25 s: {words}")]);
        let fleet = [busy("a", &[], 1.0), busy("b", &["m"], 5.0)];
        assert_eq!(lines(&fleet, &[job(1, "m")]), ["5-25 s: waits for b, which has its models"]);
    }

    #[test]
    fn a_job_that_nothing_can_run_says_why_in_one_line_however_many_backends_there_are() {
        let drained = |name: &str| {
            let mut candidate = idle(name, &[]);
            Arc::make_mut(&mut candidate.backend).draining_since = Some(NOW);
            candidate
        };
        let mut down = idle("c", &[]);
        Arc::make_mut(&mut down.backend).health = Default::default();
        let fleet = [down, drained("a"), drained("b")];
        let expected = "no backend can run it now: 2 backends: is draining; c is down";
        assert_eq!(lines(&fleet, &[job(1, "m")]), [expected]);
        assert_eq!(lines(&[], &[job(1, "m")]), ["there is no backend"]);
    }
}
