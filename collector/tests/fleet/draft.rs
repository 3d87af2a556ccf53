//! What a document needs and where it could run, before it is a job; and what a job was submitted with, afterwards.

use reqwest::Method;
use serde_json::{Value, json};
use sim::{Comfy, ComfyConfig, Generation};

use super::client::answer;
use super::prompts::{MODEL, STEPS, picture, picture_of};
use super::stage::{Stage, quick};

const INSPECT: &str = "/orchestrator/v1/inspect";
const JOBS: &str = "/orchestrator/v1/jobs";

async fn two_of_which_one_has_the_model() -> Stage {
    let models = |models: &[&str]| models.iter().map(|model| (*model).to_owned()).collect();
    let server = async |names: &[&str]| {
        Comfy::start(ComfyConfig { models: models(names), ..quick(Generation::V0_8) }).await.unwrap()
    };
    let stage =
        Stage::before(vec![server(&[MODEL]).await, server(&["other.safetensors"]).await], |_| {}).await;
    stage.all_take_jobs().await;
    stage
}

#[tokio::test]
async fn a_prompt_is_inspected_and_nothing_is_kept_of_it() {
    let stage = two_of_which_one_has_the_model().await;
    let seed = u64::MAX;
    let (status, told) = stage.client.post(INSPECT, &json!({"prompt": picture(seed)})).await;
    assert_eq!(status, 200, "{told}");
    let prompt: Value = serde_json::from_str(told["prompt"].as_str().unwrap()).unwrap();
    assert_eq!((&prompt, told.get("problem"), told.get("workflow")), (&picture(seed), None, None));
    assert_eq!(told["needs"]["models"], json!([MODEL]));
    assert_eq!(told["needs"]["work"]["steps"], json!(STEPS));
    let verdict =
        |at: usize| (told["backends"][at]["can_run"].clone(), told["backends"][at]["verdict"].clone());
    assert_eq!(verdict(0).0, json!(true));
    assert!(told["backends"][0]["completion_seconds"].as_f64() > Some(0.0));
    assert_eq!(verdict(1), (json!(false), json!(format!("lacks model file {MODEL} (ckpt_name of node 1)"))));
    let seeds: Vec<&Value> =
        told["inputs"].as_array().unwrap().iter().filter(|input| input["kind"] == "seed").collect();
    assert_eq!((seeds.len(), &seeds[0]["value"]), (1, &json!(seed.to_string())), "no digit is lost");
    assert_eq!(stage.client.get(JOBS).await["jobs"], json!([]));
}

#[tokio::test]
async fn why_a_prompt_would_be_refused_is_told_beside_what_it_needs() {
    let stage = two_of_which_one_has_the_model().await;
    let (status, told) =
        stage.client.post(INSPECT, &json!({"prompt": picture_of("none.safetensors", 1)})).await;
    assert_eq!(
        (status, &told["problem"]["error"]["type"]),
        (200, &json!("prompt_outputs_failed_validation"))
    );
    assert_eq!(told["problem"]["node_errors"]["1"]["class_type"], "SimLoader");
    assert_eq!(told["needs"]["models"], json!(["none.safetensors"]));
    assert!(told["backends"].as_array().unwrap().iter().all(|backend| backend["can_run"] == false));
    for (body, kind) in [
        (json!({}), "no_prompt"),
        (json!({"prompt": 7}), "invalid_json"),
        (json!({"workflow": {"nodes": 3}}), "invalid_workflow"),
    ] {
        assert_eq!(stage.client.post(INSPECT, &body).await.1["error"]["type"], kind, "{body}");
    }
}

#[tokio::test]
async fn inputs_are_changed_on_the_way_and_the_workflow_that_no_longer_fits_is_left_out() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let seed = u64::MAX.to_string();
    let workflow = json!({"id": "w", "nodes": []});
    let body = json!({
        "prompt": picture(1), "client_id": "me", "set": {"2.seed": seed, "SimSampler.width": "24"},
        "extra_data": {"extra_pnginfo": {"workflow": workflow}},
    });
    let (status, answer) = stage.client.post(JOBS, &body).await;
    assert_eq!(status, 201, "{answer}");
    let history = stage.client.succeeded(answer["id"].as_str().unwrap()).await;
    let inputs = &history["prompt"][2]["2"]["inputs"];
    assert_eq!((&inputs["seed"], &inputs["width"]), (&json!(u64::MAX), &json!(24)));
    assert_eq!(history["prompt"][3]["extra_pnginfo"], json!({}));
    for (set, words) in [
        (json!({"2.sed": "1"}), "has no input"),
        (json!({"2.seed": "one"}), "is no whole number"),
        (json!({"77.seed": "1"}), "no node has the id"),
    ] {
        let (status, refusal) = stage.client.post(JOBS, &json!({"prompt": picture(1), "set": set})).await;
        let message = refusal["error"]["message"].as_str().unwrap();
        assert!(status == 400 && message.contains(words), "{status} {message}");
    }
}

#[tokio::test]
async fn what_a_job_was_submitted_with_can_be_had_as_files() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let workflow = json!({"id": "w", "nodes": [], "seed": u64::MAX});
    let extra = json!({"extra_data": {"extra_pnginfo": {"workflow": workflow}}});
    let with = stage.client.submit_with(&picture(1), extra).await;
    let without = stage.client.submit(&picture(2)).await;
    let file = async |id: &str, what: &str| {
        let request = stage.client.request(Method::GET, &format!("{JOBS}/{id}/{what}"));
        let sent = request.try_clone().unwrap().send().await.unwrap();
        let disposition =
            sent.headers().get("content-disposition").map(|value| value.to_str().unwrap().to_owned());
        (answer(request).await, disposition)
    };
    let ((status, document), disposition) = file(&with, "workflow").await;
    assert_eq!((status, document), (200, workflow));
    assert_eq!(disposition, Some(format!("attachment; filename=\"workflow-{with}.json\"")));
    assert_eq!(file(&with, "prompt").await.0, (200, picture(1)));
    let ((status, refusal), _) = file(&without, "workflow").await;
    assert!(status == 404 && refusal["error"]["message"].as_str().unwrap().contains("without a workflow"));
    for id in [&with, &without] {
        stage.client.succeeded(id).await;
    }
    let record = |id: &'_ str| format!("{JOBS}/{id}");
    assert_eq!(stage.client.get(&record(&with)).await["has_workflow"], true);
    assert_eq!(stage.client.get(&record(&without)).await["has_workflow"], false);
    assert_eq!(file("0a0a0a0a-1111-4222-8333-444444444444", "prompt").await.0.0, 404);
}
