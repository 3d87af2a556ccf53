//! The jobs of a scenario as prompts, and its machines as simulated servers.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sim::{ComfyConfig, Figures};

use crate::routing::{Job, Profile, Scenario, Variant, Workload};

/// When `noisy` becomes so, in seconds, less some time in which all is as usual.
const BEFORE_THE_NOISE: f64 = 45.0 * 60.0 - 120.0;
/// Among so many jobs those of a trial are found.
const DRAWN: usize = 4000;
const STEPS: u32 = 20;
/// Share of VRAM that models may fill; the server counts what a run needs besides as theirs.
const FILLED: f64 = 0.85;
const GIGABYTE: f64 = 1e9;

/// The first so many jobs, of `noisy` those about the first drop. LoRAs and ControlNets are left out: the simulated server
/// loads one file a prompt.
pub(super) fn workload(
    scenario: Scenario,
    profile: Profile,
    backends: u16,
    jobs: u16,
    seed: u64,
) -> Workload {
    let variant = Variant { jobs: DRAWN, backends: backends.into(), ..Variant::default() };
    let mut workload = Workload::new(scenario, profile, &variant, seed);
    let from = if scenario == Scenario::Noisy { BEFORE_THE_NOISE } else { 0.0 };
    workload.jobs.retain(|job| job.arrival >= from);
    workload.jobs.truncate(jobs.into());
    for job in &mut workload.jobs {
        job.arrival -= from;
        job.models.truncate(1);
    }
    workload
}

pub(crate) fn machines(workload: &Workload, speed: f64) -> impl Iterator<Item = (ComfyConfig, Figures)> {
    let used = workload.jobs.iter().filter_map(main);
    let sizes: BTreeMap<String, u64> = used
        .filter_map(|model| {
            let gigabytes = workload.gigabytes.get(model)?;
            Some((name(model), (gigabytes * GIGABYTE) as u64))
        })
        .collect();
    // Of a model of the middle size.
    let warm_share = workload.profile.ram_seconds(6.9) / workload.profile.disk_seconds(6.9);
    workload.machines.iter().map(move |machine| {
        let config = ComfyConfig {
            speed,
            models: sizes.keys().cloned().collect(),
            vram_bytes: (machine.vram_gigabytes / FILLED * GIGABYTE) as u64,
            ram_bytes: (machine.ram_gigabytes * GIGABYTE) as u64,
            warm_share,
            arguments: vec!["--cache-lru".to_owned(), "10".to_owned()],
            device_name: "Simulated GPU".to_owned(),
            ..ComfyConfig::default()
        };
        (config, Figures { models: sizes.clone(), ..Figures::default() })
    })
}

/// The body of `POST /prompt`.
pub(super) fn body(workload: &Workload, number: usize, job: &Job) -> String {
    let prompt = prompt(workload, number, job);
    json!({"prompt": prompt, "client_id": format!("client-{}", job.client)}).to_string()
}

/// Its node `2` makes a picture, which `3` shows.
pub(crate) fn prompt(workload: &Workload, number: usize, job: &Job) -> Value {
    let model = main(job).unwrap_or_default();
    let gigabytes = workload.gigabytes.get(model).copied().unwrap_or_default();
    json!({
        "1": {"class_type": "SimLoader", "inputs": {
            "ckpt_name": name(model),
            "load_seconds": workload.profile.disk_seconds(gigabytes) * job.load_factor,
            "size_mb": (gigabytes / FILLED * GIGABYTE) as u64 >> 20,
        }},
        "2": {"class_type": "SimSampler", "inputs": {
            "model": ["1", 0], "seed": number, "steps": STEPS, "step_seconds": job.run_seconds / f64::from(STEPS),
            "width": 8, "height": 8, "preview": false,
        }},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    })
}

fn main(job: &Job) -> Option<usize> {
    job.models.first().copied()
}

fn name(model: usize) -> String {
    format!("{model:03}.safetensors")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::NOISY;

    #[test]
    fn a_trial_of_noisy_holds_the_whole_drop_and_victims_before_and_after_it() {
        let workload = workload(Scenario::Noisy, Profile::Nas, 8, 300, 100);
        let dropped: Vec<usize> = (0..300).filter(|at| workload.jobs[*at].client == NOISY).collect();
        assert_eq!((workload.jobs.len(), dropped.len()), (300, 200));
        assert!(dropped[0] > 10 && dropped[199] < 290, "{dropped:?}");
        assert!(workload.jobs.iter().all(|job| job.arrival >= 0.0 && job.models.len() == 1));
    }
}
