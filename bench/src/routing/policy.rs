//! The policies that are compared, behind one interface: they are told what a collector would see, and say which job
//! begins where.

mod arrival;
mod central;
mod ours;
mod swarmui;

use clap::ValueEnum;

use self::arrival::{AtArrival, Place};
use self::central::{Central, Order};
use self::ours::Ours;
use self::swarmui::SwarmUi;
use super::workload::Workload;
use super::world::{Done, Sight};

pub(crate) trait Policy {
    /// A job waits: it came, or its machine failed.
    fn arrive(&mut self, job: usize, now: f64, sight: &Sight);
    /// The jobs that begin now, each with an idle machine that can run it, each machine once.
    fn decide(&mut self, now: f64, sight: &Sight) -> Vec<(usize, usize)>;
    fn done(&mut self, done: Done, now: f64, sight: &Sight);
    /// A machine has failed; what it held is gone.
    fn down(&mut self, machine: usize, now: f64, sight: &Sight);
    fn up(&mut self, _machine: usize, _now: f64) {}
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Name {
    /// The collector's own
    Ours,
    /// A free backend whose current model is the job's; else the model with the most pressure is loaded
    Swarmui,
    /// At arrival, the backend with the fewest jobs
    LeastQueue,
    /// At arrival, the next backend
    RoundRobin,
    /// At arrival, any backend
    Random,
    /// At arrival, the one of two with the fewer jobs
    PowerOfTwo,
    /// The oldest job to any free backend
    Fifo,
    /// The job that is expected to run shortest to any free backend
    ShortestFirst,
    /// At arrival, by the hash of the model, with bounded loads
    BoundedHash,
    /// At arrival, where it is expected to end first
    EarliestCompletion,
}

impl Name {
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    pub(crate) fn policy<'a>(self, workload: &'a Workload, seed: u64) -> Box<dyn Policy + 'a> {
        let at_arrival = |place| Box::new(AtArrival::new(workload, place, seed));
        match self {
            Self::Ours => Box::new(Ours::new(workload)),
            Self::Swarmui => Box::new(SwarmUi::new(workload)),
            Self::LeastQueue => at_arrival(Place::LeastQueue),
            Self::RoundRobin => at_arrival(Place::RoundRobin),
            Self::Random => at_arrival(Place::Random),
            Self::PowerOfTwo => at_arrival(Place::PowerOfTwo),
            Self::Fifo => Box::new(Central::new(workload, Order::Arrival)),
            Self::ShortestFirst => Box::new(Central::new(workload, Order::Shortest)),
            Self::BoundedHash => at_arrival(Place::BoundedHash),
            Self::EarliestCompletion => at_arrival(Place::EarliestCompletion),
        }
    }
}

/// What the simpler policies learn of run times: by checkpoint, the mean of logarithms, newest weighing most.
#[derive(Clone, Debug, Default)]
struct Learned {
    logs: std::collections::BTreeMap<usize, f64>,
    overall: Option<f64>,
}

impl Learned {
    const FIRST_SECONDS: f64 = 23.0;
    const NEWEST: f64 = 0.3;

    fn learn(&mut self, checkpoint: usize, seconds: f64) {
        let log = libm::log(seconds.max(0.001));
        let moved = |known: f64| known + Self::NEWEST * (log - known);
        self.overall = Some(self.overall.map_or(log, moved));
        self.logs.entry(checkpoint).and_modify(|known| *known = moved(*known)).or_insert(log);
    }

    fn seconds(&self, checkpoint: usize) -> f64 {
        let log = self.logs.get(&checkpoint).copied().or(self.overall);
        log.map_or(Self::FIRST_SECONDS, libm::exp)
    }
}
