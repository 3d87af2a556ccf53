//! Model files: what any backend lists can be chosen, and nothing that none lists can be reached.

use serde_json::json;
use sim::{Comfy, ComfyConfig, Generation};

use super::stage::{Stage, quick};
use super::wait::until;

async fn with(generation: Generation, checkpoints: &[&str], embeddings: &[&str]) -> Comfy {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let (checkpoints, embeddings) = (Some(texts(checkpoints)), texts(embeddings));
    Comfy::start(ComfyConfig { checkpoints, embeddings, ..quick(generation) }).await.unwrap()
}

/// A server of 0.8 and one of 2024, once both have told their files.
async fn two() -> Stage {
    let newer = with(Generation::V0_8, &["b.safetensors", "c.ckpt"], &["style.pt"]).await;
    let older = with(Generation::V2024, &["a.safetensors", "b.safetensors"], &["alt.safetensors"]).await;
    let stage = Stage::before(vec![newer, older], |_| {}).await;
    stage.all_take_jobs().await;
    until("all models are listed", async || {
        let embeddings = stage.client.get("/embeddings").await;
        (embeddings == json!(["alt", "style"])).then_some(())
    })
    .await;
    stage
}

#[tokio::test]
async fn model_folders_are_the_union_of_all_backends() {
    let stage = two().await;
    let folders = stage.client.get("/models").await;
    let recorded = ["checkpoints", "configs", "loras", "vae", "text_encoders", "diffusion_models"];
    assert_eq!(folders.as_array().unwrap()[..6], recorded.map(|folder| json!(folder)));
    let files = stage.client.get("/api/models/checkpoints").await;
    assert_eq!(files, json!(["a.safetensors", "b.safetensors", "c.ckpt"]));
    assert_eq!(stage.client.get("/models/vae").await, json!([]));
    assert_eq!(stage.client.ask("/models/nope").await.0, 404);
}

#[tokio::test]
async fn a_models_own_description_comes_from_a_backend_that_has_it() {
    let stage = two().await;
    for (name, folder) in [("a.safetensors", "checkpoints"), ("b.safetensors", "checkpoints")] {
        let told = stage.client.get(&format!("/view_metadata/{folder}?filename={name}")).await;
        assert_eq!(told, json!({"modelspec.title": name}));
    }
    for route in [
        "/view_metadata/checkpoints",
        "/view_metadata/checkpoints?filename=c.ckpt",
        "/view_metadata/checkpoints?filename=../a.safetensors",
        "/view_metadata/nope?filename=a.safetensors",
    ] {
        assert_eq!(stage.client.ask(route).await.0, 404, "{route}");
    }
    stage.comfys[1].kill().await;
    until("the model's only owner is known to be down", async || {
        let (status, _) = stage.client.ask("/view_metadata/checkpoints?filename=a.safetensors").await;
        (status == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_collector_tells_its_own_features() {
    let stage = Stage::of(Generation::V2024, 1).await;
    let told = json!({"supports_preview_metadata": true, "max_upload_size": 1 << 20});
    assert_eq!(stage.client.get("/features").await, told);
    assert_eq!(stage.client.get("/api/features").await, told);
}
