use report::ModelFile;

use super::*;
use crate::clock::UnixMillis;
use crate::fleet::figures::Figures;
use crate::fleet::{Backlog, Catalog, Failure, Read};
use crate::job::{self, Job, Needs, Place};

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

/// What loading a model from the disk takes, and a run, before anything was learned.
pub(super) const LOAD: f64 = 0.5 + 1.5 * 6.9;
pub(super) const RUN: f64 = 23.0;

/// The nth job to arrive; `""` names no model.
pub(super) fn job(arrival: u64, model: &str) -> Arc<Job> {
    let asset =
        |name: String| job::Asset { node: "1".into(), class: "C".into(), input: "model".into(), name };
    let assets = (!model.is_empty()).then(|| asset(format!("{model}.ckpt"))).into_iter().collect();
    let needs = Needs { classes: ["C".to_owned()].into(), assets, ..Needs::default() };
    Arc::new(Job { needs: Arc::new(needs), submitted_at: NOW, ..Job::for_tests(arrival) })
}

pub(super) fn changed(job: &Arc<Job>, change: impl FnOnce(&mut Job)) -> Arc<Job> {
    let mut job = Job::clone(job);
    change(&mut job);
    Arc::new(job)
}

/// A backend whose agent tells model files and how many GB each has.
pub(super) fn telling<'a>(name: &str, sizes: impl IntoIterator<Item = (&'a str, u64)>) -> Candidate {
    let file = |(model, gigabytes): (&str, u64)| ModelFile {
        folder: "checkpoints".into(),
        name: format!("{model}.ckpt"),
        bytes: Some(gigabytes * 1_000_000_000),
    };
    let models = Some(sizes.into_iter().map(file).collect());
    let mut candidate = idle(name, &[]);
    let value = Arc::new(Figures { models, ..Figures::default() });
    Arc::make_mut(&mut candidate.backend).agent = Some(Read { at: NOW, value });
    candidate
}

/// A job that loads two models.
pub(super) fn of_both(arrival: u64, [first, second]: [&str; 2]) -> Arc<Job> {
    changed(&job(arrival, first), |job| {
        let asset = crate::job::Asset { name: format!("{second}.ckpt"), ..job.needs.assets[0].clone() };
        Arc::make_mut(&mut job.needs).assets.push(asset);
    })
}

/// All that waits.
pub(super) fn waiting(jobs: &[Arc<Job>]) -> Vec<(JobId, Option<Arc<Job>>)> {
    jobs.iter().map(|job| (job.id, Some(Arc::clone(job)))).collect()
}

/// A book that sees these backends, with the models that they say they hold, and these jobs wait.
pub(super) fn book(candidates: &[Candidate], jobs: &[Arc<Job>]) -> Book {
    knowing(Fits::default(), candidates, jobs)
}

fn knowing(fits: Fits, candidates: &[Candidate], jobs: &[Arc<Job>]) -> Book {
    let mut book = Book::knowing(Policy::default(), fits, Learned::default());
    book.see(candidates.to_vec(), [], NOW);
    for candidate in candidates {
        book.believe(&candidate.backend.id, &candidate.resident);
    }
    book.see(candidates.to_vec(), waiting(jobs), NOW);
    book
}

/// Which backend each of the jobs gets; `-`: it waits.
pub(super) fn given(book: &mut Book, jobs: &[Arc<Job>]) -> Vec<String> {
    let assignments = book.route(usize::MAX, NOW);
    let of = |job: &Arc<Job>| assignments.iter().find(|assignment| assignment.job == job.id);
    jobs.iter().map(|job| of(job).map_or("-".to_owned(), |found| found.backend.to_string())).collect()
}

fn decided(candidates: &[Candidate], jobs: &[Arc<Job>]) -> Vec<String> {
    given(&mut book(candidates, jobs), jobs)
}

/// The first backend's verdict on a job that waits alone, in words.
fn said(candidates: &[Candidate], job: &Arc<Job>) -> String {
    book(candidates, std::slice::from_ref(job)).explain(job, NOW)[0].1.to_string()
}

