//! One set of scenarios for everything that calls itself a ComfyUI: a real server, a simulated one of each generation, and
//! the collector in front of either. All must answer the same; where they do not, a scenario asks `Place::expects`, and
//! `docs/compatibility.md` lists it. Then the whole system on real servers: what a fleet promises beyond one ComfyUI.
//!
//! The real ones need `ORCHESTRATOR_TEST_COMFYUI=<directory>:<python>`, which `.ci/comfyui/install` prints; the simulated
//! ones need nothing. Nothing in here uses our own ComfyUI library.
//!
//! The scenarios share their servers and run one after the other, each on whatever the ones before it left alive.

#![expect(
    clippy::indexing_slicing,
    reason = "a test; what a JSON document lacks is null, which fails its check"
)]

mod answers;
mod batch;
mod client;
mod figures;
mod files;
mod fleet;
mod jobs;
mod memory;
mod offer;
mod ours;
mod place;
mod program;
mod prompts;
mod published;
mod queue;
mod server;
mod simulated;
mod socket;
mod sockets;
mod stage;
mod wait;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use sim::outside::{Found, Outside, trial};
use tokio::runtime::Runtime;

use crate::place::{Generation, Place};
use crate::simulated::Simulated;
use crate::stage::Stage;

type OnPlace = for<'a> fn(&'a Place) -> LocalBoxFuture<'a, Result<()>>;
type OnStage = for<'a> fn(&'a mut Stage) -> LocalBoxFuture<'a, Result<()>>;

/// Scenarios by name, in the order in which they run.
macro_rules! scenarios {
    ($($module:ident: $($name:ident),* ;)*) => {
        &[$($((stringify!($name), |on| $module::$name(on).boxed_local())),*),*]
    };
}

/// By paths that stand under `/api` as well.
const EVERYWHERE: &[(&str, OnPlace)] = scenarios!(
    files:
        an_uploaded_picture_comes_back_with_its_pixels,
        a_mask_becomes_the_alpha_of_the_picture_that_it_is_drawn_on,
        a_job_can_load_what_another_has_made,
        a_batch_of_pictures_needs_no_model,
        a_part_of_a_picture_can_be_asked_for,
        a_picture_can_be_had_smaller_and_by_its_channels;
    jobs:
        a_job_tells_its_progress_and_its_result,
        what_was_made_before_is_not_made_again,
        a_prompt_keeps_the_id_that_its_client_gave,
        running_out_of_memory_is_told_and_remembered,
        the_exception_of_a_node_is_told_and_remembered,
        a_loaded_model_is_used_again_until_the_memory_is_freed;
    sockets:
        previews_come_with_what_they_belong_to_where_that_is_asked_for,
        a_second_socket_of_a_name_takes_the_place_of_the_first;
    queue:
        a_running_job_can_be_interrupted,
        a_waiting_job_can_be_deleted,
        numbers_decide_and_the_last_front_is_the_first,
        the_history_can_be_read_in_parts_and_forgotten;
    offer:
        prompts_that_cannot_run_are_refused,
        the_nodes_and_the_devices_are_told;
);

const AT_THE_ROOT: &[(&str, OnPlace)] = scenarios!(
    answers: every_request_is_answered_as_the_table_says;
    queue: a_job_is_listed_from_its_queue_to_its_result;
);

const BY_PYTHON: &[(&str, OnPlace)] = scenarios!(
    published: comfy_cli_runs_a_prompt_and_its_outputs_are_there, a_script_with_websocket_client_runs_a_prompt;
);
const BY_NODE: &[(&str, OnPlace)] = scenarios!(published: the_javascript_sdk_runs_a_prompt_with_previews;);

/// Before the second server has been started for the first time.
const FIRST: &[(&str, OnStage)] = scenarios!(fleet: a_dead_backend_is_used_once_it_comes_up;);

const OLD_NODE: &[(&str, OnStage)] =
    scenarios!(figures: the_agents_answer_with_exactly_the_keys_of_the_old_node;);

const LATER: &[(&str, OnStage)] = scenarios!(fleet:
    a_restarted_collector_loses_nothing_and_repeats_nothing,
    every_accepted_job_survives_the_death_of_a_server;
);

const MEMORY: &[(&str, OnStage)] = scenarios!(memory:
    jobs_of_three_models_load_less_than_half_as_often_as_taken_in_turn,
    a_job_that_ran_out_of_memory_runs_once_that_is_freed,
    an_idle_server_frees_its_memory_and_that_is_told;
);

const LINTED: &[(&str, OnStage)] = scenarios!(figures: prometheus_finds_nothing_to_complain_about;);

