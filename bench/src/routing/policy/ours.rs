//! The collector's own rule: the product's router, told what the product would tell it.

use collector::route::key::{AssetId, KindId, SlotId, TenantId, Ticket};
use collector::route::{
    Arrival, Asset, Given, Kind, Memory, Policy as Settings, Rank, Router, Signature, Slot, Standing, Tier,
};

use super::Policy;
use crate::routing::workload::{Job, Workload};
use crate::routing::world::{Done, Sight};

pub(super) struct Ours<'a> {
    workload: &'a Workload,
    router: Router,
    /// Of what runs on each machine, where its models were believed to be.
    believed: Vec<Vec<(Asset, Tier)>>,
}

impl<'a> Ours<'a> {
    pub(super) fn new(workload: &'a Workload) -> Self {
        let mut router = Router::new(Settings::default());
        for machine in &workload.machines {
            let slot = router.add_slot(Slot::new(Memory::new(machine.vram_gigabytes, machine.ram_gigabytes)));
            router.stand(slot, Standing::Idle);
        }
        Self { workload, router, believed: vec![Vec::new(); workload.machines.len()] }
    }

    fn kind(&self, job: &Job) -> Kind {
        let asset = |model: &usize| Asset {
            id: AssetId(*model as u64),
            gigabytes: self.workload.gigabytes.get(*model).copied().unwrap_or_default(),
        };
        let number = job.models.iter().fold(1, |number, model| number * 1000 + *model as u64);
        let (id, main) = (KindId(number), KindId(job.models.first().copied().unwrap_or(0) as u64));
        let signature = Signature { exact: id, models: id, main, work: None };
        Kind { id, assets: job.models.iter().map(asset).collect(), signature }
    }
}

impl Policy for Ours<'_> {
    fn arrive(&mut self, number: usize, now: f64, _sight: &Sight) {
        let workload = self.workload;
        let Some(job) = workload.jobs.get(number) else { return };
        let kind = self.kind(job);
        let id = kind.id;
        self.router.introduce(kind, |slot| workload.fits(job, slot.0 as usize));
        let arrival = Arrival {
            ticket: Ticket(number as u64),
            kind: id,
            tenant: TenantId(job.client as u64),
            weight: 1.0,
            again: false,
            rank: Rank::new(false, 1.0),
            place: number as f64,
            arrived: job.arrival,
            deadline: None,
        };
        self.router.arrive(arrival, now);
    }

    fn decide(&mut self, now: f64, _sight: &Sight) -> Vec<(usize, usize)> {
        let given = self.router.route(now);
        let started = given.into_iter().map(|Given { choice, loads }| {
            let machine = choice.slot.0 as usize;
            if let Some(believed) = self.believed.get_mut(machine) {
                *believed = loads;
            }
            (choice.ticket.0 as usize, machine)
        });
        started.collect()
    }

    fn done(&mut self, done: Done, _now: f64, _sight: &Sight) {
        let slot = SlotId(done.machine as u32);
        self.router.stand(slot, Standing::Idle);
        let Some(job) = self.workload.jobs.get(done.job) else { return };
        let believed = self.believed.get_mut(done.machine).map(std::mem::take).unwrap_or_default();
        self.router.learn_load(slot, &believed, done.load_seconds);
        self.router.learn_run(slot, &self.kind(job), done.run_seconds);
    }

    fn down(&mut self, machine: usize, _now: f64, _sight: &Sight) {
        let slot = SlotId(machine as u32);
        self.router.stand(slot, Standing::Closed);
        self.router.forget_memory(slot);
    }

    fn up(&mut self, machine: usize, _now: f64) {
        self.router.stand(SlotId(machine as u32), Standing::Idle);
    }
}
