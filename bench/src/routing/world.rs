//! What really happens: the memory of each machine, and events in the order of their times. The policy decides; it learns
//! of nothing but what a collector would see.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::policy::Policy;
use super::workload::{Job, Model, Workload};

/// What came of one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Course {
    /// Of each job, in the order of their arrival.
    pub(crate) latencies: Vec<f64>,
    pub(crate) end: f64,
    pub(crate) disk_loads: u64,
    pub(crate) ram_loads: u64,
    pub(crate) load_seconds: f64,
    pub(crate) run_seconds: f64,
}

/// What can be seen of the machines.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    pub(crate) up: Vec<bool>,
    pub(crate) running: Vec<Option<usize>>,
}

impl Sight {
    pub(crate) fn is_idle(&self, machine: usize) -> bool {
        self.up.get(machine) == Some(&true) && self.running.get(machine) == Some(&None)
    }

    pub(crate) fn is_up(&self, machine: usize) -> bool {
        self.up.get(machine) == Some(&true)
    }
}

/// A job that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) job: usize,
    pub(crate) machine: usize,
    pub(crate) load_seconds: f64,
    pub(crate) run_seconds: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// An attempt of a machine, counted, ends.
    Done(usize, u32),
    Up(usize),
    Down(usize),
    Arrival(usize),
    /// Nothing, but the policy may act by time alone.
    Look,
}

/// Models of one machine, least recently used first.
#[derive(Clone, Debug)]
struct Store {
    held: Vec<Model>,
    room: f64,
}

impl Store {
    /// Brings a model to the front; whether it was there. `keep` are not driven out for it.
    fn hold(&mut self, model: Model, keep: &[Model], gigabytes: &[f64]) -> bool {
        let size = |model: &Model| gigabytes.get(*model).copied().unwrap_or_default();
        let found = self.held.iter().position(|held| *held == model);
        if let Some(at) = found {
            self.held.remove(at);
        }
        while self.held.iter().map(size).sum::<f64>() + size(&model) > self.room + 1e-9 {
            let Some(at) = self.held.iter().position(|held| !keep.contains(held)) else { break };
            self.held.remove(at);
        }
        self.held.push(model);
        found.is_some()
    }
}

struct Host {
    vram: Store,
    ram: Store,
    attempts: u32,
    under_way: Option<Done>,
}

struct World<'a> {
    workload: &'a Workload,
    hosts: Vec<Host>,
    sight: Sight,
    events: BinaryHeap<Reverse<(Time, u64, Happening)>>,
    scheduled: u64,
    course: Course,
    left: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Time(f64);

impl Eq for Time {}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Runs a workload to its end.
pub(crate) fn run(workload: &Workload, policy: &mut dyn Policy) -> Course {
    let mut world = World::new(workload);
    while world.left > 0 {
        let Some(Reverse((now, _, happening))) = world.events.pop() else { break };
        world.happen(now.0, happening, policy);
        let more_now = world.events.peek().is_some_and(|Reverse((next, ..))| *next <= now);
        if !more_now {
            world.act(now.0, policy);
        }
    }
    world.course
}

impl<'a> World<'a> {
    fn new(workload: &'a Workload) -> Self {
        let host = |machine: &super::workload::Machine| Host {
            vram: Store { held: Vec::new(), room: machine.vram_gigabytes },
            ram: Store { held: Vec::new(), room: machine.ram_gigabytes },
            attempts: 0,
            under_way: None,
        };
        let (machines, jobs) = (workload.machines.len(), workload.jobs.len());
        let mut world = Self {
            workload,
            hosts: workload.machines.iter().map(host).collect(),
            sight: Sight { up: vec![true; machines], running: vec![None; machines] },
            events: BinaryHeap::new(),
            scheduled: 0,
            course: Course { latencies: vec![0.0; jobs], ..Course::default() },
            left: jobs,
        };
        for (number, job) in workload.jobs.iter().enumerate() {
            world.schedule(job.arrival, Happening::Arrival(number));
        }
        for failure in &workload.failures {
            world.schedule(failure.at, Happening::Down(failure.machine));
            world.schedule(failure.until, Happening::Up(failure.machine));
        }
        world
    }

    fn schedule(&mut self, at: f64, happening: Happening) {
        self.scheduled += 1;
        self.events.push(Reverse((Time(at), self.scheduled, happening)));
    }

