//! `/api/jobs`: what waits, runs and ran in one list, and cancelling in it, as ComfyUI has them.

use std::time::Duration;

use serde_json::{Value, json};
use sim::{Generation, Outcome};

use super::client::Client;
use super::prompts::{failing, picture};
use super::stage::{BOTH, Stage, comfy, outcomes_of};
use super::wait::until;

const UNKNOWN: &str = "0a0a0a0a-1111-4222-8333-444444444444";

fn keys(document: &Value) -> Vec<&str> {
    document.as_object().unwrap().keys().map(String::as_str).collect()
}

fn ids(page: &Value) -> Vec<String> {
    page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

async fn has_status(client: &Client, id: &str, status: &str) -> Value {
    let ask = async || {
        let (_, job) = client.ask(&format!("/api/jobs/{id}")).await;
        (job["status"] == status).then_some(job)
    };
    until(&format!("job {id} is {status}"), ask).await
}

#[tokio::test]
async fn an_empty_list_and_an_unknown_job_answer_as_comfyui_does() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let empty = json!({"offset": 0, "limit": null, "total": 0, "has_more": false});
    assert_eq!(stage.client.get("/api/jobs").await, json!({"jobs": [], "pagination": empty}));
    for unknown in [UNKNOWN, "no-such"] {
        let answer = stage.client.ask(&format!("/api/jobs/{unknown}")).await;
        assert_eq!(answer, (404, json!({"error": "Job not found"})));
    }
    let (status, refusal) = stage.client.ask("/api/jobs?status=completed,done").await;
    let told =
        "Invalid status value(s): done. Valid values: pending, in_progress, completed, failed, cancelled";
    assert_eq!((status, refusal), (400, json!({"error": told})));
    assert_eq!(stage.client.ask("/jobs").await.0, 404, "only under /api");
}

#[tokio::test]
async fn jobs_of_every_status_are_listed_newest_first_with_what_is_known_of_each() {
    for generation in BOTH {
        let stage = Stage::of(generation, 1).await;
        let saved = json!({"extra_data": {"extra_pnginfo": {"workflow": {"id": "w"}}, "api_key_comfy_org": "secret"}});
        let good = stage.client.submit_with(&picture(1), saved).await;
        stage.client.succeeded(&good).await;
        let bad = stage.client.submit(&failing("value")).await;
        stage.client.ended(&bad).await;
        stage.comfys[0].hold();
        let running = stage.client.submit(&picture(2)).await;
        stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
        let waiting = stage.client.submit_with(&picture(3), json!({"number": 7.5})).await;
        let page = stage.client.get("/api/jobs").await;
        assert_eq!(ids(&page), [&waiting, &running, &bad, &good].map(String::clone));
        let [pending, in_progress, failed, completed] = page["jobs"].as_array().unwrap().as_slice() else {
            panic!("{page}")
        };
        let begun = ["id", "status", "priority", "create_time", "outputs_count", "previewable_outputs_count"];
        assert_eq!(keys(pending), begun);
        assert_eq!((&pending["status"], &pending["priority"]), (&json!("pending"), &json!(7.5)));
        assert_eq!((keys(in_progress), &in_progress["status"]), (begun.to_vec(), &json!("in_progress")));
        assert_eq!((&failed["status"], &failed["outputs_count"]), (&json!("failed"), &json!(0)));
        assert_eq!(failed["execution_error"]["exception_type"], "ValueError");
        assert_eq!((&completed["status"], &completed["workflow_id"]), (&json!("completed"), &json!("w")));
        let history = stage.client.history_of(&good).await.unwrap();
        let mut preview = history["outputs"]["9"]["images"][0].clone();
        preview["nodeId"] = json!("9");
        preview["mediaType"] = json!("images");
        assert_eq!(completed["preview_output"], preview, "viewable as it stands");
        assert!(stage.client.view(&preview).await.width() > 0);
        let detail = stage.client.get(&format!("/api/jobs/{good}")).await;
        assert_eq!(detail["outputs"], history["outputs"]);
        assert_eq!(detail["execution_status"], history["status"]);
        let workflow = json!({"prompt": history["prompt"][2], "extra_data": history["prompt"][3]});
        assert_eq!(detail["workflow"], workflow);
        assert!(!detail.to_string().contains("secret"));
        let detail = stage.client.get(&format!("/api/jobs/{running}")).await;
        assert_eq!(
            (keys(&detail)[6..].to_vec(), &detail["workflow"]["prompt"]),
            (vec!["workflow"], &picture(2))
        );
        stage.comfys[0].release();
        stage.client.succeeded(&waiting).await;
    }
}

#[tokio::test]
async fn times_of_the_execution_are_those_that_the_backend_told() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let id = stage.client.submit(&picture(1)).await;
    let history = stage.client.succeeded(&id).await;
    let job = stage.client.get("/api/jobs").await["jobs"][0].clone();
    let messages = history["status"]["messages"].as_array().unwrap();
    assert_eq!(job["execution_start_time"], messages[0][1]["timestamp"]);
    assert_eq!(job["execution_end_time"], messages.last().unwrap()[1]["timestamp"]);
    assert_eq!(job["create_time"], history["prompt"][3]["create_time"]);
    assert_eq!(
        keys(&job),
        [
            "id",
            "status",
            "priority",
            "create_time",
            "execution_start_time",
            "execution_end_time",
            "outputs_count",
            "previewable_outputs_count",
            "preview_output",
        ]
    );
}

