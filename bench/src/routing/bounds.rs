//! What no policy can beat: lower bounds on the sum of latencies and on the makespan. A machine of all speeds together that may
//! leave a job and come back to it does at least as well as the fleet.

use std::collections::BinaryHeap;

use super::workload::Workload;

/// The greatest of the three bounds on the sum of latencies, in seconds.
pub(crate) fn latency_sum(workload: &Workload) -> f64 {
    let (alone, shortest_remaining, shortest_work) = all(workload);
    alone.max(shortest_remaining).max(shortest_work)
}

fn all(workload: &Workload) -> (f64, f64, f64) {
    let jobs = &workload.jobs;
    let arrivals: f64 = jobs.iter().map(|job| job.arrival).sum();
    let work: f64 = jobs.iter().map(|job| job.run_seconds).sum();
    let (fastest, speed) = speeds(workload);
    // Every job takes its work at the fastest speed, and of each model the first one that runs has to load it.
    let alone = work / fastest + first_loads(workload);
    let by_remaining = on_one_machine(workload, speed, Key::Remaining);
    let by_work = on_one_machine(workload, speed, Key::Work);
    // A job is busy for at least its work at the fastest speed, half of it after its mean busy time.
    let shortest_work = by_work.mean_busy_sum - arrivals + work / (2.0 * fastest);
    (alone, by_remaining.end_sum - arrivals, shortest_work)
}

/// At any time the work that is still to come takes the whole fleet at least so long.
pub(crate) fn makespan(workload: &Workload) -> f64 {
    let (_, speed) = speeds(workload);
    let (mut work, mut bound) = (0.0, 0.0_f64);
    for job in workload.jobs.iter().rev() {
        work += job.run_seconds;
        bound = bound.max(job.arrival + work / speed);
    }
    bound
}

/// The fastest machine's speed, and all machines' together.
fn speeds(workload: &Workload) -> (f64, f64) {
    let speeds = workload.machines.iter().map(|machine| machine.speed);
    (speeds.clone().fold(0.0, f64::max), speeds.sum())
}

/// The machines begin empty, so a model's first use reads it from the disk; loads take at least 0.8 of the profile's time.
fn first_loads(workload: &Workload) -> f64 {
    let mut least: std::collections::BTreeMap<usize, f64> = std::collections::BTreeMap::new();
    for job in &workload.jobs {
        for model in &job.models {
            let factor = least.entry(*model).or_insert(f64::INFINITY);
            *factor = factor.min(job.load_factor);
        }
    }
    let seconds = |(model, factor): (&usize, &f64)| {
        let gigabytes = workload.gigabytes.get(*model).copied().unwrap_or_default();
        factor * workload.profile.disk_seconds(gigabytes)
    };
    least.iter().map(seconds).sum()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Remaining,
    Work,
}

struct Schedule {
    end_sum: f64,
    /// Of each job, the mean of the times at which it is worked on.
    mean_busy_sum: f64,
}

/// A job on the one machine; the least key is the greatest.
struct Open {
    key: f64,
    remaining: f64,
    job: usize,
}

impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Open {}

impl PartialOrd for Open {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Open {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.key.total_cmp(&self.key).then(other.job.cmp(&self.job))
    }
}