/// Where the scenarios play. Each stage is built by the first that needs it.
struct World {
    runtime: Runtime,
    real: Option<Stage>,
    old: Simulated,
    current: Simulated,
}

impl World {
    fn new() -> Result<Self> {
        let (old, current) = (Simulated::new(Generation::Old)?, Simulated::new(Generation::Current)?);
        Ok(Self { runtime: Runtime::new()?, real: None, old, current })
    }

    fn real(&mut self, found: &Found, scenario: impl AsyncFnOnce(&mut Stage) -> Result<()>) -> Outcome {
        let stage = match &mut self.real {
            Some(stage) => stage,
            None => self.real.insert(Stage::new(found).map_err(|error| format!("{error:#}"))?),
        };
        let outcome = self.runtime.block_on(scenario(stage));
        outcome.map_err(|error| format!("{error:#}\n{}", stage.last_words()).into())
    }

    fn simulated(
        &mut self,
        of: Generation,
        scenario: impl AsyncFnOnce(&mut Simulated) -> Result<()>,
    ) -> Outcome {
        let stage = if of == Generation::Old { &mut self.old } else { &mut self.current };
        let outcome = self.runtime.block_on(scenario(stage));
        outcome.map_err(|error| format!("{error:#}\n{}", stage.last_words()).into())
    }
}

type Outcome = Result<(), Failed>;

#[derive(Clone)]
struct Shared(Arc<Mutex<World>>);

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn main() -> Result<ExitCode> {
    // An error says that there is one already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let shared = Shared(Arc::new(Mutex::new(World::new()?)));
    let conclusion = libtest_mimic::run(&arguments, trials(&shared));
    // Before the exit, which drops nothing: here the servers end.
    drop(shared);
    Ok(conclusion.exit_code())
}

fn trials(shared: &Shared) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (of, name) in [(Generation::Current, "0.8"), (Generation::Old, "2024")] {
        for (scenario_name, scenario) in EVERYWHERE.iter().chain(AT_THE_ROOT) {
            let name = format!("a_simulated_server_of_{name}::{scenario_name}");
            trials.push(on_simulated(shared, of, name, async |stage| scenario(&stage.bare().await?).await));
        }
        for (scenario_name, scenario) in EVERYWHERE.iter().chain(AT_THE_ROOT) {
            let name = format!("the_collector_on_simulated_servers_of_{name}::{scenario_name}");
            trials.push(on_simulated(shared, of, name, async |stage| scenario(&stage.fleet().await?).await));
        }
    }
    for (name, scenario) in EVERYWHERE {
        let name = format!("the_collector_under_api::{name}");
        trials.push(on_simulated(shared, Generation::Current, name, async |stage| {
            scenario(&stage.fleet().await?.under_api()?).await
        }));
    }
    let comfyui = &[Outside::Comfyui];
    let [by_python, by_node] =
        [Outside::PythonClients, Outside::NodeClients].map(|client| [client, Outside::Comfyui]);
    let anywhere = || {
        let own = EVERYWHERE.iter().chain(AT_THE_ROOT).map(|scenario| (scenario, &comfyui[..]));
        let python = BY_PYTHON.iter().map(|scenario| (scenario, &by_python[..]));
        own.chain(python).chain(BY_NODE.iter().map(|scenario| (scenario, &by_node[..])))
    };
    for ((name, scenario), needs) in anywhere() {
        let name = format!("a_bare_server::{name}");
        trials.push(on_stage(shared, &name, needs, async |stage| scenario(&stage.bare().await?).await));
    }
    for (name, scenario) in FIRST {
        trials.push(on_stage(shared, name, comfyui, async |stage| scenario(stage).await));
    }
    for ((name, scenario), needs) in anywhere() {
        let name = format!("the_collector::{name}");
        trials.push(on_stage(shared, &name, needs, async |stage| scenario(&stage.fleet().await?).await));
    }
    for (name, scenario) in OLD_NODE.iter().chain(MEMORY).chain(LATER) {
        trials.push(on_stage(shared, name, comfyui, async |stage| scenario(stage).await));
    }
    for (name, scenario) in LINTED {
        let needs = &[Outside::Promtool, Outside::Comfyui];
        trials.push(on_stage(shared, name, needs, async |stage| scenario(stage).await));
    }
    trials
}

fn on_simulated(
    shared: &Shared,
    of: Generation,
    name: String,
    scenario: impl AsyncFnOnce(&mut Simulated) -> Result<()> + Send + 'static,
) -> Trial {
    let shared = shared.clone();
    Trial::test(name, move || shared.world().simulated(of, scenario))
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
    trial(name, missing.unwrap_or(Outside::Comfyui), move |found| shared.world().real(&found, scenario))
}
