//! Jobs that load the files of earlier ones (`x.png [output]`): they run where the file is, or it is brought, and never
//! another file of that name.

use serde_json::{Value, json};
use sim::{Fault, FaultKind, Generation};

use super::client::png;
use super::prompts::{copy_of, expected, picture};
use super::stage::{BOTH, Stage, outcomes_of, takes_jobs};
use super::wait::until;

/// How a loader names a file of a history.
fn text_of(file: &Value) -> String {
    let text = |key: &str| file[key].as_str().unwrap();
    format!("{}/{} [{}]", text("subfolder"), text("filename"), text("type"))
}

/// Two backends that both have made their first picture, of seed 1 and 2: the files by backend.
async fn two_of_one_name(generation: Generation) -> (Stage, [Value; 2]) {
    let stage = Stage::of(generation, 2).await;
    stage.comfys.iter().for_each(sim::Comfy::hold);
    let ids = [stage.client.submit(&picture(1)).await, stage.client.submit(&picture(2)).await];
    for comfy in &stage.comfys {
        comfy.wait_for(|state| state.waits_at_gate).await.unwrap();
        comfy.release();
    }
    let mut files = Vec::new();
    for id in &ids {
        files.push(stage.client.succeeded(id).await["outputs"]["9"]["images"][0].clone());
    }
    files.sort_by_key(|file| file["subfolder"].to_string());
    let files = <[Value; 2]>::try_from(files).unwrap();
    assert_eq!(files[0]["filename"], files[1]["filename"]);
    (stage, files)
}

async fn seed_of(stage: &Stage, file: &Value) -> u64 {
    let picture = stage.client.view(file).await;
    (1..=2).find(|seed| picture == expected(*seed)).unwrap()
}

fn uploads(stage: &Stage) -> u64 {
    stage.comfys.iter().map(|comfy| comfy.counters().uploads).sum()
}

#[tokio::test]
async fn a_job_runs_where_the_file_is_that_it_loads() {
    for generation in BOTH {
        let (stage, files) = two_of_one_name(generation).await;
        for (file, comfy) in files.iter().zip(&stage.comfys) {
            let prompt = copy_of(&text_of(file));
            let id = stage.client.submit(&prompt).await;
            let history = stage.client.succeeded(&id).await;
            assert_eq!(stage.client.picture_in(&history).await, expected(seed_of(&stage, file).await));
            assert_eq!(outcomes_of(comfy, &id).len(), 1, "it ran on the owner");
            assert_eq!(history["prompt"][2], prompt, "the client sees what it sent");
            let ran = comfy.state().runs.last().unwrap().prompt.clone();
            assert_eq!(ran["1"]["inputs"]["image"], "t_00001_.png [output]", "the backend, what it has");
        }
        assert_eq!(uploads(&stage), 0);
    }
}

#[tokio::test]
async fn a_file_is_brought_to_the_backend_that_is_free_and_replaces_none_there() {
    for generation in BOTH {
        let (stage, [first, second]) = two_of_one_name(generation).await;
        let before = stage.client.view(&second).await;
        stage.comfys[0].hold();
        // Its models are on both, so it takes the first.
        let busy = stage.client.submit(&picture(5)).await;
        stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
        let id = stage.client.submit(&copy_of(&text_of(&first))).await;
        let history = stage.client.succeeded(&id).await;
        assert_eq!(outcomes_of(&stage.comfys[1], &id).len(), 1);
        assert_eq!(stage.client.picture_in(&history).await, stage.client.view(&first).await);
        assert_eq!(uploads(&stage), 1);
        assert_eq!(stage.client.view(&second).await, before, "its own file of that name is as it was");
        stage.comfys[0].release();
        stage.client.succeeded(&busy).await;
    }
}

