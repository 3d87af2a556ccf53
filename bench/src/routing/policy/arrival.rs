//! Policies that bind a job to a backend when it comes; each backend then runs its jobs in their order.

use std::collections::VecDeque;

use collector::route::{Asset, Memory, Tier, key::AssetId};

use super::{Learned, Policy};
use crate::routing::random::Random;
use crate::routing::workload::{Job, Workload};
use crate::routing::world::{Done, Sight};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    LeastQueue,
    RoundRobin,
    Random,
    PowerOfTwo,
    BoundedHash,
    EarliestCompletion,
}

/// Points of each backend on the ring, and how much above the mean load one may be.
const POINTS: u64 = 64;
const BOUND: f64 = 1.25;

pub(super) struct AtArrival<'a> {
    workload: &'a Workload,
    place: Place,
    queues: Vec<VecDeque<usize>>,
    random: Random,
    turn: usize,
    ring: Vec<(u64, usize)>,
    learned: Learned,
    /// What each machine will hold, and when it will be idle, once it has run all that it was given.
    plans: Vec<(Memory, f64)>,
}

impl<'a> AtArrival<'a> {
    pub(super) fn new(workload: &'a Workload, place: Place, seed: u64) -> Self {
        let machines = workload.machines.len();
        let points =
            |machine: usize| (0..POINTS).map(move |point| (hash(machine as u64 * POINTS + point), machine));
        let mut ring: Vec<(u64, usize)> = (0..machines).flat_map(points).collect();
        ring.sort_unstable();
        let plan = |machine: &crate::routing::workload::Machine| {
            (Memory::new(machine.vram_gigabytes, machine.ram_gigabytes), 0.0)
        };
        Self {
            workload,
            place,
            queues: vec![VecDeque::new(); machines],
            random: Random::new(seed, 4),
            turn: 0,
            ring,
            learned: Learned::default(),
            plans: workload.machines.iter().map(plan).collect(),
        }
    }

    fn load(&self, machine: usize, sight: &Sight) -> usize {
        let running = sight.running.get(machine).is_some_and(Option::is_some);
        self.queues.get(machine).map_or(0, VecDeque::len) + usize::from(running)
    }

    fn choose(&mut self, job: &Job, able: &[usize], now: f64, sight: &Sight) -> Option<usize> {
        match self.place {
            Place::Random => self.any(able),
            Place::RoundRobin => {
                let machines = self.queues.len();
                let next = (1..=machines)
                    .map(|step| (self.turn + step) % machines)
                    .find(|next| able.contains(next))?;
                self.turn = next;
                Some(next)
            }
            Place::LeastQueue => {
                let least = able.iter().map(|machine| self.load(*machine, sight)).min()?;
                let equals: Vec<usize> =
                    able.iter().copied().filter(|machine| self.load(*machine, sight) == least).collect();
                self.any(&equals)
            }
            Place::PowerOfTwo => {
                let (one, other) = (self.any(able)?, self.any(able)?);
                Some(if self.load(other, sight) < self.load(one, sight) { other } else { one })
            }
            Place::BoundedHash => self.by_hash(job, able, sight),
            Place::EarliestCompletion => {
                let ends = |machine: &usize| self.completion(job, *machine, now);
                able.iter().copied().min_by(|one, other| ends(one).total_cmp(&ends(other)))
            }
        }
    }

    fn any(&mut self, machines: &[usize]) -> Option<usize> {
        machines.get(self.random.below(machines.len())).copied()
    }

