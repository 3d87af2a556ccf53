use std::sync::Arc;

use super::*;
use crate::fleet::figures::{Gpu, Host, Memory, Process};
use crate::fleet::{Backlog, Figures, Read};
use crate::job::Job;
use crate::route::tests::{NOW, backend, job, of};
use crate::route::{Conduct, GpuClass};

const GIB: u64 = 1 << 30;
const IDLE: Duration = Duration::from_secs(600);
const RULES: Rules = Rules {
    idle: Some(IDLE),
    others: Some(0.25),
    host_memory: Some(0.1),
    out_of_memory: true,
    before_job: true,
};

/// A machine with a GPU of 24 GiB: what ComfyUI and others hold of it, and what its host has left of 100 GiB.
#[derive(Clone, Copy)]
struct Machine {
    own_gib: u64,
    others_gib: u64,
    ram_gib: u64,
    process_gib: u64,
}

const MACHINE: Machine = Machine { own_gib: 10, others_gib: 0, ram_gib: 50, process_gib: 1 };

fn figures(machine: Machine) -> Figures {
    let read = |value: u64| Some(Read { at: NOW, value });
    let used = machine.own_gib + machine.others_gib;
    let gpu = Gpu {
        at: NOW,
        used_bytes: Some(used * GIB),
        free_bytes: Some((24 - used) * GIB),
        own: read(machine.own_gib * GIB),
        others: read(machine.others_gib * GIB),
        ..Gpu::default()
    };
    let memory = Memory { total_bytes: 100 * GIB, available_bytes: machine.ram_gib * GIB };
    let process = Process { start_time_seconds: 1.0, memory_bytes: Some(machine.process_gib * GIB) };
    Figures {
        gpus: vec![gpu],
        host: Host { memory: Some(Read { at: NOW, value: memory }), ..Host::default() },
        comfyui: Some(Read { at: NOW, value: process }),
        fresh_for: Duration::from_secs(15),
        ..Figures::default()
    }
}

/// A backend with nothing in its queue.
fn alone(name: &str, machine: Option<Machine>, resident: &[&str]) -> Candidate {
    let mut backend = backend(name);
    backend.backlog = Some(Read { at: NOW, value: Backlog { total: 0, foreign: Some(0) } });
    backend.agent = machine.map(|machine| Read { at: NOW, value: Arc::new(figures(machine)) });
    let room = crate::route::Room::of(&backend, NOW);
    let class = Some(GpuClass { name: "G".into(), total_bytes: 24 * GIB });
    let mut candidate = of(backend, resident);
    candidate.room = crate::route::Room { class, ..room };
    candidate
}

fn since(seconds: u64) -> UnixMillis {
    NOW.before(Duration::from_secs(seconds))
}

fn due(candidate: &Candidate, idle_seconds: u64, waiting: &[Arc<Job>], rules: &Rules) -> Option<Reason> {
    let idle = Idle { candidate, since: since(idle_seconds), frees: &Frees::default() };
    to_free([idle], waiting, &Fits::default(), rules, NOW).pop().map(|(_, reason)| reason)
}