    fn happen(&mut self, now: f64, happening: Happening, policy: &mut dyn Policy) {
        match happening {
            Happening::Arrival(job) => policy.arrive(job, now, &self.sight),
            Happening::Done(machine, attempt) => self.end(machine, attempt, now, policy),
            Happening::Down(machine) => self.fail(machine, now, policy),
            Happening::Up(machine) => {
                if let Some(up) = self.sight.up.get_mut(machine) {
                    *up = true;
                }
                policy.up(machine, now);
            }
            Happening::Look => {}
        }
    }

    fn end(&mut self, machine: usize, attempt: u32, now: f64, policy: &mut dyn Policy) {
        let Some(host) = self.hosts.get_mut(machine).filter(|host| host.attempts == attempt) else { return };
        let Some(done) = host.under_way.take() else { return };
        let Some(job) = self.workload.jobs.get(done.job) else { return };
        if job.evicts {
            host.vram.held.clear();
        }
        if job.evicts && !self.workload.evictions_keep_ram {
            host.ram.held.clear();
        }
        if let Some(running) = self.sight.running.get_mut(machine) {
            *running = None;
        }
        if let Some(latency) = self.course.latencies.get_mut(done.job) {
            *latency = now - job.arrival;
        }
        self.course.end = now;
        self.course.load_seconds += done.load_seconds;
        self.course.run_seconds += done.run_seconds;
        self.left -= 1;
        policy.done(done, now, &self.sight);
    }

    /// What ran there is lost, and comes again with its first arrival time.
    fn fail(&mut self, machine: usize, now: f64, policy: &mut dyn Policy) {
        let Some(host) = self.hosts.get_mut(machine) else { return };
        host.attempts += 1;
        host.vram.held.clear();
        host.ram.held.clear();
        let lost = host.under_way.take();
        if let (Some(up), Some(running)) =
            (self.sight.up.get_mut(machine), self.sight.running.get_mut(machine))
        {
            (*up, *running) = (false, None);
        }
        policy.down(machine, now, &self.sight);
        if let Some(lost) = lost {
            policy.arrive(lost.job, now, &self.sight);
        }
    }

    fn act(&mut self, now: f64, policy: &mut dyn Policy) {
        for (job, machine) in policy.decide(now, &self.sight) {
            self.start(job, machine, now);
        }
        if self.events.is_empty() && self.left > 0 {
            self.schedule(now + 1.0, Happening::Look);
        }
    }

    fn start(&mut self, number: usize, machine: usize, now: f64) {
        let idle = self.sight.is_idle(machine);
        let workload = self.workload;
        let Some(job) = workload.jobs.get(number).filter(|job| idle && workload.fits(job, machine)) else {
            unreachable!("a policy sent job {number} to machine {machine}, which is not idle or too small");
        };
        let Some(host) = self.hosts.get_mut(machine) else { return };
        let load_seconds = job.load_factor * load(host, job, workload, &mut self.course);
        let speed = workload.machines.get(machine).map_or(1.0, |machine| machine.speed);
        let done = Done { job: number, machine, load_seconds, run_seconds: job.run_seconds / speed };
        host.attempts += 1;
        host.under_way = Some(done);
        let attempt = host.attempts;
        if let Some(running) = self.sight.running.get_mut(machine) {
            *running = Some(number);
        }
        self.schedule(now + done.load_seconds + done.run_seconds, Happening::Done(machine, attempt));
    }
}

/// Seconds to load what a job lacks, as the profile has them. What is there already is used first.
fn load(host: &mut Host, job: &Job, workload: &Workload, course: &mut Course) -> f64 {
    let (there, missing): (Vec<Model>, Vec<Model>) =
        job.models.iter().partition(|model| host.vram.held.contains(model));
    let mut seconds = 0.0;
    for model in there.into_iter().chain(missing) {
        let in_vram = host.vram.hold(model, &job.models, &workload.gigabytes);
        let in_ram = host.ram.hold(model, &job.models, &workload.gigabytes);
        let gigabytes = workload.gigabytes.get(model).copied().unwrap_or_default();
        match (in_vram, in_ram) {
            (true, _) => {}
            (false, true) => {
                course.ram_loads += 1;
                seconds += workload.profile.ram_seconds(gigabytes);
            }
            (false, false) => {
                course.disk_loads += 1;
                seconds += workload.profile.disk_seconds(gigabytes);
            }
        }
    }
    seconds
}

