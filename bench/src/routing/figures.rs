//! What is said of the runs of one policy in one cell, over all seeds.

use std::collections::BTreeMap;

use super::bounds;
use super::workload::{NOISY, Workload};
use super::world::Course;

/// One scenario, profile and policy. Latencies of all seeds together; counts are a seed's mean.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Cell {
    pub(crate) scenario: String,
    pub(crate) profile: String,
    pub(crate) policy: String,
    pub(crate) backends: usize,
    pub(crate) mean_seconds: f64,
    pub(crate) p50_seconds: f64,
    pub(crate) p95_seconds: f64,
    pub(crate) p99_seconds: f64,
    pub(crate) max_seconds: f64,
    /// Of the jobs that are not the noisy client's; of all where there is none.
    pub(crate) others_p99_seconds: f64,
    pub(crate) makespan_seconds: f64,
    /// Beside the least that any policy could need.
    pub(crate) makespan_ratio: f64,
    pub(crate) disk_loads: f64,
    pub(crate) ram_loads: f64,
    /// Of the time in which GPUs load or run.
    pub(crate) swap_share: f64,
    /// Sum of latencies beside a lower bound of it.
    pub(crate) competitive_ratio: f64,
    /// Jain's index over the clients' mean latencies: 1 if all are alike.
    pub(crate) fairness: f64,
    pub(crate) jobs: usize,
    pub(crate) seeds: u64,
    /// Time of the policy for each job, both deciding and learning.
    pub(crate) microseconds_a_job: f64,
}

/// The runs of one cell, one a seed.
#[derive(Default)]
pub(crate) struct Runs {
    latencies: Vec<f64>,
    others: Vec<f64>,
    end: f64,
    least_end: f64,
    disk_loads: f64,
    ram_loads: f64,
    load_seconds: f64,
    run_seconds: f64,
    least_sum: f64,
    fairness: f64,
    jobs: usize,
    policy_seconds: f64,
    seeds: u64,
}

impl Runs {
    pub(crate) fn add(&mut self, workload: &Workload, course: &Course, policy_seconds: f64) {
        self.latencies.extend(&course.latencies);
        let jobs = workload.jobs.iter().zip(&course.latencies);
        self.others.extend(jobs.filter(|(job, _)| job.client != NOISY).map(|(_, latency)| latency));
        self.end += course.end;
        self.least_end += bounds::makespan(workload);
        self.disk_loads += course.disk_loads as f64;
        self.ram_loads += course.ram_loads as f64;
        self.load_seconds += course.load_seconds;
        self.run_seconds += course.run_seconds;
        self.least_sum += bounds::latency_sum(workload);
        self.fairness += fairness(workload, course);
        self.jobs = workload.jobs.len();
        self.policy_seconds += policy_seconds;
        self.seeds += 1;
    }

    pub(crate) fn cell(mut self, scenario: String, profile: String, policy: String, backends: usize) -> Cell {
        self.latencies.sort_unstable_by(f64::total_cmp);
        self.others.sort_unstable_by(f64::total_cmp);
        let (sum, count, seeds) =
            (self.latencies.iter().sum::<f64>(), self.latencies.len() as f64, self.seeds as f64);
        let rank = |percent| rank(&self.latencies, percent);
        Cell {
            scenario,
            profile,
            policy,
            backends,
            mean_seconds: sum / count,
            p50_seconds: rank(50),
            p95_seconds: rank(95),
            p99_seconds: rank(99),
            max_seconds: rank(100),
            others_p99_seconds: self::rank(&self.others, 99),
            makespan_seconds: self.end / seeds,
            makespan_ratio: self.end / self.least_end,
            disk_loads: self.disk_loads / seeds,
            ram_loads: self.ram_loads / seeds,
            swap_share: self.load_seconds / (self.load_seconds + self.run_seconds),
            competitive_ratio: sum / self.least_sum,
            fairness: self.fairness / seeds,
            jobs: self.jobs,
            seeds: self.seeds,
            microseconds_a_job: self.policy_seconds * 1e6 / count,
        }
    }
}

/// The nearest-rank percentile of what is sorted.
fn rank(sorted: &[f64], percent: usize) -> f64 {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}

fn fairness(workload: &Workload, course: &Course) -> f64 {
    let mut clients: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (job, latency) in workload.jobs.iter().zip(&course.latencies) {
        let (sum, count) = clients.entry(job.client).or_default();
        (*sum, *count) = (*sum + latency, *count + 1.0);
    }
    let means: Vec<f64> = clients.into_values().map(|(sum, count)| sum / count).collect();
    let (sum, squares) = (means.iter().sum::<f64>(), means.iter().map(|mean| mean * mean).sum::<f64>());
    sum * sum / (means.len() as f64 * squares)
}

/// The geometric mean of positive figures.
pub(crate) fn geometric_mean(figures: impl IntoIterator<Item = f64>) -> Option<f64> {
    let logs: Vec<f64> = figures.into_iter().map(libm::log).collect();
    (!logs.is_empty()).then(|| libm::exp(logs.iter().sum::<f64>() / logs.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::scenario::{Profile, Scenario, Variant};

    #[test]
    fn the_victims_of_the_noisy_client_are_told_apart_and_the_figures_are_of_all_seeds() {
        let variant = Variant { jobs: 2000, ..Variant::default() };
        let mut runs = Runs::default();
        for seed in [1, 2] {
            let workload = Workload::new(Scenario::Noisy, Profile::Nvme, &variant, seed);
            let latency = |client| if client == NOISY { 1000.0 } else { 10.0 * seed as f64 };
            let latencies = workload.jobs.iter().map(|job| latency(job.client)).collect();
            runs.add(
                &workload,
                &Course { latencies, load_seconds: 1.0, run_seconds: 3.0, ..Course::default() },
                0.0,
            );
        }
        let cell = runs.cell("noisy".to_owned(), "nvme".to_owned(), "ours".to_owned(), 8);
        assert_eq!((cell.p50_seconds, cell.p99_seconds, cell.others_p99_seconds), (20.0, 1000.0, 20.0));
        assert_eq!((cell.swap_share, cell.seeds), (0.25, 2));
    }

    #[test]
    fn multiples_are_averaged_by_their_logarithms() {
        assert_eq!(geometric_mean([0.25, 4.0]), Some(1.0));
        assert_eq!(geometric_mean([]), None);
    }
}