#[test]
fn each_reason_counts_when_it_is_so_and_switched_on() {
    let off = Rules { idle: None, others: None, host_memory: None, ..RULES };
    let only = |rules: Rules| (rules, off);
    let wants = Machine { own_gib: 16, others_gib: 6, ..MACHINE };
    let short = Machine { ram_gib: 9, ..MACHINE };
    for (machine, seconds, (rules, off), wanted) in [
        (MACHINE, 600, only(RULES), Some(Reason::Idle)),
        (MACHINE, 599, only(RULES), None),
        (Machine { own_gib: 0, ..MACHINE }, 600, only(RULES), None),
        (MACHINE, 600, only(Rules { idle: Some(IDLE), ..off }), Some(Reason::Idle)),
        (wants, 10, only(Rules { others: Some(0.25), ..off }), Some(Reason::Others)),
        (wants, 9, only(RULES), None),
        // They hold enough and there is room, or they hold little.
        (Machine { own_gib: 10, ..wants }, 10, only(RULES), None),
        (Machine { own_gib: 20, others_gib: 3, ..wants }, 10, only(RULES), None),
        (Machine { own_gib: 0, others_gib: 20, ..wants }, 10, only(RULES), None),
        (short, 10, only(Rules { host_memory: Some(0.1), ..off }), Some(Reason::HostMemory)),
        (Machine { ram_gib: 10, ..short }, 10, only(RULES), None),
        (Machine { own_gib: 0, process_gib: 2, ..short }, 10, only(RULES), Some(Reason::HostMemory)),
        (Machine { own_gib: 0, process_gib: 1, ..short }, 10, only(RULES), None),
    ] {
        let candidate = alone("a", Some(machine), &[]);
        assert_eq!(due(&candidate, seconds, &[], &rules), wanted, "{seconds} {candidate:?}");
        assert_eq!(due(&candidate, seconds, &[], &off), None);
    }
}

#[test]
fn where_no_agent_tells_what_is_held_it_is_what_the_backend_was_given() {
    assert_eq!(due(&alone("a", None, &["m"]), 600, &[], &RULES), Some(Reason::Idle));
    assert_eq!(due(&alone("a", None, &[]), 600, &[], &RULES), None);
    let emptied = Machine { own_gib: 0, ..MACHINE };
    assert_eq!(due(&alone("a", Some(emptied), &["m"]), 600, &[], &RULES), None);
}

#[test]
fn a_backend_that_works_for_others_or_is_not_up_is_not_freed() {
    let changed = |change: fn(&mut Backend)| {
        let mut candidate = alone("a", Some(MACHINE), &["m"]);
        change(Arc::make_mut(&mut candidate.backend));
        candidate
    };
    for candidate in [
        changed(|b| b.backlog = Some(Read { at: NOW, value: Backlog { total: 1, foreign: None } })),
        changed(|b| b.backlog = None),
        changed(|b| b.health = Default::default()),
    ] {
        assert_eq!(due(&candidate, 6000, &[], &RULES), None, "{candidate:?}");
    }
}

#[test]
fn models_that_a_waiting_job_wants_are_kept_if_it_would_run_there() {
    let candidate = alone("a", Some(MACHINE), &["m"]);
    let wanted = job(2, "m");
    let waiting = [job(1, "n"), wanted.clone()];
    assert_eq!(due(&candidate, 600, &waiting[..1], &RULES), Some(Reason::Idle));
    assert_eq!(due(&candidate, 600, &waiting, &RULES), None);
    let mut drained = candidate.clone();
    Arc::make_mut(&mut drained.backend).draining_since = Some(NOW);
    let unfit = Conduct { unfit: [wanted.id].into(), ..Conduct::default() };
    for refuses in [drained, Candidate { conduct: unfit, ..candidate }] {
        assert_eq!(due(&refuses, 600, &waiting, &RULES), Some(Reason::Idle), "{refuses:?}");
    }
}

#[test]
fn of_a_host_that_runs_short_one_backend_is_freed_at_a_time() {
    let short = Machine { ram_gib: 5, ..MACHINE };
    let (mut a, mut b, mut c) =
        (alone("a", Some(short), &[]), alone("b", Some(short), &[]), alone("c", Some(short), &[]));
    for (candidate, url) in [(&mut a, "http://h1:1"), (&mut b, "http://h1:2"), (&mut c, "http://h2:1")] {
        Arc::make_mut(&mut candidate.backend).agent_url = url.parse().unwrap();
    }
    let frees = Frees::default();
    let idle = |candidate, seconds| Idle { candidate, since: since(seconds), frees: &frees };
    let due = to_free([idle(&a, 20), idle(&b, 30), idle(&c, 15)], &[], &Fits::default(), &RULES, NOW);
    let freed: Vec<_> = due.iter().map(|(backend, reason)| (backend.as_str(), *reason)).collect();
    assert_eq!(freed, [("b", Reason::HostMemory), ("c", Reason::HostMemory)]);
}

