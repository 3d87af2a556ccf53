use super::*;
use crate::clock::UnixMillis;
use crate::fleet::{Backlog, Catalog, Failure, Read};
use crate::job::{Asset, Needs, Place, State};

pub(super) const NOW: UnixMillis = UnixMillis(1_000_000);

/// A backend that is up, heard and known to offer class `C` with the models `m`, `n` and `o`.
pub(super) fn backend(name: &str) -> Backend {
    let url: url::Url = "http://127.0.0.1:1".parse().unwrap();
    let mut backend = Backend::new(name.parse().unwrap(), url.clone(), url);
    backend.health = backend.health.after_answer(NOW);
    backend.socket_since = Some(NOW);
    backend.catalog = Some(catalog(&["m", "n", "o"]));
    backend
}

pub(super) fn catalog(models: &[&str]) -> Arc<Catalog> {
    let models: Vec<String> = models.iter().map(|model| format!("{model}.ckpt")).collect();
    let class = serde_json::json!({ "C": { "input": { "required": { "model": [models] } } } });
    Arc::new(Catalog::new(serde_json::from_value(class).unwrap(), [0; 32]))
}

pub(super) fn idle(name: &str, resident: &[&str]) -> Candidate {
    of(backend(name), resident)
}

pub(super) fn of(backend: Backend, resident: &[&str]) -> Candidate {
    let resident = resident.iter().map(|model| format!("{model}.ckpt")).collect();
    let foreign = backend.backlog.as_ref().and_then(|read| read.value.foreign).unwrap_or(0);
    let (backend, rests_until) = (Arc::new(backend), UnixMillis(0));
    let (room, conduct) = (Room::default(), Conduct::default());
    Candidate { backend, residual_seconds: None, foreign, resident, rests_until, room, conduct }
}

pub(super) fn busy(name: &str, resident: &[&str], seconds: f64) -> Candidate {
    Candidate { residual_seconds: Some(seconds), ..idle(name, resident) }
}

/// The nth job to arrive; `""` names no model.
pub(super) fn job(arrival: u64, model: &str) -> Arc<Job> {
    let asset = |name: String| Asset { node: "1".into(), class: "C".into(), input: "model".into(), name };
    let assets = (!model.is_empty()).then(|| asset(format!("{model}.ckpt"))).into_iter().collect();
    let needs = Needs { classes: ["C".to_owned()].into(), assets, ..Needs::default() };
    Arc::new(Job {
        id: JobId::random(),
        place: Place::new(None, false, arrival),
        client_id: None,
        peer: None,
        owner: None,
        needs: Arc::new(needs),
        wishes: Default::default(),
        submitted_at: NOW,
        attempts: 0,
        spent_attempts: 0,
        state: State::Waiting,
    })
}

/// Every model loads in 10 s and runs for 20 s.
pub(super) fn estimates() -> Estimates {
    let mut estimates = Estimates::default();
    for model in ["", "m", "n", "o"] {
        let load_seconds = (!model.is_empty()).then_some(10.0);
        estimates.learn(&job(0, model).needs.models(), Timing { load_seconds, run_seconds: 20.0 });
    }
    estimates
}

/// Which backend each of the jobs gets; `-`: it waits.
fn decided(candidates: &[Candidate], jobs: &[Arc<Job>]) -> Vec<String> {
    let assignments = route(candidates, jobs, &estimates(), NOW);
    let of = |job: &Arc<Job>| assignments.iter().find(|assignment| assignment.job == job.id);
    jobs.iter().map(|job| of(job).map_or("-".to_owned(), |found| found.backend.to_string())).collect()
}

/// A job that loads a file of this backend.
fn loading(arrival: u64, owner: &str) -> Arc<Job> {
    let mut job = Job::clone(&job(arrival, ""));
    let file = comfyui::api::FileRef {
        filename: "x.png".into(),
        subfolder: format!("{owner}/deep"),
        kind: "output".into(),
    };
    job.needs = Arc::new(Needs { outputs: vec![file], ..Needs::clone(&job.needs) });
    Arc::new(job)
}

