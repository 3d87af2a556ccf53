//! What the demo submits. Pure but for the seeds, which differ from run to run: a server would answer a prompt that it
//! knows from its cache.

use serde_json::{Value, json};
use uuid::Uuid;

/// The models of the simulated servers.
pub(crate) const MODELS: [&str; 3] = ["sd15.safetensors", "sdxl.safetensors", "flux.safetensors"];

const SD15: Diffusion = Diffusion {
    model: "sd15.safetensors",
    size_mb: 2_034,
    load_seconds: 1.2,
    steps: 20,
    step_seconds: 0.06,
    side: 512,
};
const SDXL: Diffusion = Diffusion {
    model: "sdxl.safetensors",
    size_mb: 6_617,
    load_seconds: 2.5,
    steps: 25,
    step_seconds: 0.12,
    side: 1024,
};
const FLUX: Diffusion = Diffusion {
    model: "flux.safetensors",
    size_mb: 11_350,
    load_seconds: 4.0,
    steps: 20,
    step_seconds: 0.24,
    side: 1024,
};
/// As people submit them, one model after another.
const MIX: [&Diffusion; 12] =
    [&SD15, &SDXL, &FLUX, &SD15, &SDXL, &SD15, &FLUX, &SDXL, &SD15, &SDXL, &FLUX, &SD15];

/// How a model behaves: its file in MiB, the seconds that loading it and one step take, a picture's side in pixels.
struct Diffusion {
    model: &'static str,
    size_mb: u64,
    load_seconds: f64,
    steps: u32,
    step_seconds: f64,
    side: u32,
}

/// One job before it is submitted.
pub(crate) struct Job {
    /// From 1 on.
    pub(crate) number: usize,
    /// Its model's name, or what else it makes: begins the picture's name.
    pub(crate) title: String,
    /// ComfyUI's API format.
    pub(crate) prompt: Value,
    /// Of its picture, in pixels.
    pub(crate) size: (u32, u32),
}

/// As many jobs as asked for: diffusion where the servers have models to simulate it with, else plain pictures, which
/// any ComfyUI can make.
pub(crate) fn of(count: u32, models: &[String]) -> Vec<Job> {
    let offered = |diffusion: &&&Diffusion| models.iter().any(|model| model == diffusion.model);
    let mix: Vec<&Diffusion> = MIX.iter().filter(offered).copied().collect();
    let seeds = seeds().take(count as usize);
    let numbered = seeds.enumerate().map(|(at, seed)| (at + 1, seed));
    if mix.is_empty() {
        return numbered.map(|(number, seed)| plain(number, seed)).collect();
    }
    let diffusions = mix.into_iter().cycle();
    diffusions.zip(numbered).map(|(diffusion, (number, seed))| diffusion.job(number, seed)).collect()
}

/// Never the same twice: the step is odd, so 2²⁴ colours pass before one returns.
fn seeds() -> impl Iterator<Item = u32> {
    let (first, ..) = Uuid::new_v4().as_fields();
    std::iter::successors(Some(first), |seed| Some(seed.wrapping_add(0x009E_3779)))
}

impl Diffusion {
    fn job(&self, number: usize, seed: u32) -> Job {
        let Self { model, size_mb, load_seconds, steps, step_seconds, side } = self;
        let prompt = json!({
            "load": { "class_type": "SimLoader", "inputs": {
                "ckpt_name": model, "load_seconds": load_seconds, "size_mb": size_mb } },
            "sample": { "class_type": "SimSampler", "inputs": {
                "model": ["load", 0], "seed": seed, "steps": steps, "step_seconds": step_seconds,
                "width": side, "height": side, "preview": true } },
            "save": save("sample"),
        });
        let title = model.trim_end_matches(".safetensors").to_owned();
        Job { number, title, prompt, size: (*side, *side) }
    }
}

fn plain(number: usize, seed: u32) -> Job {
    let (color, side) = (seed & 0x00FF_FFFF, 512);
    let prompt = json!({
        "paint": { "class_type": "EmptyImage", "inputs": {
            "width": side, "height": side, "batch_size": 1, "color": color } },
        "save": save("paint"),
    });
    Job { number, title: format!("color-{color:06x}"), prompt, size: (side, side) }
}

fn save(from: &str) -> Value {
    json!({ "class_type": "SaveImage", "inputs": { "images": [from, 0], "filename_prefix": "orchestrator-demo" } })
}