#[test]
fn memory_is_freed_before_a_job_that_needs_more_than_is_free_and_could_have_it() {
    let mut fits = Fits::default();
    let job = job(1, "m");
    let class = GpuClass { name: "G".into(), total_bytes: 24 * GIB };
    let comes_first = |fits: &Fits, own_gib: u64, resident: &[&str], frees: &Frees| {
        let candidate = alone("a", Some(Machine { own_gib, ..MACHINE }), resident);
        super::comes_first(&job, &Idle { candidate: &candidate, since: since(5), frees }, fits, NOW)
    };
    let fresh = Frees::default();
    assert!(!comes_first(&fits, 20, &["n"], &fresh), "what it needs is not known");
    fits.has_run(&job.needs, &class, Some(14 * GIB));
    assert!(comes_first(&fits, 20, &["n"], &fresh));
    assert!(!comes_first(&fits, 10, &["n"], &fresh), "so much is free");
    assert!(!comes_first(&fits, 20, &["m"], &fresh), "it is what fills the memory");
    let mut freed = Frees::default();
    freed.begin(1, Reason::BeforeJob, None, NOW);
    freed.end(1, Outcome::Unverified, None, NOW);
    assert!(!comes_first(&fits, 20, &["n"], &freed), "once");
}

/// Nothing that a waiting job wants is dropped, nothing is dropped twice in a row, and never is a backend freed that has
/// nothing or works, whatever the fleet is like.
#[test]
fn whatever_the_fleet_no_free_breaks_the_rules() {
    for seed in 0..3000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let models = ["m", "n", "o"];
        let mut candidates = Vec::new();
        for at in 0..rng.usize(1..5) {
            let own_gib = rng.u64(0..20);
            let others_gib = rng.u64(0..=24 - own_gib);
            let machine =
                Machine { own_gib, others_gib, ram_gib: rng.u64(0..40), process_gib: rng.u64(0..8) };
            let resident: Vec<&str> = models.into_iter().filter(|_| rng.bool()).collect();
            let mut candidate = alone(&format!("b{at}"), rng.bool().then_some(machine), &resident);
            if rng.u8(..8) == 0 {
                let backlog = Backlog { total: 1, foreign: Some(1) };
                Arc::make_mut(&mut candidate.backend).backlog = Some(Read { at: NOW, value: backlog });
            }
            let mut frees = Frees::default();
            if rng.bool() {
                let at = since(rng.u64(0..2000));
                frees.begin(1, Reason::Idle, None, at);
                frees.end(1, [Outcome::Freed, Outcome::NotFreed, Outcome::Failed][rng.usize(..3)], None, at);
            }
            candidates.push((candidate, since(rng.u64(0..2000)), frees));
        }
        let waiting: Vec<_> = (0..rng.usize(..3)).map(|at| job(at as u64, models[rng.usize(..3)])).collect();
        let idle =
            candidates.iter().map(|(candidate, since, frees)| Idle { candidate, since: *since, frees });
        for (backend, reason) in to_free(idle, &waiting, &Fits::default(), &RULES, NOW) {
            let (candidate, since, frees) =
                candidates.iter().find(|(c, ..)| c.backend.id == backend).unwrap();
            let holds =
                candidate.room.own_bytes.map_or(!candidate.resident.is_empty(), |own| own >= HELD_BYTES);
            assert!(holds || reason == Reason::HostMemory, "seed {seed}");
            assert_eq!(candidate.backend.backlog.as_ref().unwrap().value.total, 0, "seed {seed}");
            let names = |job: &Arc<Job>| {
                job.needs.assets.iter().any(|asset| candidate.resident.contains(&asset.name))
            };
            assert!(!waiting.iter().any(names), "seed {seed}");
            let last = frees.last().last().filter(|free| free.at >= *since);
            assert!(last.is_none_or(|free| free.outcome != Outcome::Freed), "seed {seed}");
        }
    }
}
