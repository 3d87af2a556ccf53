//! A scenario made concrete: the jobs, the backends and their failures, all drawn before anything runs, so that every policy
//! meets the same.

use super::random::{Random, Zipf};
use super::scenario::{Profile, Scenario, Variant};

/// A model file; its number.
pub(crate) type Model = usize;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Job {
    pub(crate) arrival: f64,
    pub(crate) client: usize,
    /// The checkpoint first.
    pub(crate) models: Vec<Model>,
    /// On a backend of speed 1.
    pub(crate) run_seconds: f64,
    /// By which its loads take longer or shorter than the profile says.
    pub(crate) load_factor: f64,
    /// Its backend loses what it holds when it has ended, and tells nobody.
    pub(crate) evicts: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Machine {
    /// What models may take of its VRAM.
    pub(crate) vram_gigabytes: f64,
    pub(crate) ram_gigabytes: f64,
    pub(crate) speed: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) machine: usize,
    pub(crate) at: f64,
    pub(crate) until: f64,
}

#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) profile: Profile,
    /// By number.
    pub(crate) gigabytes: Vec<f64>,
    pub(crate) machines: Vec<Machine>,
    /// In the order of their arrival.
    pub(crate) jobs: Vec<Job>,
    pub(crate) failures: Vec<Failure>,
    pub(crate) evictions_keep_ram: bool,
}

/// The client of `noisy` that is not one of many.
pub(crate) const NOISY: usize = 400;

const CLIENTS: u32 = 400;
const LORAS: u32 = 300;
const CONTROL_NETS: u32 = 12;
/// Gigabytes and seconds of a run.
const VIDEO_MODELS: [(f64, f64); 4] = [(20.0, 90.0), (20.0, 90.0), (30.0, 260.0), (30.0, 260.0)];
const VIDEO_SHARE: f64 = 0.08;
const MINUTE: f64 = 60.0;

/// What a checkpoint takes, by its number.
fn checkpoint(number: usize) -> (f64, f64) {
    match (7 * number + 3) % 10 {
        0..=2 => (2.1, 5.0),
        3..=7 => (6.9, 14.0),
        _ => (17.0, 24.0),
    }
}

impl Workload {
    pub(crate) fn new(scenario: Scenario, profile: Profile, variant: &Variant, seed: u64) -> Self {
        let park = Park::new(scenario);
        let machines = machines(scenario, variant.backends);
        let speed: f64 = machines.iter().map(|machine| machine.speed).sum();
        let rate = variant.load.unwrap_or(scenario.load()) * speed / park.mean_seconds(scenario);
        let arrivals = arrivals(scenario, &park, rate, variant.jobs, &mut Random::new(seed, 1));
        let mut random = Random::new(seed, 2);
        let jobs: Vec<Job> =
            arrivals.into_iter().map(|arrival| park.job(scenario, variant, arrival, &mut random)).collect();
        let failures =
            if scenario == Scenario::Churn { failures(variant.backends, jobs.last(), seed) } else { vec![] };
        Self {
            profile,
            gigabytes: park.gigabytes,
            machines,
            jobs,
            failures,
            evictions_keep_ram: variant.evictions_keep_ram,
        }
    }

    /// Whether all that a job loads fits into a machine's VRAM at once.
    pub(crate) fn fits(&self, job: &Job, machine: usize) -> bool {
        let needed: f64 = job.models.iter().filter_map(|model| self.gigabytes.get(*model)).sum();
        self.machines.get(machine).is_some_and(|machine| needed <= machine.vram_gigabytes)
    }
}

/// 15 % of VRAM are kept for what a run needs besides models, 5 % of a large card.
fn machines(scenario: Scenario, count: usize) -> Vec<Machine> {
    let machine = |vram: f64, kept: f64, speed| Machine {
        vram_gigabytes: vram * (1.0 - kept),
        ram_gigabytes: 64.0,
        speed,
    };
    let of = |number: usize| match (scenario, number * 8 / count.max(1)) {
        (Scenario::Video, 4..=5) => machine(48.0, 0.15, 1.3),
        (Scenario::Video, 6..) => machine(80.0, 0.05, 2.5),
        _ => machine(24.0, 0.15, 1.0),
    };
    (0..count).map(of).collect()
}