#[test]
fn a_job_goes_where_the_file_is_that_it_loads_unless_waiting_there_costs_more_than_fetching_it() {
    for (busy_seconds, expected) in [(None, "b"), (Some(0.3), "b-later"), (Some(1.0), "a")] {
        let owner = Candidate { residual_seconds: busy_seconds, ..idle("b", &[]) };
        let chosen = route(&[idle("a", &[]), owner], [&loading(1, "b")], &estimates(), NOW);
        let chosen = chosen.first().map_or("b-later", |assignment| assignment.backend.as_str());
        assert_eq!(chosen, expected, "{busy_seconds:?}");
    }
}

#[test]
fn a_job_waits_for_the_owner_of_its_file_and_a_folder_is_no_owner() {
    let mut down = backend("b");
    down.health = crate::fleet::Health::default();
    let fleet = [idle("a", &[]), of(down, &[])];
    assert_eq!(route(&fleet, [&loading(1, "b")], &estimates(), NOW), []);
    let (_, verdict) = explain(&fleet, &loading(1, "b"), &estimates(), NOW).remove(0);
    assert_eq!(verdict.to_string(), "lacks deep/x.png [output], which is with b, and that is down");
    assert_eq!(route(&fleet, [&loading(1, "folder")], &estimates(), NOW).len(), 1);
}

#[test]
fn a_backend_that_must_not_run_the_job_is_named_with_the_reason_and_gets_none() {
    let failure = Failure { refused: true, reason: "x".into() };
    let changed = |change: fn(&mut Backend)| {
        let mut backend = backend("a");
        change(&mut backend);
        of(backend, &[])
    };
    let mut down = backend("a");
    down.health = down.health.after_failure(&failure, NOW);
    let resting = Candidate { rests_until: UnixMillis(NOW.0 + 1), ..idle("a", &[]) };
    let conduct = |conduct| Candidate { conduct, ..resting.clone() };
    let suspect = conduct(Conduct { suspect: true, ..Conduct::default() });
    let freeing = Candidate { rests_until: NOW, ..conduct(Conduct { freeing: true, ..Conduct::default() }) };
    for (candidate, refusal) in [
        (of(down.clone(), &[]), "is down"),
        (of(Backend { draining_since: Some(NOW), ..down }, &[]), "is draining"),
        (changed(|backend| backend.draining_since = Some(NOW)), "is draining"),
        (changed(|backend| backend.health = Default::default()), "is down"),
        (changed(|backend| backend.socket_since = None), "its WebSocket is not open"),
        (changed(|backend| backend.catalog = None), "what it offers is not known yet"),
        (
            changed(|backend| backend.catalog = Some(catalog(&["n"]))),
            "lacks model file m.ckpt (model of node 1)",
        ),
        (
            changed(|b| b.catalog = Some(Arc::new(Catalog::new(Default::default(), [1; 32])))),
            "lacks node class C",
        ),
        (resting, "rests after a failure"),
        (suspect, "rests, since its GPU has failed; ComfyUI there may have to be restarted"),
        (freeing, "is freeing its memory"),
    ] {
        let job = job(1, "m");
        assert_eq!(decided(std::slice::from_ref(&candidate), std::slice::from_ref(&job)), ["-"], "{refusal}");
        let explained = explain(std::slice::from_ref(&candidate), &job, &estimates(), NOW);
        assert_eq!(explained[0].1.to_string(), refusal);
        assert_eq!(decided(&[candidate, idle("b", &[])], &[job]), ["b"], "{refusal}");
    }
}

#[test]
fn a_backend_that_could_not_run_a_job_gets_others_and_not_that_one() {
    let (first, second) = (job(1, "m"), job(2, "m"));
    let unfit = Conduct { unfit: [first.id].into(), ..Conduct::default() };
    let backends = [Candidate { conduct: unfit, ..idle("a", &[]) }, idle("b", &[])];
    assert_eq!(decided(&backends[..1], &[first.clone(), second.clone()]), ["-", "a"]);
    assert_eq!(decided(&backends, &[first, second]), ["b", "a"]);
}

