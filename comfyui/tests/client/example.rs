//! The example does what it says, with servers of both generations.

use std::path::PathBuf;

use comfyui::Client;
use serde_json::json;
use sim::{Comfy, ComfyConfig, Generation};

#[allow(dead_code, reason = "the example's main reads the command line")]
#[path = "../../examples/run_prompt.rs"]
mod run_prompt;

async fn server(generation: Generation) -> (Comfy, Client) {
    let comfy = Comfy::start(ComfyConfig { generation, speed: 0.0, ..ComfyConfig::default() }).await.unwrap();
    let client = Client::new(&comfy.url().parse().unwrap()).unwrap();
    (comfy, client)
}

fn painting(steps: u64) -> serde_json::Value {
    json!({
        "1": {"class_type": "SimLoader", "inputs": {"ckpt_name": "sd15.safetensors", "load_seconds": 0.1, "size_mb": 1}},
        "2": {"class_type": "SimSampler", "inputs": {
            "model": ["1", 0], "seed": 1, "steps": steps, "step_seconds": 0.1, "width": 64, "height": 64, "preview": true,
        }},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "job"}},
    })
}

#[tokio::test]
async fn a_prompt_is_run_and_its_pictures_saved() {
    for generation in [Generation::V0_8, Generation::V2024] {
        let (comfy, client) = server(generation).await;
        let folder = tempfile::tempdir().unwrap();
        let saved = run_prompt::run(&client, painting(2).to_string(), folder.path()).await.unwrap();
        let names: Vec<PathBuf> =
            saved.iter().map(|path| path.strip_prefix(folder.path()).unwrap().into()).collect();
        assert_eq!(names, [PathBuf::from("job_00001_.png")]);
        let made = comfy.file("job_00001_.png [output]").unwrap();
        assert!(made == std::fs::read(&saved[0]).unwrap());
    }
}

#[tokio::test]
async fn a_prompt_that_fails_is_told_with_the_servers_words() {
    for generation in [Generation::V0_8, Generation::V2024] {
        let (_comfy, client) = server(generation).await;
        let folder = tempfile::tempdir().unwrap();
        let mut failing = painting(1);
        failing["5"] = json!({"class_type": "SimFail", "inputs": {"image": ["2", 0], "kind": "value"}});
        failing["9"]["inputs"]["images"] = json!(["5", 0]);
        let error = run_prompt::run(&client, failing.to_string(), folder.path()).await.unwrap_err();
        assert!(error.to_string().contains("this node always fails"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
