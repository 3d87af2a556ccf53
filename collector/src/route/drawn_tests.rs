//! What holds on every fleet and queue, tried on many that are drawn.

use std::collections::BTreeMap;

use super::tests::{
    NOW, backend, book, catalog, changed, gpu_class, idle, job, loading, of, of_both, telling, waiting,
};
use super::*;
use crate::clock::UnixMillis;
use crate::id::BackendId;
use crate::job::{self, Job};

/// Fleets and queues that differ in everything a decision looks at, the same at every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn candidate(&mut self, name: &str) -> Candidate {
        let mut candidate = match self.below(4) {
            0 => {
                let mut lacking = backend(name);
                lacking.catalog = Some(catalog(&["n", "o"]));
                of(lacking, &[])
            }
            _ => idle(name, [&["m"][..], &["n"], &["m", "o"], &[]][self.below(4)]),
        };
        candidate.residual_seconds = (self.below(2) == 0).then(|| self.below(30) as f64);
        candidate.rests_until = UnixMillis(if self.below(8) == 0 { NOW.0 + 1 } else { 0 });
        candidate
    }

    fn job(&mut self, arrival: u64) -> Arc<Job> {
        let owner = ["b0", "b1", "b7"][self.below(3)];
        let job = match self.below(5) {
            0 => loading(arrival, owner),
            1 => of_both(arrival, [["m", "n"], ["n", "m"], ["n", "o"]][self.below(3)]),
            _ => job(arrival, ["", "m", "n", "o"][self.below(4)]),
        };
        changed(&job, |job| {
            job.attempts = self.below(2) as u32;
            if self.below(4) == 0 {
                let backend = Some(owner.parse().unwrap());
                job.wishes = Arc::new(job::Wishes { backend, ..job::Wishes::default() });
            }
        })
    }
}

pub(super) fn many() -> impl Iterator<Item = (Vec<Candidate>, Vec<Arc<Job>>)> {
    let mut draw = Draw(7);
    (0..300).map(move |_| {
        let candidates = (0..=draw.below(4)).map(|at| draw.candidate(&format!("b{at}"))).collect();
        let jobs = (0..draw.below(4) as u64).map(|at| draw.job(at)).collect();
        (candidates, jobs)
    })
}

#[test]
fn whatever_the_fleet_jobs_go_where_they_may_and_none_waits_beside_an_idle_backend_for_nothing() {
    let (mut given, mut left) = (0, 0);
    for (candidates, jobs) in many() {
        let mut book = book(&candidates, &jobs);
        let refused = |book: &Book, job: &Arc<Job>, backend: &BackendId| {
            book.explain(job, NOW).iter().any(|(id, verdict)| id == backend && verdict.is_refused())
        };
        let before = book.clone();
        let assignments = book.route(usize::MAX, NOW);
        let mut taken = BTreeSet::new();
        for assignment in &assignments {
            let to = before.candidate(&assignment.backend).unwrap();
            let job = jobs.iter().find(|job| job.id == assignment.job).unwrap();
            assert!(to.residual_seconds.is_none() && to.rests_until <= NOW, "only to a free backend");
            assert!(!refused(&before, job, &assignment.backend), "only where it may");
            assert!(taken.insert(assignment.backend.clone()), "one job a backend");
            given += 1;
        }
        for job in jobs.iter().filter(|job| assignments.iter().all(|one| one.job != job.id)) {
            for (backend, verdict) in book.explain(job, NOW) {
                let is_idle = before.candidate(&backend).unwrap().residual_seconds.is_none();
                if is_idle && !verdict.is_refused() && !taken.contains(&backend) {
                    assert!(verdict.to_string().contains("its models"), "beside {backend}: {verdict}");
                    left += 1;
                }
            }
        }
    }
    assert!(given > 100 && left > 0, "{given} {left}");
}

#[test]
fn the_same_input_gives_the_same_decision() {
    for (candidates, jobs) in many() {
        let decide = || book(&candidates, &jobs).route(usize::MAX, NOW);
        assert_eq!(decide(), decide());
    }
}

/// The books are told of changes alone; whoever begins anew reads all.
#[test]
fn books_kept_by_deltas_are_those_of_one_who_begins_anew() {
    let mut draw = Draw(3);
    for _ in 0..20 {
        let mut kept = Book::default();
        let mut jobs: BTreeMap<u64, Arc<Job>> = BTreeMap::new();
        let mut fleet: Vec<Candidate> = Vec::new();
        let mut sizes = BTreeMap::new();
        for arrival in 0..60 {
            let one = jobs.values().nth(draw.below(5)).cloned();
            let mut changes = Vec::new();
            match draw.below(7) {
                0 => {
                    let name = format!("b{}", draw.below(4));
                    fleet.retain(|candidate| candidate.backend.id.as_str() != name);
                    if draw.below(3) > 0 {
                        fleet.insert(0, draw.candidate(&name));
                    }
                }
                1 => {
                    let tried = one.filter(|job| job.attempts > 0);
                    let at = draw.below(4);
                    for (candidate, job) in fleet.get_mut(at).into_iter().zip(tried) {
                        candidate.conduct.unfit =
                            if draw.below(2) == 0 { [job.id].into() } else { [].into() };
                    }
                }
                2 => {
                    if let Some(job) = one {
                        jobs.remove(&job.place.arrival);
                        changes.push((job.id, None));
                    }
                }
                3 => {
                    let needs = job(0, "m").needs.clone();
                    kept.fits_mut().ran_out_of_memory(&needs, &gpu_class(24), 1 + draw.below(2) as u32, NOW);
                    for candidate in &mut fleet {
                        candidate.room.class = Some(gpu_class([16, 24, 80][draw.below(3)]));
                    }
                }
                4 => {
                    if let Some(job) = one {
                        let job = changed(&job, |job| job.place.number = draw.below(9) as f64);
                        changes.push((job.id, Some(Arc::clone(&job))));
                        jobs.insert(job.place.arrival, job);
                    }
                }
                5 => {
                    let gigabytes = sizes.entry(["m", "n", "o"][draw.below(3)]).or_default();
                    *gigabytes = draw.below(20).max(*gigabytes);
                    fleet.retain(|candidate| candidate.backend.id.as_str() != "tells");
                    fleet.push(telling("tells", sizes.iter().map(|(model, size)| (*model, *size as u64))));
                }
                _ => {
                    let job = draw.job(arrival);
                    changes.push((job.id, Some(Arc::clone(&job))));
                    jobs.insert(arrival, job);
                }
            }
            kept.see(fleet.clone(), changes, NOW);
            let mut anew = Book::knowing(Policy::default(), kept.fits().clone(), Learned::default());
            anew.see(fleet.clone(), waiting(&jobs.values().cloned().collect::<Vec<_>>()), NOW);
            assert_eq!(kept.told(), anew.told());
        }
    }
}
