//! One queue for all backends: whoever is free takes the first.

use std::collections::BTreeSet;

use super::{Learned, Policy};
use crate::routing::workload::Workload;
use crate::routing::world::{Done, Sight};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Arrival,
    Shortest,
}

pub(super) struct Central<'a> {
    workload: &'a Workload,
    order: Order,
    /// By number, which is the order of arrival.
    waiting: BTreeSet<usize>,
    learned: Learned,
}

impl<'a> Central<'a> {
    pub(super) fn new(workload: &'a Workload, order: Order) -> Self {
        Self { workload, order, waiting: BTreeSet::new(), learned: Learned::default() }
    }

    fn seconds(&self, job: usize) -> f64 {
        let checkpoint = self.workload.jobs.get(job).and_then(|job| job.models.first());
        checkpoint.map_or(0.0, |checkpoint| self.learned.seconds(*checkpoint))
    }

    fn next(&self, idle: &[usize]) -> Option<(usize, usize)> {
        let able = |job: usize| {
            let job = self.workload.jobs.get(job)?;
            idle.iter().copied().find(|machine| self.workload.fits(job, *machine))
        };
        let mut jobs = self.waiting.iter().filter_map(|job| Some((*job, able(*job)?)));
        match self.order {
            Order::Arrival => jobs.next(),
            Order::Shortest => {
                jobs.min_by(|(one, _), (other, _)| self.seconds(*one).total_cmp(&self.seconds(*other)))
            }
        }
    }
}

impl Policy for Central<'_> {
    fn arrive(&mut self, job: usize, _now: f64, _sight: &Sight) {
        self.waiting.insert(job);
    }

    fn decide(&mut self, _now: f64, sight: &Sight) -> Vec<(usize, usize)> {
        let mut idle: Vec<usize> = (0..sight.up.len()).filter(|machine| sight.is_idle(*machine)).collect();
        let mut chosen = Vec::new();
        while let Some((job, machine)) = self.next(&idle) {
            self.waiting.remove(&job);
            idle.retain(|other| *other != machine);
            chosen.push((job, machine));
        }
        chosen
    }

    fn done(&mut self, done: Done, _now: f64, _sight: &Sight) {
        let speed = self.workload.machines.get(done.machine).map_or(1.0, |machine| machine.speed);
        if let Some(checkpoint) = self.workload.jobs.get(done.job).and_then(|job| job.models.first()) {
            self.learned.learn(*checkpoint, done.run_seconds * speed);
        }
    }

    fn down(&mut self, _machine: usize, _now: f64, _sight: &Sight) {}
}
