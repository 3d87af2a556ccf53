//! Routing, simulated: the product's own rule beside the rules in use, on the same jobs, machines and failures. Discrete events,
//! no clock: the same seeds give the same figures on every machine.

mod bounds;
mod figures;
mod load;
mod plot;
mod policy;
mod random;
mod scenario;
mod svg;
mod table;
mod workload;
mod world;

use std::num::NonZero;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

pub(crate) use self::figures::{Cell, Runs};
pub(crate) use self::policy::{Name, Policy};
pub(crate) use self::scenario::{Profile, Scenario, Variant};
#[cfg(test)]
pub(crate) use self::workload::NOISY;
pub(crate) use self::workload::{Failure, Job, Workload};
pub(crate) use self::world::{Course, Done, Sight, run};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What load to simulate [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    scenario: Vec<Scenario>,
    /// What a load takes [default: both]
    #[arg(long, value_enum, value_delimiter = ',')]
    profile: Vec<Profile>,
    /// Which policies to compare [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    policy: Vec<Name>,
    /// How many backends there are
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    backends: u16,
    /// Seeds, from the first up to the second, which is left out
    #[arg(long, default_value = "100..105", value_name = "A..B")]
    seeds: Seeds,
    /// Jobs a seed; drain has at most 2000
    #[arg(long, default_value_t = 6000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    jobs: u32,
    /// How far run times spread: the deviation of their logarithms
    #[arg(long, default_value_t = 0.3, value_parser = |text: &str| between(text, 3.0))]
    sigma: f64,
    /// Share of jobs after which a backend loses all that it holds, and tells nobody
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", value_parser = |text: &str| between(text, 1.0))]
    silent_evictions: f64,
    /// With --silent-evictions: it loses only its VRAM, and RAM stays as it was
    #[arg(long, requires = "silent_evictions")]
    evictions_keep_ram: bool,
    /// Instead of the cells: the highest load (in steps of 0.05) of `steady` at which 95 % of jobs end within 120 s
    #[arg(long)]
    highest_load: bool,
    /// Write what was found as plots (SVG) into this folder
    #[arg(long, value_name = "DIRECTORY")]
    plots: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub(crate) struct Seeds(pub(crate) Range<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, to) = text.split_once("..").ok_or("two numbers as 100..105")?;
        let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text:?}: {error}"));
        let to = match to.strip_prefix('=') {
            Some(last) => number(last)?.saturating_add(1),
            None => number(to)?,
        };
        let seeds = number(from)?..to;
        if seeds.is_empty() {
            Err("it holds no seed: write 100..105 for five".to_owned())
        } else {
            Ok(Self(seeds))
        }
    }
}

/// A number from 0 on.
fn between(text: &str, most: f64) -> Result<f64, String> {
    let number = text.parse::<f64>().map_err(|error| error.to_string())?;
    if (0.0..=most).contains(&number) { Ok(number) } else { Err(format!("it lies between 0 and {most}")) }
}

pub(crate) fn measure(options: &Options, as_json: bool) -> Result<()> {
    options.check()?;
    if options.highest_load {
        return load::measure(options, as_json);
    }
    let asked = options.cells();
    let cells = in_parallel(&asked, |(scenario, profile, policy)| {
        let cell = options.cell(*scenario, *profile, *policy, &options.variant());
        eprintln!("{} {} {}: mean {:.1} s", cell.scenario, cell.profile, cell.policy, cell.mean_seconds);
        cell
    });
    if let Some(folder) = &options.plots {
        plot::write_cells(&cells, folder)?;
    }
    if as_json { table::print_json(&cells) } else { table::print(&cells, options) }
}

impl Options {
    fn check(&self) -> Result<()> {
        if self.backends < 2 && !self.highest_load && self.scenarios().contains(&Scenario::Video) {
            bail!(
                "video needs a GPU of 48 GB, which the second backend has: ask for more --backends, or for other scenarios with --scenario"
            );
        }
        if self.plots.is_some() && !self.highest_load && !self.policies().contains(&Name::Swarmui) {
            bail!("the plots show multiples of SwarmUI's latency: name swarmui in --policy too");
        }
        if self.highest_load && self.scenario.iter().any(|scenario| *scenario != Scenario::Steady) {
            bail!("--highest-load raises the load of steady: leave --scenario out");
        }
        Ok(())
    }

    fn scenarios(&self) -> &[Scenario] {
        if self.scenario.is_empty() { Scenario::value_variants() } else { &self.scenario }
    }

    fn profiles(&self) -> &[Profile] {
        if self.profile.is_empty() { Profile::value_variants() } else { &self.profile }
    }

    fn policies(&self) -> &[Name] {
        if self.policy.is_empty() { Name::value_variants() } else { &self.policy }
    }