#[test]
fn a_job_goes_where_the_gpus_memory_suffices_as_far_as_that_is_known() {
    let gpu = |gib: u64| GpuClass { name: "G".into(), total_bytes: gib << 30 };
    let with = |name: &str, gib: u64, available_gib: u64| {
        let others_bytes = Some((gib - available_gib) << 30);
        let available_bytes = Some(available_gib << 30);
        let room = Room { class: Some(gpu(gib)), available_bytes, others_bytes, ..Room::default() };
        Candidate { room, ..idle(name, &[]) }
    };
    let mut estimates = estimates();
    let job = job(1, "m");
    estimates.fits.has_run(&job.needs, &gpu(24), Some(14 << 30));
    let backends = [with("a", 24, 13), with("b", 80, 2), idle("c", &[])];
    let goes_to = |backends: &[Candidate], estimates: &Estimates| {
        route(backends, [&job], estimates, NOW).pop().map(|assignment| assignment.backend.to_string())
    };
    assert_eq!(goes_to(&backends[..1], &estimates), None);
    assert_eq!(goes_to(&backends, &estimates).as_deref(), Some("b"), "of such a GPU nothing is known");
    estimates.fits.ran_out_of_memory(&job.needs, &gpu(80), 2, NOW);
    assert_eq!(goes_to(&backends, &estimates).as_deref(), Some("c"));
}

#[test]
fn a_rest_is_over_at_its_time() {
    let rested = Candidate { rests_until: NOW, ..idle("a", &[]) };
    assert_eq!(decided(&[rested], &[job(1, "m")]), ["a"]);
}

#[test]
fn the_backend_with_the_earliest_completion_gets_the_job() {
    for (candidates, wanted) in [
        (vec![idle("a", &[]), idle("b", &["m"])], "b"),
        (vec![idle("a", &["m"]), idle("b", &["m"])], "a"),
        (vec![idle("a", &["n"]), idle("b", &["o"])], "a"),
        (vec![idle("a", &["n"]), idle("b", &["n", "m"])], "b"),
        (vec![busy("a", &["m"], 30.0), idle("b", &[])], "b"),
        (vec![busy("a", &[], 1.0), idle("b", &[])], "b"),
    ] {
        assert_eq!(decided(&candidates, &[job(1, "m")]), [wanted], "{candidates:?}");
    }
}

#[test]
fn a_job_waits_for_the_backend_with_its_model_exactly_while_loading_elsewhere_would_take_longer() {
    for (residual, wanted) in [(0.0, "-"), (5.0, "-"), (9.9, "-"), (10.1, "b"), (100.0, "b")] {
        let candidates = [busy("a", &["m"], residual), idle("b", &["n"])];
        assert_eq!(decided(&candidates, &[job(1, "m")]), [wanted], "{residual}");
    }
}

#[test]
fn a_job_without_a_model_goes_to_any_idle_backend() {
    assert_eq!(decided(&[busy("a", &[], 0.5), idle("b", &["n"])], &[job(1, "")]), ["b"]);
}

#[test]
fn what_others_have_queued_on_a_backend_counts_as_its_load() {
    let mut foreign = backend("a");
    foreign.backlog = Some(Read { at: NOW, value: Backlog { total: 1, foreign: Some(1) } });
    assert_eq!(decided(&[of(foreign.clone(), &["m"]), idle("b", &[])], &[job(1, "m")]), ["b"]);
    assert_eq!(decided(&[of(foreign, &["m"])], &[job(1, "m")]), ["-"], "it is not free");
}

#[test]
fn jobs_are_given_out_in_their_order_one_a_backend() {
    let jobs = [job(1, "m"), job(2, "m"), job(3, "m")];
    assert_eq!(decided(&[idle("a", &["m"]), idle("b", &["m"])], &jobs), ["a", "b", "-"]);
    assert_eq!(decided(&[idle("a", &["m"])], &jobs), ["a", "-", "-"]);
}

#[test]
fn a_later_job_may_pass_one_that_waits_for_its_model_or_that_no_idle_backend_can_run() {
    let candidates = [busy("a", &["m"], 5.0), idle("b", &["n"])];
    assert_eq!(decided(&candidates, &[job(1, "m"), job(2, "n")]), ["-", "b"]);
    let mut lacking = backend("b");
    lacking.catalog = Some(catalog(&["n"]));
    let candidates = [busy("a", &["m"], 500.0), of(lacking, &[])];
    assert_eq!(decided(&candidates, &[job(1, "m"), job(2, "n")]), ["-", "b"]);
}

#[test]
fn a_queue_of_one_model_spreads_once_waiting_costs_more_than_loading() {
    // The first waits 5 s for a, the second would wait 5 + 20 s there, so it is loaded on b.
    let candidates = [busy("a", &["m"], 5.0), idle("b", &["n"])];
    assert_eq!(decided(&candidates, &[job(1, "m"), job(2, "m")]), ["-", "b"]);
}