#[tokio::test]
async fn pages_and_filters_are_those_that_the_web_interface_asks_for() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let mut jobs = Vec::new();
    for seed in 0..3 {
        let id = stage.client.submit(&picture(seed)).await;
        stage.client.succeeded(&id).await;
        jobs.push(id);
    }
    let ended = "/api/jobs?status=completed,failed,cancelled";
    let page = stage.client.get(&format!("{ended}&limit=2&offset=0")).await;
    assert_eq!(ids(&page), [jobs[2].clone(), jobs[1].clone()]);
    assert_eq!(page["pagination"], json!({"offset": 0, "limit": 2, "total": 3, "has_more": true}));
    let page = stage.client.get(&format!("{ended}&limit=2&offset=2")).await;
    assert_eq!((ids(&page), &page["pagination"]["has_more"]), (jobs[..1].to_vec(), &json!(false)));
    let page = stage.client.get("/api/jobs?status=in_progress,pending&limit=200&offset=0").await;
    assert_eq!((ids(&page).len(), &page["pagination"]["total"]), (0, &json!(0)));
    let page = stage.client.get(&format!("{ended}&sort_order=asc&sort_by=created_at")).await;
    assert_eq!(ids(&page), jobs);
    assert_eq!(ids(&stage.client.get("/api/jobs?workflow_id=none").await).len(), 0);
}

#[tokio::test]
async fn a_job_is_cancelled_wherever_it_is_and_once_more_is_no_error() {
    for generation in BOTH {
        let stage = Stage::of(generation, 1).await;
        stage.comfys[0].hold();
        let running = stage.client.submit(&picture(1)).await;
        stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
        let waiting = stage.client.submit(&picture(2)).await;
        let cancel = async |id: &str| stage.client.post(&format!("/api/jobs/{id}/cancel"), &json!({})).await;
        assert_eq!(cancel(&waiting).await, (200, json!({"cancelled": true})));
        assert_eq!(stage.client.queue().await, (vec![running.clone()], vec![]));
        assert_eq!(cancel(&waiting).await, (200, json!({"cancelled": false})));
        assert_eq!(stage.client.ask(&format!("/api/jobs/{waiting}")).await.0, 404, "it left no trace");
        assert_eq!(cancel(&running).await, (200, json!({"cancelled": true})));
        stage.comfys[0].wait_for(|state| state.counters.interrupts == 1).await.unwrap();
        stage.comfys[0].release();
        has_status(&stage.client, &running, "cancelled").await;
        assert_eq!(outcomes_of(&stage.comfys[0], &running), [Outcome::Interrupted]);
        for over in [running.as_str(), UNKNOWN, "nonsense"] {
            assert_eq!(cancel(over).await, (200, json!({"cancelled": false})));
        }
        assert_eq!(stage.runs_of(&waiting), 0);
    }
}

#[tokio::test]
async fn a_job_that_waits_on_its_backend_behind_somebody_elses_is_cancelled_there() {
    for generation in BOTH {
        // So seldom polled that what somebody else submits is not noticed.
        let interval = Duration::from_secs(60);
        let stage =
            Stage::before(vec![comfy(generation).await], |config| config.poll_interval = interval).await;
        stage.all_take_jobs().await;
        let server = &stage.comfys[0];
        server.hold();
        let theirs = Client::new(&server.url(), "somebody else").submit(&picture(1)).await;
        server.wait_for(|state| state.waits_at_gate).await.unwrap();
        let id = stage.client.submit(&picture(7)).await;
        server.wait_for(|state| state.pending.len() == 1).await.unwrap();
        has_status(&stage.client, &id, "in_progress").await;
        let cancelled = stage.client.post(&format!("/api/jobs/{id}/cancel"), &json!({})).await;
        assert_eq!(cancelled, (200, json!({"cancelled": true})));
        let is_gone = async || (stage.client.ask(&format!("/api/jobs/{id}")).await.0 == 404).then_some(());
        until("the job is gone", is_gone).await;
        server.release();
        server.wait_for(|state| state.counters.executed == 1).await.unwrap();
        assert_eq!(server.state().outcome(&theirs), Some(Outcome::Succeeded));
        assert_eq!((stage.runs_of(&id), server.counters().interrupts), (0, 0));
    }
}

#[tokio::test]
async fn many_jobs_are_cancelled_at_once_and_what_is_no_list_of_ids_is_refused() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    stage.comfys[0].hold();
    let mut jobs = Vec::new();
    for seed in 0..4 {
        jobs.push(stage.client.submit(&picture(seed)).await);
    }
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    let cancel = async |body: Value| stage.client.post("/api/jobs/cancel", &body).await;
    for (body, told) in [
        (json!({}), json!({"error": "job_ids must be a list"})),
        (json!([[]]), json!({"error": "job_ids must be a list"})),
        (json!({"job_ids": jobs[0]}), json!({"error": "job_ids must be a list"})),
        (
            json!({"job_ids": [jobs[0], "x", 7]}),
            json!({"error": "job_ids contains invalid id(s)", "invalid_ids": ["x", "7"]}),
        ),
    ] {
        assert_eq!(cancel(body).await, (400, told));
    }
    let (status, told) = stage.client.post_text("/api/jobs/cancel", "{").await;
    assert_eq!((status, told), (400, json!({"error": "Request body must be valid JSON"})));
    assert_eq!(stage.client.queue().await.1.len(), 3, "a bad list stops nothing");
    assert_eq!(
        cancel(json!({"job_ids": [jobs[1], UNKNOWN, jobs[2]]})).await,
        (200, json!({"cancelled": true}))
    );
    assert_eq!(stage.client.queue().await, (jobs[..1].to_vec(), jobs[3..].to_vec()));
    assert_eq!(cancel(json!({"job_ids": [jobs[1], UNKNOWN]})).await, (200, json!({"cancelled": false})));
    assert_eq!(cancel(json!({"job_ids": []})).await, (200, json!({"cancelled": false})));
    stage.comfys[0].release();
    stage.client.succeeded(&jobs[3]).await;
}