/// From the first minute to long after the last arrival.
fn failures(machines: usize, last: Option<&Job>, seed: u64) -> Vec<Failure> {
    const UP: f64 = 40.0 * MINUTE;
    const DOWN: f64 = 2.0 * MINUTE;
    let end = 4.0 * last.map_or(0.0, |job| job.arrival);
    let of = |machine: usize| {
        let mut random = Random::new(seed, 100 + machine as u64);
        let mut up_at = 0.0;
        let next = move || {
            let at = up_at + UP * random.wait();
            up_at = at + DOWN;
            Some(Failure { machine, at, until: up_at })
        };
        std::iter::from_fn(next).take_while(move |failure| failure.at < end)
    };
    (0..machines).flat_map(of).collect()
}

/// When a job comes, and what of it is not drawn freely.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    at: f64,
    checkpoint: Option<usize>,
    client: Option<usize>,
}

impl Arrival {
    fn free(at: f64) -> Self {
        Self { at, checkpoint: None, client: None }
    }
}

fn arrivals(scenario: Scenario, park: &Park, rate: f64, jobs: usize, random: &mut Random) -> Vec<Arrival> {
    let mut arrivals = match scenario {
        Scenario::Drain => vec![Arrival::free(0.0); jobs.min(2000)],
        Scenario::Sessions => sessions(park, rate, jobs, random),
        Scenario::Flash => flash(rate, jobs, random),
        Scenario::Noisy => noisy(rate, jobs, random),
        Scenario::Steady | Scenario::Longtail | Scenario::Video | Scenario::Churn => {
            steady(rate, random).take(jobs).collect()
        }
    };
    arrivals.sort_by(|a, b| a.at.total_cmp(&b.at));
    arrivals.truncate(jobs);
    arrivals
}

fn steady(rate: f64, random: &mut Random) -> impl Iterator<Item = Arrival> + use<'_> {
    let mut at = 0.0;
    std::iter::from_fn(move || {
        at += random.wait() / rate;
        Some(Arrival::free(at))
    })
}

/// Sessions begin 2.2 times as often for 10 minutes and 0.6 times for 30, last for 6 jobs in the mean, stay with their
/// model after a job with 72 %, and pause for a median of 73 s between jobs.
fn sessions(park: &Park, rate: f64, jobs: usize, random: &mut Random) -> Vec<Arrival> {
    const LENGTH: f64 = 6.0;
    const BURST: f64 = 2.2;
    const CALM: f64 = 0.6;
    let clients = Zipf::new(CLIENTS, 0.81);
    // Sessions that begin before all jobs have come.
    let end = 1.3 * jobs as f64 / rate;
    let (mut arrivals, mut begins) = (Vec::new(), 0.0);
    while begins < end {
        begins += random.wait() / (BURST * rate / LENGTH);
        let busy = if begins % (40.0 * MINUTE) < 10.0 * MINUTE { BURST } else { CALM };
        if !random.is(busy / BURST) {
            continue;
        }
        let client = Some(clients.draw(random));
        let (mut at, mut checkpoint) = (begins, park.popularity.draw(random));
        loop {
            arrivals.push(Arrival { at, checkpoint: Some(checkpoint), client });
            if random.is(1.0 / LENGTH) {
                break;
            }
            at += 73.0 * libm::exp(random.normal());
            if !random.is(0.72) {
                checkpoint = park.popularity.draw(random);
            }
        }
    }
    arrivals
}

/// Every 2 hours, from the first on, 5 minutes at 4 times the rate; three of four jobs in it want a model that was hardly ever
/// wanted before.
fn flash(rate: f64, jobs: usize, random: &mut Random) -> Vec<Arrival> {
    const TIMES: f64 = 4.0;
    let phase = |at: f64| (at / MINUTE + 60.0) % 120.0;
    let cold = |at: f64| 80 - 10 * ((at / (120.0 * MINUTE)) as usize % 3);
    let mut choice = Random::new(random.next(), 3);
    let kept = steady(TIMES * rate, random).filter_map(|arrival| {
        match phase(arrival.at) < 5.0 && arrival.at > MINUTE * 5.0 {
            true => Some(Arrival { checkpoint: choice.is(0.75).then(|| cold(arrival.at)), ..arrival }),
            false => choice.is(1.0 / TIMES).then_some(arrival),
        }
    });
    kept.take(jobs).collect()
}

