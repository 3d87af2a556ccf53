//! Where jobs of several models go, by what that spares: loads.

use sim::{Comfy, ComfyConfig, Generation};

use super::prompts::picture_of;
use super::stage::{Stage, quick};

const MODELS: [&str; 3] = ["sd15.safetensors", "sdxl.safetensors", "flux.safetensors"];
const JOBS: usize = 48;

/// Models in an order that nobody chose, the same at every run.
fn order() -> Vec<&'static str> {
    let mut rng = fastrand::Rng::with_seed(7);
    (0..JOBS).map(|_| MODELS[rng.usize(..MODELS.len())]).collect()
}

/// What it takes to give the jobs to backends in turn, each of which holds one model.
fn loads_in_turn(order: &[&'static str], backends: usize) -> usize {
    let mut held = vec![""; backends];
    let loads = |(at, model): &(usize, &&'static str)| {
        std::mem::replace(&mut held[at % backends], **model) != **model
    };
    order.iter().enumerate().filter(loads).count()
}

#[tokio::test]
async fn jobs_of_three_models_in_any_order_cause_fewer_than_half_the_loads_of_taking_turns() {
    let order = order();
    let mut comfys = Vec::new();
    for _ in 0..2 {
        // Two models do not fit.
        let config = ComfyConfig { vram_bytes: 6000 << 20, ..quick(Generation::V0_8) };
        comfys.push(Comfy::start(config).await.unwrap());
    }
    let stage = Stage::before(comfys, |_| {}).await;
    stage.all_take_jobs().await;
    stage.comfys.iter().for_each(Comfy::hold);
    let mut jobs = Vec::new();
    for (seed, model) in (0..).zip(&order) {
        jobs.push(stage.client.submit(&picture_of(model, seed)).await);
    }
    stage.comfys.iter().for_each(Comfy::release);
    for job in &jobs {
        stage.client.succeeded(job).await;
    }
    let loads = stage.comfys.iter().map(|comfy| comfy.counters().all_loads() as usize).sum::<usize>();
    let in_turn = loads_in_turn(&order, stage.comfys.len());
    assert!((3..).contains(&loads) && 2 * loads < in_turn, "{loads} loads; in turn it would be {in_turn}");
}