/// The job with the least key is worked on, and left for one that comes with a lesser.
fn on_one_machine(workload: &Workload, speed: f64, key: Key) -> Schedule {
    let mut open = BinaryHeap::new();
    let mut to_come = workload.jobs.iter().enumerate().peekable();
    let (mut now, mut schedule) = (0.0_f64, Schedule { end_sum: 0.0, mean_busy_sum: 0.0 });
    loop {
        if open.is_empty() {
            let Some((_, next)) = to_come.peek() else { return schedule };
            now = now.max(next.arrival);
        }
        while let Some((number, job)) = to_come.next_if(|(_, job)| job.arrival <= now) {
            open.push(Open { key: job.run_seconds, remaining: job.run_seconds, job: number });
        }
        let Some(current) = open.pop() else { continue };
        let next = to_come.peek().map_or(f64::INFINITY, |(_, job)| job.arrival);
        let ends = now + current.remaining / speed;
        let until = ends.min(next);
        let done = (until - now) * speed;
        let work = workload.jobs.get(current.job).map_or(1.0, |job| job.run_seconds);
        schedule.mean_busy_sum += done / work * f64::midpoint(now, until);
        if ends <= next {
            schedule.end_sum += ends;
        } else {
            let remaining = current.remaining - done;
            let key = if key == Key::Remaining { remaining } else { current.key };
            open.push(Open { key, remaining, ..current });
        }
        now = until;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::policy::Name;
    use crate::routing::random::Random;
    use crate::routing::scenario::Profile;
    use crate::routing::workload::{Job, Machine};
    use crate::routing::world;
    use clap::ValueEnum;

    fn tiny(random: &mut Random) -> Workload {
        let machine = |random: &mut Random| Machine {
            vram_gigabytes: 8.0,
            ram_gigabytes: 14.0,
            speed: if random.is(0.5) { 1.0 } else { 2.0 },
        };
        let machines = (0..=random.below(2)).map(|_| machine(random)).collect();
        let mut jobs: Vec<Job> = (0..=random.below(4)).map(|_| job(random)).collect();
        jobs.sort_by(|one, other| one.arrival.total_cmp(&other.arrival));
        Workload {
            profile: Profile::Nvme,
            gigabytes: vec![2.0, 7.0, 0.3],
            machines,
            jobs,
            failures: vec![],
            evictions_keep_ram: false,
        }
    }

    fn job(random: &mut Random) -> Job {
        let extra = random.is(0.3).then_some(2);
        Job {
            arrival: 20.0 * random.unit(),
            client: 0,
            models: std::iter::once(random.below(2)).chain(extra).collect(),
            run_seconds: 1.0 + 9.0 * random.unit(),
            load_factor: 0.8 + 0.4 * random.unit(),
            evicts: false,
        }
    }

    /// The least sum of latencies over every assignment and every order of the jobs on their machines, idling left aside:
    /// for sums of latencies it is enough to start each job as early as its place allows.
    fn least(workload: &Workload) -> f64 {
        let jobs: Vec<usize> = (0..workload.jobs.len()).collect();
        permutations(&jobs)
            .iter()
            .flat_map(|order| assignments(workload, order))
            .fold(f64::INFINITY, f64::min)
    }

    fn permutations(of: &[usize]) -> Vec<Vec<usize>> {
        if of.is_empty() {
            return vec![vec![]];
        }
        let with_first = |at: usize| {
            let rest: Vec<usize> = of.iter().copied().filter(|job| *job != of[at]).collect();
            permutations(&rest).into_iter().map(move |mut order| {
                order.insert(0, of[at]);
                order
            })
        };
        (0..of.len()).flat_map(with_first).collect()
    }

    fn assignments(workload: &Workload, order: &[usize]) -> Vec<f64> {
        let machines = workload.machines.len();
        let count = machines.pow(order.len() as u32);
        (0..count)
            .map(|mut code| {
                let places: Vec<usize> = order
                    .iter()
                    .map(|_| {
                        let place = code % machines;
                        code /= machines;
                        place
                    })
                    .collect();
                world::sum_of(workload, &order.iter().copied().zip(places).collect::<Vec<_>>())
            })
            .collect()
    }

    #[test]
    fn no_schedule_of_tiny_workloads_beats_a_bound_and_no_policy_beats_the_best_schedule() {
        let mut random = Random::new(11, 0);
        for _ in 0..60 {
            let workload = tiny(&mut random);
            let best = least(&workload);
            assert!(
                latency_sum(&workload) <= best + 1e-6,
                "{workload:?}: {} > {best}",
                latency_sum(&workload)
            );
            for name in Name::value_variants() {
                let course = world::run(&workload, name.policy(&workload, 1).as_mut());
                assert!(course.latencies.iter().sum::<f64>() >= best - 1e-6, "{name:?} {workload:?}");
                assert!(course.end >= makespan(&workload) - 1e-6, "{name:?} {workload:?}");
            }
        }
    }
}
