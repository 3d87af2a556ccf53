//! What a simulated server is like: generation, speed, models, device.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::generation::Generation;

/// The total of the device of the recordings, in bytes.
const VRAM_BYTES: u64 = 25_276_502_016;
/// And of its machine.
const RAM_BYTES: u64 = 25_276_502_016;

/// What a simulated ComfyUI is like. The default is the recorded server of 0.8.0.
#[derive(Clone, Debug)]
pub struct ComfyConfig {
    /// Which ComfyUI it is.
    pub generation: Generation,
    /// Divides every time that a job sleeps; 1 is as recorded. Not above 0: no sleep at all.
    pub speed: f64,
    /// The models that `SimLoader` can load.
    pub models: Vec<String>,
    /// The models that `CheckpointLoaderSimple` and `/models/checkpoints` name; `None`: those of `models`.
    pub checkpoints: Option<Vec<String>>,
    /// The LoRAs that `LoraLoader` and `/models/loras` name.
    pub loras: Vec<String>,
    /// The embeddings' files, which `/embeddings` names without endings.
    pub embeddings: Vec<String>,
    /// Name of the device in `/system_stats`; `cpu` is of type `cpu`, everything else of type `cuda`, index 0.
    pub device_name: String,
    /// Memory of the device in bytes; models that do not fit push out those used longest ago.
    pub vram_bytes: u64,
    /// Memory of the machine in bytes: models that left the device stay there while there is room.
    pub ram_bytes: u64,
    /// What loading a model from there takes, as a share of what it takes from the disk.
    pub warm_share: f64,
    /// What it says that it was started with, after the name of the program.
    pub arguments: Vec<String>,
    /// More node classes: each takes an `image` and returns it.
    pub extra_nodes: Vec<String>,
    /// Seconds that `CheckpointLoaderSimple` takes to load a model (`SimLoader` has its own input for that).
    pub load_seconds: f64,
    /// MiB of a model that `CheckpointLoaderSimple` loads.
    pub size_mb: u64,
    /// Seconds of a step of `KSampler` (`SimSampler` has its own input for that).
    pub step_seconds: f64,
    /// How long every HTTP answer takes.
    pub latency: Duration,
    /// Serve `GET /orchestrator/metrics` on this port too, as a host does that still runs the old Python node.
    pub python_node: bool,
    /// Where it listens: 127.0.0.1, or an address by which other hosts reach it.
    pub address: Ipv4Addr,
    /// The port there; 0: any free one.
    pub port: u16,
}

impl Default for ComfyConfig {
    fn default() -> Self {
        let models = ["sd15.safetensors", "sdxl.safetensors", "flux.safetensors", "wan.safetensors"];
        Self {
            generation: Generation::V0_8,
            speed: 1.0,
            models: models.map(str::to_owned).to_vec(),
            checkpoints: None,
            loras: Vec::new(),
            embeddings: Vec::new(),
            device_name: "cpu".to_owned(),
            vram_bytes: VRAM_BYTES,
            ram_bytes: RAM_BYTES,
            warm_share: 1.0,
            arguments: Vec::new(),
            extra_nodes: Vec::new(),
            load_seconds: 1.0,
            size_mb: 6000,
            step_seconds: 0.05,
            latency: Duration::ZERO,
            python_node: false,
            address: Ipv4Addr::LOCALHOST,
            port: 0,
        }
    }
}

impl ComfyConfig {
    pub(crate) fn checkpoints(&self) -> &[String] {
        self.checkpoints.as_deref().unwrap_or(&self.models)
    }

    /// How long `seconds` of the recording take here.
    pub(crate) fn sleep(&self, seconds: f64) -> Duration {
        if self.speed > 0.0 {
            Duration::try_from_secs_f64(seconds / self.speed).unwrap_or(Duration::ZERO)
        } else {
            Duration::ZERO
        }
    }
}