    fn cells(&self) -> Vec<(Scenario, Profile, Name)> {
        let policies =
            |scenario, profile| self.policies().iter().map(move |policy| (scenario, profile, *policy));
        let profiles =
            |scenario| self.profiles().iter().flat_map(move |profile| policies(scenario, *profile));
        self.scenarios().iter().flat_map(|scenario| profiles(*scenario)).collect()
    }

    fn variant(&self) -> Variant {
        Variant {
            jobs: self.jobs as usize,
            backends: self.backends.into(),
            sigma: self.sigma,
            silent_evictions: self.silent_evictions,
            evictions_keep_ram: self.evictions_keep_ram,
            load: None,
        }
    }

    fn cell(&self, scenario: Scenario, profile: Profile, policy: Name, variant: &Variant) -> Cell {
        let mut runs = Runs::default();
        for seed in self.seeds.0.clone() {
            let workload = Workload::new(scenario, profile, variant, seed);
            let mut timed = Timed { policy: policy.policy(&workload, seed), spent: Duration::ZERO };
            let course = world::run(&workload, &mut timed);
            runs.add(&workload, &course, timed.spent.as_secs_f64());
        }
        runs.cell(scenario.name(), profile.name(), policy.name(), variant.backends)
    }
}

/// Does the work on all cores; results are in the order of what was asked.
fn in_parallel<A: Sync, R: Send>(asked: &[A], work: impl Fn(&A) -> R + Sync) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..cores.min(asked.len()) {
            scope.spawn(|| {
                while let Some((at, asked)) = at(asked, next.fetch_add(1, Ordering::Relaxed)) {
                    let result = work(asked);
                    results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

fn at<A>(asked: &[A], at: usize) -> Option<(usize, &A)> {
    asked.get(at).map(|asked| (at, asked))
}

/// Adds up the time that a policy takes.
struct Timed<'a> {
    policy: Box<dyn Policy + 'a>,
    spent: Duration,
}

impl Timed<'_> {
    fn time<R>(&mut self, work: impl FnOnce(&mut dyn Policy) -> R) -> R {
        let start = Instant::now();
        let result = work(self.policy.as_mut());
        self.spent += start.elapsed();
        result
    }
}

impl Policy for Timed<'_> {
    fn arrive(&mut self, job: usize, now: f64, sight: &Sight) {
        self.time(|policy| policy.arrive(job, now, sight));
    }

    fn decide(&mut self, now: f64, sight: &Sight) -> Vec<(usize, usize)> {
        self.time(|policy| policy.decide(now, sight))
    }

    fn done(&mut self, done: Done, now: f64, sight: &Sight) {
        self.time(|policy| policy.done(done, now, sight));
    }

    fn down(&mut self, machine: usize, now: f64, sight: &Sight) {
        self.time(|policy| policy.down(machine, now, sight));
    }

    fn up(&mut self, machine: usize, now: f64) {
        self.time(|policy| policy.up(machine, now));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn parsed(line: &str) -> Result<Options, String> {
        let words = std::iter::once("routing").chain(line.split_whitespace());
        let Line { options } = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        options.check().map_err(|error| error.to_string())?;
        Ok(options)
    }

    #[test]
    fn without_options_every_policy_meets_every_scenario_on_both_kinds_of_storage() {
        let options = parsed("").unwrap();
        assert_eq!(
            (options.cells().len(), options.seeds.0.clone(), options.backends),
            (8 * 2 * 10, 100..105, 8)
        );
        let options =
            parsed("--scenario drain,noisy --profile nas --policy ours,least-queue --seeds 7..=8").unwrap();
        let first = (Scenario::Drain, Profile::Nas, Name::Ours);
        assert_eq!((options.cells().len(), options.cells()[0], options.seeds.0.clone()), (4, first, 7..9));
    }

    #[test]
    fn what_cannot_be_simulated_is_refused_with_what_to_do() {
        for (line, told) in [
            ("--seeds 5..5", "write 100..105 for five"),
            ("--seeds 5", "two numbers as 100..105"),
            ("--seeds a..b", "invalid digit"),
            ("--sigma=-1", "between 0 and 3"),
            ("--silent-evictions 1.5", "between 0 and 1"),
            ("--jobs 0", "1..=1000000"),
            ("--policy best", "possible values: ours, swarmui"),
            ("--backends 1", "ask for more --backends"),
            ("--policy ours --plots there", "name swarmui"),
            ("--highest-load --scenario drain", "leave --scenario out"),
        ] {
            let refused = parsed(line).unwrap_err();
            assert!(refused.contains(told), "{line}: {refused}");
        }
    }

    #[test]
    fn work_on_all_cores_keeps_the_order_of_what_was_asked() {
        let asked: Vec<u64> = (0..100).collect();
        assert_eq!(in_parallel(&asked, |number| number * 2), (0..200).step_by(2).collect::<Vec<_>>());
    }
}