/// The sum of latencies where the jobs run in this order, each on its machine.
#[cfg(test)]
pub(crate) fn sum_of(workload: &Workload, order: &[(usize, usize)]) -> f64 {
    let mut world = World::new(workload);
    let mut idle_at = vec![0.0; workload.machines.len()];
    let ends = order.iter().map(|(number, machine)| {
        let job = &workload.jobs[*number];
        let load = job.load_factor * load(&mut world.hosts[*machine], job, workload, &mut world.course);
        let begins = f64::max(idle_at[*machine], job.arrival);
        idle_at[*machine] = begins + load + job.run_seconds / workload.machines[*machine].speed;
        idle_at[*machine] - job.arrival
    });
    ends.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::policy::Name;
    use crate::routing::scenario::{Profile, Scenario, Variant};
    use crate::routing::workload::{Failure, Machine};
    use clap::ValueEnum;

    fn job(arrival: f64, model: Model) -> Job {
        Job { arrival, client: 0, models: vec![model], run_seconds: 10.0, load_factor: 1.0, evicts: false }
    }

    /// One machine that has room for one model in VRAM and for two in RAM.
    fn one_machine(jobs: Vec<Job>) -> Workload {
        let machine = Machine { vram_gigabytes: 10.0, ram_gigabytes: 20.0, speed: 2.0 };
        Workload {
            profile: Profile::Nas,
            gigabytes: vec![10.0; 3],
            machines: vec![machine],
            jobs,
            failures: vec![],
            evictions_keep_ram: false,
        }
    }

    fn fifo(workload: &Workload) -> Course {
        run(workload, Name::Fifo.policy(workload, 1).as_mut())
    }

    #[test]
    fn a_model_is_loaded_from_where_it_is_and_a_job_runs_at_its_machines_speed() {
        const DISK: f64 = 0.6 + 34.0;
        const RAM: f64 = 0.5 + 3.5;
        let models = [0, 0, 1, 0, 2, 1];
        let course = fifo(&one_machine(models.map(|model| job(0.0, model)).to_vec()));
        let loads = [DISK, 0.0, DISK, RAM, DISK, DISK];
        let mut end = 0.0;
        for (latency, load) in course.latencies.iter().zip(loads) {
            end += load + 5.0;
            assert!((latency - end).abs() < 1e-9, "{latency} {end}");
        }
        assert_eq!((course.disk_loads, course.ram_loads), (4, 1));
    }

    #[test]
    fn what_ran_on_a_machine_that_fails_runs_again_and_finds_nothing_in_memory() {
        let mut workload = one_machine(vec![job(0.0, 0), job(0.0, 0)]);
        workload.failures = vec![Failure { machine: 0, at: 41.0, until: 100.0 }];
        // The first ends after 39.6 s; the second had begun hot.
        let course = fifo(&workload);
        assert_eq!(course.disk_loads, 2);
        assert!(
            (course.latencies[0] - 39.6).abs() < 1e-9 && (course.latencies[1] - 139.6).abs() < 1e-9,
            "{course:?}"
        );
    }

    #[test]
    fn a_silent_eviction_makes_the_next_job_load_from_disk() {
        let evicting = Job { evicts: true, ..job(0.0, 0) };
        let course = fifo(&one_machine(vec![evicting, job(0.0, 0)]));
        assert_eq!((course.disk_loads, course.ram_loads), (2, 0));
        let evicting = Job { evicts: true, ..job(0.0, 0) };
        let workload = Workload { evictions_keep_ram: true, ..one_machine(vec![evicting, job(0.0, 0)]) };
        let course = fifo(&workload);
        assert_eq!((course.disk_loads, course.ram_loads), (1, 1));
    }

    #[test]
    fn every_policy_ends_every_job_of_every_scenario_and_does_the_same_twice() {
        let variant = Variant { jobs: 150, backends: 3, silent_evictions: 0.1, ..Variant::default() };
        for scenario in Scenario::value_variants() {
            let workload = Workload::new(*scenario, Profile::Nvme, &variant, 5);
            for name in Name::value_variants() {
                let again = || run(&workload, name.policy(&workload, 5).as_mut()).latencies;
                let latencies = again();
                let least = |job: &Job| job.run_seconds / 2.5;
                let ended = workload.jobs.iter().zip(&latencies).all(|(job, latency)| *latency >= least(job));
                assert!(ended, "{scenario:?} {name:?}");
                assert_eq!(latencies, again(), "{scenario:?} {name:?}");
            }
        }
    }
}