/// A job that loads a file of this backend.
pub(super) fn loading(arrival: u64, owner: &str) -> Arc<Job> {
    let file = comfyui::api::FileRef {
        filename: "x.png".into(),
        subfolder: format!("{owner}/deep"),
        kind: "output".into(),
    };
    changed(&job(arrival, ""), |job| {
        job.needs = Arc::new(Needs { outputs: vec![file], ..Needs::clone(&job.needs) });
    })
}

#[test]
fn a_job_goes_where_the_file_is_that_it_loads_unless_that_backend_is_busy() {
    for (busy_seconds, expected) in [(None, "b"), (Some(0.3), "a"), (Some(60.0), "a")] {
        let owner = Candidate { residual_seconds: busy_seconds, ..idle("b", &[]) };
        assert_eq!(decided(&[idle("a", &[]), owner], &[loading(1, "b")]), [expected], "{busy_seconds:?}");
    }
}

#[test]
fn a_job_waits_for_the_owner_of_its_file_and_a_folder_is_no_owner() {
    let mut down = backend("b");
    down.health = crate::fleet::Health::default();
    let fleet = [idle("a", &[]), of(down, &[])];
    assert_eq!(decided(&fleet, &[loading(1, "b")]), ["-"]);
    assert_eq!(
        said(&fleet, &loading(1, "b")),
        "lacks deep/x.png [output], which is with b, and that is down"
    );
    assert_eq!(decided(&fleet, &[loading(1, "folder")]), ["a"]);
}

#[test]
fn a_backend_that_must_not_run_the_job_is_named_with_the_reason_and_gets_none() {
    let failure = Failure { refused: true, reason: "x".into() };
    let other = |change: fn(&mut Backend)| {
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
        (other(|backend| backend.draining_since = Some(NOW)), "is draining"),
        (other(|backend| backend.health = Default::default()), "is down"),
        (other(|backend| backend.socket_since = None), "its WebSocket is not open"),
        (other(|backend| backend.catalog = None), "what it offers is not known yet"),
        (
            other(|backend| backend.catalog = Some(catalog(&["n"]))),
            "lacks model file m.ckpt (model of node 1)",
        ),
        (
            other(|b| b.catalog = Some(Arc::new(Catalog::new(Default::default(), [1; 32])))),
            "lacks node class C",
        ),
        (resting, "rests after a failure"),
        (suspect, "rests, since its GPU has failed; ComfyUI there may have to be restarted"),
        (freeing, "is freeing its memory"),
    ] {
        let job = job(1, "m");
        assert_eq!(decided(std::slice::from_ref(&candidate), std::slice::from_ref(&job)), ["-"], "{refusal}");
        assert_eq!(said(std::slice::from_ref(&candidate), &job), refusal);
        assert_eq!(decided(&[candidate, idle("b", &[])], &[job]), ["b"], "{refusal}");
    }
}

#[test]
fn a_backend_that_could_not_run_a_job_gets_others_and_not_that_one() {
    let (first, second) = (changed(&job(1, "m"), |job| job.attempts = 1), job(2, "m"));
    let unfit = Conduct { unfit: [first.id].into(), ..Conduct::default() };
    let backends = [Candidate { conduct: unfit, ..idle("a", &[]) }, idle("b", &[])];
    assert_eq!(decided(&backends[..1], &[first.clone(), second.clone()]), ["-", "a"]);
    assert_eq!(decided(&backends, &[first, second]), ["b", "a"]);
}

#[test]
fn a_job_goes_where_the_gpus_memory_suffices_as_far_as_that_is_known() {
    let with = |name: &str, gib: u64, available_gib: u64| {
        let others_bytes = Some((gib - available_gib) << 30);
        let available_bytes = Some(available_gib << 30);
        let room = Room { class: Some(gpu_class(gib)), available_bytes, others_bytes, ..Room::default() };
        Candidate { room, ..idle(name, &[]) }
    };
    let (mut fits, job) = (Fits::default(), job(1, "m"));
    fits.has_run(&job.needs, &gpu_class(24), Some(14 << 30));
    let backends = [with("a", 24, 13), with("b", 80, 2), idle("c", &[])];
    let goes_to = |backends: &[Candidate], fits: &Fits| {
        let mut book = knowing(fits.clone(), backends, std::slice::from_ref(&job));
        book.route(1, NOW).pop().map(|assignment| assignment.backend.to_string())
    };
    assert_eq!(goes_to(&backends[..1], &fits), None);
    assert_eq!(goes_to(&backends, &fits).as_deref(), Some("b"), "of such a GPU nothing is known");
    fits.ran_out_of_memory(&job.needs, &gpu_class(80), 2, NOW);
    assert_eq!(goes_to(&backends, &fits).as_deref(), Some("c"));
    // Room is looked at where the decision is made.
    let mut book = knowing(fits, &backends[..1], std::slice::from_ref(&job));
    for (available_gib, expected) in [(13, "-"), (14, "a"), (13, "-")] {
        book.see(vec![with("a", 24, available_gib)], waiting(std::slice::from_ref(&job)), NOW);
        assert_eq!(given(&mut book.clone(), std::slice::from_ref(&job)), [expected]);
    }
}

