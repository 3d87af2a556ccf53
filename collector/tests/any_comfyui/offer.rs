//! What a server offers, and what it therefore refuses.

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde_json::json;

use crate::place::Place;
use crate::prompts::Diffusion;

pub(crate) async fn prompts_that_cannot_run_are_refused(place: &Place) -> Result<()> {
    let mut unknown_model = Diffusion::default().prompt();
    unknown_model["1"]["inputs"]["ckpt_name"] = json!("no-such-model.safetensors");
    let (status, answer) = place.client.post("/prompt", &json!({"prompt": unknown_model})).await?;
    ensure!(status == StatusCode::BAD_REQUEST, "{status}: {answer}");
    ensure!(answer["error"]["type"] == "prompt_outputs_failed_validation", "{answer}");
    ensure!(answer["node_errors"]["1"]["errors"][0]["type"] == "value_not_in_list", "{answer}");

    for nothing in [json!({"prompt": {}}), json!({})] {
        let (status, answer) = place.client.post("/prompt", &nothing).await?;
        ensure!(status == StatusCode::BAD_REQUEST, "{nothing}: {status}: {answer}");
    }
    Ok(())
}

pub(crate) async fn the_nodes_and_the_devices_are_told(place: &Place) -> Result<()> {
    for path in ["/object_info", "/object_info/SimLoader"] {
        let nodes = place.client.get(path).await?;
        let models = &nodes["SimLoader"]["input"]["required"]["ckpt_name"][0];
        ensure!(
            models.as_array().is_some_and(|models| models.contains(&json!("flux.safetensors"))),
            "{path}"
        );
    }
    let stats = place.client.get("/system_stats").await?;
    let devices = stats["devices"].as_array().context("no devices")?;
    ensure!(devices.len() == place.lanes, "{devices:?}");
    ensure!(devices.iter().all(|device| device["vram_total"].as_u64().is_some_and(|total| total > 0)));
    Ok(())
}
