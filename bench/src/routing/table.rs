//! The figures of all cells: as tables for people, and as an array for programs.

use std::io::Write;

use anyhow::{Context, Result};
use serde::Serialize;

use super::Options;
use super::figures::{Cell, geometric_mean};
use super::policy::Name;
use crate::output::Table;

/// What programs get of a cell.
#[derive(Serialize)]
struct Entry<'a> {
    scenario: &'a str,
    profile: &'a str,
    policy: &'a str,
    backends: usize,
    mean_seconds: f64,
    p50_seconds: f64,
    p99_seconds: f64,
    max_seconds: f64,
    others_p99_seconds: f64,
    disk_loads: f64,
    swap_share: f64,
    competitive_ratio: f64,
}

impl<'a> From<&'a Cell> for Entry<'a> {
    fn from(cell: &'a Cell) -> Self {
        Self {
            scenario: &cell.scenario,
            profile: &cell.profile,
            policy: &cell.policy,
            backends: cell.backends,
            mean_seconds: cell.mean_seconds,
            p50_seconds: cell.p50_seconds,
            p99_seconds: cell.p99_seconds,
            max_seconds: cell.max_seconds,
            others_p99_seconds: cell.others_p99_seconds,
            disk_loads: cell.disk_loads,
            swap_share: cell.swap_share,
            competitive_ratio: cell.competitive_ratio,
        }
    }
}

pub(super) fn print_json(cells: &[Cell]) -> Result<()> {
    let entries: Vec<Entry<'_>> = cells.iter().map(Entry::from).collect();
    say(&serde_json::to_string_pretty(&entries).context("write the cells as JSON")?)
}

pub(super) fn say(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{}", text.trim_end()).context("write to standard output")
}

pub(super) fn print(cells: &[Cell], options: &Options) -> Result<()> {
    let mut tables = vec![all(cells, options)];
    tables.extend(beside(cells, options));
    say(&tables.iter().map(Table::text).collect::<Vec<_>>().join("\n\n"))
}

fn all(cells: &[Cell], options: &Options) -> Table {
    let seeds = &options.seeds.0;
    let title = format!(
        "Latency in seconds on {} backends, seeds {}..{}; counts are a seed's mean",
        options.backends, seeds.start, seeds.end
    );
    let head = [
        "scenario",
        "profile",
        "policy",
        "mean",
        "p50",
        "p95",
        "p99",
        "max",
        "others' p99",
        "disk loads",
        "swapping",
        "of bound",
        "makespan",
        "of bound",
        "Jain",
        "µs a job",
    ];
    let mut table = Table::new(title, &head);
    for cell in cells {
        let seconds = [
            cell.mean_seconds,
            cell.p50_seconds,
            cell.p95_seconds,
            cell.p99_seconds,
            cell.max_seconds,
            cell.others_p99_seconds,
        ];
        let named = [&cell.scenario, &cell.profile, &cell.policy].map(Clone::clone).into_iter();
        let rest = [
            format!("{:.0}", cell.disk_loads),
            format!("{:.1} %", cell.swap_share * 100.0),
            format!("{:.2}", cell.competitive_ratio),
            format!("{:.0}", cell.makespan_seconds),
            format!("{:.2}", cell.makespan_ratio),
            format!("{:.2}", cell.fairness),
            format!("{:.0}", cell.microseconds_a_job),
        ];
        table.row(named.chain(seconds.map(|seconds| format!("{seconds:.1}"))).chain(rest));
    }
    table
}

/// Every policy's mean and p99 beside SwarmUI's, over all cells. `None` where it was not run.
fn beside(cells: &[Cell], options: &Options) -> Option<Table> {
    let of = |policy: Name| cells.iter().filter(move |cell| cell.policy == policy.name());
    of(Name::Swarmui).next()?;
    let head = ["policy", "mean", "p99", "worst mean", "where"];
    let mut table = Table::new("Beside SwarmUI's rule: geometric means over all cells", &head);
    for policy in options.policies() {
        let pairs: Vec<(&Cell, &Cell)> = of(*policy).zip(of(Name::Swarmui)).collect();
        let ratio = |(cell, swarmui): &(&Cell, &Cell)| cell.mean_seconds / swarmui.mean_seconds;
        let tails = pairs.iter().map(|(cell, swarmui)| cell.p99_seconds / swarmui.p99_seconds);
        let worst = pairs.iter().max_by(|one, other| ratio(one).total_cmp(&ratio(other)))?;
        let shown = |figure: f64| format!("{figure:.3}");
        table.row([
            policy.name(),
            geometric_mean(pairs.iter().map(ratio)).map(shown)?,
            geometric_mean(tails).map(shown)?,
            shown(ratio(worst)),
            format!("{} {}", worst.0.scenario, worst.0.profile),
        ]);
    }
    Some(table)
}
