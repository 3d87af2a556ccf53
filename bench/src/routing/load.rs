//! The highest load that a policy bears: `steady`, with the load raised until fewer than 95 of 100 jobs end in time.

use anyhow::{Context, Result};
use serde::Serialize;

use super::policy::Name;
use super::scenario::{Profile, Scenario, Variant};
use super::{Options, in_parallel};
use crate::output::Table;

const WITHIN_SECONDS: f64 = 120.0;
/// In hundredths.
const FROM: u32 = 30;
const TO: u32 = 95;
const STEP: usize = 5;

#[derive(Clone, Debug, Serialize)]
pub(super) struct Borne {
    pub(super) profile: String,
    pub(super) policy: String,
    pub(super) backends: usize,
    /// `None`: not even the least that was tried.
    pub(super) highest_load: Option<f64>,
    /// Loads and the 95th percentile of latency in seconds, up to the first at which that is too long.
    #[serde(skip)]
    pub(super) tried: Vec<(f64, f64)>,
}

pub(super) fn measure(options: &Options, as_json: bool) -> Result<()> {
    let profiles = options.profiles().iter();
    let asked: Vec<(Profile, Name)> =
        profiles.flat_map(|profile| options.policies().iter().map(|policy| (*profile, *policy))).collect();
    let borne = in_parallel(&asked, |(profile, policy)| {
        let borne = highest(options, *profile, *policy);
        eprintln!("{} {}: {:?}", borne.profile, borne.policy, borne.highest_load);
        borne
    });
    if let Some(folder) = &options.plots {
        super::plot::write_loads(&borne, folder)?;
    }
    let text = if as_json {
        serde_json::to_string_pretty(&borne).context("write the loads as JSON")?
    } else {
        let mut table = Table::new("Highest load with p95 ≤ 120 s (steady)", &["policy", "profile", "load"]);
        for Borne { profile, policy, highest_load, .. } in borne {
            let load = highest_load.map_or_else(|| format!("< 0.{FROM}"), |load| format!("{load:.2}"));
            table.row([policy, profile, load]);
        }
        table.text()
    };
    super::table::say(&text)
}

fn highest(options: &Options, profile: Profile, policy: Name) -> Borne {
    let mut tried = Vec::new();
    for load in (FROM..=TO).step_by(STEP).map(|hundredths| f64::from(hundredths) / 100.0) {
        let variant = Variant { load: Some(load), ..options.variant() };
        let p95_seconds = options.cell(Scenario::Steady, profile, policy, &variant).p95_seconds;
        tried.push((load, p95_seconds));
        if p95_seconds > WITHIN_SECONDS {
            break;
        }
    }
    let borne = tried.iter().rfind(|(_, p95_seconds)| *p95_seconds <= WITHIN_SECONDS);
    let highest_load = borne.map(|(load, _)| *load);
    Borne {
        profile: profile.name(),
        policy: policy.name(),
        backends: options.backends.into(),
        highest_load,
        tried,
    }
}
