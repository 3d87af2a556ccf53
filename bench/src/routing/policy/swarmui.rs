//! SwarmUI's rule, as its `BackendHandler` has it: a free backend whose current model is the one that is asked for; else the
//! model with the most pressure (ten for each request that waits for it, and one for each second since the first of them) is loaded on
//! the free backend that was released longest ago. A model that is being loaded somewhere is not loaded elsewhere too.
//!
//! That model counts as being loaded until the job that it is loaded for ends: without that, so that a second copy may be loaded
//! meanwhile, its mean is some 5 % longer. Two things of it are left out, both in its favour: that it waits for a second and a half before it loads while several
//! backends are free, and that a load ends before the request that it is for is looked for.

use std::collections::{BTreeMap, BTreeSet};

use super::Policy;
use crate::routing::workload::{Model, Workload};
use crate::routing::world::{Done, Sight};

pub(super) struct SwarmUi<'a> {
    workload: &'a Workload,
    waiting: BTreeSet<usize>,
    backends: Vec<Backend>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Backend {
    current: Option<Model>,
    released_at: f64,
    is_loading: bool,
}

/// What waits for one model.
struct Pressure {
    first: usize,
    count: f64,
}

impl<'a> SwarmUi<'a> {
    pub(super) fn new(workload: &'a Workload) -> Self {
        Self {
            workload,
            waiting: BTreeSet::new(),
            backends: vec![Backend::default(); workload.machines.len()],
        }
    }

    fn model(&self, job: usize) -> Option<Model> {
        self.workload.jobs.get(job)?.models.first().copied()
    }

    fn fits(&self, job: usize, machine: usize) -> bool {
        self.workload.jobs.get(job).is_some_and(|job| self.workload.fits(job, machine))
    }

    fn current(&self, machine: usize) -> Option<Model> {
        self.backends.get(machine)?.current
    }

    fn with_its_model(&self, idle: &[usize]) -> Option<(usize, usize)> {
        self.waiting.iter().find_map(|job| {
            let has_it =
                |machine: &&usize| self.current(**machine) == self.model(*job) && self.fits(*job, **machine);
            idle.iter().find(has_it).map(|machine| (*job, *machine))
        })
    }

    fn highest_pressure(&self, idle: &[usize], now: f64) -> Option<(usize, usize)> {
        let mut pressures: BTreeMap<Model, Pressure> = BTreeMap::new();
        for job in &self.waiting {
            let pressure = pressures.entry(self.model(*job)?).or_insert(Pressure { first: *job, count: 0.0 });
            pressure.count += 1.0;
        }
        let is_loading = |model: Model| {
            self.backends.iter().any(|backend| backend.is_loading && backend.current == Some(model))
        };
        let arrival = |job: usize| self.workload.jobs.get(job).map_or(now, |job| job.arrival);
        let height = |pressure: &Pressure| pressure.count * 10.0 + (now - arrival(pressure.first));
        let mut pressures: Vec<(Model, Pressure)> =
            pressures.into_iter().filter(|(model, _)| !is_loading(*model)).collect();
        pressures.sort_by(|(_, one), (_, other)| height(other).total_cmp(&height(one)));
        pressures.into_iter().find_map(|(model, pressure)| {
            let loaders = idle.iter().copied().filter(|machine| {
                self.fits(pressure.first, *machine) && self.current(*machine) != Some(model)
            });
            let released =
                |machine: &usize| self.backends.get(*machine).map_or(0.0, |backend| backend.released_at);
            let loader = loaders.min_by(|one, other| released(one).total_cmp(&released(other)))?;
            Some((pressure.first, loader))
        })
    }
}