    /// Consistent hashing with bounded loads (V. Mirrokni, M. Thorup, M. Zadimoghaddam, 2016).
    fn by_hash(&self, job: &Job, able: &[usize], sight: &Sight) -> Option<usize> {
        let jobs: usize = (0..self.queues.len()).map(|machine| self.load(machine, sight)).sum();
        let bound = (BOUND * (jobs + 1) as f64 / self.queues.len() as f64).ceil() as usize;
        let from = self.ring.partition_point(|(point, _)| {
            *point < hash(u64::MAX - job.models.first().copied().unwrap_or(0) as u64)
        });
        let (before, after) = self.ring.split_at(from);
        let mut clockwise =
            after.iter().chain(before).map(|(_, machine)| *machine).filter(|machine| able.contains(machine));
        clockwise.find(|machine| self.load(*machine, sight) < bound).or_else(|| able.first().copied())
    }

    fn completion(&self, job: &Job, machine: usize, now: f64) -> f64 {
        let Some((memory, idle_at)) = self.plans.get(machine) else { return f64::INFINITY };
        let profile = self.workload.profile;
        let load = self.assets(job).map(|asset| match memory.tier(asset.id) {
            Tier::Vram => 0.0,
            Tier::Ram => profile.ram_seconds(asset.gigabytes),
            Tier::Disk => profile.disk_seconds(asset.gigabytes),
        });
        let speed = self.workload.machines.get(machine).map_or(1.0, |machine| machine.speed);
        let run = job.models.first().map_or(0.0, |model| self.learned.seconds(*model)) / speed;
        idle_at.max(now) + load.sum::<f64>() + run
    }

    fn assets(&self, job: &Job) -> impl Iterator<Item = Asset> {
        job.models.iter().map(|model| Asset {
            id: AssetId(*model as u64),
            gigabytes: self.workload.gigabytes.get(*model).copied().unwrap_or_default(),
        })
    }

    fn plan(&mut self, job: &Job, machine: usize, now: f64) {
        let (ends, assets) = (self.completion(job, machine, now), self.assets(job).collect::<Vec<_>>());
        if let Some((memory, idle_at)) = self.plans.get_mut(machine) {
            memory.use_all(&assets);
            *idle_at = ends;
        }
    }
}

fn hash(value: u64) -> u64 {
    Random::new(value, 5).next()
}

impl Policy for AtArrival<'_> {
    fn arrive(&mut self, number: usize, now: f64, sight: &Sight) {
        let workload = self.workload;
        let Some(job) = workload.jobs.get(number) else { return };
        let mut able: Vec<usize> =
            (0..self.queues.len()).filter(|machine| workload.fits(job, *machine)).collect();
        if able.iter().any(|machine| sight.is_up(*machine)) {
            able.retain(|machine| sight.is_up(*machine));
        }
        let Some(machine) = self.choose(job, &able, now, sight) else { return };
        self.plan(job, machine, now);
        if let Some(queue) = self.queues.get_mut(machine) {
            queue.push_back(number);
        }
    }

    fn decide(&mut self, _now: f64, sight: &Sight) -> Vec<(usize, usize)> {
        let idle = self.queues.iter_mut().enumerate().filter(|(machine, _)| sight.is_idle(*machine));
        idle.filter_map(|(machine, queue)| Some((queue.pop_front()?, machine))).collect()
    }

    fn done(&mut self, done: Done, now: f64, _sight: &Sight) {
        let speed = self.workload.machines.get(done.machine).map_or(1.0, |machine| machine.speed);
        if let Some(checkpoint) = self.workload.jobs.get(done.job).and_then(|job| job.models.first()) {
            self.learned.learn(*checkpoint, done.run_seconds * speed);
        }
        let is_empty = self.queues.get(done.machine).is_some_and(VecDeque::is_empty);
        if let Some((_, idle_at)) = self.plans.get_mut(done.machine).filter(|_| is_empty) {
            *idle_at = now;
        }
    }

    fn down(&mut self, machine: usize, now: f64, sight: &Sight) {
        if let Some((memory, idle_at)) = self.plans.get_mut(machine) {
            memory.forget();
            *idle_at = now;
        }
        let queue = self.queues.get_mut(machine).map(std::mem::take).unwrap_or_default();
        queue.into_iter().for_each(|job| self.arrive(job, now, sight));
    }
}
