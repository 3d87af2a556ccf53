//! When memory is freed, what came of it by the agents' figures, and where jobs that failed for want of it go.

use std::time::Duration;

use collector::config::Freeing;
use serde_json::{Value, json};
use sim::{Comfy, ComfyConfig, Fault, FaultKind, Figures, Generation, Outcome};

use super::machines::{Machines, mib, with_gpu};
use super::prompts::{failing, picture, picture_of};
use super::socket::{Frame, Socket};
use super::stage::{BOTH, Stage, outcomes_of, quick, takes_jobs};
use super::wait::until;

/// Nothing but what is switched on here.
const OFF: Freeing = Freeing {
    after_idle: None,
    for_others: None,
    below_host_memory: None,
    after_out_of_memory: false,
    before_jobs: false,
};
const AFTER_OOM: Freeing = Freeing { after_out_of_memory: true, ..OFF };

async fn counted(stage: &Stage, reason: &str, outcome: &str, times: f64) {
    let series = format!("orchestrator_collector_frees_total{{outcome=\"{outcome}\",reason=\"{reason}\"}}");
    until(&format!("{series} {times}"), async || stage.client.metric(&series).await.filter(|n| *n == times))
        .await;
}

/// Runs a job on the only backend, and waits until its agent shows what it has loaded.
async fn loaded(machines: &Machines, seed: u64) {
    let id = machines.stage.client.submit(&picture(seed)).await;
    machines.stage.client.succeeded(&id).await;
    let shows = |backend: &Value| backend["machine"]["gpus"][0]["comfyui_bytes"]["bytes"] == mib(4512);
    machines.shows("a", "the model in its GPU's memory", shows).await;
}

/// The newest free of a backend, once it has an outcome.
async fn free_of(machines: &Machines, name: &str, reason: &str) -> Value {
    let is_over = |backend: &Value| {
        let free = &backend["frees"][0];
        free["reason"] == reason && free["outcome"] != "pending"
    };
    machines.shows(name, &format!("what came of {reason}"), is_over).await["frees"][0].clone()
}

#[tokio::test]
async fn what_an_idle_backend_frees_is_read_off_its_agents_figures() {
    let after_idle = Some(Duration::from_millis(500));
    let machines = Machines::of(&[24], |config| config.freeing = Freeing { after_idle, ..OFF }).await;
    loaded(&machines, 1).await;
    let free = free_of(&machines, "a", "idle").await;
    assert_eq!((&free["outcome"], &free["freed_bytes"]), (&json!("freed"), &mib(4000)), "{free}");
    assert_eq!(
        (&free["vram_before"]["used_bytes"], &free["vram_after"]["used_bytes"]),
        (&mib(4512), &mib(512))
    );
    assert_eq!(machines.backend("a").await["models"], json!([]));
    counted(&machines.stage, "idle", "freed", 1.0).await;
    let bytes = "orchestrator_collector_freed_bytes_total{reason=\"idle\"}";
    assert_eq!(machines.stage.client.metric(bytes).await, Some(4_194_304_000.0));
    assert_eq!(machines.stage.comfys[0].counters().frees, 1);
}

#[tokio::test]
async fn a_backend_that_does_not_free_its_memory_is_told_of_and_tried_more_seldom() {
    let machines = Machines::of(&[24], |config| config.freeing = OFF).await;
    let comfy = &machines.stage.comfys[0];
    comfy.keep_memory(true);
    loaded(&machines, 1).await;
    for times in 1..3 {
        let wish = json!({"unload_models": true, "free_memory": true});
        let (status, freed) = machines.stage.client.post("/orchestrator/v1/backends/a/free", &wish).await;
        assert_eq!((status, &freed["outcome"]), (202, &json!("not_freed")), "{freed}");
        assert_eq!((&freed["proved"], &freed["freed_bytes"]), (&json!(false), &json!(0)));
        counted(&machines.stage, "asked", "not_freed", f64::from(times)).await;
    }
    let backend = machines.backend("a").await;
    assert_eq!(backend["not_freed"]["times_in_a_row"], 2);
    assert!(backend["not_freed"]["next_at"].as_u64() > backend["frees"][0]["at"].as_u64());
    let gauge = "orchestrator_collector_backend_frees_failed{backend=\"a\"}";
    assert_eq!(machines.stage.client.metric(gauge).await, Some(2.0));
    comfy.keep_memory(false);
    let wish = json!({"unload_models": true});
    let (status, freed) = machines.stage.client.post("/orchestrator/v1/backends/a/free", &wish).await;
    assert_eq!((status, &freed["outcome"]), (200, &json!("freed")), "{freed}");
    assert_eq!(machines.backend("a").await["not_freed"], Value::Null);
}

