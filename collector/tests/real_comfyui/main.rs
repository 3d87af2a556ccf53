//! The whole system on real ComfyUI servers, by the calls of an ordinary ComfyUI client.
//!
//! Needs `ORCHESTRATOR_TEST_COMFYUI=<directory>:<python>`, which `.ci/comfyui/install` prints. What a client may
//! expect of any ComfyUI is asked of a bare server first, so that the questions are known to be the right ones, and
//! then of the collector. Nothing in here uses our own ComfyUI library.
//!
//! The scenarios share two servers and run one after the other, each on whatever the ones before it left alive.

#![expect(
    clippy::indexing_slicing,
    reason = "a test; what a JSON document lacks is null, which fails its check"
)]

mod any_comfyui;
mod batch;
mod client;
mod figures;
mod fleet;
mod ours;
mod program;
mod prompts;
mod server;
mod socket;
mod stage;
mod wait;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use sim::outside::{Found, Outside, trial};
use tokio::runtime::Runtime;

use crate::any_comfyui::Place;
use crate::stage::Stage;

type OnPlace = for<'a> fn(&'a Place) -> LocalBoxFuture<'a, Result<()>>;
type OnStage = for<'a> fn(&'a mut Stage) -> LocalBoxFuture<'a, Result<()>>;

/// The scenarios of a module by name, in the order in which they run.
macro_rules! scenarios {
    ($module:ident: $($name:ident),* $(,)?) => {
        &[$((stringify!($name), |on| $module::$name(on).boxed_local())),*]
    };
}

const ANY_COMFYUI: &[(&str, OnPlace)] = scenarios!(any_comfyui:
    an_uploaded_picture_comes_back_with_its_pixels,
    a_mask_becomes_the_alpha_of_the_picture_that_it_is_drawn_on,
    a_job_can_load_what_another_has_made,
    a_batch_of_pictures_needs_no_model,
    a_job_tells_its_progress_and_its_result,
    running_out_of_memory_is_told_and_remembered,
    the_exception_of_a_node_is_told_and_remembered,
    a_running_job_can_be_interrupted,
    a_waiting_job_can_be_deleted,
    prompts_that_cannot_run_are_refused,
    the_nodes_and_the_devices_are_told,
    a_loaded_model_is_used_again_until_the_memory_is_freed,
);

/// Before the second server has been started for the first time.
const FIRST: &[(&str, OnStage)] = scenarios!(fleet: a_dead_backend_is_used_once_it_comes_up);

const OLD_NODE: &[(&str, OnStage)] =
    scenarios!(figures: the_agents_answer_with_exactly_the_keys_of_the_old_node);

const LATER: &[(&str, OnStage)] = scenarios!(fleet:
    a_restarted_collector_loses_nothing_and_repeats_nothing,
    every_accepted_job_survives_the_death_of_a_server,
);

const LINTED: &[(&str, OnStage)] = scenarios!(figures: prometheus_finds_nothing_to_complain_about);

/// The stage is built by the first scenario that needs it.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Option<(Runtime, Stage)>>>);

impl Shared {
    fn run(&self, found: &Found, scenario: impl AsyncFnOnce(&mut Stage) -> Result<()>) -> Result<(), Failed> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (runtime, stage) = Self::stage(&mut shared, found).map_err(|error| format!("{error:#}"))?;
        let outcome = runtime.block_on(scenario(stage));
        outcome.map_err(|error| format!("{error:#}\n{}", stage.last_words()).into())
    }

    fn stage<'a>(
        shared: &'a mut Option<(Runtime, Stage)>,
        found: &Found,
    ) -> Result<&'a mut (Runtime, Stage)> {
        if shared.is_none() {
            *shared = Some((Runtime::new()?, Stage::new(found)?));
        }
        shared.as_mut().context("no stage")
    }
}

fn main() -> ExitCode {
    // An error says that there is one already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let shared = Shared::default();
    let conclusion = libtest_mimic::run(&arguments, trials(&shared));
    // Before the exit, which drops nothing: here the servers end.
    drop(shared);
    conclusion.exit_code()
}

fn trials(shared: &Shared) -> Vec<Trial> {
    let comfyui = &[Outside::Comfyui];
    let mut trials = Vec::new();
    for (name, scenario) in ANY_COMFYUI {
        let name = format!("a_bare_server::{name}");
        trials.push(on_stage(shared, &name, comfyui, async |stage| scenario(&stage.bare().await?).await));
    }
    for (name, scenario) in FIRST {
        trials.push(on_stage(shared, name, comfyui, async |stage| scenario(stage).await));
    }
    for (name, scenario) in ANY_COMFYUI {
        let name = format!("the_collector::{name}");
        trials.push(on_stage(shared, &name, comfyui, async |stage| scenario(&stage.fleet().await?).await));
    }
    for (name, scenario) in ANY_COMFYUI {
        let name = format!("the_collector_under_api::{name}");
        trials.push(on_stage(shared, &name, comfyui, async |stage| {
            scenario(&stage.fleet().await?.under_api()?).await
        }));
    }
    for (name, scenario) in OLD_NODE.iter().chain(LATER) {
        trials.push(on_stage(shared, name, comfyui, async |stage| scenario(stage).await));
    }
    for (name, scenario) in LINTED {
        let needs = &[Outside::Promtool, Outside::Comfyui];
        trials.push(on_stage(shared, name, needs, async |stage| scenario(stage).await));
    }
    trials
}

/// A trial that is not passed where one of its needs is missing.
fn on_stage(
    shared: &Shared,
    name: &str,
    needs: &[Outside],
    scenario: impl AsyncFnOnce(&mut Stage) -> Result<()> + Send + 'static,
) -> Trial {
    let shared = shared.clone();
    let missing = needs.iter().copied().find(|need| need.find().is_err());
    trial(name, missing.unwrap_or(Outside::Comfyui), move |found| shared.run(&found, scenario))
}
