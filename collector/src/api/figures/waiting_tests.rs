use std::sync::Arc;

use super::*;
use crate::fleet::{Backend, Catalog, Failure};
use crate::job::{Job, Needs, Place};
use crate::route::{Conduct, Room};

const NOW: UnixMillis = UnixMillis(1_000_000);

/// Free, and it offers the class `C`.
fn free(name: &str) -> Candidate {
    let url: url::Url = "http://127.0.0.1:1".parse().unwrap();
    let mut backend = Backend::new(name.parse().unwrap(), url.clone(), url);
    backend.health = backend.health.after_answer(NOW);
    backend.socket_since = Some(NOW);
    let classes = serde_json::from_value(serde_json::json!({ "C": {} })).unwrap();
    backend.catalog = Some(Arc::new(Catalog::new(classes, [0; 32])));
    Candidate {
        backend: Arc::new(backend),
        residual_seconds: None,
        foreign: 0,
        resident: Default::default(),
        rests_until: UnixMillis(0),
        room: Room::default(),
        conduct: Conduct::default(),
    }
}

fn but(change: impl FnOnce(&mut Backend)) -> Candidate {
    let mut candidate = free("a");
    change(Arc::make_mut(&mut candidate.backend));
    candidate
}

fn job(arrival: u64, class: &str) -> Job {
    let needs = Needs { classes: [class.to_owned()].into(), ..Needs::default() };
    Job { needs: Arc::new(needs), place: Place::new(None, false, arrival), ..Job::for_tests(arrival) }
}

/// Why the jobs wait, and how many for that.
fn why(candidates: Vec<Candidate>, jobs: Vec<Job>) -> Vec<(&'static str, usize)> {
    let spent = ["anna".to_owned()].into();
    let view = View { candidates: candidates.into(), spent, ..View::default() };
    let reasons = reasons(&Ledger::of(jobs), &view, NOW);
    reasons.into_iter().filter(|(_, jobs)| *jobs > 0).map(|(reason, jobs)| (reason.label(), jobs)).collect()
}

#[test]
fn a_job_waits_for_what_keeps_it_from_the_backend_that_is_nearest_to_running_it() {
    let busy = || Candidate { residual_seconds: Some(3.0), ..free("a") };
    let down = || {
        but(|its| {
            let failure = Failure { refused: true, reason: "x".into() };
            its.health = its.health.after_failure(&failure, NOW);
        })
    };
    let freeing = Conduct { freeing: true, ..Conduct::default() };
    for (candidates, class, wanted) in [
        (vec![free("a")], "C", "turn"),
        (vec![busy()], "C", "busy"),
        (vec![Candidate { foreign: 1, ..free("a") }], "C", "busy"),
        (vec![Candidate { rests_until: UnixMillis(1_000_001), ..busy() }], "C", "resting"),
        (vec![Candidate { conduct: freeing, ..free("a") }], "C", "resting"),
        (vec![but(|its| its.socket_since = None)], "C", "connecting"),
        (vec![but(|its| its.draining_since = Some(NOW))], "C", "draining"),
        (vec![down()], "C", "down"),
        (vec![down(), busy()], "C", "busy"),
        (vec![down(), free("b"), busy()], "C", "turn"),
        (vec![free("a")], "D", "nowhere"),
        (vec![], "C", "nowhere"),
    ] {
        assert_eq!(why(candidates, vec![job(1, class)]), [(wanted, 1)]);
    }
}

#[test]
fn a_job_whose_owner_has_what_it_may_waits_for_that() {
    let mut hers = job(1, "C");
    hers.owner = Some("anna".to_owned());
    assert_eq!(why(vec![free("a")], vec![hers, job(2, "C")]), [("turn", 1), ("owner", 1)]);
}

#[test]
fn jobs_far_behind_are_not_judged() {
    let many = limits::WAITING_JUDGED as u64 + 2;
    let jobs = (1..=many).map(|arrival| job(arrival, "C")).collect();
    assert_eq!(why(vec![free("a")], jobs), [("turn", limits::WAITING_JUDGED), ("not_judged", 2)]);
}