#[tokio::test]
async fn memory_is_freed_for_other_programs_that_want_the_gpu() {
    let freeing = Freeing { for_others: Some(0.4), ..OFF };
    let machines = Machines::of(&[10], |config| config.freeing = freeing).await;
    loaded(&machines, 1).await;
    machines.stage.comfys[0].occupy(3000);
    let shows = |backend: &Value| backend["machine"]["gpus"][0]["others_bytes"]["bytes"] == mib(3000);
    machines.shows("a", "what others hold", shows).await;
    assert_eq!(machines.backend("a").await["frees"], json!([]), "they hold too little");
    machines.stage.comfys[0].occupy(4200);
    assert_eq!(free_of(&machines, "a", "others").await["outcome"], "freed");
    assert_eq!(machines.stage.comfys[0].state().loaded_mb, 0);
}

#[tokio::test]
async fn memory_is_freed_when_the_host_runs_short() {
    let freeing = Freeing { below_host_memory: Some(0.05), ..OFF };
    let machines = Machines::of(&[24], |config| config.freeing = freeing).await;
    loaded(&machines, 1).await;
    machines.agents[0].set(Figures { ram_used_bytes: Some(62 << 30), ..Figures::default() });
    assert_eq!(free_of(&machines, "a", "host_memory").await["outcome"], "freed");
}

#[tokio::test]
async fn what_runs_when_a_free_is_asked_for_comes_first() {
    let machines = Machines::of(&[24], |config| config.freeing = OFF).await;
    let (stage, comfy) = (&machines.stage, &machines.stage.comfys[0]);
    loaded(&machines, 1).await;
    comfy.hold();
    let first = stage.client.submit(&picture(2)).await;
    comfy.wait_for(|state| state.waits_at_gate).await.unwrap();
    let everything = json!({"unload_models": true, "free_memory": true});
    assert_eq!(stage.client.post("/free", &everything).await.0, 200);
    machines.shows("a", "that it waits", |backend| backend["frees"][0]["outcome"] == "pending").await;
    comfy.release();
    stage.client.succeeded(&first).await;
    assert_eq!(free_of(&machines, "a", "asked").await["outcome"], "freed");
}

/// The kinds of frames that tell of a job's begin and end.
fn course(frames: &[Frame]) -> Vec<&str> {
    let tells = |kind: &&str| kind.starts_with("execution_") && *kind != "execution_cached";
    frames.iter().map(Frame::kind).filter(tells).collect()
}