#[test]
fn a_rest_is_over_at_its_time() {
    let rested = Candidate { rests_until: NOW, ..idle("a", &[]) };
    assert_eq!(decided(&[rested], &[job(1, "m")]), ["a"]);
}

#[test]
fn a_job_goes_where_its_models_are_and_where_all_is_equal_to_the_first() {
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
fn a_job_waits_for_the_backend_with_its_model_while_loading_elsewhere_would_take_longer_and_says_so() {
    for (residual, wanted) in [(0.1, "-"), (5.0, "-"), (LOAD - 0.1, "-"), (LOAD + 0.1, "b"), (100.0, "b")] {
        let candidates = [busy("a", &["m"], residual), idle("b", &["n"])];
        assert_eq!(decided(&candidates, &[job(1, "m")]), [wanted], "{residual}");
    }
    let (candidates, job) = ([idle("b", &["n"]), busy("a", &["m"], 5.0)], job(1, "m"));
    let verdicts = book(&candidates, std::slice::from_ref(&job)).explain(&job, NOW);
    let words: Vec<String> = verdicts.iter().map(|(_, verdict)| verdict.to_string()).collect();
    assert_eq!(
        words,
        [
            "free, but a has its models and is free in 5.0 s, and here loading takes 10.9 s",
            "busy for 5.0 s, then nothing to load, run 23.0 s"
        ]
    );
    assert_eq!(verdicts[1].1.completion_seconds(), Some(5.0 + RUN));
}

#[test]
fn a_job_that_waits_already_is_reckoned_by_what_agents_tell_of_its_models_later() {
    let (jobs, silent) = ([of_both(1, ["m", "n"]), of_both(2, ["n", "m"])], [busy("a", &["m"], 9.0)]);
    let mut book = book(&silent, &jobs);
    let large = telling("b", [("n", 20), ("m", 10), ("x", 1)]);
    let begin = |gigabytes: [f64; 2]| gigabytes.map(|gigabytes| 0.5 + 1.5 * gigabytes).iter().sum::<f64>();
    for (candidate, gigabytes) in [(idle("b", &[]), [6.9, 6.9]), (large, [20.0, 10.0])] {
        book.see([&silent[..], &[candidate]].concat(), [], NOW);
        let given = book.clone().route(1, NOW).remove(0);
        assert_eq!((given.job, given.backend.as_str()), (jobs[0].id, "b"));
        assert_eq!(given.loads.iter().map(|(asset, _)| asset.gigabytes).collect::<Vec<_>>(), gigabytes);
        assert!((given.why.load_seconds - begin(gigabytes)).abs() < 1e-9, "{:?}", given.why);
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
fn jobs_that_are_alike_are_given_out_in_their_order_one_a_backend() {
    let jobs = [job(1, "m"), job(2, "m"), job(3, "m")];
    assert_eq!(decided(&[idle("a", &["m"]), idle("b", &["m"])], &jobs), ["a", "b", "-"]);
    assert_eq!(decided(&[idle("a", &["m"])], &jobs), ["a", "-", "-"]);
    let numbered = |arrival: u64, number: f64| {
        changed(&job(arrival, "m"), |job| job.place = Place::new(Some(number), false, arrival))
    };
    let jobs = [numbered(1, 7.0), numbered(2, 5.5), numbered(3, 6.0)];
    assert_eq!(decided(&[idle("a", &[])], &jobs), ["-", "a", "-"]);
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
    // One waits 5 s for a; the second would wait a run longer, so one of them is loaded on b.
    let candidates = [busy("a", &["m"], 5.0), idle("b", &["n"])];
    assert_eq!(decided(&candidates, &[job(1, "m"), job(2, "m")]), ["b", "-"]);
}

#[test]
fn jobs_of_a_loaded_model_pass_an_older_one_until_that_has_waited_too_long() {
    let jobs = |age_seconds: u64| {
        let old = changed(&job(1, "n"), |job| job.submitted_at = UnixMillis(NOW.0 - age_seconds * 1000));
        [old, job(2, "m"), job(3, "m")]
    };
    let policy = Policy::default();
    let just = policy.overdue_seconds as u64;
    assert_eq!(decided(&[idle("a", &["m"])], &jobs(just)), ["-", "a", "-"]);
    assert_eq!(decided(&[idle("a", &["m"])], &jobs(just + 1)), ["a", "-", "-"]);
    let why = |age_seconds: u64| {
        let jobs = jobs(age_seconds);
        book(&[idle("a", &["m"])], &jobs).route(1, NOW)[0].why.to_string()
    };
    assert_eq!(why(just), "its models are loaded there: nothing to load, run 23.0 s");
    assert_eq!(
        why(just + 1),
        "free, and nobody has the models that it has waited for too long: load 10.9 s, run 23.0 s"
    );
}

#[test]
fn a_clients_preferred_jobs_and_those_put_to_the_front_pass_its_others_whatever_is_loaded() {
    let preferred = |arrival| {
        changed(&job(arrival, "n"), |job| {
            job.wishes = Arc::new(job::Wishes { priority: Some(2.0), ..job::Wishes::default() });
        })
    };
    let front =
        |arrival, model| changed(&job(arrival, model), |job| job.place = Place::new(None, true, arrival));
    let one = [idle("a", &["m"])];
    assert_eq!(decided(&one, &[job(1, "m"), preferred(2)]), ["-", "a"]);
    assert_eq!(decided(&one, &[job(1, "m"), front(2, "n"), preferred(3)]), ["-", "a", "-"]);
    assert_eq!(decided(&one, &[job(1, "m"), front(2, "n"), front(3, "n")]), ["-", "-", "a"]);
    let of = |client: &str, job: &Arc<Job>| {
        changed(job, |job| job.client_id = Some(crate::id::ClientId::new(client)))
    };
    let jobs = [of("anna", &job(1, "m")), of("bob", &preferred(2))];
    assert_eq!(decided(&one, &jobs), ["a", "-"], "another client's job is not passed by rank alone");
}

#[test]
fn what_was_learned_of_runs_and_loads_is_there_after_a_restart() {
    let fleet = [idle("a", &[]), idle("b", &[])];
    let mut before = book(&fleet, &[]);
    let (a, job) = (fleet[0].backend.id.clone(), job(1, "m"));
    for _ in 0..40 {
        before.see(fleet.to_vec(), waiting(std::slice::from_ref(&job)), NOW);
        let loads = before.route(1, NOW).remove(0).loads;
        let timing = Timing { load_seconds: Some(40.0), run_seconds: 5.0, all_seconds: 45.0 };
        before.learn(&a, &job, &loads, timing);
        before.forget_models(&a);
    }
    let kept: Learned = serde_json::from_str(&serde_json::to_string(&before.learned()).unwrap()).unwrap();
    let mut after = Book::knowing(Policy::default(), Fits::default(), kept);
    after.see(fleet.to_vec(), waiting(std::slice::from_ref(&job)), NOW);
    assert!((after.run_seconds(&a, &job) - 5.0).abs() < 0.1);
    let why = after.route(1, NOW).remove(0);
    assert_eq!(why.backend.as_str(), "b", "where models load faster, as far as is known");
    assert!((after.learned(), before.learned()) == (before.learned(), after.learned()));
    let from_nothing: Learned = serde_json::from_str("{}").unwrap();
    assert_eq!(from_nothing, Learned::default());
}

pub(super) fn gpu_class(gib: u64) -> GpuClass {
    GpuClass { name: "G".into(), total_bytes: gib << 30 }
}