/// From 45 minutes on, every 90 minutes 200 jobs at once of one client.
fn noisy(rate: f64, jobs: usize, random: &mut Random) -> Vec<Arrival> {
    let mut arrivals: Vec<Arrival> = steady(rate, random).take(jobs).collect();
    let end = arrivals.last().map_or(0.0, |arrival| arrival.at);
    let drops = (0..).map(|drop| (45.0 + 90.0 * f64::from(drop)) * MINUTE).take_while(|at| *at < end);
    let dropped = |at| std::iter::repeat_n(Arrival { client: Some(NOISY), ..Arrival::free(at) }, 200);
    arrivals.extend(drops.flat_map(dropped));
    arrivals
}

/// The models that there are, and how often each is wanted.
struct Park {
    popularity: Zipf,
    loras: Zipf,
    clients: Zipf,
    checkpoints: usize,
    gigabytes: Vec<f64>,
}

impl Park {
    fn new(scenario: Scenario) -> Self {
        let (checkpoints, exponent) = if scenario == Scenario::Longtail { (200, 0.6) } else { (86, 1.43) };
        let gigabytes = (0..checkpoints as usize).map(|number| checkpoint(number).0);
        let gigabytes = gigabytes.chain(std::iter::repeat_n(0.3, LORAS as usize));
        let gigabytes = gigabytes.chain(std::iter::repeat_n(2.5, CONTROL_NETS as usize));
        Self {
            popularity: Zipf::new(checkpoints, exponent),
            loras: Zipf::new(LORAS, 0.92),
            clients: Zipf::new(CLIENTS, 0.81),
            checkpoints: checkpoints as usize,
            gigabytes: gigabytes.chain(VIDEO_MODELS.map(|(gigabytes, _)| gigabytes)).collect(),
        }
    }

    fn mean_seconds(&self, scenario: Scenario) -> f64 {
        let seconds = self.popularity.probabilities().enumerate();
        let pictures: f64 = seconds.map(|(number, share)| share * checkpoint(number).1).sum();
        let films = VIDEO_MODELS.iter().map(|(_, seconds)| seconds).sum::<f64>() / VIDEO_MODELS.len() as f64;
        match scenario {
            Scenario::Video => (1.0 - VIDEO_SHARE) * pictures + VIDEO_SHARE * films,
            _ => pictures,
        }
    }