#[test]
fn what_a_job_will_load_counts_for_the_jobs_behind_it() {
    // The first takes a from m to n. For the second a is no longer hot, so it goes where m has to be loaded anyway.
    let candidates = [idle("a", &["m"]), busy("b", &["o"], 1.0)];
    assert_eq!(decided(&candidates, &[job(1, "n"), job(2, "m")]), ["a", "-"]);
    let explained = route(&candidates, &[job(1, "n")], &estimates(), NOW).remove(0).why.to_string();
    let wanted =
        "earliest completion: free, load 10.0 s, run 20.0 s; b: busy for 1.0 s, load 10.0 s, run 20.0 s";
    assert_eq!(explained, wanted);
}

#[test]
fn more_jobs_than_are_looked_at_cost_no_place_when_no_backend_can_run_them() {
    let mut only_n = backend("a");
    only_n.catalog = Some(catalog(&["n"]));
    let mut jobs: Vec<_> = (0..limits::ROUTE_LOOKAHEAD as u64 + 1).map(|at| job(at, "m")).collect();
    jobs.push(job(9999, "n"));
    assert_eq!(decided(&[of(only_n, &[])], &jobs).last().unwrap(), "a");
}

/// Fleets and queues that differ in everything a decision looks at, the same at every run.
fn many() -> impl Iterator<Item = (Vec<Candidate>, Vec<Arc<Job>>)> {
    let models = ["", "m", "n", "o"];
    let mut seed = 7_u64;
    let mut draw = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    (0..500).map(move |_| {
        let candidates = (0..=draw(4)).map(|at| {
            let resident: Vec<&str> = models[1..].iter().copied().filter(|_| draw(3) == 0).collect();
            let candidate = idle(&format!("b{at}"), &resident);
            let residual_seconds = (draw(2) == 0).then(|| draw(60) as f64);
            let rests_until = UnixMillis(if draw(8) == 0 { NOW.0 + 1 } else { 0 });
            Candidate { residual_seconds, rests_until, ..candidate }
        });
        let candidates = candidates.collect();
        (candidates, (0..draw(8) as u64).map(|at| job(at, models[draw(4)])).collect())
    })
}

#[test]
fn whatever_the_fleet_a_decision_keeps_the_rule() {
    for (candidates, jobs) in many() {
        let assignments = route(&candidates, &jobs, &estimates(), NOW);
        let mut given = BTreeSet::new();
        for assignment in &assignments {
            let to = candidates.iter().find(|candidate| candidate.backend.id == assignment.backend).unwrap();
            assert!(to.residual_seconds.is_none() && to.rests_until <= NOW, "only to a free backend");
            assert!(given.insert(assignment.backend.clone()), "one job a backend");
        }
        let places: Vec<_> =
            assignments.iter().map(|a| jobs.iter().position(|job| job.id == a.job).unwrap()).collect();
        assert!(places.is_sorted(), "in the order of the queue");
        // The first job chooses before all others, so it waits only for a backend where it ends sooner.
        if let Some(first) = jobs.first().filter(|first| assignments.iter().all(|a| a.job != first.id)) {
            let verdicts = explain(&candidates, first, &estimates(), NOW);
            let soonest = |wanted: bool| {
                let ends = verdicts.iter().filter_map(|(_, verdict)| match verdict {
                    Verdict::Possible { free, .. } if *free == wanted => verdict.completion_seconds(),
                    _ => None,
                });
                ends.min_by(f64::total_cmp)
            };
            assert!(soonest(true).is_none_or(|idle| soonest(false).is_some_and(|busy| busy <= idle)));
        }
    }
}

#[test]
fn the_same_input_gives_the_same_decision() {
    for (candidates, jobs) in many() {
        let once = route(&candidates, &jobs, &estimates(), NOW);
        assert_eq!(route(&candidates, &jobs, &estimates(), NOW), once);
    }
}

#[test]
fn the_first_job_is_not_passed_for_ever_however_many_come_behind_it() {
    // One backend holds m, and jobs of m keep coming; the one that needs n came first.
    let jobs: Vec<_> = std::iter::once(job(1, "n")).chain((2..100).map(|at| job(at, "m"))).collect();
    assert_eq!(decided(&[idle("a", &["m"])], &jobs)[0], "a");
}
