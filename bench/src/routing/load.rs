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
struct Borne {
    profile: String,
    policy: String,
    backends: usize,
    /// `None`: not even the least that was tried.
    highest_load: Option<f64>,
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
    let bears = |hundredths: &u32| {
        let variant = Variant { load: Some(f64::from(*hundredths) / 100.0), ..options.variant() };
        options.cell(Scenario::Steady, profile, policy, &variant).p95_seconds <= WITHIN_SECONDS
    };
    let borne = (FROM..=TO).step_by(STEP).take_while(bears).last();
    let (profile, policy, backends) = (profile.name(), policy.name(), options.backends.into());
    Borne { profile, policy, backends, highest_load: borne.map(|hundredths| f64::from(hundredths) / 100.0) }
}
