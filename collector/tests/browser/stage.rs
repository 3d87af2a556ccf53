//! Simulated servers and a collector in this process that serves the interface's files from a folder.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use collector::Collector;
use collector::config::{Config, DatabaseFlags, ServeFlags};
use futures_util::FutureExt;
use futures_util::future::select_ok;
use serde_json::json;
use sim::{Comfy, ComfyConfig};
use tempfile::TempDir;

/// The model of the workflow that the interface shows to those who are new.
const MODEL: &str = "v1-5-pruned-emaonly-fp16.safetensors";

pub(crate) struct Stage {
    pub(crate) comfys: Vec<Comfy>,
    /// Without a slash at its end.
    pub(crate) address: String,
    _collector: Collector,
    _state: TempDir,
}

impl Stage {
    pub(crate) async fn of(servers: usize, interface: PathBuf) -> Result<Self> {
        let mut comfys = Vec::new();
        for _ in 0..servers {
            let models = vec![MODEL.to_owned()];
            comfys.push(Comfy::start(ComfyConfig { models, speed: 0.0, ..ComfyConfig::default() }).await?);
        }
        let state = tempfile::tempdir()?;
        let collector = Collector::start(config(&comfys, &state, interface)?).await?;
        let address = format!("http://{}", collector.address());
        Ok(Self { comfys, address, _collector: collector, _state: state })
    }

    /// Waits until a server was told to interrupt what it runs.
    pub(crate) async fn is_interrupted(&self) -> Result<()> {
        let told =
            self.comfys.iter().map(|comfy| comfy.wait_for(|state| state.counters.interrupts > 0).boxed());
        select_ok(told).await?;
        Ok(())
    }

    /// As somebody who has been here before: no tour, no choice of templates.
    pub(crate) async fn settle(&self) -> Result<()> {
        for comfy in &self.comfys {
            let request = reqwest::Client::new().post(format!("{}/settings", comfy.url()));
            request.json(&json!({"Comfy.TutorialCompleted": true})).send().await?.error_for_status()?;
        }
        Ok(())
    }
}

fn config(comfys: &[Comfy], state: &TempDir, interface: PathBuf) -> Result<Config> {
    let backends = comfys.iter().map(|comfy| comfy.url().parse());
    Ok(Config::load(ServeFlags {
        listen: Some(([127, 0, 0, 1], 0).into()),
        backend: backends.collect::<Result<_, _>>()?,
        interface_dir: Some(interface),
        database: DatabaseFlags {
            state_directory: Some(state.path().to_owned()),
            ..DatabaseFlags::default()
        },
        poll_interval: Some(Duration::from_millis(50)),
        ..ServeFlags::default()
    })?)
}