    /// Draws the same number of times whatever comes of it.
    fn job(&self, scenario: Scenario, variant: &Variant, arrival: Arrival, random: &mut Random) -> Job {
        let drawn = self.popularity.draw(random);
        let (is_video, video) = (random.is(VIDEO_SHARE), random.below(VIDEO_MODELS.len()));
        let lora = random.is(0.20).then_some(self.checkpoints);
        let lora = (lora, self.loras.draw(random));
        let control_net = random.is(0.08).then_some(self.checkpoints + LORAS as usize);
        let control_net = (control_net, random.below(CONTROL_NETS as usize));
        let client = self.clients.draw(random);
        let spread = random.spread(variant.sigma);
        let (load_factor, evicts) = (0.8 + 0.4 * random.unit(), random.is(variant.silent_evictions));
        let number = arrival.checkpoint.unwrap_or(drawn);
        let (models, seconds) = match VIDEO_MODELS.get(video) {
            Some((_, seconds)) if is_video && scenario == Scenario::Video => {
                let first = self.gigabytes.len() - VIDEO_MODELS.len();
                (vec![first + video], *seconds)
            }
            _ => {
                let extras =
                    [control_net, lora].into_iter().filter_map(|(first, number)| Some(first? + number));
                (std::iter::once(number).chain(extras).collect(), checkpoint(number).1)
            }
        };
        Job {
            arrival: arrival.at,
            client: arrival.client.unwrap_or(client),
            models,
            run_seconds: seconds * spread,
            load_factor,
            evicts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    fn workload(scenario: Scenario, seed: u64) -> Workload {
        Workload::new(scenario, Profile::Nas, &Variant::default(), seed)
    }

    /// Of every bit that is drawn.
    fn digest(workload: &Workload) -> u64 {
        let jobs = workload.jobs.iter().flat_map(|job| {
            let numbers = [job.arrival, job.run_seconds, job.load_factor].map(f64::to_bits);
            let models = job.models.iter().map(|model| *model as u64);
            numbers.into_iter().chain(models).chain([job.client as u64, job.evicts.into()])
        });
        let failures = workload.failures.iter();
        let failures = failures
            .flat_map(|failure| [failure.machine as u64, failure.at.to_bits(), failure.until.to_bits()]);
        jobs.chain(failures)
            .fold(0, |digest, bits| (digest ^ bits).wrapping_mul(0x0100_0000_01b3).rotate_left(29))
    }

    #[test]
    fn the_same_seed_gives_the_same_jobs_and_failures_on_every_machine() {
        let digests = Scenario::value_variants().iter().map(|scenario| digest(&workload(*scenario, 7)));
        assert_eq!(digests.collect::<Vec<_>>(), DIGESTS);
        assert_ne!(digest(&workload(Scenario::Steady, 8)), DIGESTS[0]);
    }

    const DIGESTS: [u64; 8] = [
        0x3a9d_40bb_0ebd_b70d,
        0x58c7_60c6_fdb6_71f6,
        0xe01d_d520_262c_0a8a,
        0xfc2e_bfc5_3a70_5057,
        0x6161_8c96_a31e_369f,
        0xd27f_f019_8abd_49b9,
        0xab0b_7824_af64_f49f,
        0xe7e5_71c3_cedd_734a,
    ];

    /// Run time that comes a second, beside what the machines can run.
    fn load(workload: &Workload, jobs: &[Job]) -> f64 {
        let work: f64 = jobs.iter().map(|job| job.run_seconds).sum();
        let speed: f64 = workload.machines.iter().map(|machine| machine.speed).sum();
        work / (jobs.last().unwrap().arrival * speed)
    }

    #[test]
    fn a_scenario_loads_its_fleet_as_it_says() {
        for scenario in
            [Scenario::Steady, Scenario::Longtail, Scenario::Video, Scenario::Churn, Scenario::Sessions]
        {
            let loads =
                (0..8).map(|seed| workload(scenario, seed)).map(|workload| load(&workload, &workload.jobs));
            let mean = loads.sum::<f64>() / 8.0;
            assert!((mean - scenario.load()).abs() < 0.06 * scenario.load(), "{scenario:?}: {mean}");
        }
    }

    #[test]
    fn the_noisy_client_drops_its_jobs_at_once_beside_the_load_of_the_others() {
        let workload = workload(Scenario::Noisy, 3);
        let (noisy, others): (Vec<Job>, Vec<Job>) =
            workload.jobs.iter().cloned().partition(|job| job.client == NOISY);
        assert!((load(&workload, &others) - 0.5).abs() < 0.05);
        for drop in noisy.chunks(200) {
            assert!(
                drop.iter().all(|job| job.arrival == drop[0].arrival
                    && drop[0].arrival % (90.0 * MINUTE) == 45.0 * MINUTE)
            );
        }
        assert!(noisy.len() >= 400);
    }

    #[test]
    fn a_flash_is_four_times_the_rate_and_three_of_four_of_it_want_one_model() {
        let workload = workload(Scenario::Flash, 3);
        let flash: Vec<&Job> = workload
            .jobs
            .iter()
            .filter(|job| (60.0 * MINUTE..65.0 * MINUTE).contains(&job.arrival))
            .collect();
        let before =
            workload.jobs.iter().filter(|job| (55.0 * MINUTE..60.0 * MINUTE).contains(&job.arrival)).count();
        assert!((2.5..6.0).contains(&(flash.len() as f64 / before as f64)), "{} after {before}", flash.len());
        let cold = flash.iter().filter(|job| job.models[0] == 80).count() as f64;
        assert!((0.65..0.85).contains(&(cold / flash.len() as f64)), "{cold}");
    }

    #[test]
    fn every_job_fits_on_some_machine_of_any_fleet_of_two_or_more() {
        for scenario in Scenario::value_variants() {
            for backends in [2, 3, 8, 32] {
                let variant = Variant { backends, jobs: 1000, ..Variant::default() };
                let workload = Workload::new(*scenario, Profile::Nvme, &variant, 1);
                let fits = |job: &Job| (0..backends).any(|machine| workload.fits(job, machine));
                assert!(workload.jobs.iter().all(fits), "{scenario:?} on {backends}");
            }
        }
    }
}