#[tokio::test]
async fn a_job_may_load_files_of_one_name_from_two_backends() {
    let (stage, files) = two_of_one_name(Generation::V0_8).await;
    let mut prompt = copy_of(&text_of(&files[0]));
    prompt["2"] = json!({"class_type": "LoadImage", "inputs": {"image": text_of(&files[1])}});
    prompt["8"] =
        json!({"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "other"}});
    let id = stage.client.submit(&prompt).await;
    let outputs = stage.client.succeeded(&id).await["outputs"].clone();
    for (node, file) in [("9", &files[0]), ("8", &files[1])] {
        let made = stage.client.view(&outputs[node]["images"][0]).await;
        assert_eq!(made, stage.client.view(file).await, "node {node}");
    }
}

#[tokio::test]
async fn a_job_waits_while_the_owner_of_its_file_is_down_and_says_so() {
    let (stage, [_, second]) = two_of_one_name(Generation::V0_8).await;
    let picture = stage.client.view(&second).await;
    stage.comfys[1].kill().await;
    takes_jobs(&stage.client, "b", false).await;
    let id = stage.client.submit(&copy_of(&text_of(&second))).await;
    until("the job says why it waits", async || {
        let why = stage.client.job(&id).await["why_waiting"]["a"].as_str()?.to_owned();
        (why == "lacks t_00001_.png [output], which is with b, and that is down").then_some(())
    })
    .await;
    stage.comfys[1].restart().await.unwrap();
    let history = stage.client.succeeded(&id).await;
    assert_eq!(stage.client.picture_in(&history).await, picture);
}

#[tokio::test]
async fn a_name_without_its_backend_loads_the_one_file_that_it_can_mean_or_none() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    let id = stage.client.submit(&picture(1)).await;
    let file = stage.client.succeeded(&id).await["outputs"]["9"]["images"][0].clone();
    let bare = copy_of("t_00001_.png [output]");
    let id = stage.client.submit(&bare).await;
    let history = stage.client.succeeded(&id).await;
    assert_eq!(stage.client.picture_in(&history).await, stage.client.view(&file).await);
    let (stage, _) = two_of_one_name(Generation::V0_8).await;
    for name in ["t_00001_.png [output]", "nobody.png [output]", "folder/t_00001_.png [temp]"] {
        let body = stage.client.body(&copy_of(name), json!({}));
        let (status, refusal) = stage.client.post("/prompt", &body).await;
        assert_eq!((status, &refusal["error"]["type"]), (400, &json!("prompt_outputs_failed_validation")));
        assert!(refusal["error"]["details"].as_str().unwrap().contains(name), "{refusal}");
    }
}

#[tokio::test]
async fn a_file_that_its_owner_no_longer_has_fails_the_job_with_a_reason() {
    let (stage, [first, _]) = two_of_one_name(Generation::V0_8).await;
    stage.comfys[0].hold();
    let busy = stage.client.submit(&picture(5)).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    stage.comfys[0].fail(Fault::once("/view", FaultKind::Status(404)));
    let id = stage.client.submit(&copy_of(&text_of(&first))).await;
    let status = stage.client.ended(&id).await["status"].to_string();
    assert!(status.contains("the file t_00001_.png [output] is no longer with its backend a"), "{status}");
    stage.comfys[0].release();
    stage.client.succeeded(&busy).await;
}

#[tokio::test]
async fn an_upload_of_another_type_is_loaded_under_that_type() {
    for generation in BOTH {
        let stage = Stage::of(generation, 2).await;
        for (kind, seed) in [("output", 3), ("temp", 4)] {
            let more = [("type", kind), ("subfolder", "deep")];
            assert_eq!(stage.client.upload("up.png", png(seed), &more).await.0, 200);
            let id = stage.client.submit(&copy_of(&format!("deep/up.png [{kind}]"))).await;
            let history = stage.client.succeeded(&id).await;
            assert_eq!(stage.client.picture_in(&history).await, sim::picture::sampled(seed, 6, 5), "{kind}");
        }
    }
}
