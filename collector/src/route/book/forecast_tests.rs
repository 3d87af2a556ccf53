use super::*;
use crate::route::Candidate;
use crate::route::tests::{LOAD, NOW, RUN, book, busy, idle, job};

/// Names stand for jobs: the letter of each and its forecast, in the order told.
fn lines(candidates: &[Candidate], jobs: &[Arc<Job>]) -> Vec<String> {
    let forecasts = book(candidates, jobs).forecast(jobs, NOW);
    let times = |outlook: &Outlook| match outlook {
        Outlook::Somewhere(expected) => {
            format!("{:.0}-{:.0} s: ", expected.starts_in_seconds, expected.ends_in_seconds)
        }
        Outlook::Bounded(_) | Outlook::Nowhere(_) => String::new(),
    };
    let arrival = |forecast: &Forecast| jobs.iter().find(|job| job.id == forecast.job).unwrap().place.arrival;
    forecasts.iter().map(|one| format!("{}: {}{}", arrival(one), times(&one.outlook), one.outlook)).collect()
}

#[test]
fn jobs_queue_up_behind_each_other_and_models_that_one_brings_are_there_for_the_next() {
    let fleet = [idle("a", &["m"]), busy("b", &["n"], 5.0)];
    let jobs = [job(1, "m"), job(2, "m"), job(3, "n"), job(4, "n")];
    assert_eq!(
        lines(&fleet, &jobs),
        [
            "1: 0-23 s: goes to a now",
            "3: 5-28 s: waits for b, which will have its models",
            "2: 23-46 s: waits for a, which will have its models",
            "4: 28-51 s: waits for b, which will have its models",
        ]
    );
    let fleet = [busy("a", &[], 1.0)];
    let end = 1.0 + LOAD + RUN;
    assert_eq!(
        lines(&fleet, &jobs[..2]),
        [
            format!("1: 1-{end:.0} s: waits for a, which is expected to take it"),
            format!("2: {end:.0}-{:.0} s: waits for a, which will have its models", end + RUN)
        ]
    );
}

#[test]
fn a_job_that_waits_for_its_models_says_so() {
    let fleet = [idle("a", &[]), busy("b", &["m"], 5.0)];
    let words = "waits for b, which will have its models; loading them on a free one would take longer";
    let mut decided = book(&fleet, &[job(1, "m")]);
    assert_eq!(decided.route(usize::MAX, NOW), []);
    assert_eq!(lines(&fleet, &[job(1, "m")]), [format!("1: 5-28 s: {words}")]);
    let fleet = [busy("a", &[], 1.0), busy("b", &["m"], 5.0)];
    assert_eq!(lines(&fleet, &[job(1, "m")]), ["1: 5-28 s: waits for b, which will have its models"]);
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
    let expected = "1: no backend can run it now: 2 backends: is draining; c is down";
    assert_eq!(lines(&fleet, &[job(1, "m")]), [expected]);
    assert_eq!(lines(&[], &[job(1, "m")]), ["1: there is no backend"]);
}

#[test]
fn no_more_is_foreseen_than_has_a_bound() {
    let jobs: Vec<Arc<Job>> = (0..limits::FORESEEN as u64 + 5).map(|arrival| job(arrival, "m")).collect();
    assert_eq!(lines(&[idle("a", &[])], &jobs).len(), limits::FORESEEN);
}