async fn endings(stage: &Stage, id: &str) -> Vec<String> {
    let job = stage.client.job(id).await;
    let attempts = job["attempts"].as_array().unwrap().iter();
    attempts.map(|attempt| attempt["ending"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn a_job_that_runs_out_of_memory_is_tried_once_more_when_that_is_freed_and_its_client_sees_one_run() {
    for generation in BOTH {
        let comfy = Comfy::start(sim::ComfyConfig { generation, ..with_gpu(24) }).await.unwrap();
        let machines = Machines::beside(vec![comfy], true, |config| config.freeing = AFTER_OOM).await;
        let (stage, comfy) = (&machines.stage, &machines.stage.comfys[0]);
        loaded(&machines, 1).await;
        comfy.run_out_of_memory(1);
        let mut socket = Socket::open(&stage.client).await;
        let id = stage.client.submit(&picture(7)).await;
        let frames = socket.until_end_of(&id).await;
        assert_eq!(course(&frames), ["execution_start", "execution_success"], "{frames:?}");
        assert_eq!(frames.iter().filter(|frame| frame.kind() == "executed").count(), 1);
        stage.client.succeeded(&id).await;
        assert_eq!(outcomes_of(comfy, &id), [Outcome::Failed, Outcome::Succeeded]);
        assert_eq!(comfy.counters().frees, 1);
        assert!(
            endings(stage, &id).await[0].contains("ran out of memory"),
            "{:?}",
            endings(stage, &id).await
        );
        let requeued = "orchestrator_collector_requeues_total{reason=\"out_of_memory\"}";
        assert_eq!(stage.client.metric(requeued).await, Some(1.0));
        let free = free_of(&machines, "a", "out_of_memory").await;
        assert_eq!(free["outcome"], "freed", "{free}");
    }
}

#[tokio::test]
async fn a_job_that_runs_out_of_memory_twice_fails_with_the_exception_and_the_next_one_is_tried_once() {
    let machines = Machines::of(&[24], |config| config.freeing = AFTER_OOM).await;
    let (stage, comfy) = (&machines.stage, &machines.stage.comfys[0]);
    let mut socket = Socket::open(&stage.client).await;
    let id = stage.client.submit(&failing("oom")).await;
    let frames = socket.until_end_of(&id).await;
    assert_eq!(course(&frames), ["execution_start", "execution_error"], "{frames:?}");
    let messages = stage.client.ended(&id).await["status"]["messages"].clone();
    let (kind, error) =
        (&messages.as_array().unwrap().last().unwrap()[0], &messages.as_array().unwrap().last().unwrap()[1]);
    assert_eq!(
        (kind, &error["exception_type"]),
        (&json!("execution_error"), &json!("torch.OutOfMemoryError"))
    );
    assert_eq!(outcomes_of(comfy, &id), [Outcome::Failed; 2]);
    let next = stage.client.submit(&failing("oom")).await;
    stage.client.ended(&next).await;
    assert_eq!(
        outcomes_of(comfy, &next),
        [Outcome::Failed],
        "it is too big for all, so it is tried and not retried"
    );
    let other = stage.client.submit(&failing("value")).await;
    stage.client.ended(&other).await;
    assert_eq!(outcomes_of(comfy, &other), [Outcome::Failed], "any other exception is the job's own");
}

#[tokio::test]
async fn a_job_that_is_too_big_goes_to_a_bigger_gpu_and_waits_for_it() {
    let machines = Machines::of(&[24, 80], |config| config.freeing = AFTER_OOM).await;
    let (stage, [small, large]) = (&machines.stage, machines.stage.comfys.as_slice()) else { panic!() };
    let asking = |name: &str| json!({"extra_data": {"orchestrator": {"backend": name}}});
    for name in ["a", "b"] {
        let known = |backend: &Value| backend["machine"]["gpus"][0]["comfyui_bytes"].is_object();
        machines.shows(name, "its GPU", known).await;
    }
    small.run_out_of_memory(100);
    let first = stage.client.submit(&picture(1)).await;
    stage.client.succeeded(&first).await;
    assert_eq!(
        (outcomes_of(small, &first), outcomes_of(large, &first)),
        (vec![Outcome::Failed], vec![Outcome::Succeeded])
    );
    let pinned = stage.client.submit_with(&picture(2), asking("a")).await;
    assert_eq!(stage.client.ended(&pinned).await["status"]["status_str"], "error");
    assert_eq!(outcomes_of(small, &pinned), [Outcome::Failed], "it is too big where it has to run");
    large.hold();
    let busy = stage.client.submit_with(&picture(3), asking("b")).await;
    large.wait_for(|state| state.waits_at_gate).await.unwrap();
    let waits = stage.client.submit(&picture(4)).await;
    // Until what is there has been freed, it waits for that.
    let told = "is too big: such a job has run out of memory on Simulated 24 GB with 24.0 GiB";
    let said = async || (stage.client.job(&waits).await["why_waiting"]["a"] == told).then_some(());
    until("it is told why it waits", said).await;
    large.release();
    stage.client.succeeded(&busy).await;
    stage.client.succeeded(&waits).await;
    assert_eq!(outcomes_of(large, &waits), [Outcome::Succeeded]);
}

#[tokio::test]
async fn where_models_make_no_room_memory_is_freed_before_the_next_job_that_needs_it() {
    let freeing = Freeing { before_jobs: true, ..AFTER_OOM };
    let machines = Machines::of(&[6], |config| config.freeing = freeing).await;
    let (stage, comfy) = (&machines.stage, &machines.stage.comfys[0]);
    let other = |seed| picture_of("sdxl.safetensors", seed);
    comfy.keep_models(true);
    loaded(&machines, 1).await;
    comfy.hold();
    let first = stage.client.submit(&other(2)).await;
    comfy.wait_for(|state| state.waits_at_gate).await.unwrap();
    comfy.let_pass(1);
    comfy.wait_for(|state| state.runs.len() == 3 && state.waits_at_gate).await.unwrap();
    // It has been freed and tried again: now it loads, and stays long enough for the agent's figures to be seen.
    comfy.let_pass(2);
    comfy.wait_for(|state| state.loaded_mb == 4000 && state.waits_at_gate).await.unwrap();
    let asked = || machines.agents[0].requests()["GET /v1/report"];
    let before = asked();
    until("the agent is asked some times", async || (asked() > before + 8).then_some(())).await;
    comfy.release();
    stage.client.succeeded(&first).await;
    assert_eq!(outcomes_of(comfy, &first), [Outcome::Failed, Outcome::Succeeded]);
    let everything = json!({"unload_models": true, "free_memory": true});
    assert_eq!(stage.client.post("/orchestrator/v1/backends/a/free", &everything).await.0, 200);
    loaded(&machines, 3).await;
    let second = stage.client.submit(&other(4)).await;
    stage.client.succeeded(&second).await;
    assert_eq!(outcomes_of(comfy, &second), [Outcome::Succeeded], "room was made before");
    let free = &machines.backend("a").await["frees"][0];
    assert_eq!((&free["reason"], &free["outcome"]), (&json!("before_job"), &json!("freed")), "{free}");
}

#[tokio::test]
async fn a_job_whose_gpu_fails_goes_elsewhere_and_the_backend_rests_until_it_is_restarted() {
    let machines = Machines::of(&[24, 24], |config| config.freeing = OFF).await;
    let (stage, [broken, sound]) = (&machines.stage, machines.stage.comfys.as_slice()) else { panic!() };
    broken.break_context();
    let mut socket = Socket::open(&stage.client).await;
    let id = stage.client.submit(&picture(1)).await;
    let frames = socket.until_end_of(&id).await;
    assert_eq!(course(&frames), ["execution_start", "execution_success"], "{frames:?}");
    assert_eq!(
        (outcomes_of(broken, &id), outcomes_of(sound, &id)),
        (vec![Outcome::Failed], vec![Outcome::Succeeded])
    );
    let rests = machines.backend("a").await["rests"].clone();
    assert!(rests["reason"].as_str().unwrap().contains("its GPU has failed"), "{rests}");
    assert!(rests["until"].is_u64(), "{rests}");
    let pinned = json!({"extra_data": {"orchestrator": {"backend": "a"}}});
    let waits = stage.client.submit_with(&picture(2), pinned).await;
    let said = async || stage.client.job(&waits).await["why_waiting"]["a"].as_str().map(str::to_owned);
    let told = until("it is told why it waits", said).await;
    assert!(told.contains("its GPU has failed"), "{told}");
    broken.restart().await.unwrap();
    stage.client.succeeded(&waits).await;
    assert_eq!(machines.backend("a").await["rests"], Value::Null);
}

#[tokio::test]
async fn a_prompt_that_only_its_backend_cannot_run_goes_to_another() {
    for generation in BOTH {
        let stage = Stage::of(generation, 2).await;
        let url: url::Url = stage.comfys[0].url().parse().unwrap();
        stage.comfys[0].kill().await;
        takes_jobs(&stage.client, "a", false).await;
        // In its place one without the model, which does not tell what it offers: what was there before stands.
        let models = vec!["sdxl.safetensors".to_owned()];
        let config = ComfyConfig { models, port: url.port().unwrap(), ..quick(generation) };
        let other = Comfy::start(config).await.unwrap();
        other.fail(Fault::always("/object_info", FaultKind::Status(500)));
        takes_jobs(&stage.client, "a", true).await;
        let id = stage.client.submit(&picture(1)).await;
        stage.client.succeeded(&id).await;
        assert_eq!(
            (other.counters().refused, outcomes_of(&stage.comfys[1], &id)),
            (1, vec![Outcome::Succeeded])
        );
        assert!(
            endings(&stage, &id).await[0].contains("lacks what it needs"),
            "{:?}",
            endings(&stage, &id).await
        );
        let pinned = json!({"extra_data": {"orchestrator": {"backend": "a"}}});
        let fails = stage.client.submit_with(&picture(2), pinned).await;
        assert_eq!(stage.client.ended(&fails).await["status"]["status_str"], "error");
        assert_eq!(other.counters().refused, 2, "once");
    }
}

#[tokio::test]
async fn a_job_that_its_backend_has_lost_runs_again() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    stage.comfys[0].hold();
    let id = stage.client.submit(&picture(1)).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    stage.comfys[0].lose_running();
    stage.comfys[0].release();
    stage.client.succeeded(&id).await;
    assert_eq!(outcomes_of(&stage.comfys[0], &id), [Outcome::Killed, Outcome::Succeeded]);
    let requeued = "orchestrator_collector_requeues_total{reason=\"not_found\"}";
    assert_eq!(stage.client.metric(requeued).await, Some(1.0));
}