impl Policy for SwarmUi<'_> {
    fn arrive(&mut self, job: usize, _now: f64, _sight: &Sight) {
        self.waiting.insert(job);
    }

    fn decide(&mut self, now: f64, sight: &Sight) -> Vec<(usize, usize)> {
        let mut idle: Vec<usize> = (0..sight.up.len()).filter(|machine| sight.is_idle(*machine)).collect();
        let mut chosen = Vec::new();
        while let Some((job, machine)) =
            self.with_its_model(&idle).or_else(|| self.highest_pressure(&idle, now))
        {
            self.waiting.remove(&job);
            idle.retain(|other| *other != machine);
            let model = self.model(job);
            if let Some(backend) = self.backends.get_mut(machine) {
                backend.is_loading = backend.current != model;
                backend.current = model;
            }
            chosen.push((job, machine));
        }
        chosen
    }

    fn done(&mut self, done: Done, now: f64, _sight: &Sight) {
        if let Some(backend) = self.backends.get_mut(done.machine) {
            (backend.released_at, backend.is_loading) = (now, false);
        }
    }

    fn down(&mut self, machine: usize, _now: f64, _sight: &Sight) {
        if let Some(backend) = self.backends.get_mut(machine) {
            (backend.current, backend.is_loading) = (None, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::scenario::Profile;
    use crate::routing::workload::{Job, Machine};

    /// Jobs by arrival and checkpoint.
    fn workload(machines: usize, jobs: &[(f64, Model)]) -> Workload {
        let job = |(arrival, model): &(f64, Model)| Job {
            arrival: *arrival,
            client: 0,
            models: vec![*model],
            run_seconds: 10.0,
            load_factor: 1.0,
            evicts: false,
        };
        Workload {
            profile: Profile::Nvme,
            gigabytes: vec![2.0; 4],
            machines: vec![Machine { vram_gigabytes: 20.0, ram_gigabytes: 64.0, speed: 1.0 }; machines],
            jobs: jobs.iter().map(job).collect(),
            failures: vec![],
            evictions_keep_ram: false,
        }
    }

    fn idle(machines: usize) -> Sight {
        Sight { up: vec![true; machines], running: vec![None; machines] }
    }

    /// What it decides at `now` on machines of which each holds a model, the first released longest ago.
    fn decided(jobs: &[(f64, Model)], held: &[Model], now: f64) -> Vec<(usize, usize)> {
        let workload = workload(held.len(), jobs);
        let mut policy = SwarmUi::new(&workload);
        for (number, (backend, model)) in policy.backends.iter_mut().zip(held).enumerate() {
            *backend = Backend { current: Some(*model), released_at: number as f64, is_loading: false };
        }
        (0..jobs.len()).for_each(|job| policy.arrive(job, now, &idle(held.len())));
        policy.decide(now, &idle(held.len()))
    }

    #[test]
    fn a_free_backend_with_the_model_takes_the_oldest_that_asks_for_it() {
        assert_eq!(decided(&[(0.0, 0), (1.0, 2), (2.0, 2)], &[2], 10.0), [(1, 0)]);
        assert_eq!(decided(&[(0.0, 1), (1.0, 1)], &[0, 1], 10.0), [(0, 1), (1, 0)]);
    }

    #[test]
    fn ten_for_each_that_waits_and_one_for_each_second_decide_what_is_loaded() {
        // 11 + 10 of model 0 against 20 + 0 of model 1; and ten seconds earlier for model 0, 11 s of its wait fewer.
        assert_eq!(decided(&[(0.0, 0), (11.0, 1), (11.0, 1)], &[3], 11.0), [(0, 0)]);
        assert_eq!(decided(&[(2.0, 0), (11.0, 1), (11.0, 1)], &[3], 11.0), [(1, 0)]);
    }

    #[test]
    fn the_backend_that_was_released_longest_ago_loads_and_no_second_one_the_same_model() {
        assert_eq!(decided(&[(0.0, 0)], &[3, 2], 5.0), [(0, 0)]);
        assert_eq!(decided(&[(0.0, 0), (0.0, 0)], &[3, 2], 5.0), [(0, 0)]);
        assert_eq!(decided(&[(0.0, 0), (0.0, 1)], &[3, 2], 5.0), [(0, 0), (1, 1)]);
    }

    #[test]
    fn a_backend_that_has_failed_holds_no_model() {
        let workload = workload(1, &[(0.0, 3), (0.0, 3)]);
        let mut policy = SwarmUi::new(&workload);
        let sight = idle(1);
        policy.arrive(0, 0.0, &sight);
        assert_eq!(policy.decide(0.0, &sight), [(0, 0)]);
        policy.down(0, 1.0, &sight);
        assert_eq!(policy.current(0), None);
    }
}
