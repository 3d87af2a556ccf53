//! SwarmUI's rule, as its `BackendHandler` has it: a free backend whose current model is the one that is asked for; else the
//! model with the most pressure (ten for each request that waits for it, and one for each second since the first of them) is loaded on
//! the free backend that was released longest ago. A model that is being loaded somewhere is not loaded elsewhere too.
//!
//! Two things of it are left out, both in its favour: that it waits for a second and a half before it loads while several
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
